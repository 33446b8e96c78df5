"""docs/operations.md: its commands are run as they stand by deploy/walk.py, where there is Docker; here, what they name is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from deploy.walk import PAGE, blocks, script
from server.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
TEXT = PAGE.read_text(encoding="utf-8")


def test_only_blocks_marked_sh_are_run_and_in_order() -> None:
    page = "```sh\none\ntwo\n```\ntext\n```\nnot this\n```\n\n```sh\nthree\n```\n"
    assert blocks(page) == ["one\ntwo\n", "three\n"]


def test_the_commands_are_shell() -> None:
    done = subprocess.run(["bash", "-n", "-c", script(TEXT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_files_and_settings_that_are_named_exist() -> None:
    for path in re.findall(r"(?<![\w./])(?:\./)?((?:deploy|tests|docs)/[\w./-]*\w)", TEXT):
        assert (ROOT / path).exists() or path.startswith("deploy/secrets"), path
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    known = {f"CSLM_{name.upper()}" for name in Settings.model_fields}
    known |= set(re.findall(r"\$\{(\w+):", compose))
    for name in re.findall(r"\b(?:CSLM|HTTPS?|HF|ALERTMANAGER|JAEGER|PYTHON)_[A-Z_]+\b", TEXT):
        assert name in known, name


def test_services_and_profiles_that_are_named_exist() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    for profile in re.findall(r"--profile (\w+)", TEXT):
        assert f"profiles: [{profile}]" in compose
