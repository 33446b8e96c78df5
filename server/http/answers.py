"""The answer of a turn over HTTP, sent while the turn runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import quote

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from server.errors import public_error
from server.http.response_stream import ClientStalled, ResponseStream
from server.http.turns import TurnRequest, TurnRunner
from server.media.encode import AudioWriter, encode_piece, encode_rest
from streaming.errors import EmptyAnswer, SpeechServerError
from streaming.report import Notice, TurnReport
from streaming.turn import AudioDelta, Emit, TurnEvent

log = logging.getLogger("cslm.turn")

DROPPED_TEXT = "x-dropped-text"
"""Header: what of a typed text cannot be said, percent-encoded UTF-8, cut to `_MOST_DROPPED` characters."""

_MOST_DROPPED = 200

EVENT_STREAM = "text/event-stream; charset=utf-8"

Work = Callable[[ResponseStream], Coroutine[Any, Any, None]]
"""Runs the turns of a request and sends what comes of them."""


class Sink(Protocol):
    """Writes the events of turns as the bytes of one answer, which may break off. `media_type`: of the answer."""

    media_type: str

    async def write(self, event: TurnEvent) -> bytes:
        """Bytes that `event` adds; may be none."""
        ...

    def fail(self, error: SpeechServerError) -> bytes:
        """The last bytes of an answer that broke off; none where nothing more can be said in it."""
        ...


class AnswerSink(Sink, Protocol):
    """Writes an answer that is one turn."""

    async def finish(self, report: TurnReport) -> bytes:
        """The last bytes, once the turn is complete."""
        ...


class AnswerResponse(Response):
    """Does the `work` of a request while its answer is being sent."""

    def __init__(
        self,
        runner: TurnRunner,
        sink: Sink,
        work: Work,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._runner = runner
        self._sink = sink
        self._work = work
        self._answer_headers = {"x-turn-id": runner.id, "x-model": runner.model.name, **(headers or {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = self._runner.state
        stream = ResponseStream(
            send,
            media_type=self._sink.media_type,
            headers=self._answer_headers,
            timeout_s=state.settings.write_timeout_s,
        )
        bind_contextvars(turn_id=self._runner.id)
        try:
            await self._work(stream)
        except ClientStalled:
            state.metrics.error("client_stalled")
        except Exception as failure:
            if not stream.started:
                raise
            await self._break_off(stream, failure)

    async def _break_off(self, stream: ResponseStream, failure: Exception) -> None:
        error = public_error(failure)
        self._runner.state.metrics.error(error.code)
        log.error("the answer broke off: %s", error.code, exc_info=failure if error is not failure else None)
        if last_words := self._sink.fail(error):
            with suppress(ClientStalled):
                await stream.send(last_words, last=True)


def answer_one_turn(
    runner: TurnRunner, request: TurnRequest, sink: AnswerSink, headers: Mapping[str, str] | None = None
) -> AnswerResponse:
    """The response to a request that is one turn."""

    async def work(stream: ResponseStream) -> None:
        await send_turn(runner, request, sink, stream)

    return AnswerResponse(runner, sink, work, headers)


async def send_turn(runner: TurnRunner, request: TurnRequest, sink: AnswerSink, stream: ResponseStream) -> None:
    """Run one turn and send what `sink` makes of it, to the answer's end."""
    report = await runner.run(request, emitter(sink, stream))
    await stream.send(await sink.finish(report), last=True)


def emitter(sink: Sink, stream: ResponseStream) -> Emit:
    """Where a turn's events go: through `sink` onto `stream`."""

    async def emit(event: TurnEvent) -> None:
        if isinstance(event, Notice) and event.code == "text_dropped":
            stream.header(DROPPED_TEXT, quote(event.text[:_MOST_DROPPED]))
        await stream.send(await sink.write(event))

    return emit


def audio_headers(audio_format: str, writer: AudioWriter) -> dict[str, str]:
    """What an answer with audio says of it."""
    return {"x-audio-format": audio_format, "x-audio-sample-rate": str(writer.sample_rate)}


def warnings(report: TurnReport) -> list[dict[str, str]]:
    """What was not said."""
    return [notice.body() for notice in report.notices]


class AudioSink:
    """Nothing but the audio. `otherwise`: what to do where the model says nothing."""

    def __init__(self, writer: AudioWriter, otherwise: str) -> None:
        self.media_type = writer.media_type
        self._writer = writer
        self._otherwise = otherwise

    async def write(self, event: TurnEvent) -> bytes:
        return await encode_piece(self._writer, event.pcm) if isinstance(event, AudioDelta) else b""

    async def finish(self, report: TurnReport) -> bytes:
        if not report.audio_s:
            raise EmptyAnswer(f"the model said nothing; {self._otherwise}", code="no_speech")
        return await encode_rest(self._writer)

    def fail(self, error: SpeechServerError) -> bytes:
        """Nothing can be said in audio: the body stays incomplete, and the server closes the connection."""
        return b""
