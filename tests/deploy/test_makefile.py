"""`make serve`: which commands it would run."""

from __future__ import annotations

import shutil
import subprocess

import pytest

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def commands(*variables: str) -> str:
    command = [
        "make",
        "--no-print-directory",
        "-n",
        "serve",
        *variables,
    ]  # `make test` may run this, and make names its folders
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_default_is_served_at_once() -> None:
    assert "cslm pull" not in commands()
    assert "cslm serve" in commands()


def test_another_bundle_is_pulled_first() -> None:
    last = commands("BUNDLE=cslm-small").splitlines()[-1]
    assert last.index("cslm pull &&") < last.index("cslm serve")
