"""What holds an answer, as vLLM takes it; JSON Schemas of clients, as it compiles them."""

from __future__ import annotations

import json
import re
from typing import Any

from streaming.stages import Constraint

_SLOW = frozenset({"pattern", "patternProperties", "propertyNames", "minProperties", "maxProperties"})
_SCHEMAS_BY_NAME = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})
_VALUES = frozenset({"enum", "const", "default", "examples"})
_REFERENCE = re.compile(r"#(/(\$defs|definitions)/[^/%~]+)?")


def structured_outputs(constraint: Constraint) -> dict[str, Any]:
    """Arguments of vLLM's `StructuredOutputsParams`."""
    if constraint.schema:
        return {"json": json.dumps(quick_to_compile(json.loads(constraint.schema)))}
    return {"choice": list(constraint.choices)}


def quick_to_compile(schema: Any) -> Any:
    """`schema` without keywords that take xgrammar long. What they would have refused may then be written.

    A regular expression is compiled between two steps of all answers: `^(a?){12000}$` takes longer than a listener waits. Counts
    of properties multiply with the properties. References lead to definitions alone: elsewhere any value could be read as a schema.
    """
    if isinstance(schema, list):
        return [quick_to_compile(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = dict[str, Any]()
    for keyword, value in schema.items():
        if keyword in _VALUES:
            kept[keyword] = value
        elif keyword in _SCHEMAS_BY_NAME and isinstance(value, dict):
            kept[keyword] = {name: quick_to_compile(each) for name, each in value.items()}
        elif keyword == "$ref":
            if isinstance(value, str) and _REFERENCE.fullmatch(value):
                kept[keyword] = value
        elif keyword not in _SLOW:
            kept[keyword] = quick_to_compile(value)
    return kept
