"""WebRTC from a real browser: a page takes the microphone, calls the server with a client secret, hears the answer, hangs up."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.chromium import chromium_path, open_page, recording

pytestmark = pytest.mark.e2e

CALL = Path(__file__).with_name("call.js").read_text(encoding="utf-8")


def test_a_browser_calls(live_server: str, tmp_path: Path) -> None:
    chromium_path()
    wanted = {"session": {"type": "realtime", "model": "cslm-mini"}}
    secret = httpx.post(f"{live_server}/v1/realtime/client_secrets", json=wanted).raise_for_status().json()["value"]
    with open_page(live_server, microphone=recording(tmp_path / "mic.wav", 2.0, "ask_sum_en")) as page:
        said = page.evaluate(CALL, {"secret": secret})
    events = {event["type"]: event for event in said["events"]}
    assert "error" not in events
    heard = events["conversation.item.input_audio_transcription.completed"]["transcript"]
    assert heard == "What is seven plus five?"
    assert "twelve" in events["response.output_audio_transcript.done"]["transcript"]
    assert said["energy"] > 0, "what came over the line is sound"
    assert said["played_s"] > 1
    assert said["hung_up"] == 200
