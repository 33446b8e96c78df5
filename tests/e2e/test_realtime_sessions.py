"""The other kinds of realtime session, on the real server, through the stock SDK: what they say is judged elsewhere."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from clients.recordings import FRAME_BYTES, read_recording

pytestmark = pytest.mark.e2e

QUESTION = read_recording(Path(__file__).parents[1] / "data" / "ask_sum_en.wav").pcm
SILENCE = bytes(FRAME_BYTES)


@asynccontextmanager
async def stock(url: str, key: str = "none") -> AsyncGenerator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=f"{url}/v1", websocket_base_url=f"{url.replace('http', 'ws')}/v1", api_key=key, max_retries=0
    ) as client:
        yield client


async def speak(connection: Any, seconds_of_silence: float = 1.5, *, event: str = "input_audio_buffer.append") -> None:
    """The question and silence after it, in real time."""
    frames = [QUESTION[at : at + FRAME_BYTES] for at in range(0, len(QUESTION), FRAME_BYTES)]
    for frame in [*frames, *[SILENCE] * round(seconds_of_silence * 50)]:
        await connection.send({"type": event, "audio": base64.b64encode(frame).decode()})
        await asyncio.sleep(0.02)


async def until(connection: Any, kind: str, seen: list[Any]) -> Any:
    async with asyncio.timeout(120):
        async for event in connection:
            seen.append(event)
            assert event.type != "error", event
            if event.type == kind:
                return event
    raise AssertionError(f"no {kind}")


async def test_a_turn_that_the_end_of_turn_model_ends_with_a_browser_s_key(live_server: str) -> None:
    async with stock(live_server) as client:
        detection: Any = {"type": "semantic_vad", "eagerness": "high"}
        made = await client.realtime.client_secrets.create(
            session={"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
        )
    async with stock(live_server, made.value) as browser, browser.realtime.connect(model="cslm-mini") as connection:
        seen: list[Any] = []
        created = await until(connection, "session.created", seen)
        assert created.session.audio.input.turn_detection.type == "semantic_vad"
        await speak(connection, 2.5)
        done = await until(connection, "response.done", seen)
        assert done.response.status == "completed"
        assert any(event.type == "response.output_audio.delta" for event in seen)


async def test_a_session_that_writes_down(live_server: str) -> None:
    async with (
        stock(live_server) as client,
        client.realtime.connect(model="cslm-mini", extra_query={"intent": "transcription"}) as connection,
    ):
        seen: list[Any] = []
        await until(connection, "session.created", seen)
        await speak(connection)
        heard = await until(connection, "conversation.item.input_audio_transcription.completed", seen)
        assert "seven" in heard.transcript.lower()
        assert not any(event.type.startswith("response.") for event in seen)


async def test_a_session_that_interprets(live_server: str) -> None:
    async with stock(live_server) as client, client.realtime.translations.connect(model="cslm-mini") as connection:
        seen: list[Any] = []
        await until(connection, "session.created", seen)
        await connection.send({"type": "session.update", "session": {"audio": {"output": {"language": "zh"}}}})
        await until(connection, "session.updated", seen)
        await speak(connection, 0.2, event="session.input_audio_buffer.append")
        await connection.send({"type": "session.close"})
        await until(connection, "session.closed", seen)
        kinds = {event.type for event in seen}
        assert {"session.output_transcript.delta", "session.output_audio.delta"} <= kinds


async def test_a_lead_is_made_before_the_first_audio_is_sent(live_server: str) -> None:
    async with stock(live_server) as client, client.realtime.connect(model="cslm-mini") as connection:
        seen: list[Any] = []
        await until(connection, "session.created", seen)
        await connection.send({"type": "session.update", "session": {"type": "realtime", "playout_lead_ms": 500}})
        updated = await until(connection, "session.updated", seen)
        assert updated.session.playout_lead_ms == 500
        await speak(connection)
        first = await until(connection, "response.output_audio.delta", seen)
        assert len(base64.b64decode(first.delta)) >= 24_000
        assert (await until(connection, "response.done", seen)).response.status == "completed"
