import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.routes.audio.transcriptions import TranscriptionOptions
from server.routes.chat.messages import ChatRequest
from streaming import json_limits
from streaming.json_limits import TooComplex, check_text, check_value
from streaming.realtime.messages import CLIENT_EVENTS
from streaming.realtime.translation import CLIENT_EVENTS as TRANSLATION_EVENTS

_TEXT = st.text(st.sampled_from('\\"[]{},:a中'))
_JSON = st.recursive(_TEXT, lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner), max_leaves=40)


def _structure(text: str) -> int:
    """Openings and commas outside strings, one character at a time."""
    count, in_string, escaped = 0, False, False
    for each in text:
        if in_string:
            in_string = escaped or each != '"'
            escaped = not escaped and each == "\\"
        else:
            in_string = each == '"'
            count += each in "[{,"
    return count


@given(_JSON, st.integers(1, 9))
def test_what_stands_in_strings_does_not_count_wherever_the_text_is_cut(value: Any, piece: int) -> None:
    text = json.dumps(value, ensure_ascii=False)
    count = _structure(text)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(json_limits, "_PIECE", piece)
        patched.setattr(json_limits, "MAX_VALUES", max(count, text.count('"')))
        check_text(text)
        patched.setattr(json_limits, "MAX_VALUES", count - 1)
        if count:
            with pytest.raises(TooComplex):
                check_text(text)


def test_a_flood_is_refused_before_its_end() -> None:
    class Counted(str):
        read = 0

        def __getitem__(self, at: Any) -> str:
            Counted.read += 1
            return super().__getitem__(at)

    with pytest.raises(TooComplex):
        check_text(Counted("[" + "{}," * 1_000_000))
    assert Counted.read == 1
    with pytest.raises(TooComplex):
        check_text('"' + "," * json_limits.MAX_VALUES + '",' + '"",' * 1_000_000)


def test_long_texts_and_recordings_are_no_structure() -> None:
    check_text(json.dumps({"text": "1,2,3 [x] {y} " * 10_000, "audio": "AAAA" * 100_000}))


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({f"k{n}": 1 for n in range(129)}, "129"),
        ({"a": [{"b": list(range(1025))}]}, "1025"),
        (json.loads("[" * 33 + "]" * 33), "deep"),
    ],
)
def test_the_refusal_names_what_is_too_large(value: Any, named: str) -> None:
    with pytest.raises(TooComplex, match=named):
        check_value(value)


def _lists(schema: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(schema, dict):
        if schema.get("type") == "list":
            yield path, schema
        for key, each in schema.items():
            if key not in ("metadata", "serialization"):
                yield from _lists(each, f"{path}.{key}")
    elif isinstance(schema, list | tuple):
        for each in schema:
            yield from _lists(each, path)


@pytest.mark.parametrize(
    "shape", [ChatRequest, TranscriptionOptions, *CLIENT_EVENTS.values(), *TRANSLATION_EVENTS.values()]
)
def test_a_list_is_validated_no_further_than_its_first_fault(shape: Any) -> None:
    slow = [path for path, schema in _lists(shape.__pydantic_core_schema__) if not schema.get("fail_fast")]
    assert not slow
