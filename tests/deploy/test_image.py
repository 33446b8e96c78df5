"""Image hygiene: what must not be in the Dockerfile, checked on its instructions; and by hadolint where that is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"


def instructions(text: str) -> list[tuple[str, str]]:
    """Instructions in order: name and the rest, on one line."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(name.upper(), rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def faults(text: str) -> list[str]:
    """What a Dockerfile should not do."""
    found, steps = list[str](), instructions(text)
    stages = {rest.split()[-1] for name, rest in steps if name == "FROM" and " AS " in rest.upper()}
    for name, rest in steps:
        if name == "ADD":
            found.append("ADD fetches and unpacks; use COPY")
        if (
            name == "FROM"
            and (image := rest.split()[0]) not in stages
            and not image.startswith("$")
            and ":" not in image
        ):
            found.append(f"{image} has no version")
        if name in ("FROM", "ARG") and re.search(r":latest\b", rest):
            found.append("latest is no version")
        if name in ("ARG", "ENV") and re.search(r"(?i)(password|passwd|secret|token|_key\b|api_?key)", rest):
            found.append(f"a secret would stay in the image: {rest}")
        if name == "COPY" and rest.split()[0] in (".", "./", "/"):
            found.append("COPY takes everything")
        if name == "RUN":
            found += _run_faults(rest)
    last = steps[max(at for at, (name, _) in enumerate(steps) if name == "FROM") :]
    users = [rest for name, rest in last if name == "USER"]
    if not users or not users[-1].split(":")[0].isdigit() or users[-1].split(":")[0] == "0":
        found.append("it does not end as a user with a number that is not root's")
    if not any(name == "HEALTHCHECK" for name, _ in last):
        found.append("it has no health check")
    return found


def _run_faults(command: str) -> list[str]:
    found = []
    if re.search(r"\b(curl|wget)\b[^|;&]*\|\s*(ba)?sh\b", command):
        found.append("it runs what it fetches")
    if "apt-get install" in command and "--no-install-recommends" not in command:
        found.append("apt-get installs recommended packages")
    if "apt-get update" in command and "rm -rf /var/lib/apt/lists" not in command:
        found.append("lists of apt-get stay in the layer")
    if re.search(r"\bsudo\b|chmod\s+(-R\s+)?[0-7]*777", command):
        found.append("it gives away rights")
    if re.search(r"\bpip3? install\b", command) and not re.search(r"--no-cache-dir|type=cache", command):
        found.append("pip's cache stays in the layer")
    return found


def test_the_image_is_clean() -> None:
    assert faults(DOCKERFILE.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    ["ADD https://example.org/x /x", "FROM debian", "FROM debian:latest", "ARG API_KEY", "ENV HF_TOKEN=x", "COPY . /app",
     "RUN curl -s https://example.org/x | sh", "RUN apt-get update && apt-get install -y gcc", "RUN chmod -R 777 /app",
     "RUN pip install torch", "USER root", "USER 0:0"],
)  # fmt: skip
def test_what_is_a_fault(line: str) -> None:
    assert faults(f"{DOCKERFILE.read_text(encoding='utf-8')}\n{line}\n")


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
def test_hadolint_agrees() -> None:
    ran = subprocess.run(
        ["hadolint", "--failure-threshold", "warning", str(DOCKERFILE)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout
