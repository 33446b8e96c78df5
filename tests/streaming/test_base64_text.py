"""Base64 in every form that clients write, and nothing else; the socket takes all of them."""

from __future__ import annotations

import base64
import json
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.base64_text import bytes_of
from streaming.realtime.messages import Append, parse


@given(st.binary(max_size=300))
def test_what_was_written_is_read(data: bytes) -> None:
    plain, safe = base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()
    for text in (plain, safe, safe.rstrip("="), base64.encodebytes(data).decode(), f"  {plain}\r\n"):
        assert bytes_of(text) == data
        assert bytes_of(f"data:audio/wav;base64,{text}") == data


@pytest.mark.parametrize(
    "text", ["!", "a", "YW=Jj", "data:,YWJj", "data:audio/wav,YWJj", "http://x/y.wav", "\u00e9", "\ud83d"]
)
def test_anything_else_is_not_base64(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        bytes_of(text)


@pytest.mark.parametrize("text", ["AAAA\n" * 100_000, "AAAA " * 100_000 + "\u00e9"])
def test_broken_lines_take_no_more_memory_than_a_few_copies(text: str) -> None:
    tracemalloc.start()
    try:
        with suppress(ValueError):
            bytes_of(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(text)


@pytest.mark.parametrize("form", ["{}", "{}\n", "data:audio/pcm;base64,{}"])
def test_the_socket_takes_all_of_it(form: str) -> None:
    text = base64.urlsafe_b64encode(b"\xfb\xff" * 100).decode()
    event = parse(json.dumps({"type": "input_audio_buffer.append", "audio": form.format(text)}))
    assert isinstance(event, Append)
    assert event.audio.pcm.size == 100
