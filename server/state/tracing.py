"""What becomes of sessions and turns as traces: nothing, unless the server is told where to send them (`server.state.otel`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager

from streaming.report import TurnReport


class TurnTrace:
    """One turn, from its beginning to `end`. `ids`: what its log lines carry; `exemplar`: the same where the trace is kept."""

    ids: Mapping[str, str] = {}
    exemplar: dict[str, str] | None = None

    def end(self, report: TurnReport, outcome: str) -> None:
        """It is over, and `report` says all about its stages."""


class Tracing:
    """Traces of one server: a session, its turns, their stages. This one makes none."""

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """Traces are sent while the context lasts."""
        yield

    @contextmanager
    def session(self, transport: str) -> Generator[None]:
        """A session, or a request with its turns: what runs in the context belongs to it."""
        yield

    def turn(self, turn_id: str) -> TurnTrace:
        """A turn of the session around it begins."""
        return TurnTrace()


NO_TRACES = Tracing()
