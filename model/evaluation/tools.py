"""Whether the model calls the right tool rightly, asks for what is missing, and answers by itself where no tool is needed.

The questions are composed as those of training are, from what is held out: tools under names and parameters that training never
declares, about values that it never names; and tools of a kind that it never sees. They are asked in writing, and in the units of
their words, of which 8 % are wrong.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

from model.evaluation.asking import ask
from model.evaluation.bench import Bench, Case, Row, Table, grouped, percent, share
from model.evaluation.rules import has_all
from model.evaluation.scores import plain
from model.evaluation.sets import Item
from model.training.backbone.calling import Called, called, lacking, some_tools
from model.training.backbone.texts import scored_sentences
from model.training.domains import LANGS, Lang
from model.training.noise import UnitNoise
from model.training.prepare import NO_PHONES, has_phonetic_units
from streaming.stages import TurnOptions

EACH = 20
"""Questions of each kind in a language."""
WRONG = 0.08
KINDS = ("renamed", "new", "lacking", "unneeded")
WAYS = ("typed", "units")


class ToolCalls:
    """Questions with tools at hand, judged by rule."""

    name = "tools"
    timed = False

    def missing(self, bench: Bench) -> str | None:
        """See `Measure`."""
        if bench.bundle.profile.prompt.tools is None:
            return "the bundle's profile has no format for tools"
        return None if has_phonetic_units(bench.bundle) else NO_PHONES

    def cases(self, bench: Bench) -> list[Case]:
        """See `Measure`."""
        return [
            Case(f"{kind}/{lang}/{number:03d}/{way}", _item(kind, lang, number), way)
            for number in range(min(EACH, bench.limit or EACH))
            for kind in KINDS
            for lang in LANGS
            for way in WAYS
        ]

    async def measure(self, bench: Bench, case: Case) -> Row:
        """See `Measure`. A right call is given its result, and what is then said is judged, too."""
        kind, lang, number, way = case.name.split("/")
        one = question(kind, lang, int(number))
        options = TurnOptions(tools=one.tools, speak=False, reply_language=_unchosen(bench))
        reply = await ask(bench.stages, one.question if way == "typed" else _units(bench, case, one), options)
        call = reply.report.call
        row: Row = {
            "kind": kind,
            "language": lang,
            "way": way,
            "said": one.question,
            "heard": reply.report.transcript,
            "tools": [tool.name for tool in one.tools],
            "wanted": one.call and f"{one.call.name} {one.call.arguments}",
            "called": call and f"{call.name} {call.arguments}",
            "answered": reply.report.text.strip(),
            "uncalled": call is None if one.call is None else None,
            "asked": reply.report.text.strip()[-1:] in set("?？") and call is None if kind == "lacking" else None,
        }
        if one.call is None:
            return row
        row["tool"] = call is not None and call.name == one.call.name
        row["arguments"] = call is not None and row["tool"] and same(call.arguments, one.call.arguments)
        if row["arguments"] and one.found:
            told = await ask(bench.stages, one.question, replace(options, calls=(one.call,)))
            row |= {"told": told.report.text.strip(), "used": has_all(told.report.text, [[f] for f in one.found])}
        return row

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """See `Measure`."""
        lines = [
            (kind, language, way, len(found), *(percent(share(found, key)) for key in _JUDGED))
            for (kind, language, way), found in grouped(rows, lambda r: (r["kind"], r["language"], r["way"])).items()
        ]
        heads = ("questions", "language", "way", "n", *_JUDGED.values())
        note = (
            "*Renamed*: a tool of training under names and parameters kept for evaluation; *new*: a tool of another kind; "
            "*lacking*: without what the tool needs; *unneeded*: about something else. *Right arguments*: the right tool, and the "
            "values that the question names and no others; text counts without case and marks. *Result used*: of right calls, "
            "the answer says what the tool found. *No call*: as it should be. In units 8 % of the sounds are wrong."
        )
        return [Table("Tools", heads, lines, note)]


_JUDGED = {
    "tool": "right tool",
    "arguments": "right arguments",
    "used": "result used",
    "uncalled": "no call",
    "asked": "asks for it",
}


@cache
def question(kind: str, lang: Lang, number: int) -> Called:
    """The same in every run."""
    rng = Random(f"tools-{kind}-{lang}-{number}")
    if kind == "lacking":
        return lacking(rng, lang, "new" if number % 2 else "renamed")
    if kind == "unneeded":
        return Called(scored_sentences()[lang][number], some_tools(rng, lang, held=bool(number % 2)), None, "")
    return called(rng, lang, kind)  # type: ignore[arg-type]


def same(arguments: str, wanted: str) -> bool:
    """Whether two objects have the same values; text by its words."""
    try:
        values: Any = json.loads(arguments)
    except ValueError:
        return False
    return isinstance(values, dict) and _words(values) == _words(json.loads(wanted))


def _words(values: dict[str, Any]) -> dict[str, Any]:
    return {name: plain(value) if isinstance(value, str) else value for name, value in values.items()}


def _units(bench: Bench, case: Case, one: Called) -> list[int]:
    from model.training.lm_data import spoken_units

    return UnitNoise().at_rate(Random(f"{bench.seed}:{case.name}"), list(spoken_units(one.question)), WRONG)


def _unchosen(bench: Bench) -> str:
    return "auto" if "auto" in bench.bundle.profile.templates else bench.bundle.profile.languages[0]


def _item(kind: str, lang: Lang, number: int) -> Item:
    text = question(kind, lang, number).question
    return Item(f"tools/{kind}/{number:03d}", "tools", "tool", text, lang, "", None, lang)
