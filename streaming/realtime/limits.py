"""What a session may use, and what it is told of its model and tells its server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from streaming.errors import InvalidRequest, SpeechServerError
from streaming.names import OPENAI_NAMES, Aliases
from streaming.realtime.server_shapes import RateLimit
from streaming.report import TurnReport
from streaming.stages import Stages

Outcome = Literal["completed", "cancelled", "failed"]
Speculation = Literal["started", "refused", "confirmed", "discarded"]


class SessionExpired(SpeechServerError):
    """The session has lasted as long as a session may."""

    type = "invalid_request_error"
    code = "session_expired"

    @classmethod
    def after(cls, seconds: float) -> SessionExpired:
        """The error of a session that may last `seconds`."""
        return cls(f"the session has lasted {seconds:g} s, the most it may; open another")


class Allowance(Protocol):
    """What the caller may use in all of its sessions together."""

    async def until_ended(self) -> None:
        """Until the caller may not be here any more; `refusal` then says why."""

    def refusal(self) -> SpeechServerError | None:
        """Why no turn may begin now; None where one may."""
        ...

    def take_turn(self) -> None:
        """Begin a turn. Raises what `refusal` says."""
        ...

    @property
    def turns(self) -> RateLimit | None:
        """How many more turns may begin; None: any number."""
        ...


class Unlimited:
    """Any number of turns."""

    turns: RateLimit | None = None

    async def until_ended(self) -> None:
        """For ever."""
        await asyncio.Event().wait()

    def refusal(self) -> SpeechServerError | None:
        """Never."""
        return None

    def take_turn(self) -> None:
        """Any."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """`max_question_s`: a longer spoken question is ended there; `min_question_s`: a shorter one is refused.

    `max_items`, `max_characters`: of a longer conversation the oldest items are forgotten. `max_responses`: responses at once,
    the one of the conversation and those apart from it. `max_session_s`: a longer session is ended. `max_turn_s`: an answer that
    takes longer is broken off. `echo_guard`: see `streaming.echo`. `speculate`: a turn may be answered before it is certain that
    it is over, where the session wants that, too. `allowance`: what the caller has left.
    """

    max_question_s: float = 30.0
    min_question_s: float = 0.1
    max_items: int = 256
    max_characters: int = 100_000
    max_responses: int = 4
    max_session_s: float = 3600.0
    max_turn_s: float = 120.0
    echo_guard: bool = True
    speculate: bool = True
    allowance: Allowance = field(default_factory=Unlimited)


@dataclass(frozen=True, slots=True)
class SessionModel:
    """What a session needs to know of the model it talks to; the first voice is the default. `recorded`: so are conversations.

    `calls_tools`: it has learned to.
    """

    name: str
    voices: tuple[str, ...]
    stages: Stages
    languages: tuple[str, ...] = ("en", "zh")
    reply_languages: tuple[str, ...] = ("auto", "en", "zh")
    aliases: Aliases = OPENAI_NAMES
    recorded: bool = False
    calls_tools: bool = False

    def is_called(self, name: str | None) -> bool:
        """`name` means this model; so does none."""
        return not name or name == self.name or self.aliases.means_the_model(name)

    def check_tools(self, tools: Sequence[object], choice: object, param: str) -> None:
        """Raises InvalidRequest where the model calls no tools, and it is to."""
        if self.calls_tools:
            return
        if tools:
            raise InvalidRequest(f"{self.name} calls no tools; accepted: an empty list", param=f"{param}.tools")
        if choice not in (None, "auto", "none"):
            raise InvalidRequest(
                f"{self.name} calls no tools; accepted: 'auto' and 'none'", param=f"{param}.tool_choice"
            )

    def voice(self, wanted: str | None, param: str) -> str:
        """The voice to speak with. Raises InvalidRequest for one that nobody has."""
        if wanted in self.voices:
            return wanted
        if not wanted or self.aliases.means_the_voice(wanted):
            return self.voices[0]
        accepted = ", ".join(self.voices)
        raise InvalidRequest(f"{self.name} has no voice {wanted[:60]!r}; accepted: {accepted}", param=param)

    def check_question_language(self, wanted: str, param: str) -> None:
        """Raises InvalidRequest for a language that the model does not understand."""
        if wanted != "auto" and wanted not in self.languages:
            accepted = ", ".join(("auto", *self.languages))
            raise InvalidRequest(f"{self.name} does not understand {wanted[:60]!r}; accepted: {accepted}", param=param)

    def check_reply_language(self, wanted: str, param: str) -> None:
        """Raises InvalidRequest for a language that the model cannot be told to answer in."""
        if wanted not in self.reply_languages:
            accepted = ", ".join(self.reply_languages)
            raise InvalidRequest(
                f"{self.name} cannot be told to answer in {wanted[:60]!r}; accepted: {accepted}", param=param
            )


@dataclass(slots=True)
class Stop:
    """How a server stops. `asked`: nobody is let in any more, and who is idle leaves; `over`: who is still there leaves now.

    `within_s`: between the two.
    """

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    within_s: float = 0.0

    def ask(self, within_s: float) -> None:
        """Ask everybody to leave within this time."""
        self.within_s = within_s
        self.asked.set()


@dataclass(frozen=True, slots=True)
class Observer:
    """Where a session reports to, turns by their ids.

    `begun`: takes the report, which fills while the turn runs, and answers with what its log lines carry beside its id. Each turn
    ends by `turn`, or by `discarded` where it was speculative and came to nothing. `speculation`: what became of speculative
    turns; `error`: what the client was told of.
    """

    begun: Callable[[str, TurnReport], Mapping[str, str]] = lambda turn_id, report: {}
    turn: Callable[[str, TurnReport, Outcome], None] = lambda turn_id, report, outcome: None
    discarded: Callable[[str, TurnReport], None] = lambda turn_id, report: None
    speculation: Callable[[Speculation], None] = lambda stage: None
    error: Callable[[SpeechServerError], None] = lambda error: None
