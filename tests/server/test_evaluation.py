"""What `cslm eval` shows while it measures."""

from __future__ import annotations

import pytest

from server.evaluation import _progress


def test_a_log_gets_one_line_for_each_measure_that_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    with _progress() as show:
        for name, total in (("asr", 3), ("answers", 1)):
            for done in range(1, total + 1):
                show(name, done, total)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "asr: 3 of 3\nanswers: 1 of 1\n")


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with _progress() as show:
        show("asr", 1, 3)
        show("asr", 3, 3)
    shown = capsys.readouterr().err
    assert "asr" in shown and "3/3" in shown and "of 3" not in shown
