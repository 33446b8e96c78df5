"""Where an answer turns into a call, for any split of its ids; and what a tool takes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.calling import CallWatch, schema_of
from streaming.stages import TurnOptions
from streaming.tools import Tool, ToolCall, fits

MARK, ANSWER = 7, 2
TOOLS = (Tool("f"),)


def watched(ids: list[int], splits: list[int], **options: Any) -> tuple[list[int], bool]:
    watch = CallWatch(TurnOptions(**options), (MARK, 30), ANSWER)
    passed, bounds = list[int](), [0, *sorted(splits), len(ids)]
    for start, end in zip(bounds, bounds[1:], strict=False):
        passed += watch.passed(ids[start:end])
        if watch.calls:
            break
    else:
        watch.ended()
    if watch.calls:
        assert watch.written == passed
    return passed, watch.calls


@given(st.lists(st.integers(0, 4), max_size=4))
@pytest.mark.parametrize(
    ("ids", "options", "passed", "calls"),
    [
        ([1, 9, 9, MARK, 8], {"tools": TOOLS}, [1, 9, 9], True),
        ([1, 9, ANSWER, 8, MARK], {"tools": TOOLS}, [1, 9, ANSWER, 8, MARK], False),
        ([1, 9, ANSWER, 8, 8], {"tools": TOOLS, "must_call": True}, [1, 9], True),
        ([1, 9, 9, 9, 9], {"tools": TOOLS, "must_call": True}, [1, 9, 9, 9, 9], True),
        ([1, 9, 9, 9, 9], {"tools": TOOLS}, [1, 9, 9, 9, 9], False),
        ([1, MARK, 8, 8, 8], {}, [1, MARK, 8, 8, 8], False),
        ([1, MARK, 8, 8, 8], {"tools": TOOLS, "calls": (ToolCall("f", "{}", "x"),)}, [1, MARK, 8, 8, 8], False),
    ],
)
def test_any_split_calls_at_the_same_place(
    ids: list[int], options: dict[str, Any], passed: list[int], calls: bool, splits: list[int]
) -> None:
    assert watched(ids, splits, **options) == (passed, calls)


SCHEMA: dict[str, Any] = {
    "properties": {
        "a": {"type": "integer"},
        "b": {"type": ["string", "null"]},
        "c": {"enum": ["x", 1]},
        "d": True,
        "e": {"type": "unheard of"},
    },
    "required": ["a"],
}


@pytest.mark.parametrize(
    ("arguments", "taken"),
    [
        ('{"a":1}', True),
        ('{"a":1,"b":null,"c":"x","d":[1],"e":{}}', True),
        ('{"a":1.0}', False),
        ('{"a":true}', False),
        ('{"b":"x"}', False),
        ('{"a":1,"c":"y"}', False),
        ('{"a":1,"z":1}', False),
        ("[1]", False),
        ('{"a":1', False),
        ("", False),
        ('{"a":1,"d":NaN}', False),
        ('{"a":1,"d":' + "[" * 5000, False),
    ],
)
def test_arguments_are_looked_at(arguments: str, taken: bool) -> None:
    schema = schema_of(Tool("f", "", SCHEMA))
    assert fits(schema, arguments) == taken


def test_a_tool_may_take_what_it_did_not_declare() -> None:
    schema = schema_of(Tool("f", "", SCHEMA | {"additionalProperties": True}))
    assert fits(schema, '{"a":1,"z":1}')
