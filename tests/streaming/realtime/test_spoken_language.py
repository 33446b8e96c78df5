"""The language of the question, as far as the client says it."""

from __future__ import annotations

import pytest

from streaming.realtime.asking import _spoken_language
from streaming.realtime.config import SessionConfig


@pytest.mark.parametrize(
    ("said", "meant"),
    [("en", "en"), ("zh", "zh"), ("en-GB", "en"), ("ZH-CN", "zh"), ("fr", "auto"), (None, "auto")],
)
def test_spoken_language(said: str | None, meant: str) -> None:
    transcription = {"model": "any", "language": said}
    config = SessionConfig.model_validate({"type": "realtime", "audio": {"input": {"transcription": transcription}}})
    assert _spoken_language(config) == meant


def test_without_a_transcription_it_is_not_known() -> None:
    assert _spoken_language(SessionConfig.model_validate({"type": "realtime"})) == "auto"
