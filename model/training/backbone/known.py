"""Answers that need no model: those of the worlds that `domains` knows, and honest ones to what no model without eyes, clock and hands can know."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from model.training.backbone.texts import Spoken, kept, language_of
from model.training.domains import LANGS, Lang, capitalized, number
from model.training.facts import CAPITALS, COLOURS, FACTS, OPPOSITES, Both

DOUBTFUL = re.compile(
    r"\bcapital\b|\bopposite\b|\b(plus|minus|times)\b.*\b(plus|minus|times|is|are)\b|首都|反义词|等于|加.+减",
    re.IGNORECASE,
)
"""Questions that a world knows, or nobody: the text model's own answer is not to be trusted."""
_SIGNS: dict[str, Both] = {
    "+": (r"plus|and|\+", r"加上?"),
    "-": (r"minus|-", r"减去?"),
    "*": (r"times|multiplied by|x|\*", r"乘以?"),
}
_RESULT: dict[str, Both] = {
    "+": ("{a} plus {b} is {c}.", "{a}加{b}等于{c}。"), "-": ("{a} minus {b} is {c}.", "{a}减{b}等于{c}。"), "*": ("{a} times {b} is {c}.", "{a}乘以{b}等于{c}。"),
}  # fmt: skip


def answer_of(question: str, language: Lang) -> str | None:
    """The answer in `language` to a question about a sum, a capital, an opposite, a colour or a fact, however it is worded; None to any other."""
    asked, at = language_of(question), LANGS.index(language)
    plain = _plain(question)
    if found := _facts().get(plain):
        return found[at]
    return _sum(question, asked, language) or _capital(question, at) or _row(question, asked, at)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower()


@cache
def _facts() -> dict[str, Both]:
    return {_plain(wording): (row[2], row[3]) for row in FACTS for ways in row[:2] for wording in ways}


@cache
def _numbers(language: Lang) -> dict[str, int]:
    return {
        written: n
        for n in range(101)
        for written in (number(n, language), number(n, language).replace("-", " "), str(n))
    }


def _sum(question: str, asked: Lang, language: Lang) -> str | None:
    at, known = LANGS.index(language), _numbers(asked)
    words = "|".join(sorted(map(re.escape, known), key=len, reverse=True))
    for sign, ways in _SIGNS.items():
        found = re.search(
            rf"(?:^|[^\w-]|[\u4e00-\u9fff])({words})\s*(?:{ways[LANGS.index(asked)]})\s*({words})(?!\w)|({words})(?:{ways[1]})({words})(?=等|是|得)",
            question.lower(),
        )
        if found:
            x, y = (known[part] for part in found.groups() if part)
            z = {"+": x + y, "-": x - y, "*": x * y}[sign]
            a, b, c = (number(n, language) for n in (x, y, z)) if z >= 0 else ("", "", "")
            return capitalized(_RESULT[sign][at].format(a=a, b=b, c=c)) if z >= 0 else None
    return None


def _capital(question: str, at: int) -> str | None:
    if not re.search(r"\bcapital\b|首都", question, re.IGNORECASE):
        return None
    named = [(country, city) for country, city in CAPITALS if any(_names(question, name) for name in country)]
    return (
        None
        if len(named) != 1
        else ("The capital of {a} is {b}.", "{a}的首都是{b}。")[at].format(a=named[0][0][at], b=named[0][1][at])
    )


def _row(question: str, asked: Lang, at: int) -> str | None:
    """The colour of a thing, or the opposite of a word."""
    side = LANGS.index(asked)
    if re.search(r"\bopposite of\b|反义词|反面", question):
        pairs = [*OPPOSITES, *((b, a) for a, b in OPPOSITES)]
        for x, y in sorted(pairs, key=lambda pair: -len(pair[0][side])):
            if _names(question.replace("opposite", ""), x[side]):
                return capitalized(("the opposite of {a} is {b}.", "{a}的反面是{b}。")[at].format(a=x[at], b=y[at]))
    if re.search(r"\b(what|which) colou?r\b|\bcolou?r of\b|什么颜色", question, re.IGNORECASE):
        for thing, colour in COLOURS:
            if _names(question, thing[side]):
                return capitalized(("{a} is {b}.", "{a}是{b}的。")[at].format(a=thing[at], b=colour[at]))
    return None


def _names(question: str, name: str) -> bool:
    bound = "" if language_of(name) == "zh" else r"\b"
    return re.search(f"{bound}{re.escape(name.lower())}{bound}", question.lower()) is not None


@dataclass(frozen=True, slots=True)
class Refusal:
    """What cannot be known: questions by language, how others of the kind are told, and honest answers by language."""

    about: str
    matches: re.Pattern[str]
    asked: dict[Lang, list[str]]
    said: dict[Lang, list[str]]


@cache
def refusals() -> tuple[Refusal, ...]:
    """All of `refusals.json`."""
    rows: list[dict[str, Any]] = json.loads(Path(__file__).with_name("refusals.json").read_text(encoding="utf-8"))
    return tuple(Refusal(r["about"], re.compile(r["matches"], re.IGNORECASE), r["asked"], r["said"]) for r in rows)


def refusal_of(question: str) -> Refusal | None:
    """The kind of question that nobody could answer here, or None."""
    return next((kind for kind in refusals() if kind.matches.search(question)), None)


def refused(rng: Random, lang: Lang, *, held: bool = False) -> Spoken:
    """A question that cannot be answered, and an honest answer, at times in the other language. `held`: one of those kept for evaluation."""
    kind, reply = rng.choice(refusals()), _reply_language(rng, lang)
    question = rng.choice(kept(kind.asked[lang], held=held))
    return Spoken(question, rng.choice(kind.said[reply]), reply_language="auto" if reply == lang else reply)


@cache
def _everyday() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(Path(__file__).with_name("everyday.json").read_text(encoding="utf-8"))
    return rows


def everyday(rng: Random, lang: Lang) -> Spoken:
    """An open question of `everyday.json`, written for this project, and its answer, at times in the other language."""
    row, reply = rng.choice(_everyday()), _reply_language(rng, lang)
    return Spoken(rng.choice(row["asked"][lang]), row["said"][reply], reply_language="auto" if reply == lang else reply)


def _reply_language(rng: Random, lang: Lang) -> Lang:
    return lang if rng.random() < 0.8 else LANGS[1 - LANGS.index(lang)]
