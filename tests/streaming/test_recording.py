"""Recordings of sessions as files: what was written comes back, and what is damaged says where."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from streaming.recording import DamagedRecording, Head, Message, end_line, parsed_session, read_session

HEAD = Head("sess_1", "2026-11-30T18:00:00+00:00", "0.1.0", "cslm-mini", "realtime")
SAID = [Message(0.0, "server", '{"type": "session.created"}'), Message(0.5, "client", "nonsense \x00 说"), Message(0.5, "client", "[1]")]  # fmt: skip
LINES = [HEAD.line(), *(message.line() for message in SAID), end_line(1.5, len(SAID))]


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress("".join(LINES).encode()))
    session = read_session(path)
    assert (session.head, session.messages, session.duration_s) == (HEAD, tuple(SAID), 1.5)
    assert [message.event for message in session.messages] == [{"type": "session.created"}, {}, {}]
    assert session.sent_by("client") == SAID[1:]


def changed(number: int, **values: object) -> list[str]:
    lines = list(LINES)
    data = {name: value for name, value in (json.loads(lines[number]) | values).items() if value != "gone"}
    lines[number] = json.dumps(data) + "\n"
    return lines


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "no recording of a conversation"),
        (["{}\n"], "no recording of a conversation"),
        (["# HELP\n"], "line 1 is not JSON"),
        (["[]\n"], "line 1 is not a JSON object"),
        (["[" * 100_000], "line 1 is not JSON"),
        (LINES[:-1], "breaks off after 3 messages"),
        ([*LINES, LINES[1]], "goes on after its end, line 6"),
        ([*LINES[:2], *LINES[3:]], "lacks messages: 2 are there, 3 were written"),
        (changed(0, version=2), "has version 2 of the format; accepted: 1"),
        (changed(0, dialect="gamma"), "dialect is missing or not accepted"),
        (changed(0, model="gone"), "model is missing or not accepted"),
        (changed(0, path=7), "path is missing or not accepted"),
        (changed(2, at_s=-1), "line 3: at_s is -1"),
        (changed(2, at_s="soon"), "line 3: at_s is 'soon'"),
        (changed(2, at_s=float("nan")), "line 3: at_s is nan"),
        (changed(2, at_s=10**400), "line 3: at_s is 1000"),
        (changed(2, **{"from": "nobody"}), "line 3 is no message"),
        (changed(2, message={"type": "x"}), "line 3 is no message"),
        (changed(4, messages="gone"), "lacks messages: 3 are there, None were written"),
    ],
)
def test_a_damaged_one_says_what_is_wrong(lines: list[str], says: str) -> None:
    with pytest.raises(DamagedRecording, match=says) as failure:
        parsed_session([line.encode() for line in lines], "a.jsonl.gz")
    assert failure.value.code == "recording_damaged"


@pytest.mark.parametrize("deep", [100, 100_000])
def test_a_message_that_no_server_takes_is_kept_as_it_was(deep: int) -> None:
    message = Message(0.0, "client", '{"type": "x", "item": ' + "[" * deep + "]" * deep + "}")
    session = parsed_session([line.encode() for line in (HEAD.line(), message.line(), end_line(1.0, 1))], "a.jsonl.gz")
    assert (session.messages, message.event) == ((message,), {})


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_one_that_breaks_off_is_not_whole(kept: float, tmp_path: Path) -> None:
    packed = gzip.compress("".join(LINES).encode())
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(packed[: int(kept * len(packed))])
    with pytest.raises(DamagedRecording, match="breaks off"):
        read_session(path)


def test_a_flipped_byte_is_noticed(tmp_path: Path) -> None:
    """Wherever it is: by gzip's own checksum, or because the rest makes no sense."""
    packed = bytearray(gzip.compress("".join(LINES).encode(), mtime=0))
    path = tmp_path / "a.jsonl.gz"
    for place in range(10, len(packed)):
        path.write_bytes(packed[:place] + bytes([packed[place] ^ 0x55]) + packed[place + 1 :])
        with pytest.raises(DamagedRecording):
            read_session(path)


@pytest.mark.parametrize("content", [b"", b"RIFF....WAVE", b"\x1f\x8b"])
def test_other_files_are_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(DamagedRecording):
        read_session(path)


def test_a_place_without_one(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(DamagedRecording, match="cannot be read"):
            read_session(place)
