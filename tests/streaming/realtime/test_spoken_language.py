"""The language of the question, as far as the client says it."""

from __future__ import annotations

import pytest

from streaming.realtime.config import SessionConfig
from streaming.realtime.limits import SessionModel
from streaming.realtime.response_request import _spoken_language
from tests.fakes import fake_stages

MODEL = SessionModel("fake", ("default",), fake_stages(), languages=("en", "zh"))


@pytest.mark.parametrize(
    ("said", "meant"),
    [("en", "en"), ("zh", "zh"), ("en-GB", "en"), ("ZH-CN", "zh"), ("Chinese", "zh"), ("fr", "auto"), (None, "auto")],
)
def test_spoken_language(said: str | None, meant: str) -> None:
    transcription = {"model": "any", "language": said}
    config = SessionConfig.model_validate({"type": "realtime", "audio": {"input": {"transcription": transcription}}})
    assert _spoken_language(config, MODEL) == meant


def test_without_a_transcription_it_is_not_known() -> None:
    assert _spoken_language(SessionConfig.model_validate({"type": "realtime"}), MODEL) == "auto"
