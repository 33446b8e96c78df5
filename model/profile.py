"""The profile of a bundle: rates, markers, templates and sampling. The code has none of them built in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streaming.errors import BundleError
from streaming.pace import Pace as SpeechPace
from streaming.planning import CutSchedule
from streaming.stages import Task


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenNames(_Frozen):
    """Names of the control tokens in the bundle's tokenizer; `unit` holds `{index}`.

    `bos`: what every prompt begins with, one or several; `question`, `answer`: absent where answers have no such marks.
    """

    bos: str
    question: str | None = None
    answer: str | None = None
    speech_start: str
    speech_end: str
    unit: str


class ToolShape(_Frozen):
    """How tools are told and called. `declared`: `{tools}` in the system turn, behind the instructions.

    `call`: a call of the model, `{content}`; it stands where an answer would begin, and its first token marks it. `result`: what
    the client found, `{content}`.
    """

    declared: str
    call: str
    result: str


class PromptShape(_Frozen):
    """Chat rendering: `{content}` stands for the message. `system_turn` is absent where the model knows none.

    `system`: what the system turn always says, before the asker's instructions, to a spoken and to a typed question. `tools`: the
    format that the model is trained on, if any; `Profile.supports_tools` says whether it has learned it.
    """

    bos_count: Annotated[int, Field(ge=0)]
    user_turn: str
    assistant_turn: str
    generation_prompt: str
    system_turn: str | None = None
    system: dict[Literal["speech", "text"], str] = {}
    tools: ToolShape | None = None


class SamplingDefaults(_Frozen):
    """How the model was meant to be sampled; `temperature` 0 is greedy, `top_k` 0 means all."""

    temperature: Annotated[float, Field(ge=0, le=2)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    top_k: Annotated[int, Field(ge=0)]
    max_new_tokens: Annotated[int, Field(ge=1)]


class Stability(_Frozen):
    """When units of an unfinished speech may be committed: see `streaming.stability.StabilityRule`."""

    every_s: Annotated[float, Field(ge=0.1)]
    repeats: Annotated[int, Field(ge=1)]
    edge_frames: Annotated[int, Field(ge=0)]
    most_wrong: Annotated[float, Field(ge=0, le=1)]


class Cuts(_Frozen):
    """How many units the vocoder is handed at a time: see `streaming.planning.CutSchedule`."""

    first_units: Annotated[int, Field(ge=1)] = 6
    most_first_units: Annotated[int, Field(ge=0)] = 0
    steady_units: Annotated[int, Field(ge=1)] = 24
    low_water_s: Annotated[float, Field(ge=0)] = 0.35
    unit_s: Annotated[float, Field(gt=0)] = 0.09


class Pace(_Frozen):
    """How many units a text takes to say at the most: see `streaming.pace.Pace`."""

    units: Annotated[int, Field(ge=1)] = 30
    per_letter: Annotated[float, Field(gt=0)] = 8.0
    per_character: Annotated[float, Field(gt=0)] = 24.0


class Kinds(_Frozen):
    """Which code runs each part, by its name in `model.kinds`."""

    encoder: str
    vocoder: str
    prompts: str


class Profile(_Frozen):
    """The bundle's `profile.json`.

    - `templates[reply_language]["default"]`: the wording around `{input}`, used because the language of the question is not
      known before it is heard. Other keys are the wordings of training, by the language of the question.
    - `speech_input`: the wording of a spoken question, with `{units}`.
    - `tasks[task][language or "default"]`: the wording of another task than answering. `translate` is absent where the model has
      not learned it; `transcribe` without a wording is the transcript that precedes every answer. A wording that begins with
      the `bos` token is the whole prompt, without a user turn around it; after one that ends with a marker, the model continues.
    - `pause_unit`: spoken between sentences that are read aloud, of at most `read_columns` columns each.
    - `optional_stop_tokens`: stop the model, too, where its tokenizer has them: `<|eom_id|>` came with Llama 3.1.
    - `segment_words`: what the model was trained with; the server does not enforce it.
    - `vocoder_latency_s`: audio that the vocoder holds back until it knows what follows, on average.
    - `cuts`: sizes of the cuts. A first cut of fewer units than the vocoder needs for any audio is a wasted round trip.
    - `early_units`: for a bidirectional encoder; absent where units are final as soon as they come.
    - `spoken_tasks`: tasks whose text the model knows in words only, without digits and symbols (`model.reading`).
    - `sorry`: what the model says, by language, where it has no answer.
    - `sure`: where every token of a transcript is at least this probable, the model has heard a whole question; absent where that
      was not measured (`tests/bench/pauses.py`).
    """

    format_version: Annotated[int, Field(ge=1, le=1)]
    name: str
    kinds: Kinds
    languages: tuple[str, ...]
    input_sample_rate_hz: int
    output_sample_rate_hz: int
    n_units: Annotated[int, Field(ge=1)]
    tokens: TokenNames
    stop_tokens: tuple[str, ...]
    optional_stop_tokens: tuple[str, ...] = ()
    prompt: PromptShape
    templates: dict[str, dict[str, str]]
    speech_input: str
    tasks: dict[str, dict[str, str]] = {}
    pause_unit: Annotated[int, Field(ge=0)] | None = None
    read_columns: Annotated[int, Field(ge=20)] = 160
    full_chain_suffix: str = ""
    sampling: SamplingDefaults
    max_model_len: int
    segment_words: int
    pace: Pace = Pace()
    spoken_tasks: tuple[Task, ...] = ("read",)
    sorry: dict[str, str] = {}
    vocoder_latency_s: Annotated[float, Field(ge=0)] = 0.0
    cuts: Cuts = Cuts()
    early_units: Stability | None = None
    sure: Annotated[float, Field(gt=0, le=1)] | None = None
    history_turns: int = 0
    supports_instructions: bool = False
    supports_tools: bool = False
    max_question_s: float = 30.0
    voices: tuple[str, ...] = ("default",)

    def speech_pace(self) -> SpeechPace:
        """`pace`, as the turn takes it."""
        return SpeechPace(**self.pace.model_dump())

    def cut_schedule(self) -> CutSchedule:
        """`cuts`, as the turn takes it."""
        return CutSchedule(**self.cuts.model_dump())


Check = Callable[[Path, Profile], str]
"""Checks the part of a bundle in a directory and says what it found. Raises BundleError for what is wrong."""


def load_profile(directory: Path) -> Profile:
    """The profile of the bundle in `directory`. Raises BundleError naming the file and the field."""
    path = directory / "profile.json"
    try:
        return Profile.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise BundleError(f"{directory} is not a bundle: it has no profile.json", code="bundle_missing") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"{path}: {where}: {first['msg']}", param=where) from None
