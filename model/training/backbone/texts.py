"""Text to train on, from a directory of files: sentences to hear and say, exchanges to answer. What is held out never leaves this module.

`sentences*.txt` holds a sentence a line; `exchanges*.jsonl` an object a line: `question`, `answer`, and where there are any
`before` (turns, each a question and its answer) and `instructions`. The language is told by the script.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random

from model.training.domains import LANGS, Lang, held_out


@dataclass(frozen=True, slots=True)
class Spoken:
    """A question, typed or spoken, and its answer; the turns before it, and what the answer obeys."""

    question: str
    answer: str
    before: tuple[tuple[str, str], ...] = ()
    instructions: str = ""
    reply_language: str = "auto"

    @property
    def questions(self) -> list[str]:
        """Of all turns, the last one first."""
        return [self.question, *(question for question, _ in self.before)]


@dataclass
class Texts:
    """Sentences of each file by language, and exchanges by the language of the question."""

    files: dict[Lang, list[list[str]]] = field(default_factory=lambda: {lang: [] for lang in LANGS})
    exchanges: dict[Lang, list[Spoken]] = field(default_factory=lambda: {lang: [] for lang in LANGS})

    def sentences(self, lang: Lang) -> list[str]:
        """All of a language."""
        return [sentence for file in self.files[lang] for sentence in file]

    def sentence(self, rng: Random, lang: Lang) -> str:
        """A random one. Files count by the square root of their size: a few chosen sentences are heard more often than one of many."""
        (file,) = rng.choices(self.files[lang], [len(file) ** 0.5 for file in self.files[lang]])
        return rng.choice(file)


def language_of(text: str) -> Lang:
    """Mandarin where there is a Chinese character."""
    return "zh" if re.search("[\u4e00-\u9fff]", text) else "en"


def is_held_out(text: str) -> bool:
    """Whether a sentence, or one that differs in marks and case alone, is for evaluation; those that `domains` holds out are, too."""
    plain = _plain(text)
    return held_out(f"sentence:{plain}") or held_out(f"repeat:{text}") or _is_scored_question(text)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower()


def _is_scored_question(text: str) -> bool:
    """Whether the evaluation asks a question of the same words, in whatever order: 鸟为什么会飞 and 为什么鸟会飞."""
    return _words(text) in _scored_questions()


def _words(text: str) -> tuple[str, ...]:
    return tuple(sorted(re.findall(r"[a-z0-9']+|[\u4e00-\u9fff]", text.lower())))


def kept(values: Sequence[str], *, held: bool) -> Sequence[str]:
    """The part of a list to train on, or the last sixth, which is for evaluation."""
    at = len(values) - len(values) // 6 - 1
    return values[at:] if held else values[:at]


@cache
def scored_sentences() -> dict[Lang, list[str]]:
    """What `score` asks for, by language."""
    sentences: dict[Lang, list[str]] = json.loads(Path(__file__).with_name("heldout.json").read_text(encoding="utf-8"))
    return sentences


@cache
def _scored_questions() -> frozenset[tuple[str, ...]]:
    questions: list[str] = json.loads(Path(__file__).with_name("heldout-questions.json").read_text(encoding="utf-8"))
    return frozenset(map(_words, questions))


def has_scored_sentence(text: str) -> bool:
    """Whether one of them is part of `text`, as of a question to repeat it, or `text` is a question that the evaluation asks."""
    return any(sentence in text for sentence in scored_sentences()[language_of(text)]) or _is_scored_question(text)


def load_texts(directory: Path, *, held: bool = False) -> Texts:
    """What may be trained on, or what is held out. Raises ValueError naming the file and line of what cannot be read."""
    texts = Texts()
    for path in sorted(directory.glob("sentences*.txt")):
        lines = dict.fromkeys(line.strip() for line in path.read_text(encoding="utf-8").splitlines())
        chosen = [line for line in lines if line and is_held_out(line) == held]
        for lang in LANGS:
            if file := [line for line in chosen if language_of(line) == lang]:
                texts.files[lang].append(file)
    for path in sorted(directory.glob("exchanges*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                spoken = _exchange(json.loads(line))
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(f"{path}:{number}: no exchange with question and answer: {error}") from error
            if any(map(is_held_out, spoken.questions)) == held:
                texts.exchanges[language_of(spoken.question)].append(spoken)
    return texts


def _exchange(row: dict[str, object]) -> Spoken:
    known = {"question", "answer", "before", "instructions", "reply_language"}
    if unknown := sorted(set(row) - known):
        raise ValueError(f"unknown: {', '.join(unknown)}")
    before = tuple((str(asked), str(said)) for asked, said in row.get("before", ()))  # type: ignore[attr-defined]
    texts = {name: str(row[name]) for name in ("instructions", "reply_language") if name in row}
    return Spoken(str(row["question"]), str(row["answer"]), before, **texts)
