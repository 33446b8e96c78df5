"""Responses of /v1/chat/completions: one document, or a stream of chunks."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from server.http.answers import EVENT_STREAM, warnings
from server.http.sse import server_sent_event
from server.http.usage import Usage
from server.media.encode import AudioWriter, encode_piece, encode_rest
from server.state.spoken_answers import SpokenAnswers
from streaming.errors import EmptyAnswer, SpeechServerError
from streaming.interleave import TextDelta
from streaming.realtime.conversation import new_id
from streaming.report import SHORTFALLS, TurnReport
from streaming.tools import ArgumentsDelta, CallBegun, ToolCall
from streaming.turn import AudioDelta, TurnEvent

Remember = Callable[[str, str], None]
"""Takes the id and the text of a spoken answer."""


class _Completion:
    """What all of an answer's chunks, or its document, say."""

    def __init__(self, model: str, remember: Remember) -> None:
        self.id = new_id("chatcmpl")
        self.audio_id = new_id("audio")
        self.call_id = new_id("call")
        self.created = int(time.time())
        self.expires_at = self.created + SpokenAnswers.LIFE_S
        self._model = model
        self._remember = remember

    def head(self, kind: str) -> dict[str, Any]:
        """`id`, `object`, `created`, `model`."""
        return {"id": self.id, "object": kind, "created": self.created, "model": self._model}

    def tool_calls(self, call: ToolCall) -> list[dict[str, Any]]:
        """The call as it stands in a message."""
        function = {"name": call.name, "arguments": call.arguments}
        return [{"id": self.call_id, "type": "function", "function": function}]

    def remember(self, report: TurnReport) -> None:
        """So that the next request may refer to this answer by its id."""
        self._remember(self.audio_id, report.text)


class ChatDocument:
    """One `chat.completion` when the turn is complete. `writer` None: text alone."""

    media_type = "application/json"

    def __init__(self, model: str, writer: AudioWriter | None, remember: Remember) -> None:
        self._writer = writer
        self._completion = _Completion(model, remember)
        self._audio = bytearray()

    async def write(self, event: TurnEvent) -> bytes:
        if isinstance(event, AudioDelta) and self._writer is not None:
            self._audio += await encode_piece(self._writer, event.pcm)
        return b""

    async def finish(self, report: TurnReport) -> bytes:
        check_call(report)
        message: dict[str, Any] = {"role": "assistant", "content": report.text, "refusal": None}
        if report.call is not None:
            message |= {"content": None, "tool_calls": self._completion.tool_calls(report.call)}
        elif self._writer is not None:
            self._audio += await encode_rest(self._writer)
            self._completion.remember(report)
            audio = {
                "id": self._completion.audio_id,
                "data": b64encode(self._audio).decode(),
                "expires_at": self._completion.expires_at,
                "transcript": report.text,
            }
            message |= {"content": None, "audio": audio} if report.audio_s else {}
        choice = {"index": 0, "message": message, "finish_reason": finish_reason(report), "logprobs": None}
        head = self._completion.head("chat.completion")
        document = {**head, "choices": [choice], "usage": Usage.of(report).chat(), "warnings": warnings(report)}
        return json.dumps(document, ensure_ascii=False).encode()

    def fail(self, error: SpeechServerError) -> bytes:
        """The document is sent whole or not at all."""
        return b""


class ChatChunks:
    """`chat.completion.chunk` as server-sent events, and `[DONE]`. Text and audio come as the model makes them."""

    media_type = EVENT_STREAM

    def __init__(self, model: str, writer: AudioWriter | None, remember: Remember, *, include_usage: bool) -> None:
        self._writer = writer
        self._completion = _Completion(model, remember)
        self._include_usage = include_usage
        self._begun = False

    async def write(self, event: TurnEvent) -> bytes:
        if isinstance(event, TextDelta):
            return self._delta(
                {"content": event.text} if self._writer is None else self._in_audio(transcript=event.text)
            )
        if isinstance(event, AudioDelta) and self._writer is not None:
            return self._audio(await encode_piece(self._writer, event.pcm))
        if isinstance(event, CallBegun):
            [begun] = self._completion.tool_calls(ToolCall(event.name, ""))
            return self._delta({"tool_calls": [{"index": 0, **begun}]}, content=None)
        if isinstance(event, ArgumentsDelta):
            return self._delta({"tool_calls": [{"index": 0, "function": {"arguments": event.text}}]})
        return b""

    async def finish(self, report: TurnReport) -> bytes:
        check_call(report)
        rest = b""
        if self._writer is not None and report.call is None:
            rest = self._audio(await encode_rest(self._writer))
            self._completion.remember(report)
            rest += self._delta(self._in_audio(expires_at=self._completion.expires_at))
        head = self._completion.head("chat.completion.chunk")
        for notice in report.notices:
            rest += server_sent_event({**head, "choices": [], "warning": notice.body()})
        rest += self._delta({}, finish_reason(report))
        if self._include_usage:
            rest += self._chunk([], Usage.of(report).chat())
        return rest + server_sent_event("[DONE]")

    def fail(self, error: SpeechServerError) -> bytes:
        return server_sent_event({"error": error.body()})

    def _audio(self, data: bytes) -> bytes:
        return self._delta(self._in_audio(data=b64encode(data).decode())) if data else b""

    def _in_audio(self, **members: Any) -> dict[str, Any]:
        return {"audio": {"id": self._completion.audio_id, **members}}

    def _delta(self, delta: dict[str, Any], finish: str | None = None, content: str | None = "") -> bytes:
        """A chunk, with the one before it that begins the message where there was none yet. `content`: of that."""
        head = b""
        if not self._begun:
            self._begun = True
            head = self._choice({"role": "assistant", "content": content if self._writer is None else None}, None)
        return head + self._choice(delta, finish)

    def _choice(self, delta: dict[str, Any], finish: str | None) -> bytes:
        return self._chunk([{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}], None)

    def _chunk(self, choices: list[dict[str, Any]], use: dict[str, Any] | None) -> bytes:
        chunk = {**self._completion.head("chat.completion.chunk"), "choices": choices}
        return server_sent_event(chunk | {"usage": use} if self._include_usage else chunk)


def finish_reason(report: TurnReport) -> str:
    """`length` where the answer was ended before the model ended it."""
    if report.incomplete in ("max_output_tokens", "speech_limit", "repetition"):
        return "length"
    return "stop" if report.call is None else "tool_calls"


def check_call(report: TurnReport) -> None:
    """Raises EmptyAnswer (`invalid_call`) for a call that its tool does not take: clients execute what they get."""
    if report.incomplete == "invalid_call":
        raise EmptyAnswer(f"{SHORTFALLS['invalid_call']}; ask in other words", code="invalid_call")
