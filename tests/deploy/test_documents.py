"""Links, anchors, paths, modules and make targets that the documents name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "model/bundles/*/*.md")
    for path in ROOT.glob(pattern)
)
PRESENT = [name for name in DOCUMENTS if name != "CHANGELOG.md"]  # history may name what is gone
FOLDERS = "clients|deploy|docs|model|requirements|server|streaming|tests"


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_module(name: str) -> bool:
    """`name` is a module or package of the repository, or a name at the top of one."""
    path = ROOT.joinpath(*name.split("."))
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    files = [file for file in (path.parent.with_suffix(".py"), path.parent / "__init__.py") if file.is_file()]
    return any(re.search(rf"\b{path.name}\b", file.read_text(encoding="utf-8")) for file in files)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for path, _, anchor in (link.partition("#") for link in links if "://" not in link):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


@pytest.mark.parametrize("name", PRESENT)
def test_paths_exist(name: str) -> None:
    paths = re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", read(name))
    assert not [path for path in paths if not (ROOT / path).exists()]


@pytest.mark.parametrize("name", PRESENT)
def test_modules_exist(name: str) -> None:
    text = read(name)
    modules = re.findall(r"`((?:clients|model|server|streaming)(?:\.\w+)+)`", text)
    modules += re.findall(r"python -m ((?:deploy|model|tests)(?:\.\w+)+)", text)
    files = ("model.bin",)
    assert not [module for module in modules if module not in files and not is_module(module)]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_make_targets_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", read(name), re.MULTILINE))
    assert named
    assert named <= targets
