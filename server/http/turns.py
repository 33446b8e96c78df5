"""Turns of one HTTP request, run and accounted for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field

from structlog.contextvars import bind_contextvars

from server.http.dependencies import AppState
from server.http.response_stream import ClientStalled
from server.state.loading import ServedModel
from server.state.tracing import TurnTrace
from streaming.audio import MODEL_RATE_HZ
from streaming.errors import NothingToAnswer, NothingToSay, TurnTimeout
from streaming.realtime.conversation import new_id
from streaming.realtime.limits import Outcome
from streaming.report import TurnReport
from streaming.stages import Exchange, Pcm, TurnOptions
from streaming.turn import Emit, Question, Turn

log = logging.getLogger("cslm.turn")

_PIECE_SAMPLES = MODEL_RATE_HZ // 2


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """What a turn is about.

    `pcm`: what was said, at 16 kHz; `text`: typed, in its place or beside it; `param` names it in errors.
    """

    options: TurnOptions
    pcm: Pcm | None = None
    text: str | None = None
    history: Sequence[Exchange] = ()
    param: str = "text"


@dataclass(slots=True)
class TurnRunner:
    """Runs the turns of one request. `id` names it in the log and the answer.

    `received_s`: monotonic, when the request was complete; after a turn, when that ended.
    """

    state: AppState
    model: ServedModel
    received_s: float
    id: str = field(default_factory=lambda: new_id("turn"))

    async def run(self, request: TurnRequest, emit: Emit) -> TurnReport:
        """One turn to its end, within the server's limit. Raises what the turn raises, and TurnTimeout."""
        async with AsyncExitStack() as stack:
            units = None
            if request.pcm is not None:
                units = await stack.enter_async_context(
                    aclosing(self.model.stages.encoder.encode(_pieces(request.pcm)))
                )
            began_s = time.monotonic()
            audio_s = 0.0 if request.pcm is None else request.pcm.size / MODEL_RATE_HZ
            question = Question(units, request.text, request.history, audio_s)
            turn = Turn(self.model.stages, question, request.options, emit)
            outcome: Outcome = "failed"
            trace = self.state.tracing.turn(self.id)
            bind_contextvars(**trace.ids)
            try:
                self.model.headroom.begin(turn)
                self.state.here.begun(self.id, turn.report)
                async with self.state.admission.until_over():
                    await turn.run(self.state.settings.max_turn_s)
                outcome = "completed"
            except (NothingToAnswer, NothingToSay) as failure:
                failure.param = request.param
                raise
            except (asyncio.CancelledError, ClientStalled):
                outcome = "cancelled"
                raise
            finally:
                self.model.headroom.end(turn)
                self._account(turn.report, outcome, began_s, trace)
        return turn.report

    async def units(self, pcm: Pcm) -> tuple[int, ...]:
        """What was said at 16 kHz as units, within the limit of a turn. Raises what the encoder raises, and TurnTimeout."""
        limit_s = self.state.settings.max_turn_s
        try:
            async with (
                self.state.admission.until_over(),
                asyncio.timeout(limit_s) as limit,
                aclosing(self.model.stages.encoder.encode(_pieces(pcm))) as pieces,
            ):
                return tuple([unit async for piece in pieces for unit in piece])
        except TimeoutError:
            if limit.expired():
                raise TurnTimeout(f"encoding an earlier message took longer than {limit_s:g} s") from None
            raise

    def _account(self, report: TurnReport, outcome: Outcome, began_s: float, trace: TurnTrace) -> None:
        heard_s = min(0.0, self.received_s - began_s)
        trace.end(report, outcome)
        self.state.here.ended(self.id, outcome)
        self.state.metrics.observe_turn(report, "rest", outcome, heard_s=heard_s, exemplar=trace.exemplar)
        self.state.account.spend(report, "rest", outcome)
        self.received_s = time.monotonic()
        log.info("turn %s", outcome, extra={"transport": "rest", **report.figures()})


async def _pieces(pcm: Pcm) -> AsyncGenerator[Pcm]:
    for start in range(0, pcm.size, _PIECE_SAMPLES):
        yield pcm[start : start + _PIECE_SAMPLES]
