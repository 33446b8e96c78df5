"""When the stock clients are installed, and what is said where they cannot be."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The installer, with one client that follows one list."""
    monkeypatch.syspath_prepend(str(ROOT / "deploy"))
    module = importlib.import_module("install_clients")
    place, followed = tmp_path / "place", tmp_path / "list.txt"
    followed.write_text("openai==1.0\n")
    monkeypatch.setattr(module, "INSTALLS", {"python": (place.mkdir, (followed,), place)})
    return module


def test_it_installs_once_and_again_when_the_list_changes(clients: Any, tmp_path: Path) -> None:
    assert clients.main(["--check", "python"]) == 1
    assert clients.main([]) == 0
    assert clients.main(["--check", "python"]) == 0
    assert clients.main([]) == 0, "nothing to do: making the place again would fail"
    (tmp_path / "list.txt").write_text("openai==2.0\n")
    assert clients.main(["--check", "python"]) == 1


def test_what_cannot_be_installed_is_said(
    clients: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def install() -> None:
        raise clients.InstallError("Node 20 or newer is needed; this is v18.0.0")

    monkeypatch.setattr(clients, "INSTALLS", {"javascript": (install, (), tmp_path)})
    assert clients.main([]) == 1
    assert "stock clients in javascript: Node 20 or newer" in capsys.readouterr().err
    assert not clients.is_installed("javascript")
