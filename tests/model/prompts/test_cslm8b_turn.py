"""A turn of cslm-8b in small, all of its stages in this process, with plain transformers as the language model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import numpy as np

from model.bundle import Bundle
from model.lm.transformers_model import TransformersLanguageModel
from model.turn_detection.vad import load_voice_activity
from model.vocoders import StreamingVocoder
from streaming.stages import Pcm, Stages, TurnOptions, UnitCut
from streaming.turn import AudioDelta, Question, Turn, TurnEvent
from tests.released.bundle import SPOKEN, TEXT, TRANSCRIPT


class InThisProcess:
    """A `SpeechDecoder` around a vocoder."""

    def __init__(self, vocoder: StreamingVocoder) -> None:
        self._vocoder = vocoder
        self.sample_rate = vocoder.sample_rate

    async def synthesize(self, cuts: AsyncIterator[UnitCut], voice: str | None = None) -> AsyncGenerator[Pcm]:
        state = self._vocoder.open(voice)
        async for cut in cuts:
            yield self._vocoder.push(state, cut.units, final=cut.final)


async def spoken_units(encoder: object, pcm: Pcm) -> AsyncGenerator[list[int]]:
    async def pieces() -> AsyncIterator[Pcm]:
        yield pcm

    async for units in encoder.encode(pieces()):  # type: ignore[attr-defined]
        yield units


async def test_a_turn(small_cslm8b: Path) -> None:
    bundle = Bundle(small_cslm8b)
    encoder = bundle.encoder_kind.load(bundle.encoder, bundle.profile, "cpu")
    vocoder = bundle.vocoder_kind.load(bundle.vocoder, "cpu")
    lm = TransformersLanguageModel(bundle.lm)
    activity = load_voice_activity(bundle.voice_activity)
    stages = Stages(encoder, lm, InThisProcess(vocoder), bundle.prompts, activity)
    audio: list[Pcm] = []

    async def emit(event: TurnEvent) -> None:
        if isinstance(event, AudioDelta):
            audio.append(event.pcm)

    pcm = np.sin(np.arange(24_000) / 20).astype(np.float32)
    try:
        report = await Turn(stages, Question(units=spoken_units(encoder, pcm)), TurnOptions(), emit).run()
    finally:
        encoder.close()
        await lm.close()
    assert (report.transcript, report.text) == (TRANSCRIPT, TEXT)
    assert (report.output_units, report.dropped_ids) == (len(SPOKEN), 0)
    assert report.input_units > 0
    whole = vocoder.decode(SPOKEN)
    assert len(audio) > 1
    assert np.abs(np.concatenate(audio) - whole).max() <= 1e-4
    assert abs(whole.size / vocoder.sample_rate - len(SPOKEN) / 25) < 0.05  # every unit lasts 40 ms
