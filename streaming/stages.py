"""The seams between the core and everything with weights, as Protocols; nothing subclasses them.

Each stage takes an async iterator and returns an async generator, so that work starts before its input is complete.
Callers close the generators (`contextlib.aclosing`); closing one cancels its work.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from streaming.interleave import AnswerParser, Detokenizer
from streaming.outlook import Outlook
from streaming.pace import Pace
from streaming.planning import CutSchedule
from streaming.spoken import SpokenForm
from streaming.tools import Tool, ToolCall

Pcm = NDArray[np.float32]
"""Mono audio, float32 [T] in [-1, 1]; the caller knows the rate."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """What may be written: one of `choices`, or JSON that follows `schema` (JSON Schema as text)."""

    choices: tuple[str, ...] = ()
    schema: str = ""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the language model samples. `temperature` 0 is greedy; `top_k` 0 means all; stop ids come from the bundle.

    `constraint`: an engine that cannot enforce it writes freely, so the caller checks what was written. `rated`: ids come as
    `RatedIds` where the engine gives probabilities.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 1024
    stop_token_ids: tuple[int, ...] = field(default=())
    constraint: Constraint | None = None
    rated: bool = False


class RatedIds(list[int]):
    """Token ids with the probability that the language model gave each, before temperature: `chances[i]` is that of id `i`."""

    def __init__(self, ids: Iterable[int], chances: Iterable[float]) -> None:
        super().__init__(ids)
        self.chances = list(chances)


@dataclass(frozen=True, slots=True)
class UnitCut:
    """Units for the decoder to speak now.

    `units`: merged speech units, in order. `final`: no more units follow in this turn. `buffered_s`: seconds of audio the
    listener still has to hear, or how long else it may wait; the decoder serves the smallest slack of all sessions first. `voice`:
    who speaks the turn; None is the decoder's first voice.
    """

    units: Sequence[int]
    final: bool = False
    buffered_s: float = 0.0
    voice: str | None = None


Schedule = Literal["interleaved", "full_chain"]
Task = Literal["answer", "transcribe", "translate", "read"]


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """What the asker may choose. `speak=False` gives text alone; `full_chain` writes the whole answer before speaking it.

    `task`: answer what was said, write it down (only the transcript comes), say it in `reply_language`, or read a text aloud.
    `question_language`: what the question is spoken in, where the asker knows it. Which languages there are the bundle says;
    "auto" leaves it to the model. `apologise`: where nothing comes of the question, say so if the bundle can, in place of
    raising. `playout_lead_s`: audio that is to be made before the first is heard, and to stay ahead: a smoother answer that begins
    later; None: as the server is set.

    `tools`: what the model may call in place of an answer, and must where `must_call`; `calls`: what it called for this question
    before, which it now answers with what came of them.
    """

    task: Task = "answer"
    question_language: str = "auto"
    reply_language: str = "auto"
    instructions: str = ""
    schedule: Schedule = "interleaved"
    speak: bool = True
    voice: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    apologise: bool = False
    playout_lead_s: float | None = None
    tools: tuple[Tool, ...] = ()
    must_call: bool = False
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """An earlier turn, as text: what was asked, and of the answer what was heard.

    `units`: of a spoken question that nobody has written down; `recording`: gives them where it is still being encoded. `calls`:
    what was called before the answer.
    """

    question: str
    answer: str
    units: tuple[int, ...] = ()
    recording: Callable[[], AsyncIterator[list[int]]] | None = field(default=None, compare=False)
    calls: tuple[ToolCall, ...] = ()


class VoiceActivity(Protocol):
    """Speech probability of consecutive windows; one instance a session."""

    @property
    def window_samples(self) -> int:
        """Samples of one window at 16 kHz."""
        ...

    def probability(self, window: Pcm) -> float:
        """Probability of speech in a window of `window_samples`, given those before it."""
        ...

    def reset(self) -> None:
        """Forget what was heard."""
        ...


class EndOfTurn(Protocol):
    """Whether a speaker who pauses has finished."""

    @property
    def window_samples(self) -> int:
        """The longest audio that it uses, in samples at 16 kHz."""
        ...

    async def finished(self, audio: Pcm) -> float:
        """Probability that the turn is over after `audio`: its end, 16 kHz, at most `window_samples`."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Peek:
    """Stands in the audio of a speech that may be over: `tell` gets the units that would follow if it ended here.

    They follow those yielded so far. The speech goes on as if nobody had asked.
    """

    tell: Callable[[list[int]], None]


