"""Functions of the client that the model may call, and calls of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Tool:
    """`parameters`: JSON Schema of the arguments, an object."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What the model called; `arguments` is JSON text. `output`: what the client found, None while it has not told."""

    name: str
    arguments: str
    output: str | None = None


@dataclass(frozen=True, slots=True)
class CallBegun:
    """The model calls a tool in place of an answer."""

    name: str


@dataclass(frozen=True, slots=True)
class ArgumentsDelta:
    """Next piece of the call's arguments: JSON text."""

    text: str


def fits(parameters: Mapping[str, Any], arguments: str) -> bool:
    """Whether `arguments` are a JSON object with all that is required, and its values of the declared kinds.

    Looks no deeper than the parameters themselves: what is nested is the business of an engine that constrains.
    """
    try:
        values = json.loads(arguments)
    except ValueError:
        return False
    known = parameters.get("properties", {})
    if not isinstance(values, dict) or not set(parameters.get("required", ())) <= values.keys():
        return False
    if parameters.get("additionalProperties") is False and not values.keys() <= known.keys():
        return False
    return all(_is_of(known.get(name), value) for name, value in values.items())


_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def _is_of(schema: Any, value: Any) -> bool:
    if not isinstance(schema, Mapping):
        return True
    if "enum" in schema:
        return value in schema["enum"]
    kinds = schema.get("type", list(_KINDS))
    accepted = {each for kind in ([kinds] if isinstance(kinds, str) else kinds) for each in _KINDS.get(kind, (object,))}
    return type(value) in accepted or object in accepted
