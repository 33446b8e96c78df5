"""Bounds on the structure of JSON that peers send, checked before anything is built or validated from it.

The cost of parsing and validating grows with the number of values, and that of refusing with the number of faults. Bounds on
bytes do not bound either: a megabyte holds 300,000 empty objects.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from streaming.errors import InvalidRequest

MAX_VALUES = 16_384
"""In one document. Four times what a chat of 512 messages with two parts each has."""
MAX_MEMBERS = 128
"""Of one object."""
MAX_ELEMENTS = 1_024
"""Of one list."""
MAX_DEPTH = 32

_CONTAINERS = (dict, list, Mapping)
_STRUCTURE = "[{,"
_PIECE = 1 << 16


class TooComplex(InvalidRequest):
    """A document of too many values, or with too large or too deep a container."""

    code = "too_complex"


def check_text(text: str) -> None:
    """Raises TooComplex for JSON text of more than about `MAX_VALUES` values. Text that is not JSON may pass.

    Reads no further than it takes to know. What stands inside strings does not count.
    """
    if len(text) <= MAX_VALUES or not _has_many_marks(text):
        return
    values = quotes = 0
    in_string, held_back = False, ""
    for start in range(0, len(text), _PIECE):
        piece = held_back + text[start : start + _PIECE]
        held_back = "\\" if (len(piece) - len(piece.rstrip("\\"))) % 2 else ""
        piece = piece.removesuffix(held_back).replace("\\\\", "").replace('\\"', "")
        parts = piece.split('"')
        outside = "".join(parts[in_string::2])
        in_string ^= len(parts) % 2 == 0
        values += sum(map(outside.count, _STRUCTURE))
        quotes += len(parts) - 1
        if values > MAX_VALUES or quotes > 4 * MAX_VALUES:
            raise TooComplex(f"the document has more values than are accepted: {MAX_VALUES}")


def _has_many_marks(text: str) -> bool:
    """Whether there are more than `MAX_VALUES` marks of structure, in strings or not. To count all at once would hold the GIL."""
    marks = 0
    for start in range(0, len(text), _PIECE):
        marks += sum(text.count(mark, start, start + _PIECE) for mark in _STRUCTURE)
        if marks > MAX_VALUES:
            return True
    return False


def check_value(value: Any) -> None:
    """Raises TooComplex for a parsed document with an object, list or depth beyond the bounds."""
    level: list[Mapping[Any, Any] | list[Any]]
    level, depth = [value] if isinstance(value, _CONTAINERS) else [], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise TooComplex(f"the document is nested too deeply; accepted: {MAX_DEPTH} levels")
        below: list[Mapping[Any, Any] | list[Any]] = []
        members: Collection[Any]
        for container in level:
            if isinstance(container, list):
                kind, most, members = "a list", MAX_ELEMENTS, container
            else:
                kind, most, members = "an object", MAX_MEMBERS, container.values()
            if len(members) > most:
                raise TooComplex(f"{kind} has {len(members)} members; accepted: up to {most}")
            below += [each for each in members if isinstance(each, (dict, list))]
        level = below
