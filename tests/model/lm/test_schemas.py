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
    ],
)  # fmt: skip
def test_keywords_that_take_long_are_left_out_wherever_they_can_be_reached(schema: Any, compiled: Any) -> None:
    assert quick_to_compile(schema) == compiled
