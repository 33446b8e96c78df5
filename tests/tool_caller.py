"""A language model that calls tools by a rule: what a trained one does, without weights."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.fakes import ANSWER, CALL, QUESTION, SPEECH_END, SPEECH_START, TEXT_BASE, text_ids, unit_ids

HEARD = "What is the weather in Paris?"
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TIMER = {
    "type": "function",
    "name": "set_timer",
    "parameters": {"type": "object", "properties": {"minutes": {"type": "integer"}}, "required": ["minutes"]},
}
ARGUMENTS = {"city": "Paris"}
FOUND = '{"temperature": 21}'
TOLD = "It is 21 degrees."


def text_of(ids: Sequence[int]) -> str:
    """The text among `ids`."""
    return "".join(chr(token - TEXT_BASE) for token in ids if token >= TEXT_BASE)


def spoken(text: str) -> list[int]:
    """An answer behind its mark."""
    return [*text_ids(f": {text}"), SPEECH_START, *unit_ids(range(1, 9)), SPEECH_END]


def calling(prompt: list[int], *, arguments: str = json.dumps(ARGUMENTS), calls: bool = True) -> list[int]:
    """What is written behind `prompt`: a call of the weather for any question, and an answer to what came of it."""
    if CALL in prompt:
        named = text_of(prompt[prompt.index(CALL) :]).removeprefix("call ")
        return text_ids(arguments) if named else text_ids("get_weather ")
    if FOUND in text_of(prompt):
        return spoken(TOLD)
    heard = [QUESTION, *text_ids(f": {HEARD}; ")]
    return [*heard, CALL, *text_ids("get_weather {}")] if calls else [*heard, ANSWER, *spoken("I am well.")]
