"""What of a client's JSON Schema the engine compiles."""

from __future__ import annotations

from typing import Any

import pytest

from model.lm.schemas import quick_to_compile

BOMB = "^(a?){12000}$"
SLOW = {"type": "string", "pattern": BOMB}
QUICK = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "compiled"),
    [
        ({"properties": {"a": SLOW}}, {"properties": {"a": QUICK}}),
        ({"items": SLOW, "anyOf": [SLOW, True]}, {"items": QUICK, "anyOf": [QUICK, True]}),
        ({"patternProperties": {BOMB: QUICK}, "propertyNames": SLOW, "minProperties": 60, "maxProperties": 70}, {}),
        ({"properties": {"pattern": SLOW, "minProperties": QUICK}}, {"properties": {"pattern": QUICK, "minProperties": QUICK}}),
        ({"enum": [{"pattern": "x"}], "const": {"pattern": "x"}}, {"enum": [{"pattern": "x"}], "const": {"pattern": "x"}}),
        ({"$defs": {"d": SLOW}, "items": {"$ref": "#/$defs/d"}}, {"$defs": {"d": QUICK}, "items": {"$ref": "#/$defs/d"}}),
        ({"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}),
        ({"const": SLOW, "items": {"$ref": "#/const"}}, {"const": SLOW, "items": {}}),
        ({"$defs": {"pattern": BOMB}, "items": {"$ref": "#/$defs"}}, {"$defs": {"pattern": BOMB}, "items": {}}),
        ({"$defs": {"d": {"const": SLOW}}, "$ref": "#/$defs/d/const"}, {"$defs": {"d": {"const": SLOW}}}),
        ({"$ref": 5}, {}),
        ({**QUICK, "minLength": 1, "maxLength": 200}, QUICK),
        ({**QUICK, "format": "uri"}, QUICK),
        ({**QUICK, "format": ["date"]}, QUICK),
        ({**QUICK, "format": "date-time"}, {**QUICK, "format": "date-time"}),
        ({"type": "integer", "minimum": 1, "maximum": 10}, {"type": "integer", "minimum": 1, "maximum": 10}),
        ({"type": "integer", "minimum": -(10**18), "exclusiveMaximum": 10**18}, {"type": "integer"}),
        ({"type": "number", "minimum": 0.125, "maximum": True}, {"type": "number"}),
        ({"type": "array", "minItems": 2, "maxItems": 10**9}, {"type": "array", "minItems": 2}),
        ({"unevaluatedProperties": SLOW, "not": SLOW, "unknown": SLOW}, {}),
    ],
)  # fmt: skip
def test_nothing_but_quick_keywords_is_compiled_wherever_it_can_be_reached(schema: Any, compiled: Any) -> None:
    assert quick_to_compile(schema) == compiled


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf"])
def test_alternatives_are_left_out_where_there_are_too_many_in_all(keyword: str) -> None:
    def schema(alternatives: int) -> dict[str, Any]:
        half = [QUICK] * (alternatives // 2)
        return {
            "$defs": {"d": {keyword: half}},
            "properties": {"a": {"items": {keyword: [*half, QUICK][: alternatives - len(half)]}}},
        }

    assert quick_to_compile(schema(16)) == schema(16)
    assert quick_to_compile(schema(17)) == {"$defs": {"d": {}}, "properties": {"a": {"items": {}}}}


def test_what_is_no_schema_is_left_to_the_engine_to_refuse() -> None:
    odd = {"anyOf": 5, "properties": [QUICK], "items": None}
    assert quick_to_compile(odd) == {"anyOf": 5, "items": None}
