"""What holds an answer, as vLLM takes it; JSON Schemas of clients, as it compiles them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from streaming.stages import Constraint

_AS_IT_IS = frozenset({"type", "required", "enum", "const"})
_NUMBERS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems"})
_FORMATS = frozenset({"date", "time", "date-time", "uuid"})
_ALTERNATIVES = frozenset({"anyOf", "oneOf"})
_SCHEMAS = frozenset({"items", "prefixItems", "additionalProperties", "allOf"}) | _ALTERNATIVES
_SCHEMAS_BY_NAME = frozenset({"properties", "$defs", "definitions"})
_REFERENCE = re.compile(r"#(/(\$defs|definitions)/[^/%~]+)?")

_MOST_ALTERNATIVES = 16
"""In one schema. The engine follows all that fit what was written so far, at each token: sixteen take some ms, 130 take 75."""

_LARGEST_NUMBER = 1_000_000


def structured_outputs(constraint: Constraint) -> dict[str, Any]:
    """Arguments of vLLM's `StructuredOutputsParams`."""
    if constraint.schema:
        return {"json": json.dumps(quick_to_compile(json.loads(constraint.schema)))}
    return {"choice": list(constraint.choices)}


def quick_to_compile(schema: Any) -> Any:
    """`schema` with the keywords alone that xgrammar compiles and follows quickly. What others would have refused may be written.

    It compiles for all answers on one thread, and follows the grammars of all between two steps. A regular expression, a length
    of text (`maxLength`) or most formats can take it minutes and cannot be interrupted. References lead to definitions alone:
    elsewhere any value could be read as a schema.
    """
    schema = _kept(schema)
    return schema if _alternatives(schema) <= _MOST_ALTERNATIVES else _kept(schema, without=_ALTERNATIVES)


def _kept(schema: Any, without: frozenset[str] = frozenset()) -> Any:
    """A schema, or a list of them."""
    if isinstance(schema, list):
        return [_kept(each, without) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    kept = dict[str, Any]()
    for keyword, value in schema.items():
        if keyword in _SCHEMAS_BY_NAME and isinstance(value, Mapping):
            kept[keyword] = {name: _kept(each, without) for name, each in value.items()}
        elif keyword in _SCHEMAS - without:
            kept[keyword] = _kept(value, without)
        elif _is_quick(keyword, value):
            kept[keyword] = value
    return kept


def _is_quick(keyword: str, value: Any) -> bool:
    if keyword in _NUMBERS:
        return type(value) is int and abs(value) <= _LARGEST_NUMBER
    if keyword == "format":
        return isinstance(value, str) and value in _FORMATS
    if keyword == "$ref":
        return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None
    return keyword in _AS_IT_IS


def _alternatives(schema: Any) -> int:
    """How many there are in all of a schema that was `_kept`."""
    if isinstance(schema, list):
        return sum(map(_alternatives, schema))
    if not isinstance(schema, dict):
        return 0
    own = sum(len(schema[keyword]) for keyword in _ALTERNATIVES & schema.keys() if isinstance(schema[keyword], list))
    named = (each for keyword in _SCHEMAS_BY_NAME & schema.keys() for each in _named(schema[keyword]))
    return own + sum(map(_alternatives, named)) + sum(_alternatives(schema[each]) for each in _SCHEMAS & schema.keys())


def _named(schemas: Any) -> list[Any]:
    return list(schemas.values()) if isinstance(schemas, dict) else []
