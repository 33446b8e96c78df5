"""Pipecat's OpenAI realtime service, in a pipeline, holds the conversations of the suite. See `../conversations.py`.

A pipeline opens as Pipecat's own examples do: with a first message in the context, which the model answers.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

from loguru import logger
from microphone import RATE_HZ, Task, frames, loudness, pace
from pipecat.adapters.schemas.function_schema import FunctionSchema
from pipecat.adapters.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    CancelFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMRunFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner


def service(
    address: str, hearing: events.AudioInput | None, modality: events.Modality = "audio"
) -> OpenAIRealtimeLLMService:
    return OpenAIRealtimeLLMService(
        api_key="none",
        base_url=f"ws://{address}/v1/realtime",
        settings=OpenAIRealtimeLLMService.Settings(
            model="cslm-mini",
            session_properties=events.SessionProperties(
                output_modalities=[modality], audio=events.AudioConfiguration(input=hearing)
            ),
        ),
    )


SERVER_VAD = events.AudioInput(
    transcription=events.InputAudioTranscription(), turn_detection=events.TurnDetection(silence_duration_ms=400)
)
MANUAL = events.AudioInput(transcription=events.InputAudioTranscription(), turn_detection=False)


class Loudspeaker(FrameProcessor):
    """Behind the service, where a transport would play: keeps what came, and lets others wait for it.

    `slow`: an answer is still being played when all of it has come; else it is played at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.slow = False
        self.changed = asyncio.Condition()
        self.clear()

    def clear(self) -> None:
        """Forget what came so far."""
        self.audio = b""
        self.answer = ""
        self.ended = self.interrupted = 0
        self.begun = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case TTSAudioRawFrame():
                self.audio += frame.audio
            case LLMTextFrame():
                self.answer += frame.text
            case LLMFullResponseStartFrame():
                self.begun = True
            case LLMFullResponseEndFrame() if self.begun:  # an interrupted answer ends twice
                self.begun = False
                self.ended += 1
                if not self.slow:
                    await self.push_frame(BotStoppedSpeakingFrame(), FrameDirection.UPSTREAM)
            case InterruptionFrame():
                self.interrupted += 1
        await self.push_frame(frame, direction)
        async with self.changed:
            self.changed.notify_all()


class Talk:
    """One pipeline, from its first message on."""

    def __init__(
        self,
        address: str,
        hearing: events.AudioInput | None,
        typed: str,
        modality: events.Modality,
        tools: ToolsSchema | None,
        functions: Mapping[str, Any],
    ) -> None:
        self.context = LLMContext([{"role": "user", "content": typed}], **({"tools": tools} if tools else {}))
        self.service = service(address, hearing, modality)
        for name, function in functions.items():
            self.service.register_function(name, function)
        self.loudspeaker = Loudspeaker()
        self.items: list[str] = []
        self.heard: list[str] = []
        self.errors: list[str] = []
        aggregators = LLMContextAggregatorPair(self.context)
        self.service.add_event_handler("on_conversation_item_created", self._item)
        pipeline = Pipeline([aggregators.user(), self.service, self.loudspeaker, aggregators.assistant()])
        self.worker = PipelineWorker(
            pipeline,
            params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ),
            idle_timeout_secs=None,
            enable_rtvi=False,
        )
        self.worker.set_reached_upstream_filter((TranscriptionFrame, ErrorFrame))
        self.worker.add_event_handler("on_frame_reached_upstream", self._upstream)
        self.worker.add_event_handler("on_pipeline_error", self._upstream)
        aggregators.user().add_event_handler("on_user_turn_message_added", self._heard)

    async def _item(self, _: object, item_id: str, item: object) -> None:
        self.items.append(item_id)

    async def _heard(self, _: object, message: Any) -> None:
        self.heard.append(message.content)
        async with self.loudspeaker.changed:
            self.loudspeaker.changed.notify_all()

    async def _upstream(self, _: object, frame: Frame) -> None:
        if isinstance(frame, ErrorFrame):
            self.errors.append(frame.error)
            async with self.loudspeaker.changed:
                self.loudspeaker.changed.notify_all()

    async def until(self, what: Any) -> None:
        """Until `what()` holds."""
        async with self.loudspeaker.changed:
            await self.loudspeaker.changed.wait_for(what)

    async def opened(self) -> str:
        """The answer to the first message, once it is complete."""
        await self.until(lambda: self.loudspeaker.ended)
        answer = self.loudspeaker.answer
        self.loudspeaker.clear()
        return answer

    async def speak(self, pcm: bytes, *, real_time: bool) -> None:
        async for frame in pace(frames(pcm), real_time=real_time):
            await self.worker.queue_frame(InputAudioRawFrame(audio=frame, sample_rate=RATE_HZ, num_channels=1))

    async def answered(self, heard: int = 1) -> dict[str, Any]:
        """What the answer was, once it and the `heard`-th spoken question stand in the context."""
        await self.until(lambda: self.loudspeaker.ended and len(self.heard) >= heard)
        return {"heard": self.heard[-1], "answer": self.loudspeaker.answer, **loudness(self.loudspeaker.audio)}


