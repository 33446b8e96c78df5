"""WebRTC against the real server: an aiortc caller and a real Chromium speak a recording and hear the answer."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from openai import AsyncOpenAI

from tests.chromium import chromium_path, open_page, recording
from tests.server.rtc_peer import Caller, calling

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
        await asyncio.sleep(1)
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


DIAL = """
async () => {
  const peer = new RTCPeerConnection();
  const microphone = await navigator.mediaDevices.getUserMedia({audio: true});
  peer.addTrack(microphone.getTracks()[0]);
  const channel = peer.createDataChannel("oai-events");
  const state = window.call = {kinds: [], text: "", loudest: 0};
  channel.onmessage = ({data}) => {
    const event = JSON.parse(data);
    state.kinds.push(event.type);
    if (event.type === "response.output_audio_transcript.done") state.text = event.transcript;
  };
  peer.ontrack = ({streams}) => {
    const player = new Audio();
    player.srcObject = streams[0];
    player.play();
    const context = new AudioContext(), analyser = context.createAnalyser();
    context.createMediaStreamSource(streams[0]).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      state.loudest = Math.max(state.loudest, ...samples);
    }, 50);
  };
  await peer.setLocalDescription(await peer.createOffer());
  const answer = await fetch("/v1/realtime/calls?model=cslm-mini", {
    method: "POST", body: peer.localDescription.sdp, headers: {"Content-Type": "application/sdp"},
  });
  await peer.setRemoteDescription({type: "answer", sdp: await answer.text()});
}
"""


def test_a_browser_is_heard_and_answered(live_server: str, tmp_path: Path) -> None:
    """Chromium's own WebRTC, as a page of anybody's would use it."""
    chromium_path()
    with open_page(live_server, microphone=recording(tmp_path / "mic.wav", 1.5, "ask_sum_en")) as page:
        page.evaluate(DIAL)
        page.wait_for_function("window.call.kinds.includes('output_audio_buffer.stopped')", timeout=1000 * ANSWER_S)
        call: dict[str, Any] = page.evaluate("window.call")
    assert call["text"]
    assert call["loudest"] > 0.02, "the answer was played"
    assert "response.output_audio.delta" not in call["kinds"]
