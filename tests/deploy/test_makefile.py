"""`make serve`: which commands it would run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def commands(*variables: str) -> str:
    # `make test` may run this, and make would then name its folders.
    command = ["make", "--no-print-directory", "-n", "serve", *variables]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_default_is_served_at_once() -> None:
    assert "cslm pull" not in commands()
    assert "cslm serve" in commands()


@pytest.mark.parametrize(
    ("status", "served", "code"),
    [(0, "serve cslm-small", 0), (69, "serve cslm-mini", 0), (2, "", 2)],
    ids=["pulled", "not fetched", "damaged"],
)
def test_another_bundle_is_pulled_first(status: int, served: str, code: int, tmp_path: Path) -> None:
    """With a `cslm` that only says what it was asked, and fails to pull."""
    cslm = tmp_path / "bin" / "cslm"
    cslm.parent.mkdir()
    cslm.write_text(f'#!/bin/sh\n[ "$1" = pull ] && exit {status}\necho "$1 $CSLM_BUNDLE"\n')
    cslm.chmod(0o755)
    command = ["make", "--no-print-directory", "serve", "BUNDLE=cslm-small", f"VENV={tmp_path}", "INSTALL=true"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.stdout.strip() == served
    assert run.returncode == code
    assert ("cslm-small cannot be fetched, so cslm-mini is served" in run.stderr) == (status == 69)
