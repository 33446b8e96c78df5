"""Held-out sets: directories of manifests (`model.training.manifests`), one for each set, with columns that say how to use a row.

`task`: "read" (a sentence read aloud, the default), "repeat" ("say this: …"), "question" or "open"; `answers`: the right ones;
`reply_language`: language of the answer (default: the question's); `before`: question and answer of the previous turn, or a
list of such; `people`: true for a human speaker; `source`, `licence`: of the recording. An open question is judged by `keep`,
`sense` and `manner` (`model.evaluation.rules`); `instructions` stand before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.evaluation.scores import plain
from model.training.backbone.instructed import MANNERS
from model.training.manifests import SUFFIXES, ManifestError, Row, read_manifest, read_recording, turns_before

TASKS = ("read", "repeat", "question", "open")
Pcm = npt.NDArray[np.float32]


class EvaluationError(Exception):
    """What was asked for cannot be measured; says why and what is accepted."""


@dataclass(frozen=True, slots=True)
class Item:
    """One recording of a set, or only its text. `name` is unique among all sets."""

    name: str
    set: str
    task: str
    text: str
    language: str
    speaker: str
    audio: Path | None
    reply_language: str
    answers: tuple[str, ...] = ()
    before: tuple[tuple[str, str], ...] = ()
    people: bool = False
    keep: tuple[tuple[str, ...], ...] = ()
    sense: tuple[tuple[str, ...], ...] = ()
    instructions: str = ""
    manner: str = ""

    @property
    def direction(self) -> str:
        """Such as en→zh."""
        return f"{self.language}→{self.reply_language}"


def read_sets(directory: Path, *, limit: int | None = None) -> list[Item]:
    """Items of all manifests in `directory`, of each set at most `limit`. Raises EvaluationError."""
    paths = sorted(path for path in directory.glob("*.*") if path.suffix in SUFFIXES)
    if not paths:
        raise EvaluationError(f"{directory} has no sets; expected manifests, *.jsonl or *.tsv")
    if len({path.stem for path in paths}) < len(paths):
        raise EvaluationError(f"{directory} has two sets of the same name: {', '.join(path.name for path in paths)}")
    try:
        items = [_item(path, number, row) for path in paths for number, row in enumerate(read_manifest(path)[:limit])]
    except ManifestError as error:
        raise EvaluationError(str(error)) from None
    return items


def _item(path: Path, number: int, row: Row) -> Item:
    more = row.more
    task, answers, people = more.get("task") or "read", more.get("answers") or (), more.get("people") or False
    if task not in TASKS:
        raise EvaluationError(f"{path}: row {number + 1}: task {task!r}; accepted: {', '.join(TASKS)}")
    if isinstance(answers, str):
        answers = (answers,)
    if people not in (True, False, "true", "false"):
        raise EvaluationError(f"{path}: row {number + 1}: people {people!r}; accepted: true, false")
    return Item(
        name=f"{path.stem}/{number:04d}",
        set=path.stem,
        task=task,
        text=row.text,
        language=row.language,
        speaker=row.speaker,
        audio=row.audio,
        reply_language=more.get("reply_language") or row.language,
        answers=tuple(answers),
        before=turns_before(row),
        people=people in (True, "true"),
        keep=_groups(path, number, row, "keep"),
        sense=_groups(path, number, row, "sense"),
        instructions=more.get("instructions") or "",
        manner=_manner(path, number, more.get("manner") or ""),
    )


def _groups(path: Path, number: int, row: Row, name: str) -> tuple[tuple[str, ...], ...]:
    groups = row.more.get(name) or []
    if not isinstance(groups, list) or not all(isinstance(g, list) and g and all(map(_is_word, g)) for g in groups):
        raise EvaluationError(f"{path}: row {number + 1}: {name}: accepted: a list of lists of words (JSON lines only)")
    return tuple(map(tuple, groups))


def _is_word(word: object) -> bool:
    return isinstance(word, str) and bool(plain(word))


def _manner(path: Path, number: int, name: str) -> str:
    if name and name not in (*MANNERS, "name"):
        raise EvaluationError(f"{path}: row {number + 1}: manner {name!r}; accepted: {', '.join((*MANNERS, 'name'))}")
    return name


def recorded(items: Sequence[Item]) -> list[Item]:
    """Those whose recording is there."""
    return [item for item in items if item.audio is not None and item.audio.is_file()]


def read_audio(item: Item, sample_rate: int) -> Pcm:
    """The recording, mono float32 [T] at `sample_rate`. Raises EvaluationError."""
    if item.audio is None:
        raise EvaluationError(f"{item.name} has no recording")
    try:
        return np.asarray(read_recording(item.audio, sample_rate))
    except ManifestError as error:
        raise EvaluationError(str(error)) from None
