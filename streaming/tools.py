"""Functions of the client that the model may call, and calls of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json


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


def check_schema(schema: Any, at: str = "parameters") -> None:
    """Raises ValueError where `schema` is no JSON Schema, as far as `fits` and prompts read it. `at`: where it stands."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping):
        raise ValueError(f"{at} is no JSON Schema; accepted: an object, true and false")
    if not isinstance(schema.get("enum", []), list):
        raise ValueError(f"`enum` of {at} is a list of values")
    if not (isinstance(schema.get("type", ""), str) or _are_names(schema["type"])):
        raise ValueError(f"`type` of {at} is the name of a type, or a list of such names")
    if not _are_names(schema.get("required", [])):
        raise ValueError(f"`required` of {at} is a list of names of parameters")
    properties = schema.get("properties", {})
    if not isinstance(properties, Mapping):
        raise ValueError(f"`properties` of {at} is an object with a JSON Schema for each name")
    for name, each in properties.items():
        check_schema(each, f"{name[:64]!r}")
    if not isinstance(schema.get("items"), list | None):
        check_schema(schema["items"], f"the items of {at}")


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def fits(parameters: Mapping[str, Any], arguments: str) -> bool:
    """Whether `arguments` are a JSON object with all that is required, and its values of the declared kinds.

    Looks no deeper than the parameters themselves: what is nested is the business of an engine that constrains.
    """
    try:
        values = from_json(arguments, allow_inf_nan=False)  # nested too deeply is a ValueError, too
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
