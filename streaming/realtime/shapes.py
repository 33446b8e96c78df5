"""What all shapes of the protocol share: strictness, limits of strings, and errors that name the field.

Shapes follow `openai.types.realtime`. A field that the server cannot honour is refused, never ignored. `null` in an optional
field stands for "as it is"; where null itself means something (no turn detection, no transcript), the field says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from streaming.errors import InvalidRequest

Name = Annotated[str, Field(max_length=512)]
Text = Annotated[str, Field(max_length=32_768)]

T = TypeVar("T")
Listed = Annotated[list[T], Field(fail_fast=True)]
"""A list in a shape. Its first faulty element is the last one looked at: a fault for each of a thousand would take long to form."""


class Strict(BaseModel):
    """A shape without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_unset(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        unset = _null_means_unset(cls)
        return {name: value for name, value in data.items() if value is not None or name not in unset}


@cache
def _null_means_unset(shape: type[BaseModel]) -> frozenset[str]:
    fields = shape.model_fields.items()
    return frozenset(name for name, field in fields if not field.is_required() and not _takes_null(field.annotation))


def _takes_null(annotation: Any) -> bool:
    return annotation in (None, type(None)) or type(None) in get_args(annotation)


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`old` with what `new` sets, at any depth; an object of another `type` replaces the old one whole."""
    result = dict(old)
    for key, value in new.items():
        before = old.get(key)
        if isinstance(before, dict) and isinstance(value, dict) and before.get("type") == value.get("type"):
            result[key] = merged(before, value)
        else:
            result[key] = value
    return result


class ClientEventError(InvalidRequest):
    """A client event that cannot be taken; carries the client's own `event_id`."""

    def __init__(
        self, message: str, *, code: str | None = None, param: str | None = None, event_id: str | None = None
    ) -> None:
        super().__init__(message, code=code, param=param)
        self.event_id = event_id


_CODES = {
    "extra_forbidden": "unknown_parameter",
    "invalid_audio": "invalid_audio",
    "missing": "missing_required_parameter",
    "no_item": "missing_required_parameter",
    "none_required": "unsupported_parameter",
    "string_too_long": "string_above_max_length",
    "union_tag_not_found": "missing_required_parameter",
}


def described(error: ValidationError, data: object, event_id: str | None = None) -> ClientEventError:
    """The first validation failure of `data` as a protocol error: its field, what was wrong, what is accepted."""
    return first_fault(_of_one_value(error.errors(include_url=False), data), data, event_id)


def _of_one_value(faults: Sequence[Mapping[str, Any]], data: object) -> Mapping[str, Any]:
    """The first of pydantic's findings. Of a union it has one for each member: then the one that says most.

    That is a fault inside the value, whose kind was right then; else all that the members would have accepted.
    """
    places = [_path(fault["loc"], data, is_absent=fault["type"] == "missing") for fault in faults]
    inside = f"{places[0]}."
    for fault, place in zip(faults, places, strict=True):
        if place.startswith(inside):
            return fault
    here = [fault for fault, place in zip(faults, places, strict=True) if place == places[0]]
    of_right_kind = [fault for fault in here if not fault["type"].endswith("_type")]
    if any(fault["type"] != "literal_error" for fault in of_right_kind):
        here = of_right_kind
    accepted = list(dict.fromkeys(_said(fault).removeprefix(_SHOULD_BE) for fault in here))
    return here[0] if len(accepted) == 1 else {**here[0], "msg": _SHOULD_BE + " or ".join(accepted)}


def first_fault(first: Mapping[str, Any], data: object, event_id: str | None = None) -> ClientEventError:
    """One of pydantic's findings in `data` as an error. HTTP and realtime events share it: one code for one fault."""
    code = _CODES.get(first["type"], "invalid_value")
    is_absent = code == "missing_required_parameter"
    param = _path((*first["loc"], *_discriminator(first)), data, is_absent=is_absent)
    if code == "unsupported_parameter":
        message = f"{param} is not supported; only null is accepted"
    elif code == "unknown_parameter":
        message = f"unknown field {param}"
    else:
        got = first["ctx"]["tag"] if first["type"] == "union_tag_invalid" else first.get("input")
        message = f"{param}: {_said(first)}; got {shown(got)}"
    return ClientEventError(message, code=code, param=param, event_id=event_id)


_SHOULD_BE = "Input should be "


def _said(fault: Mapping[str, Any]) -> str:
    """What pydantic says, without the names of our classes and of its own terms."""
    if fault["type"] in ("union_tag_invalid", "union_tag_not_found") and _discriminator(fault):
        accepted = fault["ctx"].get("expected_tags")
        if not accepted:
            return "Field required"
        return f"{_SHOULD_BE}one of {accepted}" if "," in accepted else f"{_SHOULD_BE}{accepted}"
    if fault["type"] in ("model_type", "model_attributes_type", "dict_type", "dataclass_type"):
        return f"{_SHOULD_BE}an object"
    if fault["type"] == "too_long" and fault["ctx"]["max_length"] == 0:
        return f"{_SHOULD_BE}an empty list"
    return str(fault["msg"])


def _discriminator(error: Any) -> tuple[str, ...]:
    """The field that should have said which shape it is, if that is what was wrong."""
    name = str(error.get("ctx", {}).get("discriminator", "")).strip("'")
    return (name,) if error["type"].startswith("union_tag") and name.isidentifier() else ()


def _path(loc: tuple[int | str, ...], data: object, *, is_absent: bool) -> str:
    """Where in `data` it is: pydantic's location without the names of union members, which are no fields.

    `is_absent`: the last part names a field that `data` does not have.
    """
    path: list[str] = []
    for at, part in enumerate(loc):
        if isinstance(data, dict) and (part in data or (is_absent and at == len(loc) - 1)):
            path.append(str(part))
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int):
            path.append(str(part))
            data = data[part]
    return ".".join(path)[:200]


def shown(value: object) -> str:
    """A short form of what came, for messages."""
    text = json.dumps(_head(value, 3), ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


def _head(value: object, levels: int) -> object:
    """As much of `value` as a message can show; a peer's value may be megabytes."""
    if isinstance(value, str):
        return value[:80]
    if isinstance(value, dict):
        return {key[:80]: _head(each, levels - 1) for key, each in islice(value.items(), 40)} if levels else {}
    if isinstance(value, list):
        return [_head(each, levels - 1) for each in value[:40]] if levels else []
    return value
