"""`python -m model.training`: stages by name, and the order of `all`."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from model.training import __main__ as dispatch


def test_a_stage_gets_the_rest_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    stage = SimpleNamespace(main=lambda: seen.append(sys.argv))
    monkeypatch.setattr(dispatch, "import_module", lambda name: stage)
    monkeypatch.setattr(sys, "argv", [])
    assert dispatch.main(["lm", "--minutes", "3"]) == 0
    assert seen[0][1:] == ["--minutes", "3"]


def test_an_unknown_stage_is_named_and_the_known_ones_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch.main(["paint"]) == 2
    assert "'paint'; accepted: all, synth, encoder," in capsys.readouterr().err
    assert dispatch.main([]) == 2
    assert "encoder" in capsys.readouterr().err
    assert dispatch.main(["--help"]) == 0
    assert "encoder" in capsys.readouterr().out


def test_all_runs_every_stage_in_order() -> None:
    commands = dispatch.plan(Path("s"), Path("w"), Path("b"))
    assert list(dict.fromkeys(c[0] for c in commands)) == list(dispatch.STAGES)


def test_a_first_round_starts_from_nothing_trained(tmp_path: Path) -> None:
    dispatch.copy_untrained(dispatch.SHIPPED, tmp_path / "bundle")
    copied = {path.name for path in (tmp_path / "bundle").iterdir()}
    assert copied == {"profile.json", "units.json", "vad", "turn"}
