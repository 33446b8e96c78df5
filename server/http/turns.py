"""Turns over HTTP: one is run and accounted for, and the answer is sent while it runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from server.errors import public_error
from server.http.dependencies import Gateway
from server.routes.speech.answers import Answer, ClientStalled, Outgoing
from server.state.loading import ServedModel
from server.state.metrics import Outcome
from streaming.audio import MODEL_RATE_HZ
from streaming.errors import SpeechServerError, TurnTimeout
from streaming.realtime.conversation import new_id
from streaming.stages import Pcm
from streaming.turn import Emit, Exchange, Question, Turn, TurnOptions, TurnReport

log = logging.getLogger("cslm.turn")

_PIECE_SAMPLES = MODEL_RATE_HZ // 2


@dataclass(frozen=True, slots=True)
class Ask:
    """What a turn is about. `pcm`: what was said, at 16 kHz; `text`: typed, in its place or beside it."""

    options: TurnOptions
    pcm: Pcm | None = None
    text: str | None = None
    history: Sequence[Exchange] = ()


@dataclass(slots=True)
class Turns:
    """Runs the turns of one request. `id` names it in the log.

    `received_s`: monotonic, when the request was complete; after a turn, when that ended.
    """

    gateway: Gateway
    model: ServedModel
    received_s: float
    id: str

    async def run(self, ask: Ask, emit: Emit) -> TurnReport:
        """One turn to its end, within the server's limit. Raises what the turn raises, and TurnTimeout."""
        async with AsyncExitStack() as stack:
            units = None
            if ask.pcm is not None:
                units = await stack.enter_async_context(aclosing(self.model.stages.encoder.encode(_pieces(ask.pcm))))
            began_s = time.monotonic()
            turn = Turn(self.model.stages, Question(units, ask.text, ask.history), ask.options, emit)
            outcome: Outcome = "failed"
            try:
                await turn.run(self.gateway.settings.max_turn_s)
                outcome = "completed"
            except (asyncio.CancelledError, ClientStalled):
                outcome = "cancelled"
                raise
            finally:
                self._account(turn.report, outcome, began_s)
        return turn.report

    async def units(self, pcm: Pcm) -> tuple[int, ...]:
        """What was said at 16 kHz as units, within the limit of a turn. Raises what the encoder raises, and TurnTimeout."""
        limit_s = self.gateway.settings.max_turn_s
        try:
            async with (
                asyncio.timeout(limit_s) as limit,
                aclosing(self.model.stages.encoder.encode(_pieces(pcm))) as pieces,
            ):
                return tuple([unit async for piece in pieces for unit in piece])
        except TimeoutError:
            if limit.expired():
                raise TurnTimeout(f"listening to an earlier message took longer than {limit_s:g} s") from None
            raise

    def _account(self, report: TurnReport, outcome: Outcome, began_s: float) -> None:
        heard_s = min(0.0, self.received_s - began_s)
        self.gateway.metrics.observe_turn(report, "rest", outcome, heard_s=heard_s)
        self.received_s = time.monotonic()
        first_audio = report.first_audio_s
        log.info(
            "%s %s over rest: %s, %d units in, %d out, %.2f s of audio",
            self.id,
            outcome,
            "no audio" if first_audio is None else f"first audio after {1000 * first_audio:.0f} ms",
            report.input_units,
            report.output_units,
            report.audio_s,
        )


class Breakable(Protocol):
    """An answer that can be broken off."""

    async def fail(self, error: SpeechServerError) -> None:
        """The work failed after the answer had begun."""
        ...


A = TypeVar("A", bound=Breakable)


class AnswerResponse(Response, Generic[A]):
    """Does the work of a request while its answer is being sent; a client that goes away cancels it.

    `open_answer` makes the answer; `work` asks turns and writes what comes of them.
    """

    def __init__(
        self,
        gateway: Gateway,
        model: ServedModel,
        *,
        received_s: float,
        open_answer: Callable[[Send, str], tuple[Outgoing, A]],
        work: Callable[[Turns, A], Coroutine[Any, Any, None]],
    ) -> None:
        super().__init__()
        self._gateway = gateway
        self._turns = Turns(gateway, model, received_s, new_id("turn"))
        self._open_answer = open_answer
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        out, answer = self._open_answer(send, self._turns.id)
        try:
            await unless_gone(self._work(self._turns, answer), receive)
        except ClientStalled:
            self._gateway.metrics.error("client_stalled")
        except Exception as failure:
            if not out.started:
                raise
            await self._break_off(answer, failure)

    async def _break_off(self, answer: A, failure: Exception) -> None:
        error = public_error(failure)
        self._gateway.metrics.error(error.code)
        log.error("%s broke off: %s", self._turns.id, error.code, exc_info=failure if error is not failure else None)
        with suppress(ClientStalled):
            await answer.fail(error)


def one_turn(ask: Ask) -> Callable[[Turns, Answer], Coroutine[Any, Any, None]]:
    """The work of a request that is one turn."""

    async def work(turns: Turns, answer: Answer) -> None:
        await answer.finish(await turns.run(ask, answer.write))

    return work


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
