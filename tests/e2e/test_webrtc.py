"""WebRTC against the real server: an aiortc caller speaks a recording and hears the answer."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from openai import AsyncOpenAI

from tests.server.front import eventually
from tests.server.webrtc.rtc_peer import Caller, calling

pytestmark = pytest.mark.e2e

QUESTION = Path(__file__).parents[1] / "data" / "ask_sum_en.wav"
ANSWER_S = 60.0
"""Long: continuous integration runs the model on a busy CPU."""


def question() -> np.ndarray:
    """The recording, at the caller's rate."""
    pcm, rate_hz = soundfile.read(QUESTION, dtype="float32")
    return np.asarray(soxr.resample(pcm, rate_hz, 48_000), np.float32)


async def dial(caller: Caller, client: AsyncOpenAI) -> str:
    """Call the server with the stock SDK. Returns the id of the call."""
    answer = await client.realtime.calls.create(
        sdp=await caller.offer(), session={"type": "realtime", "model": "cslm-mini"}
    )
    await caller.answered(answer.text)
    await caller.event("session.created", within_s=ANSWER_S)
    return str(answer.response.headers["location"]).rpartition("/")[2]


@pytest.mark.parametrize("loss", [0.0, 0.1])
async def test_a_caller_is_heard_and_answered(live_server: str, loss: float) -> None:
    async with AsyncOpenAI(base_url=f"{live_server}/v1", api_key="none", timeout=120) as client, calling() as caller:
        call_id = await dial(caller, client)
        caller.disturb(loss=loss, jitter_s=0.04 if loss else 0.0)
        caller.microphone.speak(question())
        await caller.event("output_audio_buffer.stopped", within_s=ANSWER_S)
        await eventually(lambda: caller.silent_s() > 0.5)  # what is on its way
        heard = (await caller.event("conversation.item.input_audio_transcription.completed"))["transcript"]
        assert heard if loss else heard == "What is seven plus five?"
        assert caller.spoken_s() > 0.5
        transcript = caller.of("response.output_audio_transcript.done")[0]["transcript"]
        assert transcript if loss else "twelve" in transcript
        again = await client.audio.transcriptions.create(file=("heard.flac", flac(caller.audio())), model="cslm-mini")
        assert again.text, "what came over the line is speech"
        await client.realtime.calls.hangup(call_id)


def flac(pcm: np.ndarray) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, pcm, 48_000, format="FLAC")
    return out.getvalue()