class SpeechEncoder(Protocol):
    """Speech to merged units."""

    def encode(self, audio: AsyncIterator[Pcm | Peek]) -> AsyncGenerator[list[int]]:
        """`audio`: float32 mono at 16 kHz, any split. Yields units as soon as they are final; the same for any split.

        Answers each `Peek` before it takes more audio.

        A bidirectional one may commit units before it can be sure (`streaming.stability`): they stand.
        """
        ...


class LanguageModel(Protocol):
    """Token ids in, token ids out."""

    def generate(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        """Yields the ids that follow `prompt`; a stop id ends the stream, unyielded.

        A backend that caches prefixes computes a prompt only from where it differs from an earlier one.
        """
        ...


class SpeechDecoder(Protocol):
    """Merged units to speech."""

    @property
    def sample_rate(self) -> int:
        """Hz of the audio it yields."""
        ...

    def synthesize(self, cuts: AsyncIterator[UnitCut]) -> AsyncGenerator[Pcm]:
        """Yields audio for the units so far; the whole is the same, sample for sample, for any cuts."""
        ...


class PromptWriter(Protocol):
    """The bundle's prompt format: ids around the question, and how to read the ids of the answer."""

    @property
    def keeps_units(self) -> bool:
        """Whether earlier spoken questions are passed as units, because the model writes no transcripts."""
        ...

    def speech_prompt(
        self, options: TurnOptions, history: Sequence[Exchange], text: str = ""
    ) -> tuple[list[int], list[int]]:
        """Ids before and after the units of a spoken question; `text` was typed beside it and stands before the units.

        Raises InvalidRequest (`unsupported_task`) where the model has no wording for the task.
        """
        ...

    def text_prompt(self, text: str, options: TurnOptions, history: Sequence[Exchange]) -> list[int]:
        """Ids of a typed question. Markers written in `text` stay text."""
        ...

    def opening(self, options: TurnOptions) -> list[int]:
        """The marker at the end of the prompt, if the answer lacks it; the parser receives it first."""
        ...

    async def spoken_form(self, text: str, options: TurnOptions) -> SpokenForm:
        """`text` as the model knows text: in words, where it was trained on nothing else."""
        ...

    def sorry(self, language: str) -> str:
        """What is said aloud in `language` where there is no answer; "" if the bundle has nothing for it."""
        ...

    def sentences(self, text: str) -> list[str]:
        """What of `text` is read aloud at a time."""
        ...

    def pause(self) -> list[int]:
        """Ids of the silence between two sentences read aloud."""
        ...

    def unit_ids(self, units: Sequence[int]) -> list[int]:
        """Token ids of speech units."""
        ...

    def sampling(self, options: TurnOptions, prompt_tokens: int) -> Sampling:
        """The bundle's sampling with the asker's overrides; raises InvalidRequest where a value is out of range."""
        ...

    def parser(self) -> AnswerParser:
        """A parser for one answer."""
        ...

    def call_opening(self) -> list[int]:
        """What a call of a tool begins with, its first id the mark of one; nothing where the model knows no calls."""
        ...

    def answer_mark(self) -> int | None:
        """The id behind which an answer follows, if it has one."""
        ...

    def text_ids(self, text: str) -> list[int]:
        """Ids of plain text."""
        ...

    def text_decoder(self) -> Detokenizer:
        """A decoder of one run of text."""
        ...


@dataclass(frozen=True, slots=True)
class Stages:
    """All that a turn needs of a model.

    `decoder_latency_s`: audio that the decoder keeps back until it knows what follows, on average. `cuts`: how many units it is
    handed at a time, `outlook`: what they take and give; `playout_lead_s`: for turns that do not say. `pace`: how many units a text
    can need. `end_of_turn`: absent where the bundle has no such model. `sure`: where every token of a transcript is at least this
    probable, the question was heard well and is complete; None where that was not measured.
    """

    encoder: SpeechEncoder
    lm: LanguageModel
    decoder: SpeechDecoder
    prompts: PromptWriter
    voice_activity: Callable[[], VoiceActivity]
    decoder_latency_s: float = 0.0
    end_of_turn: EndOfTurn | None = None
    cuts: CutSchedule = field(default_factory=CutSchedule)
    pace: Pace = field(default_factory=Pace)
    outlook: Outlook = field(default_factory=Outlook)
    playout_lead_s: float = 0.0
    sure: float | None = None
