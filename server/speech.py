"""POST /v1/speech: a question as a recording or text in, the spoken answer out while it is produced."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from server.answers import Answer, ClientStalled, open_answer
from server.errors import TurnTimeout, public_error
from server.gateway import Gateway, admitted
from server.media import Declared, check_speech, decode, identify
from server.metrics import Outcome
from server.models import the_model
from server.questions import Reply, SpeechOptions, Upload, negotiate, read_request
from server.runtime import ServedModel
from server.speech_schema import OPENAPI
from streaming.audio import MODEL_RATE_HZ
from streaming.errors import InvalidRequest
from streaming.realtime.conversation import new_id
from streaming.stages import Pcm
from streaming.turn import Question, Turn

log = logging.getLogger("cslm.turn")

router = APIRouter(prefix="/v1")

_PIECE_SAMPLES = MODEL_RATE_HZ // 2


@router.post("/speech", summary="Answer a spoken or typed question by speech", openapi_extra=OPENAPI)
async def speech(request: Request, gateway: Annotated[Gateway, Depends(admitted)]) -> Response:
    the_model(gateway, request.query_params.get("model"))
    options, upload = await read_request(request, gateway.settings)
    received_s = time.monotonic()
    model = the_model(gateway, options.model)
    check_choices(options, model)
    reply = negotiate(options, request.headers.get("accept"))
    pcm = None
    if upload.audio is not None:
        pcm = await asyncio.to_thread(hear, upload.audio, declared(upload, options), model)
    return TurnResponse(gateway, model, Ask(options, reply, pcm, received_s))


@dataclass(frozen=True, slots=True)
class Ask:
    """A request understood. `pcm`: the question at 16 kHz, or None where `options.text` is it; `received_s`: monotonic."""

    options: SpeechOptions
    reply: Reply
    pcm: Pcm | None
    received_s: float


def check_choices(options: SpeechOptions, model: ServedModel) -> None:
    """Raises InvalidRequest for a voice or language that the model does not have."""
    if options.voice is not None and options.voice not in model.voices:
        accepted = ", ".join(model.voices)
        raise InvalidRequest(f"voice is {options.voice[:60]!r}; accepted: {accepted}", param="voice")
    if options.reply_language != "auto" and options.reply_language not in model.languages:
        accepted = ", ".join(("auto", *model.languages))
        raise InvalidRequest(
            f"{model.name} does not answer in that language; accepted: {accepted}", param="reply_language"
        )


def declared(upload: Upload, options: SpeechOptions) -> Declared:
    """What the sender says the recording is."""
    return Declared(upload.media_type, options.input_format, options.sample_rate, options.channels)


def hear(data: bytes, what: Declared, model: ServedModel) -> Pcm:
    """The recording at 16 kHz, with speech in it. Raises InvalidRequest. Slow: call it in a thread."""
    pcm = decode(data, identify(data, what), max_s=model.max_question_s)
    check_speech(pcm, model.stages.voice_activity())
    return pcm


class TurnResponse(Response):
    """Runs the turn while it is being sent; a client that goes away cancels it."""

    def __init__(self, gateway: Gateway, model: ServedModel, ask: Ask) -> None:
        super().__init__()
        self._gateway = gateway
        self._model = model
        self._ask = ask
        self._id = new_id("turn")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        out, answer = open_answer(
            self._ask.reply,
            send,
            turn_id=self._id,
            model=self._model.name,
            sample_rate=self._model.stages.decoder.sample_rate,
            decode_s=time.monotonic() - self._ask.received_s,
            timeout_s=self._gateway.settings.write_timeout_s,
        )
        async with AsyncExitStack() as stack:
            question = Question(text=self._ask.options.text)
            if self._ask.pcm is not None:
                encode = self._model.stages.encoder.encode
                question = Question(units=await stack.enter_async_context(aclosing(encode(_pieces(self._ask.pcm)))))
            turn = Turn(self._model.stages, question, self._ask.options.turn_options(), answer.write)
            began_s = time.monotonic()
            outcome: Outcome = "cancelled"
            try:
                if await unless_gone(self._run(turn, answer), receive):
                    outcome = "completed"
            except ClientStalled:
                self._gateway.metrics.error("client_stalled")
            except Exception as failure:
                outcome = "failed"
                if not out.started:
                    raise
                await self._break_off(answer, failure)
            finally:
                self._account(turn, outcome, began_s)

    async def _run(self, turn: Turn, answer: Answer) -> None:
        limit_s = self._gateway.settings.max_turn_s
        try:
            async with asyncio.timeout(limit_s) as limit:
                await answer.finish(await turn.run())
        except TimeoutError:
            if limit.expired():
                raise TurnTimeout(f"the turn took longer than {limit_s:g} s") from None
            raise

    async def _break_off(self, answer: Answer, failure: Exception) -> None:
        error = public_error(failure)
        self._gateway.metrics.error(error.code)
        log.error("%s broke off: %s", self._id, error.code, exc_info=failure if error is not failure else None)
        with suppress(ClientStalled):
            await answer.fail(error)

    def _account(self, turn: Turn, outcome: Outcome, began_s: float) -> None:
        self._gateway.metrics.observe_turn(turn.report, "rest", outcome, heard_s=self._ask.received_s - began_s)
        first_audio = turn.report.first_audio_s
        log.info(
            "%s %s over rest: %s, %d units in, %d out, %.2f s of audio",
            self._id,
            outcome,
            "no audio" if first_audio is None else f"first audio after {1000 * first_audio:.0f} ms",
            turn.report.input_units,
            turn.report.output_units,
            turn.report.audio_s,
        )


async def _pieces(pcm: Pcm) -> AsyncGenerator[Pcm]:
    for start in range(0, pcm.size, _PIECE_SAMPLES):
        yield pcm[start : start + _PIECE_SAMPLES]


async def unless_gone(work: Coroutine[Any, Any, None], receive: Receive) -> bool:
    """Run `work` to its end, or until the client disconnects: then it is cancelled, and the answer is False."""
    try:
        async with asyncio.TaskGroup() as group:
            job = group.create_task(work, name="turn")
            watch = group.create_task(_disconnected(receive), name="disconnect")
            job.add_done_callback(lambda _: watch.cancel())
            watch.add_done_callback(lambda _: job.cancel())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return not job.cancelled()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
