"""A recorded request, sent to a server again."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx

from clients.errors import ServerUnreachable, UnreadableRecording
from clients.realtime import realtime_url
from clients.replay_report import Answer, Outcome, value
from streaming.recording import Message, RecordedSession

_WORDS = frozenset({"text", "transcript", "content", "delta"})
_AUDIO = frozenset({"audio", "data"})


async def requested(recorded: RecordedSession, url: str, api_key: str | None, patience_s: float) -> list[Message]:
    """What the server at `url` answers today, with the request before it. Raises ServerUnreachable, UnreadableRecording."""
    place = urlsplit(realtime_url(url))
    address = f"{'https' if place.scheme == 'wss' else 'http'}://{place.netloc}{recorded.head.path}"
    sent = recorded.sent_by("client")
    if not sent or sent[-1].event.get("more", True):
        raise UnreadableRecording(
            "the recording has no whole request: its body did not arrive", code="recording_damaged"
        )
    method, headers = str(sent[0].event.get("method")), dict(value(sent[0].event, "headers") or {})
    body = b"".join(map(_body, sent))
    if api_key:
        headers["authorization"] = f"Bearer {api_key}"
    began_s = time.monotonic()
    said = [Message(0.0, "client", sent[-1].text)]

    def note(kind: str, **members: Any) -> None:
        said.append(Message(time.monotonic() - began_s, "server", json.dumps({"type": f"http.{kind}", **members})))

    try:
        async with (
            httpx.AsyncClient(timeout=patience_s) as client,
            client.stream(method, address, content=body, headers=headers) as answer,
        ):
            note("response", status=answer.status_code, headers=dict(answer.headers))
            async for piece in answer.aiter_raw():
                note("response.body", body=base64.b64encode(piece).decode())
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        if len(said) == 1:
            raise ServerUnreachable(f"nothing answers at {address}: {error or type(error).__name__}") from error
    return said


def http_outcome(messages: tuple[Message, ...] | list[Message]) -> Outcome:
    """What the request came to: one answer, whose status is that of HTTP. Audio that is not in a document counts in bytes."""
    outcome, answer, body = Outcome(), Answer(0.0), bytearray()
    for message in messages:
        event = message.event
        if message.sender == "client":
            answer.asked_s = message.at_s
        elif event.get("type") == "http.response":
            answer.status = str(event.get("status"))
            kind = str(value(event, "headers", "content-type"))
            outcome.answers.append(answer)
        elif event.get("type") == "http.response.body":
            body += _body(message)
            if answer.waited_s is None:
                answer.waited_s = message.at_s - answer.asked_s
    if outcome.answers:
        _read(answer, kind, bytes(body))
    return outcome


def _body(message: Message) -> bytes:
    try:
        return base64.b64decode(str(message.event.get("body", "")), validate=True)
    except ValueError as error:
        raise UnreadableRecording("a body in the recording is not base64", code="recording_damaged") from error


def _read(answer: Answer, kind: str, body: bytes) -> None:
    """Words and errors of a document or of events; of anything else only whether it is there."""
    text = body.decode("utf-8", "replace")
    if kind.startswith("application/json"):
        documents = [text]
    elif kind.startswith("text/event-stream"):
        documents = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {")]
    elif kind.startswith("text/"):
        answer.text = text
        return
    else:
        answer.audio_bytes = len(body)
        return
    for document in documents:
        try:
            parsed = json.loads(document)
        except ValueError:
            continue  # it broke off
        answer.code = value(parsed, "error", "code") or answer.code
        for is_audio, said in _said(parsed):
            if is_audio:
                answer.audio_bytes += len(said)
            else:
                answer.text += said


def _said(document: Any) -> Iterator[tuple[bool, str]]:
    """Audio (true) and words in a document, in their order."""
    if isinstance(document, list):
        for each in document:
            yield from _said(each)
    elif isinstance(document, dict):
        for name, each in document.items():
            if not isinstance(each, str):
                yield from _said(each)
            elif name in _AUDIO or (name == "delta" and "audio" in str(document.get("type"))):
                yield True, each
            elif name in _WORDS:
                yield False, each
