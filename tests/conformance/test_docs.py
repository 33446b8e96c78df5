"""docs/clients.md shows the very lines that the programs of the suite run, and the versions that are installed."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")


def test_the_lines_are_those_of_the_programs() -> None:
    blocks = re.findall(r"<!-- (\S+) -->\n```\w+\n(.*?)```", DOCS, re.DOTALL)
    assert {path for path, _ in blocks} == {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests" / "conformance").glob("*/*.*")
        if path.suffix in (".py", ".mjs") and path.stem != "microphone"
    }
    for path, block in blocks:
        program = iter((ROOT / path).read_text(encoding="utf-8").splitlines())
        for line in filter(None, block.splitlines()):
            assert line in program, f"{path} has no such line, or not there: {line}"


def test_the_versions_are_the_pinned_ones() -> None:
    pins = dict(
        line.split("==")
        for line in (ROOT / "requirements" / "conformance.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    )
    lock = (ROOT / "tests" / "conformance" / "javascript" / "package-lock.json").read_text(encoding="utf-8")
    packages = json.loads(lock)["packages"]
    node = {path.removeprefix("node_modules/"): package.get("version", "") for path, package in packages.items()}
    pins = node | pins  # of the two packages named openai, the one in Python
    told = re.findall(r"^\| `([@\w/-]+)(?:\[\w+\])?` \| ([\d.]+) \|", DOCS, re.MULTILINE)
    assert len(told) == 4
    for package, version in told:
        assert pins[package] == version, package
    assert "resolved" not in lock, "the lock names no registry"


def test_events_are_checked_with_the_types_that_the_client_has() -> None:
    pins = [(ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8") for name in ("base", "conformance")]
    first, second = (re.search(r"^openai==.*$", pin, re.MULTILINE) for pin in pins)
    assert first and second and first[0] == second[0]