@asynccontextmanager
async def talk(
    address: str,
    hearing: events.AudioInput | None,
    typed: str,
    modality: events.Modality = "audio",
    tools: ToolsSchema | None = None,
    functions: Mapping[str, Any] = MappingProxyType({}),
) -> AsyncIterator[Talk]:
    """A pipeline that runs, with its first message on the way to the model."""
    it = Talk(address, hearing, typed, modality, tools, functions)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(it.worker)
    running = asyncio.create_task(runner.run())
    await it.worker.queue_frame(LLMRunFrame())
    try:
        yield it
    finally:
        await it.worker.queue_frame(CancelFrame())
        await running


async def defaults(address: str, task: Task) -> dict[str, Any]:
    async with talk(address, None, task.typed) as it:
        await it.opened()
        speaking = asyncio.create_task(it.speak(task.aloud, real_time=True))
        saw = await it.answered()
        speaking.cancel()
        return saw


async def server_vad(address: str, task: Task) -> dict[str, Any]:
    async with talk(address, SERVER_VAD, task.typed) as it:
        await it.opened()
        await it.speak(task.sum + task.pause, real_time=True)
        return await it.answered()


async def manual(address: str, task: Task) -> dict[str, Any]:
    async with talk(address, MANUAL, task.typed) as it:
        await it.opened()
        await it.worker.queue_frame(UserStartedSpeakingFrame())
        await it.speak(task.capital, real_time=False)
        await it.worker.queue_frame(UserStoppedSpeakingFrame())
        return await it.answered()


async def text(address: str, task: Task) -> dict[str, Any]:
    async with talk(address, MANUAL, task.typed, "text") as it:
        return {"answer": await it.opened()}


async def barge_in(address: str, task: Task) -> dict[str, Any]:
    async with talk(address, SERVER_VAD, task.long) as it:
        it.loudspeaker.slow = True  # the answer may be complete before the interruption, but is not heard to its end
        await it.until(lambda: it.loudspeaker.audio)
        await asyncio.sleep(0.1)  # listened so long
        speaking = asyncio.create_task(it.speak(task.interruption, real_time=True))
        await it.until(lambda: it.loudspeaker.interrupted)
        it.loudspeaker.slow = False
        await it.opened()
        saw = await it.answered()
        await speaking
        _, interrupted, *_ = it.items
        await it.service.retrieve_conversation_item(interrupted)
        return saw


async def error(address: str, task: Task) -> dict[str, Any]:
    async with talk(address, SERVER_VAD, task.typed) as it:
        await it.opened()
        await it.service.send_client_event(events.InputAudioBufferCommitEvent(event_id="too-early"))
        await it.until(lambda: it.errors)
        told = re.search(r"code='(\w+)'.*event_id='([\w-]+)'", it.errors[0])
        assert told, it.errors
        await it.service.reset_conversation()  # for Pipecat an error ends the connection
        await it.speak(task.sum + task.pause, real_time=True)
        return await it.answered() | {"code": told[1], "about": told[2]}


async def memory(address: str, task: Task) -> dict[str, Any]:
    async with talk(address, SERVER_VAD, task.typed) as it:
        await it.opened()
        await it.speak(task.sum + task.pause, real_time=True)
        saw = await it.answered()
        while len(it.context.get_messages()) < 4:  # the aggregator writes the answer behind the loudspeaker
            await asyncio.sleep(0.01)
        return saw | {"history": [[message["role"], message["content"]] for message in it.context.get_messages()]}


async def queued(address: str, task: Task) -> dict[str, Any]:
    return await manual(address, task)


async def tools(address: str, task: Task) -> dict[str, Any]:
    called: list[list[Any]] = []

    async def weather(params: FunctionCallParams) -> None:
        called.append([params.function_name, dict(params.arguments)])
        await params.result_callback({"temperature": 21})

    city = {"city": {"type": "string"}}
    schema = FunctionSchema("get_weather", "The weather in a city.", properties=city, required=["city"])
    async with talk(address, MANUAL, task.typed, tools=ToolsSchema([schema]), functions={"get_weather": weather}) as it:
        await it.until(lambda: it.loudspeaker.audio and it.loudspeaker.ended)
        return {"answer": it.loudspeaker.answer, **loudness(it.loudspeaker.audio), "called": called}


async def main(task: Task) -> None:
    for scenario in filter(task.wants, (defaults, server_vad, manual, text, barge_in, error, memory, queued, tools)):
        saw = await scenario(task.addresses[scenario.__name__], task)
        print(json.dumps({"scenario": scenario.__name__, **saw}), flush=True)


logger.remove()
logger.add(sys.stderr, level="WARNING")
asyncio.run(main(Task.read(sys.argv[1])))
