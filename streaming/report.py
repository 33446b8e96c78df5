"""What is known of a turn while it runs and when it is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from streaming.planning import PlayoutClock
from streaming.tools import ToolCall
from streaming.watch import Runaway

Shortfall = Runaway | Literal["empty_answer", "nothing_to_answer", "no_speech", "invalid_call"]
"""Why an answer is not a whole one: it was ended (`streaming.watch`), nothing came of it, no speech where speech was wanted, or a
call that its tool does not take."""


SHORTFALLS: Mapping[Shortfall, str] = {
    "empty_answer": "the model has no answer to this",
    "nothing_to_answer": "the question has no words that the model knows",
    "no_speech": "the answer has text alone",
    "invalid_call": "the model called a tool in a way that its schema does not take",
    "speech_limit": "the model went on speaking after what the text can take to say, and was stopped",
    "transcript_limit": "the transcript grew longer than what can be said in the time, and was stopped",
    "repetition": "the text went round in a circle and was stopped",
}
"""The same for people."""

Incomplete = Literal["max_output_tokens"] | Shortfall
"""The same, with the limit of its tokens."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that was asked for and not done, though the turn goes on. `code` is stable; `text`: what it is about."""

    code: Literal["text_dropped", "not_said", "speech_limit", "transcript_limit", "repetition"]
    text: str

    def body(self) -> dict[str, str]:
        """As clients are told of it; `message` is for people."""
        return {"code": self.code, "message": _MESSAGES[self.code], "text": self.text}


_MESSAGES = {
    "text_dropped": "this part of the text cannot be said and was left out",
    "not_said": "the model said nothing of this",
    "speech_limit": SHORTFALLS["speech_limit"],
    "transcript_limit": SHORTFALLS["transcript_limit"],
    "repetition": SHORTFALLS["repetition"],
}


@dataclass(frozen=True, slots=True)
class ChunkMark:
    """Where a speech chunk ends: after `text_chars` characters of the answer, and after `audio_s` seconds of its audio."""

    text_chars: int
    audio_s: float


Stage = Literal["hear", "first_token", "first_units", "first_audio", "vocoder", "playout"]
"""The first four follow each other until the first audio, each from the end of the one before."""


@dataclass(frozen=True, slots=True)
class StageTime:
    """When a stage worked for a turn: seconds since the turn was made. `units`, `audio_s`: what went in and came out of a cut."""

    stage: Stage
    began_s: float
    ended_s: float
    units: int = 0
    audio_s: float = 0.0

    @property
    def duration_s(self) -> float:
        """How long it took."""
        return max(0.0, self.ended_s - self.began_s)


@dataclass(slots=True)
class TurnReport:
    """What happened in a turn. Times are seconds since the turn was made, None where it did not come to that.

    `heard_s`: question fully encoded; `first_token_s`, `first_units_s`, `first_audio_s`: first of each out; `done_s`: end.
    `first_chunk_s`: transcript, first text and first speech chunk are complete: the latency of arXiv 2604.11096.
    `cuts`: each from when it was handed to the decoder until its audio came. `marks`: ends of the speech chunks spoken so far.
    `cut_off`: the answer met the limit of its tokens. `shortfall`: why else it is not a whole answer. `question_s`: length of the
    spoken question. `notices`: what was not said. `lead_s`: how long it ran before it was shown (`Turn.show`); its listener waits
    from then on. `call`: what was called in place of an answer.
    """

    transcript: str = ""
    text: str = ""
    call: ToolCall | None = None
    heard_s: float | None = None
    first_token_s: float | None = None
    first_units_s: float | None = None
    first_chunk_s: float | None = None
    first_audio_s: float | None = None
    lm_done_s: float | None = None
    done_s: float | None = None
    input_units: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    output_units: int = 0
    dropped_ids: int = 0
    lead_s: float = 0.0
    question_s: float = 0.0
    audio_s: float = 0.0
    cuts: list[StageTime] = field(default_factory=list[StageTime])
    cut_off: bool = False
    shortfall: Shortfall | None = None
    notices: list[Notice] = field(default_factory=list[Notice])
    marks: list[ChunkMark] = field(default_factory=list[ChunkMark])
    playout: PlayoutClock = field(default_factory=PlayoutClock)

    @property
    def incomplete(self) -> Incomplete | None:
        """Why the answer is not a whole one, or None where it is."""
        return "max_output_tokens" if self.cut_off else self.shortfall

    @property
    def gained_s(self) -> float:
        """How much sooner the first audio was there than if the turn had begun when it was shown."""
        return min(self.lead_s, self.first_audio_s or 0.0)

    @property
    def decode_busy_s(self) -> float:
        """Time that the decoder had a cut of this turn, in all."""
        return sum(cut.duration_s for cut in self.cuts)

    def steps(self, since_s: float = 0.0) -> Iterator[StageTime]:
        """The stages before the first audio, as far as the turn came. `since_s`: when the question was over."""
        steps: tuple[tuple[Stage, float | None], ...] = (
            ("hear", self.heard_s),
            ("first_token", self.first_token_s),
            ("first_units", self.first_units_s),
            ("first_audio", self.first_audio_s),
        )
        for stage, ended_s in steps:
            if ended_s is None:
                return
            yield StageTime(stage, since_s, ended_s)
            since_s = ended_s

    def stages(self, stopped_s: float | None = None) -> Iterator[StageTime]:
        """Everything that was measured: the steps, each cut, and the playing of the answer, which ends by `stopped_s`."""
        yield from self.steps()
        yield from self.cuts
        if self.first_audio_s is not None and self.playout.sent_s:
            began_s = max(self.first_audio_s, self.lead_s)
            ended_s = began_s + self.playout.sent_s + self.playout.gap_s
            if stopped_s is not None:
                ended_s = max(began_s, min(ended_s, stopped_s))
            yield StageTime("playout", began_s, ended_s, audio_s=self.playout.sent_s)

    def figures(self) -> dict[str, float | int | None]:
        """What a log may tell of the turn: nothing that was said in it."""
        return {
            "first_audio_ms": None
            if self.first_audio_s is None
            else round(1000 * max(0.0, self.first_audio_s - self.lead_s)),
            "input_units": self.input_units,
            "output_units": self.output_units,
            "audio_s": round(self.audio_s, 2),
            "underruns": self.playout.underruns,
        }
