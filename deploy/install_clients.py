#!/usr/bin/env python3
"""Installs the stock clients that tests/conformance holds conversations with, apart from the server and from its tests.

    python deploy/install_clients.py            both environments
    python deploy/install_clients.py --check python|javascript    exit code 0 where it is installed and up to date

Python packages go into `build/clients`, JavaScript packages into `tests/conformance/javascript/node_modules`, all of them in
the versions of requirements/conformance.txt and package-lock.json. Run again, it does nothing unless those have changed.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from install import REQUIREMENTS, ROOT, InstallError, Pip, apt_install, make_venv, say

VENV = ROOT / "build" / "clients"
JAVASCRIPT = ROOT / "tests" / "conformance" / "javascript"
NODE_MAJOR = 20


def install_python() -> None:
    """The environment of the clients in Python."""
    pip = Pip(make_venv(VENV))
    if not pip.install("--no-compile", "-r", str(REQUIREMENTS / "conformance.txt")):
        raise InstallError("pip failed; see its message above")


def install_javascript() -> None:
    """The packages of the client in JavaScript."""
    if not (shutil.which("node") and shutil.which("npm")) and not apt_install("nodejs", "npm"):
        raise InstallError(f"Node {NODE_MAJOR} or newer and npm are needed")
    found = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    if int(found.removeprefix("v").split(".")[0] or 0) < NODE_MAJOR:
        raise InstallError(f"Node {NODE_MAJOR} or newer is needed; this is {found}")
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    if subprocess.run(command, cwd=JAVASCRIPT, stdin=subprocess.DEVNULL, check=False).returncode:
        raise InstallError("npm failed; see its message above")


INSTALLS: dict[str, tuple[Callable[[], None], tuple[Path, ...], Path]] = {
    "python": (install_python, (REQUIREMENTS / "conformance.txt",), VENV),
    "javascript": (
        install_javascript,
        (JAVASCRIPT / "package.json", JAVASCRIPT / "package-lock.json"),
        JAVASCRIPT / "node_modules",
    ),
}
"""How each is installed, which lists it follows, and where it goes."""


def digest(lists: tuple[Path, ...]) -> str:
    """Changes when what would be installed changes."""
    state = hashlib.sha256(f"{sys.version_info[:2]} {ROOT}".encode())
    for path in (*lists, Path(__file__)):
        state.update(path.read_bytes())
    return state.hexdigest()


def is_installed(name: str) -> bool:
    """Whether the environment is there as its lists say."""
    _, lists, place = INSTALLS[name]
    stamp = place / "cslm-installed.txt"
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == digest(lists)


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 when everything is there, 1 with a message about what is not."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", choices=tuple(INSTALLS), help="install nothing, only say whether this is installed")
    options = parser.parse_args(argv)
    if options.check:
        return 0 if is_installed(options.check) else 1
    missing = 0
    for name, (install, lists, place) in INSTALLS.items():
        if is_installed(name):
            continue
        say(f"stock clients in {name}, for tests/conformance")
        began_s = time.monotonic()
        try:
            install()
        except InstallError as error:
            print(f"install: stock clients in {name}: {error}", file=sys.stderr)
            missing += 1
        else:
            (place / "cslm-installed.txt").write_text(digest(lists), encoding="utf-8")
            say(f"done in {time.monotonic() - began_s:.0f} s")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
