"""What a session's machine takes and what it wants done: values, all of them.

`machine.receive(input)` answers with server events, to be sent in order, and effects, to be carried out; what becomes of an effect
comes back as an input. `streaming.realtime.session` carries them out, a test may do it by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from streaming.audio import WireFormat
from streaming.errors import SpeechServerError
from streaming.realtime.config import Transcription
from streaming.realtime.events import ServerEvent
from streaming.realtime.messages import ClientMessage
from streaming.realtime.server_shapes import SessionShape
from streaming.realtime.utterance import UtteranceEncoding
from streaming.report import TurnReport
from streaming.stages import Pcm, TurnOptions
from streaming.turn import Question, TurnEvent

TimerName = Literal["expiry", "farewell", "idle"]

# Inputs


@dataclass(frozen=True, slots=True)
class Opened:
    """The client is there."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message of the client that is no client event, and why."""

    error: SpeechServerError


@dataclass(frozen=True, slots=True)
class TurnProgress:
    """A turn under way says something."""

    turn_id: str
    event: TurnEvent


@dataclass(frozen=True, slots=True)
class TurnClosed:
    """A turn is over and all its stages are closed. `failure`: what ended it; `cancelled`: it was told to.

    `buffered_s`: seconds of its audio that the listener still has to hear.
    """

    turn_id: str
    report: TurnReport
    failure: SpeechServerError | None = None
    cancelled: bool = False
    buffered_s: float = 0.0


@dataclass(frozen=True, slots=True)
class GiveWay:
    """Others need the room that a hidden turn takes."""

    turn_id: str


@dataclass(frozen=True, slots=True)
class TimerDue:
    """A timer that was started and not stopped."""

    name: TimerName


@dataclass(frozen=True, slots=True)
class PauseJudged:
    """Probability that the speaker has finished; None where nobody could say. `beside`: see `JudgePause`."""

    finished: float | None
    beside: str | None = None


@dataclass(frozen=True, slots=True)
class Captioned:
    """What was understood of a recording so far, or, `complete`, of all of it; `failure`: why it was not."""

    item_id: str
    text: str
    complete: bool = False
    failure: SpeechServerError | None = None


@dataclass(frozen=True, slots=True)
class Rested:
    """Others have run since `Rest`."""


@dataclass(frozen=True, slots=True)
class Stalled:
    """The client has sent nothing for a while, though a turn of its user is open."""


Input = (
    ClientMessage
    | Opened
    | Unreadable
    | TurnProgress
    | TurnClosed
    | GiveWay
    | TimerDue
    | PauseJudged
    | Captioned
    | Rested
    | Stalled
)

# Effects


@dataclass(frozen=True, slots=True)
class Encode:
    """Begin to encode an utterance. `recording`: all of its audio, where it is known; else it comes by `Hear`."""

    utterance: UtteranceEncoding
    recording: Pcm | None = None


@dataclass(frozen=True, slots=True)
class Hear:
    """Next audio of an utterance, 16 kHz; None: it is complete."""

    utterance: UtteranceEncoding
    pcm: Pcm | None


@dataclass(frozen=True, slots=True)
class Forget:
    """An utterance is of no use to anybody."""

    utterance: UtteranceEncoding


@dataclass(frozen=True, slots=True)
class Peek:
    """Make `seen` what `utterance` would be if it ended here. `beside`: only while this turn is under way."""

    utterance: UtteranceEncoding
    seen: UtteranceEncoding
    beside: str | None = None


@dataclass(frozen=True, slots=True)
class JudgePause:
    """Has the speaker finished? Answered by `PauseJudged`. `audio`: the end of the turn, 16 kHz; `beside`: as of `Peek`."""

    audio: Pcm
    beside: str | None = None


@dataclass(frozen=True, slots=True)
class StartTurn:
    """Answered by any number of `TurnProgress` and one `TurnClosed`.

    `hidden`: until `ShowTurn` it may come to nothing. Where there is no room for such, it is closed at once, as cancelled.
    """

    turn_id: str
    question: Question
    options: TurnOptions
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class RefuseTurn:
    """A turn that may not begin. Answered by `TurnClosed` with `why` as its failure."""

    turn_id: str
    why: SpeechServerError


@dataclass(frozen=True, slots=True)
class ShowTurn:
    """A hidden turn is one like any other from now on."""

    turn_id: str


@dataclass(frozen=True, slots=True)
class CancelTurn:
    """End a turn; `TurnClosed` follows, once its stages are closed. A hidden one that is over already is forgotten."""

    turn_id: str


@dataclass(frozen=True, slots=True)
class Follow:
    """Write down an utterance while it is spoken. Answered by `Captioned`, until it is complete."""

    item_id: str
    utterance: UtteranceEncoding
    delay: Transcription | None


@dataclass(frozen=True, slots=True)
class Unfollow:
    """Write it down no longer."""

    item_id: str


@dataclass(frozen=True, slots=True)
class StartTimer:
    """`TimerDue` after `delay_s`; in place of an earlier one of that name."""

    name: TimerName
    delay_s: float


@dataclass(frozen=True, slots=True)
class StopTimer:
    name: TimerName


@dataclass(frozen=True, slots=True)
class Rest:
    """Much is computed at once: let others run, then say `Rested`."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """All is said: end the connection once it has been sent."""


Effect = (
    Encode
    | Hear
    | Forget
    | Peek
    | JudgePause
    | StartTurn
    | RefuseTurn
    | ShowTurn
    | CancelTurn
    | Follow
    | Unfollow
    | StartTimer
    | StopTimer
    | Rest
    | HangUp
)

Output = ServerEvent | Effect


class Machine(Protocol):
    """A session without tasks, clocks and sockets. `audio_in`: the format of the audio that the client sends as text."""

    audio_in: WireFormat

    @property
    def id(self) -> str:
        """Id of the session."""
        ...

    def shape(self) -> SessionShape:
        """The session as the protocol shows it."""
        ...

    @property
    def waiting(self) -> bool:
        """No client event can be taken before another input came."""
        ...

    @property
    def listening(self) -> bool:
        """A turn of the user is open that silence would end."""
        ...

    def receive(self, input_: Input) -> list[Output]:
        """What `input_` brings about, in order."""
        ...
