"""The end-of-turn model on recordings: a question that was finished, and one that breaks off."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from model.bundle import find_bundle
from model.turn_detection.smart_turn import SmartTurn
from streaming.errors import BundleError
from streaming.stages import Pcm
from tests.bench.questions import RECORDINGS

BUNDLE = find_bundle("cslm-mini")


@pytest.fixture(scope="module")
def model() -> SmartTurn:
    return SmartTurn.load(BUNDLE.end_of_turn)


def recorded(name: str) -> Pcm:
    pcm, rate_hz = soundfile.read(RECORDINGS / name, dtype="float32")
    assert rate_hz == 16_000
    return np.asarray(pcm, np.float32)


def pause(pcm: Pcm) -> Pcm:
    return np.concatenate([pcm, np.zeros(3200, np.float32)])


async def test_a_finished_question(model: SmartTurn) -> None:
    assert await model.finished(pause(recorded("human-en-003.flac"))) > 0.9


async def test_a_question_that_breaks_off(model: SmartTurn) -> None:
    whole = recorded("en-zh-sums-19.flac")
    assert await model.finished(pause(whole)) > 0.9
    assert await model.finished(pause(whole[: whole.size * 6 // 10])) < 0.5


def test_only_the_end_counts(model: SmartTurn) -> None:
    audio = np.random.default_rng(1).normal(0, 0.1, 10 * 16_000).astype(np.float32)
    assert model.judge(audio) == model.judge(audio[-8 * 16_000 :])


def test_a_damaged_network(tmp_path) -> None:
    path = tmp_path / "smart_turn.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(BundleError, match="end-of-turn"):
        SmartTurn.load(path)
