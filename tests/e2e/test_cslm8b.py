"""cslm-8b in small, of exactly the released layout: pulled, checked, and served over the realtime socket by the real engine.

The sizes are small and the weights random, but for the chain of tokens that is planted into the language model (see
`tests.released.language_model`): what is heard, written and spoken is known.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from websockets.sync.client import connect

from streaming.audio import AudioFrame, float_to_pcm16, resampled
from tests.live_server import ROOT, free_port, running_server
from tests.released.bundle import SPOKEN, TEXT, TRANSCRIPT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
QUESTION = ROOT / "tests" / "data" / "ask_sum_en.wav"


@pytest.fixture(scope="module")
def server(small_cslm8b: Path) -> Iterator[str]:
    port = free_port()
    with running_server(small_cslm8b.parent / "server.log", port, "--bundle", str(small_cslm8b)):
        yield f"http://127.0.0.1:{port}"


def cslm(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "server.cli", *(str(argument) for argument in arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "400"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_check_finds_all_of_it_sound_and_says_what_it_found(small_cslm8b: Path) -> None:
    done = cslm("check", small_cslm8b)
    assert done.returncode == 0, done.stdout + done.stderr
    for found in (
        "units are ids 128256 to 132351",
        "vocabulary 132356",
        "renders the same",
        "4096 units of 128 mel bands at 25 frames a second",
        "every unit lasts 40 ms",
        "中文女",
        "checksums of",
    ):
        assert found in done.stdout


def spoken_turn(url: str, session: dict[str, Any]) -> list[dict[str, Any]]:
    """All events of one turn by hand: no voice activity, the recording, commit, answer."""
    pcm, rate_hz = soundfile.read(QUESTION, dtype="float32")
    wire = float_to_pcm16(resampled(AudioFrame(pcm, rate_hz), 24_000))
    events: list[dict[str, Any]] = []
    with connect(url.replace("http", "ws") + "/v1/realtime?model=cslm-8b", max_size=None) as socket:

        def send(kind: str, **members: Any) -> None:
            socket.send(json.dumps({"type": kind, **members}))

        send("session.update", session={"type": "realtime", **session})
        for start in range(0, len(wire), 9600):
            send("input_audio_buffer.append", audio=base64.b64encode(wire[start : start + 9600]).decode())
        send("input_audio_buffer.commit")
        send("response.create")
        end = time.monotonic() + 300
        while time.monotonic() < end:
            events.append(json.loads(socket.recv(timeout=300)))
            assert events[-1]["type"] != "error", events[-1]
            if events[-1]["type"] == "response.done":
                return events
    raise TimeoutError


def audio_of(events: list[dict[str, Any]]) -> np.ndarray:
    parts = [base64.b64decode(event["delta"]) for event in events if event["type"] == "response.output_audio.delta"]
    return np.frombuffer(b"".join(parts), "<i2").astype(np.float32) / 32768


def test_a_spoken_question_is_heard_answered_and_spoken(server: str) -> None:
    audio: dict[str, Any] = {"input": {"turn_detection": None, "transcription": {"model": "cslm-8b"}}}
    events = spoken_turn(server, {"audio": audio})
    assert events[-1]["response"]["status"] == "completed", events[-1]
    heard = next(e for e in events if e["type"] == "conversation.item.input_audio_transcription.completed")
    assert heard["transcript"] == TRANSCRIPT
    said = next(e for e in events if e["type"] == "response.output_audio_transcript.done")
    assert said["transcript"] == TEXT
    pcm = audio_of(events)
    expected_s = len(SPOKEN) / 25  # every unit lasts 40 ms
    assert abs(pcm.size / 24_000 - expected_s) < 0.1
    assert pcm.std() > 0.001


def test_voices_are_the_checkpoints_own_and_differ(server: str) -> None:
    said = []
    for voice in ("中文女", "英文男"):
        audio = {"input": {"turn_detection": None}, "output": {"voice": voice}}
        said.append(audio_of(spoken_turn(server, {"audio": audio})))
    assert said[0].size == said[1].size
    assert np.abs(said[0] - said[1]).max() > 0.001


def test_a_typed_question_over_http(server: str) -> None:
    answer = httpx.post(
        f"{server}/v1/speech", json={"text": "<12> <sosp>", "response_format": "json"}, timeout=300
    ).json()
    assert answer["transcript"] == TRANSCRIPT
    assert answer["text"] == TEXT
    assert answer["usage"]["output_units"] == len(SPOKEN)
    assert answer["usage"]["dropped_ids"] == 0
    assert answer["audio"]["sample_rate"] == 22_050


@pytest.fixture
def committing(small_cslm8b: Path, tmp_path: Path) -> Iterator[str]:
    """The same, committing units while somebody speaks; random attention is stable nowhere, so everything is accepted."""
    bundle = tmp_path / "cslm-8b"
    shutil.copytree(small_cslm8b, bundle, copy_function=os.symlink)
    profile = json.loads((small_cslm8b / "profile.json").read_text(encoding="utf-8"))
    profile["early_units"] = {"every_s": 0.5, "repeats": 1, "edge_frames": 5, "most_wrong": 1.0}
    (bundle / "profile.json").unlink()
    (bundle / "profile.json").write_text(json.dumps(profile), encoding="utf-8")
    (bundle / "bundle.lock.json").unlink()
    port, options = free_port(), ("--bundle", str(bundle))
    with running_server(tmp_path / "server.log", port, *options, early_units="commit", early_units_share="1"):
        yield f"http://127.0.0.1:{port}"


def count(url: str, name: str) -> float:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_units_that_are_committed_early_are_written_down_while_the_user_speaks(committing: str) -> None:
    pcm, rate_hz = soundfile.read(QUESTION, dtype="float32")
    wire = float_to_pcm16(resampled(AudioFrame(pcm, rate_hz), 24_000))
    transcription = {"model": "cslm-8b", "delay": "minimal"}
    session = {
        "type": "transcription",
        "audio": {"input": {"turn_detection": None, "transcription": transcription}},
    }

    def speak(socket: Any, seconds: float) -> None:
        """In real time, until the recording has come so often."""
        for number in range(round(seconds * 10)):
            start = number * 4800 % (len(wire) - 4800)
            audio = base64.b64encode(wire[start : start + 4800]).decode()
            socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            time.sleep(0.1)

    def until(socket: Any, kind: str) -> dict[str, Any]:
        while True:
            event: dict[str, Any] = json.loads(socket.recv(timeout=120))
            assert event["type"] != "error", event
            if event["type"] == kind:
                return event

    url = committing.replace("http", "ws") + "/v1/realtime?model=cslm-8b"
    with connect(url) as leaving:
        leaving.send(json.dumps({"type": "session.update", "session": session}))
        speak(leaving, 1.2)  # and is gone in the middle of it
    with connect(url) as socket:
        socket.send(json.dumps({"type": "session.update", "session": session}))
        speak(socket, 6.0)
        heard = until(socket, "conversation.item.input_audio_transcription.delta")
        assert heard["delta"]
        assert TRANSCRIPT.startswith(heard["delta"])
        socket.send(json.dumps({"type": "input_audio_buffer.commit"}))  # not before something was written down
        done = until(socket, "conversation.item.input_audio_transcription.completed")
        assert done["transcript"] == TRANSCRIPT
    committed = [count(committing, f'cslm_early_frames_total{{outcome="{kind}"') for kind in ("kept", "contradicted")]
    assert sum(committed) > 25
    assert count(committing, 'cslm_early_looks_total{outcome="failed"}') == 0
    assert 0 <= count(committing, "cslm_early_wrong_share") <= 1
