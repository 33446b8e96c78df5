"""What a wheel holds, and how large a bundle may be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("clients", "model", "server", "streaming")

_LIST_FILES = """
import json
from setuptools.dist import Distribution

distribution = Distribution()
distribution.parse_config_files()
distribution.script_name = "setup.py"
command = distribution.get_command_obj("build_py")
command.ensure_finalized()
modules = [path for _, _, path in command.find_all_modules()]
data = [f"{folder}/{name}" for _, folder, _, names in command.data_files for name in names]
print(json.dumps(modules + data))
"""


def packaged() -> set[str]:
    """Paths that a wheel would hold, as setuptools finds them."""
    run = subprocess.run([sys.executable, "-c", _LIST_FILES], cwd=ROOT, capture_output=True, text=True, check=True)
    return {Path(path).as_posix() for path in json.loads(run.stdout.splitlines()[-1])}


def test_the_wheel_holds_the_code_the_page_and_the_bundle() -> None:
    pytest.importorskip("setuptools")
    wanted = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    for folder in ("clients/web", "model/bundles"):
        wanted += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    names = {path.relative_to(ROOT).as_posix() for path in wanted if "__pycache__" not in path.parts}
    missing = names - packaged()
    assert not missing, sorted(missing)


def test_the_wheel_holds_nothing_else() -> None:
    pytest.importorskip("setuptools")
    assert {path.split("/")[0] for path in packaged()} == set(PACKAGES)


def test_no_file_of_a_bundle_is_over_the_limit() -> None:
    for bundle in (ROOT / "model" / "bundles").iterdir():
        sizes = {path: path.stat().st_size for path in bundle.rglob("*") if path.is_file()}
        assert sum(sizes.values()) <= 120e6
        assert not [path for path, size in sizes.items() if size > 50e6]
