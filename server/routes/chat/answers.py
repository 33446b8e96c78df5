"""Answers of /v1/chat/completions: one document, or a stream of chunks."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from server.media.decode import AudioWriter
from server.routes.speech.answers import Outgoing, encoded
from streaming.errors import SpeechServerError
from streaming.interleave import TextDelta
from streaming.realtime.conversation import new_id
from streaming.turn import AudioDelta, TurnEvent, TurnReport


class SpokenAnswers(Mapping[str, str]):
    """Texts of spoken answers by the id under which clients refer to them; the oldest of `most` are forgotten first."""

    LIFE_S = 3600

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self._texts: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def remember(self, audio_id: str, text: str) -> None:
        """Keep `text` for an hour."""
        self._texts[audio_id] = text, time.monotonic() + self.LIFE_S
        while len(self._texts) > self._most:
            self._texts.popitem(last=False)

    def __getitem__(self, audio_id: str) -> str:
        text, until_s = self._texts[audio_id]
        if time.monotonic() > until_s:
            del self._texts[audio_id]
            raise KeyError(audio_id)
        return text

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


class ChatAnswer(Protocol):
    """How the turn's events become the answer."""

    async def write(self, event: TurnEvent) -> None:
        """Send what `event` adds."""
        ...

    async def finish(self, report: TurnReport) -> None:
        """The turn is complete."""
        ...

    async def fail(self, error: SpeechServerError) -> None:
        """The turn failed after the answer had begun."""
        ...


class _Completion:
    """What all of an answer's chunks, or its document, say."""

    def __init__(self, model: str, spoken: SpokenAnswers) -> None:
        self.id = new_id("chatcmpl")
        self.audio_id = new_id("audio")
        self.created = int(time.time())
        self.expires_at = self.created + spoken.LIFE_S
        self._model = model
        self._spoken = spoken

    def head(self, kind: str) -> dict[str, Any]:
        """`id`, `object`, `created`, `model`."""
        return {"id": self.id, "object": kind, "created": self.created, "model": self._model}

    def remember(self, report: TurnReport) -> None:
        """So that the next request may refer to this answer by its id."""
        self._spoken.remember(self.audio_id, report.text)


class ChatDocument:
    """One `chat.completion` when the turn is complete. `writer` None: text alone."""

    def __init__(self, out: Outgoing, model: str, writer: AudioWriter | None, spoken: SpokenAnswers) -> None:
        self._out = out
        self._writer = writer
        self._completion = _Completion(model, spoken)
        self._audio = bytearray()

    async def write(self, event: TurnEvent) -> None:
        if isinstance(event, AudioDelta) and self._writer is not None:
            self._audio += await encoded(self._writer, event.pcm)

    async def finish(self, report: TurnReport) -> None:
        message: dict[str, Any] = {"role": "assistant", "content": report.text, "refusal": None}
        if self._writer is not None:
            self._audio += self._writer.finish()
            self._completion.remember(report)
            audio = {
                "id": self._completion.audio_id,
                "data": b64encode(self._audio).decode(),
                "expires_at": self._completion.expires_at,
                "transcript": report.text,
            }
            message |= {"content": None, "audio": audio}
        choice = {"index": 0, "message": message, "finish_reason": finish_reason(report), "logprobs": None}
        document = {**self._completion.head("chat.completion"), "choices": [choice], "usage": usage(report)}
        await self._out.send(json.dumps(document, ensure_ascii=False).encode(), last=True)

    async def fail(self, error: SpeechServerError) -> None:
        """Unreachable but for a client that stalls: nothing more can be said."""


class ChatChunks:
    """`chat.completion.chunk` as server-sent events, and `[DONE]`. Text and audio come as the model makes them."""

    def __init__(
        self, out: Outgoing, model: str, writer: AudioWriter | None, spoken: SpokenAnswers, *, include_usage: bool
    ) -> None:
        self._out = out
        self._writer = writer
        self._completion = _Completion(model, spoken)
        self._include_usage = include_usage
        self._begun = False

    async def write(self, event: TurnEvent) -> None:
        if isinstance(event, TextDelta):
            await self._delta(
                {"content": event.text} if self._writer is None else self._in_audio(transcript=event.text)
            )
        elif isinstance(event, AudioDelta) and self._writer is not None:
            await self._audio(await encoded(self._writer, event.pcm))

    async def finish(self, report: TurnReport) -> None:
        if self._writer is not None:
            await self._audio(self._writer.finish())
            self._completion.remember(report)
            await self._delta(self._in_audio(expires_at=self._completion.expires_at))
        await self._delta({}, finish_reason(report))
        last = b"data: [DONE]\n\n"
        if self._include_usage:
            last = self._chunk([], usage(report)) + last
        await self._out.send(last, last=True)

    async def fail(self, error: SpeechServerError) -> None:
        await self._out.send(_event({"error": error.body()}), last=True)

    async def _audio(self, data: bytes) -> None:
        if data:
            await self._delta(self._in_audio(data=b64encode(data).decode()))

    def _in_audio(self, **members: Any) -> dict[str, Any]:
        return {"audio": {"id": self._completion.audio_id, **members}}

    async def _delta(self, delta: dict[str, Any], finish: str | None = None) -> None:
        head = b""
        if not self._begun:
            self._begun = True
            head = self._choice({"role": "assistant", "content": "" if self._writer is None else None}, None)
        await self._out.send(head + self._choice(delta, finish))

    def _choice(self, delta: dict[str, Any], finish: str | None) -> bytes:
        return self._chunk([{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}], None)

    def _chunk(self, choices: list[dict[str, Any]], use: dict[str, Any] | None) -> bytes:
        chunk = {**self._completion.head("chat.completion.chunk"), "choices": choices}
        return _event(chunk | {"usage": use} if self._include_usage else chunk)


def finish_reason(report: TurnReport) -> str:
    """`length` where the answer met the limit of its tokens."""
    return "length" if report.cut_off else "stop"


def usage(report: TurnReport) -> dict[str, Any]:
    """Tokens of the turn; speech units count as audio tokens. The transcript of the question is among those written."""
    return {
        "prompt_tokens": report.input_tokens,
        "completion_tokens": report.output_tokens,
        "total_tokens": report.input_tokens + report.output_tokens,
        "prompt_tokens_details": {
            "audio_tokens": report.input_units,
            "text_tokens": report.input_tokens - report.input_units,
            "cached_tokens": 0,
        },
        "completion_tokens_details": {
            "audio_tokens": report.output_units,
            "text_tokens": report.output_tokens - report.output_units,
            "reasoning_tokens": 0,
        },
    }


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
