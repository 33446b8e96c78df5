"""LiveKit's realtime model for OpenAI holds the conversations of the suite, without a LiveKit server. See `../conversations.py`.

What LiveKit's AgentSession does around a model (interrupt on speech, truncate to what was played) is done here by hand, with the
same calls.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from livekit import rtc
from livekit.agents import llm
from livekit.plugins import openai
from microphone import RATE_HZ, Task, frames, loudness, pace
from openai.types.realtime.realtime_audio_input_turn_detection import ServerVad


def realtime_model(address: str, **options: Any) -> openai.realtime.RealtimeModel:
    return openai.realtime.RealtimeModel(
        base_url=f"http://{address}/v1", api_key="none", model="cslm-mini", voice="default", **options
    )


SERVER_VAD = ServerVad(type="server_vad", silence_duration_ms=400, create_response=True, interrupt_response=True)


class Talk:
    """One session of a model, and what it emitted."""

    def __init__(self, model: openai.realtime.RealtimeModel) -> None:
        self.session = model.session()
        self.generations: asyncio.Queue[llm.GenerationCreatedEvent] = asyncio.Queue()
        self.errors: asyncio.Queue[llm.RealtimeModelError] = asyncio.Queue()
        self.retrieved = asyncio.Event()
        self.heard = ""
        self.transcribed = asyncio.Event()
        self.speaking = asyncio.Event()
        self.session.on("generation_created", self.generations.put_nowait)
        self.session.on("error", self.errors.put_nowait)
        self.session.on("input_speech_started", lambda _: self.speaking.set())
        self.session.on("input_audio_transcription_completed", self._heard)
        self.session.on("openai_server_event_received", self._event)

    def _heard(self, event: llm.InputTranscriptionCompleted) -> None:
        if event.is_final:
            self.heard = event.transcript
            self.transcribed.set()

    def _event(self, event: dict[str, Any]) -> None:
        if event["type"] == "conversation.item.retrieved":
            self.retrieved.set()

    async def speak(self, pcm: bytes, *, real_time: bool) -> None:
        async for frame in pace(frames(pcm), real_time=real_time):
            samples = len(frame) // 2
            self.session.push_audio(
                rtc.AudioFrame(data=frame, sample_rate=RATE_HZ, num_channels=1, samples_per_channel=samples)
            )

    async def type(self, words: str) -> None:
        context = self.session.chat_ctx.copy()
        context.add_message(role="user", content=words)
        await self.session.update_chat_ctx(context)

    async def commit(self) -> dict[str, Any]:
        """End the turn by hand, and what came of it."""
        self.transcribed.clear()
        self.session.commit_audio()
        saw = await answered(await self.session.generate_reply())
        await self.transcribed.wait()
        return saw | {"heard": self.heard}


async def answered(generation: llm.GenerationCreatedEvent) -> dict[str, Any]:
    """What an answer was, when it is complete."""
    message = await anext(aiter(generation.message_stream))
    words, audio = await asyncio.gather(_all(message.text_stream), _audio(message))
    return {"answer": "".join(words), **loudness(audio)}


async def _all(stream: Any) -> list[Any]:
    return [each async for each in stream]


async def _audio(message: llm.MessageGeneration) -> bytes:
    return b"".join([bytes(frame.data) async for frame in message.audio_stream])


@asynccontextmanager
async def talk(address: str, **options: Any) -> AsyncIterator[Talk]:
    model = realtime_model(address, **options)
    it = Talk(model)
    try:
        yield it
    finally:
        await it.session.aclose()
        await model.aclose()


async def defaults(address: str, task: Task) -> dict[str, Any]:
    async with talk(address) as it:
        speaking = asyncio.create_task(it.speak(task.aloud, real_time=True))
        saw = await answered(await it.generations.get())
        await it.transcribed.wait()
        speaking.cancel()
        return saw | {"heard": it.heard}


async def server_vad(address: str, task: Task) -> dict[str, Any]:
    async with talk(address, turn_detection=SERVER_VAD) as it:
        speaking = asyncio.create_task(it.speak(task.sum + task.pause, real_time=True))
        saw = await answered(await it.generations.get())
        await it.transcribed.wait()
        await speaking
        return saw | {"heard": it.heard}


async def manual(address: str, task: Task) -> dict[str, Any]:
    async with talk(address, turn_detection=None) as it:
        await it.speak(task.capital, real_time=False)
        return await it.commit()


async def text(address: str, task: Task) -> dict[str, Any]:
    async with talk(address, turn_detection=None, modalities=["text"]) as it:
        await it.type(task.typed)
        return await answered(await it.session.generate_reply())


async def barge_in(address: str, task: Task) -> dict[str, Any]:
    async with talk(address, turn_detection=SERVER_VAD) as it:
        await it.type(task.long)
        generation = await it.session.generate_reply()
        it.generations.get_nowait()
        message = await anext(aiter(generation.message_stream))
        first = await anext(aiter(message.audio_stream))
        speaking = asyncio.create_task(it.speak(task.interruption, real_time=True))
        await it.speaking.wait()
        it.session.interrupt()
        played_ms = round(first.duration * 1000)
        it.session.truncate(message_id=message.message_id, modalities=["audio", "text"], audio_end_ms=played_ms)
        saw = await answered(await it.generations.get())
        await speaking
        it.session.send_event({"type": "conversation.item.retrieve", "item_id": message.message_id})
        await it.retrieved.wait()
        return saw


async def error(address: str, task: Task) -> dict[str, Any]:
    async with talk(address, turn_detection=None) as it:
        it.session.send_event({"type": "input_audio_buffer.commit", "event_id": "too-early"})
        refused = (await it.errors.get()).error.body
        await it.speak(task.sum, real_time=False)
        return await it.commit() | {"code": refused.code, "about": refused.event_id}


async def memory(address: str, task: Task) -> dict[str, Any]:
    async with talk(address, turn_detection=None) as it:
        for question in (task.capital, task.sum):
            await it.speak(question, real_time=False)
            saw = await it.commit()
        while it.session.has_active_generation:
            await asyncio.sleep(0.01)
        history = [[item.role, item.text_content] for item in it.session.chat_ctx.items]
        return saw | {"history": history}


async def queued(address: str, task: Task) -> dict[str, Any]:
    return await manual(address, task)


async def tools(address: str, task: Task) -> dict[str, Any]:
    @llm.function_tool
    async def get_weather(city: str) -> None:
        """The weather in a city."""

    async with talk(address, turn_detection=None) as it:
        await it.session.update_tools([get_weather])
        await it.type(task.typed)
        generation = await it.session.generate_reply()
        (call,) = await _all(generation.function_stream)
        context = it.session.chat_ctx.copy()
        output = json.dumps({"temperature": 21})
        context.items.append(
            llm.FunctionCallOutput(call_id=call.call_id, name=call.name, output=output, is_error=False)
        )
        await it.session.update_chat_ctx(context)
        saw = await answered(await it.session.generate_reply())
        return saw | {"called": [[call.name, json.loads(call.arguments)]]}


async def main(task: Task) -> None:
    for scenario in filter(task.wants, (defaults, server_vad, manual, text, barge_in, error, memory, queued, tools)):
        saw = await scenario(task.addresses[scenario.__name__], task)
        print(json.dumps({"scenario": scenario.__name__, **saw}), flush=True)


asyncio.run(main(Task.read(sys.argv[1])))
