#!/usr/bin/env python3
"""Asks an advisory service about every version that `requirements/*.txt` pin: `make audit`.

Exit code 0 where no advisory is open, 1 where one is or an answer fails. Where no service can be reached, it says so and is
skipped; with `--required` that is a failure, too. A service counts as reached when it knows the advisories of jinja2 2.10.

`deploy/audit-accepted.txt` has advisories that do not concern this server, a line each: the id, then why.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from install import REQUIREMENTS, ROOT, InstallError, Pip, make_venv, say

VENV = ROOT / "build" / "audit"
ACCEPTED = ROOT / "deploy" / "audit-accepted.txt"
SERVICES = ("pypi", "osv")
CANARY = "jinja2==2.10\n"
LIMIT_S = 900


class NoAnswer(Exception):
    """The service did not answer about a list."""


@dataclass(slots=True)
class Answer:
    """Of a service about one list: ids of advisories by `package==version`, and packages that it does not know."""

    advisories: dict[str, set[str]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


def main(argv: list[str] | None = None) -> int:
    """See above."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--required", action="store_true", help="fail where no advisory service can be reached")
    options = parser.parse_args(argv)
    service = reached() if installed() else None
    if service is None:
        print("audit: SKIPPED, because no advisory service can be reached", file=sys.stderr)
        return 1 if options.required else 0
    accepted, still_open = read_accepted(), 0
    for path in sorted(REQUIREMENTS.glob("*.txt")):
        try:
            still_open += report(path.name, ask(path, service), accepted)
        except NoAnswer as failure:
            print(f"audit: {path.name}: {service} does not answer: {failure}", file=sys.stderr)
            still_open += 1
    say(f"audit: {'FAILED' if still_open else 'no open advisories'}, by {service}")
    return 1 if still_open else 0


def installed() -> bool:
    """pip-audit is there, in an environment of its own."""
    try:
        return Pip(make_venv(VENV)).install("-r", str(REQUIREMENTS / "audit.txt"))
    except InstallError as error:
        print(f"audit: {error}", file=sys.stderr)
        return False


def reached() -> str | None:
    """The first service that knows a version with advisories."""
    with tempfile.TemporaryDirectory() as directory:
        canary = Path(directory) / "canary.txt"
        canary.write_text(CANARY, encoding="utf-8")
        for service in SERVICES:
            try:
                if ask(canary, service).advisories:
                    return service
            except NoAnswer:
                continue
    return None


def ask(requirements: Path, service: str) -> Answer:
    """What a service knows of the versions in a list. Raises NoAnswer."""
    command = [
        str(VENV / "bin" / "pip-audit"), "-r", str(requirements), "--no-deps", "--disable-pip", "--vulnerability-service", service,
        "--progress-spinner", "off", "--format", "json", "--timeout", "15",
    ]  # fmt: skip
    try:
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT_S)
        answer = Answer()
        for package in json.loads(ran.stdout)["dependencies"]:
            if "skip_reason" in package:
                answer.unknown.append(package["name"])
            elif package["vulns"]:
                answer.advisories[f"{package['name']}=={package['version']}"] = {
                    each["id"] for each in package["vulns"]
                }
    except subprocess.TimeoutExpired:
        raise NoAnswer(f"nothing within {LIMIT_S} s") from None
    except (ValueError, KeyError, TypeError):
        raise NoAnswer((ran.stderr.strip().splitlines() or ["no reason given"])[-1]) from None
    return answer


def read_accepted() -> dict[str, str]:
    """Why, by id."""
    lines = ACCEPTED.read_text(encoding="utf-8").splitlines()
    split = (line.partition(" ") for line in lines if line.strip() and not line.startswith("#"))
    return {id_: why.strip() for id_, _, why in split}


def report(name: str, answer: Answer, accepted: dict[str, str]) -> int:
    """Say what is known of a list. Returns how many advisories are not accepted."""
    still_open = 0
    for package, ids in answer.advisories.items():
        for id_ in sorted(ids):
            why = accepted.get(id_)
            still_open += why is None
            print(f"audit: {name}: {package}: {id_}{'' if why is None else f' (accepted: {why})'}")
    if answer.unknown:
        print(f"audit: {name}: not known to the service: {', '.join(answer.unknown)}")
    return still_open


if __name__ == "__main__":
    sys.exit(main())
