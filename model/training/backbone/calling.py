"""Questions that a tool answers, with the call they need and what is said of its result; `tools.json` says of what they are made.

Names, parameters and descriptions vary from one to the next. Tools marked `held`, and the last of all lists, are for evaluation alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Literal

from model.training.backbone.texts import kept
from model.training.domains import LANGS, Lang, capitalized, number
from streaming.tools import Tool, ToolCall

Kind = Literal["known", "renamed", "new"]
"""Of a tool that is asked for: as in training, under names and values kept for evaluation, or one never seen."""
MOST_OTHERS = 3


@dataclass(frozen=True, slots=True)
class Called:
    """A question with `tools` at hand, and the turns before it.

    call: what answers it, arguments and all, and its output; None where an argument is missing. answer: what is then said, of the
    output or in question for what is missing. found: what of the output is said.
    """

    question: str
    tools: tuple[Tool, ...]
    call: ToolCall | None
    answer: str
    before: tuple[tuple[str, str], ...] = ()
    found: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Value:
    """argument: as JSON has it; said: in words."""

    argument: Any
    said: str


@cache
def _made_of() -> dict[str, Any]:
    made_of: dict[str, Any] = json.loads(Path(__file__).with_name("tools.json").read_text(encoding="utf-8"))
    return made_of


def tool_kinds(*, held: bool) -> list[str]:
    """What tools there are to train on, or to evaluate with."""
    return [name for name, about in _made_of()["tools"].items() if about.get("held", False) == held]


def called(rng: Random, lang: Lang, kind: Kind = "known") -> Called:
    """A question that says all that the call needs; now and then in answer to what was missing before."""
    about = _drawn(rng, kind)
    tool, keys = _tool(rng, about, lang, held=kind != "known")
    values = {slot: _value(rng, each["kind"], lang, held=kind != "known") for slot, each in about["slots"].items()}
    _apart(rng, values, about, lang)
    before: tuple[tuple[str, str], ...] = ()
    if kind == "known" and rng.random() < 0.15:
        lacking, asked, given = rng.choice(about["lacks"][lang])
        before, question = ((_filled(lacking, values), asked),), _filled(given, values)
        told = lacking + given
    else:
        told = rng.choice(about["asks"][lang])
        question = _filled(told, values)
    arguments = {keys[slot]: values[slot].argument for slot in about["slots"] if f"{{{slot}}}" in told}
    output, answer, found = _result(rng, about, values, told, lang)
    call = ToolCall(tool.name, json.dumps(arguments, ensure_ascii=False, separators=(",", ":")), output)
    return Called(question, _among(rng, tool, about, lang), call, answer, before, found)


def lacking(rng: Random, lang: Lang, kind: Kind = "known") -> Called:
    """A question that leaves out what the tool cannot do without; it is asked for."""
    about = _drawn(rng, kind)
    tool, _ = _tool(rng, about, lang, held=kind != "known")
    values = {slot: _value(rng, each["kind"], lang, held=kind != "known") for slot, each in about["slots"].items()}
    asked, answer, _ = rng.choice(about["lacks"][lang])
    return Called(_filled(asked, values), _among(rng, tool, about, lang), None, answer)


def some_tools(rng: Random, lang: Lang, *, held: bool = False, most: int = MOST_OTHERS) -> tuple[Tool, ...]:
    """Tools for a question that needs none of them."""
    names = rng.sample(tool_kinds(held=held), rng.randint(1, most))
    return tuple(_tool(rng, _made_of()["tools"][name], lang, held=False)[0] for name in names)


def _drawn(rng: Random, kind: Kind) -> dict[str, Any]:
    about: dict[str, Any] = _made_of()["tools"][rng.choice(tool_kinds(held=kind == "new"))]
    return about


def _among(rng: Random, tool: Tool, about: Mapping[str, Any], lang: Lang) -> tuple[Tool, ...]:
    others = [each for each in _made_of()["tools"].values() if not each.get("held") and each is not about]
    chosen = rng.sample(others, rng.choice((0, 1, 1, 2, MOST_OTHERS)))
    tools = [tool, *(_tool(rng, each, lang, held=False)[0] for each in chosen)]
    rng.shuffle(tools)
    return tuple({each.name: each for each in reversed(tools)}.values())


def _tool(rng: Random, about: Mapping[str, Any], lang: Lang, *, held: bool) -> tuple[Tool, dict[str, str]]:
    """One of the ways to declare it, and its parameter of each slot."""
    always = about.get("held", False)
    some = lambda ways: rng.choice(ways if always else kept(ways, held=held))  # noqa: E731
    written: Lang = lang if rng.random() < 0.35 else "en"
    keys = {slot: some(each["keys"]) for slot, each in about["slots"].items()}
    if len(set(keys.values())) < len(keys):
        return _tool(rng, about, lang, held=held)
    explains = rng.random() < 0.3
    properties = {
        keys[slot]: _schema(each["kind"]) | ({"description": each["told"][LANGS.index(written)]} if explains else {})
        for slot, each in about["slots"].items()
    }
    required = [keys[slot] for slot, each in about["slots"].items() if not each.get("optional")]
    name = _styled(rng, f"{rng.choice(about['verbs'])}_{some(about['nouns'])}")
    described = rng.choice(about["described"][written])
    schema = {"type": "object", "properties": properties, "required": required}
    return Tool(name, described if rng.random() < 0.85 else "", schema), keys


def _styled(rng: Random, name: str) -> str:
    first, *rest = name.split("_")
    return rng.choice((name, name, first + "".join(map(capitalized, rest)), "-".join((first, *rest))))


def _schema(kind: str) -> dict[str, Any]:
    about = _made_of()["values"][kind]
    if "codes" in about:
        return {"type": "string", "enum": list(about["codes"])}
    return {"type": "integer" if "from" in about else "string"}


def _value(rng: Random, kind: str, lang: Lang, *, held: bool) -> _Value:
    about = _made_of()["values"][kind]
    if "from" in about:
        n = rng.randint(about["from"], about["to"])
        return _Value(n, "两" if (n, lang) == (2, "zh") else number(n, lang))
    if "clock" in about:
        return _clock(rng, lang)
    if "codes" in about:
        code = rng.choice(list(about["codes"]))
        return _Value(code, about["codes"][code][LANGS.index(lang)])
    said = rng.choice(kept(re.split(", |、", about[lang]), held=held))
    return _Value(said, said)


def _clock(rng: Random, lang: Lang) -> _Value:
    """A time of day, told without doubt about its half: 19:30, "seven thirty in the evening"."""
    hour, minute = rng.randint(5, 22), rng.choice((0, 0, 15, 30, 45))
    shown = hour if hour < 13 else hour - 12
    part = (hour >= 12) + (hour >= 18)
    if lang == "zh":
        said = ("早上", "下午", "晚上")[part] + ("两" if shown == 2 else number(shown, lang)) + "点"
        said += "" if minute == 0 else "半" if minute == 30 else f"{number(minute, lang)}分"
    else:
        minutes = "o'clock" if minute == 0 else number(minute, lang)
        said = f"{number(shown, lang)} {minutes} in the {('morning', 'afternoon', 'evening')[part]}"
    return _Value(f"{hour:02d}:{minute:02d}", said)


def _apart(rng: Random, values: dict[str, _Value], about: Mapping[str, Any], lang: Lang) -> None:
    """Two currencies, not one twice."""
    slots = list(values)
    for at, slot in enumerate(slots):
        same = [each for each in slots[:at] if about["slots"][each]["kind"] == about["slots"][slot]["kind"]]
        while any(values[slot] == values[each] for each in same):
            values[slot] = _value(rng, about["slots"][slot]["kind"], lang, held=False)


def _filled(template: str, values: Mapping[str, _Value]) -> str:
    filled = re.sub(r"\{(\w)\}", lambda m: values[m[1]].said, template)
    return capitalized(filled)


def _result(
    rng: Random, about: Mapping[str, Any], values: Mapping[str, _Value], told: str, lang: Lang
) -> tuple[str, str, tuple[str, ...]]:
    """What the tool gives back, what is said of it, and which words of that are new."""
    found = {name: _value(rng, kind, lang, held=False) for name, kind in about["found"].items()}
    output = rng.choice(about["outputs"])
    fill = lambda text: re.sub(r"\{(\w)\}", lambda m: str(found[m[1]].argument), text)  # noqa: E731
    if isinstance(output, dict):
        filled = {name: _found(value, found) for name, value in output.items()}
        written = json.dumps(filled, ensure_ascii=False)
    else:
        written = fill(output)
    answers: Sequence[str] = about["answers"][lang]
    known = {slot for slot in about["slots"] if f"{{{slot}}}" in told} | set(found)
    sayable = [answer for answer in answers if set(re.findall(r"\{(\w)\}", answer)) <= known]
    return written, _filled(rng.choice(sayable), {**values, **found}), tuple(value.said for value in found.values())


def _found(value: Any, found: Mapping[str, _Value]) -> Any:
    """`{x}` as the value of x, number or text; anything else as it stands."""
    return found[value[1]].argument if isinstance(value, str) and re.fullmatch(r"\{\w\}", value) else value
