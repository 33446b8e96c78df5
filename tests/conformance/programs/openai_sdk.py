"""The `openai` package's realtime client holds the conversations of the suite. See `tests/conformance/conversations.py`."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from microphone import Task, frames, loudness, pace
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[AsyncRealtimeConnection]:
    client = AsyncOpenAI(base_url=f"http://{address}/v1", websocket_base_url=f"ws://{address}/v1", api_key="none")
    async with client.realtime.connect(model="cslm-mini") as connection:
        yield connection


SERVER_VAD = {"type": "server_vad", "silence_duration_ms": 400}


async def configure(connection: AsyncRealtimeConnection, turn_detection: dict[str, Any] | None) -> None:
    await connection.session.update(
        session={"type": "realtime", "audio": {"input": {"turn_detection": turn_detection}}}
    )


async def speak(connection: AsyncRealtimeConnection, pcm: bytes, *, real_time: bool) -> None:
    async for frame in pace(frames(pcm), real_time=real_time):
        await connection.input_audio_buffer.append(audio=base64.b64encode(frame).decode())


class Listener:
    """The events of a connection, sorted into turns."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection
        self.items: dict[str, Any] = {}

    async def until(self, *kinds: str) -> Any:
        """The next event of one of `kinds`."""
        async for event in self.connection:
            if event.type == "conversation.item.done":
                self.items[event.item.id] = event.item
            elif event.type == "error" and "error" not in kinds:
                raise RuntimeError(f"error {event.error.code}: {event.error.message}")
            if event.type in kinds:
                return event
        raise RuntimeError(f"the connection ended before {kinds}")

    async def turn(self) -> dict[str, Any]:
        """What a turn was, when its response is done."""
        saw: dict[str, Any] = {"heard": "", "answer": ""}
        audio = b""
        async for event in self.connection:
            match event.type:
                case "conversation.item.input_audio_transcription.completed":
                    saw["heard"] = event.transcript
                case "response.output_audio_transcript.delta" | "response.output_text.delta":
                    saw["answer"] += event.delta
                case "response.output_audio.delta":
                    audio += base64.b64decode(event.delta)
                case "conversation.item.done":
                    self.items[event.item.id] = event.item
                case "error":
                    raise RuntimeError(f"error {event.error.code}: {event.error.message}")
                case "response.done":
                    return saw | loudness(audio) | {"status": event.response.status}
        raise RuntimeError("the connection ended in the middle of a turn")


async def defaults(connection: AsyncRealtimeConnection, task: Task) -> dict[str, Any]:
    speaking = asyncio.create_task(speak(connection, task.aloud, real_time=True))
    saw = await Listener(connection).turn()
    speaking.cancel()
    return saw


async def server_vad(connection: AsyncRealtimeConnection, task: Task) -> dict[str, Any]:
    await configure(connection, SERVER_VAD)
    listener = Listener(connection)
    speaking = asyncio.create_task(speak(connection, task.sum + task.pause, real_time=True))
    saw = await listener.turn()
    await speaking
    return saw


async def manual(connection: AsyncRealtimeConnection, task: Task) -> dict[str, Any]:
    await configure(connection, None)
    await speak(connection, task.capital, real_time=False)
    await connection.input_audio_buffer.commit()
    await connection.response.create()
    return await Listener(connection).turn()


async def text(connection: AsyncRealtimeConnection, task: Task) -> dict[str, Any]:
    content = {"type": "input_text", "text": task.typed}
    await connection.conversation.item.create(item={"type": "message", "role": "user", "content": [content]})
    await connection.response.create(response={"output_modalities": ["text"]})
    return await Listener(connection).turn()


async def barge_in(connection: AsyncRealtimeConnection, task: Task) -> dict[str, Any]:
    await configure(connection, SERVER_VAD)
    listener = Listener(connection)
    await connection.conversation.item.create(
        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": task.long}]}
    )
    await connection.response.create()
    first = await listener.until("response.output_audio.delta")
    played_ms = len(base64.b64decode(first.delta)) // 48  # of PCM16 at 24 kHz: all that came so far
    speaking = asyncio.create_task(speak(connection, task.interruption, real_time=True))
    await listener.until("input_audio_buffer.speech_started")
    await connection.conversation.item.truncate(item_id=first.item_id, content_index=0, audio_end_ms=played_ms)
    saw = await listener.turn()
    if saw["status"] == "cancelled":  # of the interrupted answer, if it was not complete already
        saw = await listener.turn()
    await speaking
    await connection.conversation.item.retrieve(item_id=first.item_id)
    await listener.until("conversation.item.retrieved")
    return saw


async def error(connection: AsyncRealtimeConnection, task: Task) -> dict[str, Any]:
    await configure(connection, None)
    listener = Listener(connection)
    await connection.input_audio_buffer.commit(event_id="too-early")
    refused = (await listener.until("error")).error
    await speak(connection, task.sum, real_time=False)
    await connection.input_audio_buffer.commit()
    await connection.response.create()
    return await listener.turn() | {"code": refused.code, "about": refused.event_id}


async def memory(connection: AsyncRealtimeConnection, task: Task) -> dict[str, Any]:
    await configure(connection, None)
    listener = Listener(connection)
    for question in (task.capital, task.sum):
        await speak(connection, question, real_time=False)
        await connection.input_audio_buffer.commit()
        await connection.response.create()
        saw = await listener.turn()
    history = []
    for item_id in listener.items:
        await connection.conversation.item.retrieve(item_id=item_id)
        item = (await listener.until("conversation.item.retrieved")).item
        history.append([item.role, item.content[0].transcript])
    return saw | {"history": history}


async def queued(connection: AsyncRealtimeConnection, task: Task) -> dict[str, Any]:
    return await manual(connection, task)


async def tools(connection: AsyncRealtimeConnection, task: Task) -> dict[str, Any]:
    city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    weather = {"type": "function", "name": "get_weather", "description": "The weather in a city.", "parameters": city}
    await connection.session.update(session={"type": "realtime", "tools": [weather], "tool_choice": "auto"})
    content = {"type": "input_text", "text": task.typed}
    await connection.conversation.item.create(item={"type": "message", "role": "user", "content": [content]})
    await connection.response.create()
    listener = Listener(connection)
    arguments = (await listener.until("response.function_call_arguments.done")).arguments
    call = (await listener.until("response.done")).response.output[0]
    output = {"type": "function_call_output", "call_id": call.call_id, "output": json.dumps({"temperature": 21})}
    await connection.conversation.item.create(item=output)
    await connection.response.create()
    return await listener.turn() | {"called": [[call.name, json.loads(arguments)]]}


async def main(task: Task) -> None:
    for scenario in filter(task.wants, (defaults, server_vad, manual, text, barge_in, error, memory, queued, tools)):
        async with connected(task.addresses[scenario.__name__]) as connection:
            saw = await scenario(connection, task)
        print(json.dumps({"scenario": scenario.__name__, **saw}), flush=True)


asyncio.run(main(Task.read(sys.argv[1])))
