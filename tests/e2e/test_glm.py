"""GLM-4-Voice in small, of the released layout: pulled, checked, and served over the realtime socket by the real engine.

Sizes are small and weights random but for the chain of tokens that is planted into the language model (see `tests.released.glm`).
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from websockets.sync.client import ClientConnection, connect

from model.check import check
from streaming.audio import AudioFrame, float_to_pcm16, resampled
from tests.live_server import ROOT, free_port, running_server
from tests.released.glm import SPOKEN, TEXT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
QUESTION = ROOT / "tests" / "data" / "ask_sum_en.wav"


@pytest.fixture(scope="module")
def server(small_glm: Path) -> Iterator[str]:
    pytest.importorskip("vllm", reason="transformers has no ChatGLM but as code of the checkpoint, which is not run")
    port = free_port()
    with running_server(small_glm.parent / "server.log", port, "--bundle", str(small_glm)):
        yield f"http://127.0.0.1:{port}"


def test_check_finds_all_of_it_sound_and_says_what_it_found(small_glm: Path) -> None:
    report = check(small_glm)
    said = {finding.what: finding.detail for finding in report.findings}
    assert report.ok, said
    assert said["control tokens"] == "units are ids 152353 to 168736"
    assert "vocabulary 168960" in said["language model"]
    assert "16384 units of 128 mel bands at 12.5 a second" in said["encoder"]
    assert "every unit lasts 80 ms" in said["vocoder"]


def events_until(socket: ClientConnection, last: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    end = time.monotonic() + 300
    while time.monotonic() < end:
        events.append(json.loads(socket.recv(timeout=300)))
        assert events[-1]["type"] != "error", events[-1]
        if events[-1]["type"] == last:
            return events
    raise TimeoutError


def audio_of(events: list[dict[str, Any]]) -> np.ndarray:
    parts = [base64.b64decode(event["delta"]) for event in events if event["type"] == "response.output_audio.delta"]
    return np.frombuffer(b"".join(parts), "<i2").astype(np.float32) / 32768


def test_two_spoken_questions_are_answered_and_the_first_is_remembered(server: str) -> None:
    pcm, rate_hz = soundfile.read(QUESTION, dtype="float32")
    wire = float_to_pcm16(resampled(AudioFrame(pcm, rate_hz), 24_000))
    used = []
    with connect(server.replace("http", "ws") + "/v1/realtime?model=glm-4-voice", max_size=None) as socket:

        def send(kind: str, **members: Any) -> None:
            socket.send(json.dumps({"type": kind, **members}))

        send("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": None}}})
        for _ in range(2):
            for start in range(0, len(wire), 9600):
                send("input_audio_buffer.append", audio=base64.b64encode(wire[start : start + 9600]).decode())
            send("input_audio_buffer.commit")
            send("response.create")
            events = events_until(socket, "response.done")
            answer = events[-1]["response"]
            assert answer["status"] == "completed", answer
            said = next(e for e in events if e["type"] == "response.output_audio_transcript.done")
            assert said["transcript"] == TEXT
            spoken = audio_of(events)
            assert abs(spoken.size / 24_000 - len(SPOKEN) * 0.08) < 0.1
            assert spoken.std() > 0.001
            used.append(answer["usage"]["input_token_details"])
    units = -(-pcm.size * 16_000 // rate_hz // 1280)
    assert used[0]["audio_tokens"] == used[1]["audio_tokens"] and abs(used[0]["audio_tokens"] - units) <= 1
    # Before the second question stand the units of the first, and its answer.
    assert used[1]["text_tokens"] > used[0]["text_tokens"] + units


def test_a_typed_question_over_http(server: str) -> None:
    asked = {"text": "<|audio_12|> <|user|>", "response_format": "json"}
    answer = httpx.post(f"{server}/v1/speech", json=asked, timeout=300).json()
    assert answer["text"] == TEXT
    assert answer["transcript"] == ""
    assert answer["usage"]["output_units"] == len(SPOKEN)
    assert answer["usage"]["dropped_ids"] == 0
    assert answer["audio"]["sample_rate"] == 22_050


def test_what_it_cannot_do_is_refused(server: str) -> None:
    with QUESTION.open("rb") as file:
        answer = httpx.post(f"{server}/v1/audio/transcriptions", files={"file": file}, timeout=60)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unsupported_task"
