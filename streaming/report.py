"""What is known of a turn while it runs and when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from streaming.planning import PlayoutClock
from streaming.watch import Runaway

Shortfall = Runaway | Literal["empty_answer", "nothing_to_answer", "no_speech"]
"""Why an answer is not a whole one: it was ended (`streaming.watch`), nothing came of it, or no speech where speech was wanted."""


SHORTFALLS: Mapping[Shortfall, str] = {
    "empty_answer": "the model has no answer to this",
    "nothing_to_answer": "the question has no words that the model knows",
    "no_speech": "the answer has text alone",
    "speech_limit": "the model went on speaking after what the text can take to say, and was stopped",
    "repetition": "the answer went round in a circle and was stopped",
}
"""The same for people."""

Incomplete = Literal["max_output_tokens"] | Shortfall
"""The same, with the limit of its tokens."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that was asked for and not done, though the turn goes on. `code` is stable; `text`: what it is about."""

    code: Literal["text_dropped", "not_said", "speech_limit", "repetition"]
    text: str

    def body(self) -> dict[str, str]:
        """As clients are told of it; `message` is for people."""
        return {"code": self.code, "message": _MESSAGES[self.code], "text": self.text}


_MESSAGES = {
    "text_dropped": "this part of the text cannot be said and was left out",
    "not_said": "the model said nothing of this",
    "speech_limit": SHORTFALLS["speech_limit"],
    "repetition": SHORTFALLS["repetition"],
}


@dataclass(frozen=True, slots=True)
class ChunkMark:
    """Where a speech chunk ends: after `text_chars` characters of the answer, and after `audio_s` seconds of its audio."""

    text_chars: int
    audio_s: float


@dataclass(slots=True)
class TurnReport:
    """What happened in a turn. Times are seconds since the turn was made, None where it did not come to that.

    `heard_s`: question fully encoded; `first_token_s`, `first_units_s`, `first_audio_s`: first of each out; `done_s`: end.
    `first_chunk_s`: transcript, first text and first speech chunk are complete: the latency of arXiv 2604.11096.
    `decode_busy_s`: sum over the cuts of the time from handing one to the decoder until its audio came. `marks`: ends of the
    speech chunks spoken so far. `cut_off`: the answer met the limit of its tokens. `shortfall`: why else it is not a whole answer.
    `question_s`: length of the spoken question. `notices`: what was not said. `lead_s`: how long it ran before it was shown
    (`Turn.show`); its listener waits from then on.
    """

    transcript: str = ""
    text: str = ""
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
    decode_busy_s: float = 0.0
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
