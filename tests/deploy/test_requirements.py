"""The lists that the install follows: exact, complete, and true to what the code imports."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"
OURS = {"clients", "model", "server", "streaming", "tests", "deploy"}
ENGINES = {"torch", "vllm"}  # brought by a variant
IMPORTED_LAZILY = {
    "sounddevice": "mic",
    "playwright": "dev",
    "ray": "cluster",
    "grpc": "cluster",
    "opentelemetry": "otel",
}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(name: str) -> dict[str, str]:
    """Name to version of a list and of those it includes."""
    found: dict[str, str] = {}
    for line in (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            found |= pins(line[3:].removesuffix(".txt"))
        elif line and not line.startswith("#"):
            package, _, version = line.partition(" ; ")[0].partition("==")
            assert re.fullmatch(r"[\w.+!]+", version), f"{name}.txt: not an exact pin: {line}"
            assert canonical(package) not in found, f"{name}.txt: {package} stands there twice"
            found[canonical(package)] = version
    return found


def imports(*folders: str, besides: tuple[str, ...] = ()) -> set[str]:
    """Top-level third-party modules that the code below `folders` imports."""
    found: set[str] = set()
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            if any(part in path.relative_to(ROOT).as_posix() for part in besides):
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.split(".")[0])
    return found - OURS - set(sys.stdlib_module_names)


PROVIDERS = packages_distributions()
PART_OF = {"pydantic_core": "pydantic"}  # pinned by it to the very version


def distribution_of(module: str) -> str:
    return PART_OF.get(module) or canonical(PROVIDERS.get(module, [module])[0])


@pytest.mark.parametrize("name", sorted(path.stem for path in REQUIREMENTS.glob("*.txt")))
def test_every_line_is_an_exact_pin(name: str) -> None:
    assert pins(name)


@pytest.mark.parametrize("variant", ["cpu", "gpu", "portable"])
def test_additions_agree_with_every_variant(variant: str) -> None:
    for addition in ("cluster", "dev", "judge", "mic", "otel", "torch-cuda", "train"):
        for package, version in pins(addition).items():
            assert pins(variant).get(package, version) == version, (
                f"{addition}.txt and {variant}.txt differ on {package}"
            )


def test_what_runs_imports_only_what_every_variant_installs() -> None:
    used = imports("server", "clients", "streaming", "model", besides=("model/training", "model/evaluation"))
    missing = {m for m in used - ENGINES - set(IMPORTED_LAZILY) if distribution_of(m) not in pins("base")}
    assert not missing, f"add to pyproject.toml and requirements/base.txt: {sorted(missing)}"


def test_what_runs_declares_what_it_imports() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {canonical(re.split(r"[<>=\[;]", line)[0]) for line in project["dependencies"]}
    used = imports("server", "clients", "streaming", "model", besides=("model/training", "model/evaluation"))
    missing = {m for m in used - ENGINES - set(IMPORTED_LAZILY) if distribution_of(m) not in declared}
    assert not missing, f"add to [project.dependencies]: {sorted(missing)}"


def test_tests_import_only_what_make_test_installs() -> None:
    installed = {**pins("portable"), **pins("dev")}
    used = imports("tests", besides=("tests/model/training", "tests/bench", "tests/conformance/programs"))
    skipped_without = {"ray"}
    missing = {m for m in used - ENGINES - skipped_without if distribution_of(m) not in installed}
    assert not missing, f"add to the extra dev and requirements/dev.txt: {sorted(missing)}"


def test_every_declared_range_accepts_the_pins() -> None:
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lists = [("base", project["dependencies"])]
    lists += [(variant, project["dependencies"] + extras[variant]) for variant in ("cpu", "gpu", "portable")]
    lists += [(addition, extras[addition]) for addition in ("cluster", "judge", "mic", "otel", "train")]
    for name, lines in lists:
        known = {**pins("base"), **pins(name)}
        for requirement in map(Requirement, lines):
            version = known[canonical(requirement.name)]
            assert version in requirement.specifier, (
                f"{name}.txt: {requirement.name}=={version} is outside {requirement}"
            )
