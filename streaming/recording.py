"""Recordings of conversations: every message of a session, both ways, with its time.

A recording is lines of JSON, compressed by gzip: a head, the messages, an end. Messages stand there as they were on the line, so
what nobody could read is kept, too. One without an end is not complete.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, cast, get_args

from streaming.errors import SpeechServerError
from streaming.json_limits import TooComplex, check_value

SUFFIX = ".jsonl.gz"
_FORMAT, _VERSION = "cslm-recording", 1
_LONGEST_LINE, _LONGEST_S = 64 * 1024 * 1024, 1e9

Sender = Literal["client", "server"]
Spoken = Literal["ga", "beta", "http"]
"""Dialects of the realtime protocol; `http`: a request and its answer, whose bodies are base64."""


class DamagedRecording(SpeechServerError):
    """A file that is no recording, or not a whole one."""

    type = "invalid_request_error"
    code = "recording_damaged"


@dataclass(frozen=True, slots=True)
class Head:
    """What a recording is of. `started_at`: UTC, ISO 8601; `path`: where the session was held; `dialect`: of its events."""

    session_id: str
    started_at: str
    server: str
    model: str
    transport: str
    path: str = "/v1/realtime"
    dialect: Spoken = "ga"

    def line(self) -> str:
        """The first line."""
        return _line({"format": _FORMAT, "version": _VERSION, **asdict(self)})


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `at_s`: seconds since the session began; `text`: JSON, if its sender kept to the protocol."""

    at_s: float
    sender: Sender
    text: str

    def line(self) -> str:
        """Its line."""
        return _line({"at_s": round(self.at_s, 4), "from": self.sender, "message": self.text})

    @property
    def event(self) -> dict[str, Any]:
        """The event, or an empty one where the message is none, or more complex than a server takes."""
        try:
            event = json.loads(self.text)
            check_value(event)
        except (ValueError, RecursionError, TooComplex):
            return {}
        return event if isinstance(event, dict) else {}


@dataclass(frozen=True, slots=True)
class RecordedSession:
    """A whole recording. `duration_s`: of the session."""

    head: Head
    messages: tuple[Message, ...]
    duration_s: float

    def sent_by(self, sender: Sender) -> list[Message]:
        """The messages of one side."""
        return [message for message in self.messages if message.sender == sender]


def end_line(at_s: float, messages: int) -> str:
    """The last line of a recording with `messages`."""
    return _line({"at_s": round(at_s, 4), "messages": messages})


def read_session(path: Path) -> RecordedSession:
    """Read a recording. Raises DamagedRecording, which says what is wrong and where."""
    try:
        with gzip.open(path, "rb") as file:
            return parsed_session(iter(lambda: file.readline(_LONGEST_LINE), b""), path.name)
    except (EOFError, zlib.error) as error:
        raise DamagedRecording(f"{path} breaks off: it was not written to its end, or not copied whole") from error
    except gzip.BadGzipFile as error:
        raise DamagedRecording(f"{path} is no recording: {error}") from error
    except OSError as error:
        raise DamagedRecording(f"{path} cannot be read: {error.strerror or error}") from error


def parsed_session(lines: Iterable[bytes], name: str) -> RecordedSession:
    """The recording whose lines these are. Raises DamagedRecording; `name` is what it calls it."""
    numbered = _objects(lines, name)
    head = _head(*next(numbered, (1, {})), name)
    messages: list[Message] = []
    for number, data in numbered:
        at_s = data.get("at_s")
        if not isinstance(at_s, int | float) or not (messages[-1].at_s if messages else 0) <= at_s < _LONGEST_S:
            raise DamagedRecording(f"{name}, line {number}: at_s is {at_s!r}; accepted: seconds that do not run back")
        if "from" not in data:
            return RecordedSession(
                head, tuple(messages), _end(data, at_s, messages, next(numbered, None), number, name)
            )
        if data["from"] not in get_args(Sender) or not isinstance(data.get("message"), str):
            raise DamagedRecording(f"{name}, line {number} is no message: it needs from (client, server) and message")
        messages.append(Message(float(at_s), data["from"], data["message"]))
    raise DamagedRecording(f"{name} breaks off after {len(messages)} messages: it has no end")


def _objects(lines: Iterable[bytes], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, 1):
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DamagedRecording(f"{name}, line {number} is not JSON") from error
        if not isinstance(data, dict):
            raise DamagedRecording(f"{name}, line {number} is not a JSON object")
        yield number, data


def _head(_: int, data: dict[str, Any], name: str) -> Head:
    if data.get("format") != _FORMAT:
        raise DamagedRecording(f"{name} is no recording of a conversation: its first line does not say so")
    if data.get("version") != _VERSION:
        raise DamagedRecording(f"{name} has version {data.get('version')!r} of the format; accepted: {_VERSION}")
    known = {field.name: data.get(field.name) for field in fields(Head)}
    wrong = [field for field, value in known.items() if not isinstance(value, str)]
    if wrong or known["dialect"] not in get_args(Spoken):
        raise DamagedRecording(f"{name}, line 1: {(wrong or ['dialect'])[0]} is missing or not accepted")
    return Head(**cast(dict[str, Any], known))


def _end(data: dict[str, Any], at_s: float, messages: list[Message], more: object, number: int, name: str) -> float:
    if data.get("messages") != len(messages):
        raise DamagedRecording(
            f"{name} lacks messages: {len(messages)} are there, {data.get('messages')!r} were written"
        )
    if more is not None:
        raise DamagedRecording(f"{name} goes on after its end, line {number + 1}")
    return float(at_s)


def _line(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"
