"""Pipecat's WebSocket transport with null stages behind it, for `tests.bench.other_gateway`. Runs where pipecat-ai is installed.

A session is a pipeline as Pipecat's examples build it, without what would only make it slower: no voice activity detection, no
context aggregators, no metrics, no heartbeats, and audio as the bytes of its samples in place of protobuf or JSON.
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

RATE_HZ, CYCLE_FRAMES, HEARD_FRAMES = 24_000, 200, 75
"""Of each 200 frames of 20 ms the first 75 are a question and the silence that ends it."""
PIECES, PIECE_S = 8, 0.2


class Samples(FrameSerializer):
    """PCM16 both ways, nothing around it."""

    async def serialize(self, frame: Frame) -> bytes | None:
        return frame.audio if isinstance(frame, OutputAudioRawFrame) else None

    async def deserialize(self, data: str | bytes) -> Frame | None:
        assert isinstance(data, bytes)
        return InputAudioRawFrame(audio=data, sample_rate=RATE_HZ, num_channels=1)


class Recogniser(FrameProcessor):
    """Hears nothing; knows when a question is over."""

    heard = 0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, InputAudioRawFrame):
            await self.push_frame(frame, direction)
            return
        self.heard += 1
        if self.heard % CYCLE_FRAMES == HEARD_FRAMES:
            await self.push_frame(TranscriptionFrame("a question", "user", ""))


class Writer(FrameProcessor):
    """Answers in eight pieces."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, TranscriptionFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        for _ in range(PIECES):
            await self.push_frame(LLMTextFrame("words "))
        await self.push_frame(LLMFullResponseEndFrame())


class Speaker(FrameProcessor):
    """Quiet sound, 200 ms a piece."""

    sound = b"\x00\x10" * round(RATE_HZ * PIECE_S)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case LLMFullResponseStartFrame():
                await self.push_frame(TTSStartedFrame())
            case LLMTextFrame():
                await self.push_frame(TTSAudioRawFrame(audio=self.sound, sample_rate=RATE_HZ, num_channels=1))
            case LLMFullResponseEndFrame():
                await self.push_frame(TTSStoppedFrame())
        await self.push_frame(frame, direction)


app = FastAPI()


@app.websocket("/ws")
async def session(socket: WebSocket) -> None:
    """One pipeline."""
    await socket.accept()
    transport = FastAPIWebsocketTransport(
        socket,
        FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=Samples()),
    )
    pipeline = Pipeline([transport.input(), Recogniser(), Writer(), Speaker(), transport.output()])
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ),
        idle_timeout_secs=None,
        enable_rtvi=False,
    )

    @transport.event_handler("on_client_disconnected")
    async def gone(_: Any, __: Any) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
