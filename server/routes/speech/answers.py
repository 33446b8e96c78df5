"""The answer to /v1/speech, sent while it is made: audio, server-sent events, or one JSON document at the end."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Literal, Protocol

from starlette.types import Send

from server.media.decode import AudioWriter, open_writer, wav_header
from server.routes.speech.options import Reply
from streaming.audio import float_to_pcm16
from streaming.errors import SpeechServerError
from streaming.interleave import TextDelta, TranscriptDelta, TranscriptDone
from streaming.stages import Pcm
from streaming.turn import AudioDelta, TurnEvent, TurnReport


class ClientStalled(Exception):
    """The client left the answer unread for too long."""


class Outgoing:
    """One HTTP answer under way. The status leaves with the first bytes, so that a failure before them still has one."""

    def __init__(self, send: Send, *, media_type: str, headers: Mapping[str, str], timeout_s: float) -> None:
        self._send = send
        every = {"content-type": media_type, "cache-control": "no-store", "x-accel-buffering": "no", **headers}
        self._headers = [(key.encode(), value.encode("latin-1", "replace")) for key, value in every.items()]
        self._timeout_s = timeout_s
        self._lock = asyncio.Lock()
        self.started = False

    async def send(self, data: bytes, *, last: bool = False) -> None:
        """Send `data`, waiting while the client does not read. Raises ClientStalled."""
        try:
            async with self._lock, asyncio.timeout(self._timeout_s):
                if not self.started:
                    self.started = True
                    await self._send({"type": "http.response.start", "status": 200, "headers": self._headers})
                await self._send({"type": "http.response.body", "body": data, "more_body": not last})
        except TimeoutError:
            raise ClientStalled from None


class Answer(Protocol):
    """How a turn's events become an HTTP answer."""

    async def write(self, event: TurnEvent) -> None:
        """Send what `event` adds."""
        ...

    async def finish(self, report: TurnReport) -> None:
        """The turn is complete."""
        ...

    async def fail(self, error: SpeechServerError) -> None:
        """The turn failed after the answer had begun. Leaves the answer visibly broken off, or says so in it."""
        ...


async def encoded(writer: AudioWriter, pcm: Pcm) -> bytes:
    """What `pcm` adds to the file; heavy codecs run in a thread."""
    return writer.push(pcm) if writer.light else await asyncio.to_thread(writer.push, pcm)


class AudioAnswer:
    """Nothing but the audio."""

    def __init__(self, out: Outgoing, writer: AudioWriter) -> None:
        self._out = out
        self._writer = writer

    async def write(self, event: TurnEvent) -> None:
        if isinstance(event, AudioDelta):
            data = await encoded(self._writer, event.pcm)
            if data:
                await self._out.send(data)

    async def finish(self, report: TurnReport) -> None:
        if not report.audio_s:
            raise SpeechServerError("the model answered without speech; its text is in stream=events", code="no_speech")
        await self._out.send(await asyncio.to_thread(self._writer.finish), last=True)

    async def fail(self, error: SpeechServerError) -> None:
        """Nothing can be said in audio: the body stays incomplete, and the server closes the connection."""


class EventAnswer:
    """Server-sent events; docs/api.md lists them."""

    def __init__(self, out: Outgoing, writer: AudioWriter, turn: dict[str, Any], decode_s: float) -> None:
        self._out = out
        self._writer = writer
        self._decode_s = decode_s
        self._turn: dict[str, Any] | None = turn
        self._transcript = ""

    async def write(self, event: TurnEvent) -> None:
        if isinstance(event, TranscriptDelta):
            self._transcript += event.text
            await self._event("transcript.delta", delta=event.text)
        elif isinstance(event, TranscriptDone):
            await self._event("transcript.done", transcript=self._transcript)
        elif isinstance(event, TextDelta):
            await self._event("text.delta", delta=event.text)
        else:
            await self._audio(await encoded(self._writer, event.pcm))

    async def finish(self, report: TurnReport) -> None:
        await self._audio(await asyncio.to_thread(self._writer.finish))
        await self._event("timings", timings=timings(report, self._decode_s))
        await self._event("usage", usage=usage(report))
        await self._event("done", last=True, transcript=report.transcript, text=report.text)

    async def fail(self, error: SpeechServerError) -> None:
        await self._event("error", last=True, error=error.body())

    async def _audio(self, data: bytes) -> None:
        if data:
            await self._event("audio.delta", delta=b64encode(data).decode())

    async def _event(self, kind: str, *, last: bool = False, **members: Any) -> None:
        first, self._turn = self._turn, None
        head = b"" if first is None else _sse("turn", first)
        await self._out.send(head + _sse(kind, members), last=last)


def _sse(kind: str, members: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members}, ensure_ascii=False)}\n\n".encode()


class JsonAnswer:
    """One document when the turn is complete; until then a failure is a plain HTTP error."""

    def __init__(self, out: Outgoing, sample_rate: int, turn: dict[str, Any], decode_s: float) -> None:
        self._out = out
        self._decode_s = decode_s
        self._rate = sample_rate
        self._turn = turn
        self._pcm = bytearray()

    async def write(self, event: TurnEvent) -> None:
        if isinstance(event, AudioDelta):
            self._pcm += float_to_pcm16(event.pcm)

    async def finish(self, report: TurnReport) -> None:
        wav = wav_header(self._rate, len(self._pcm)) + self._pcm
        document = {
            **self._turn,
            "object": "speech",
            "created": int(time.time()),
            "transcript": report.transcript,
            "text": report.text,
            "audio": {"format": "wav", "sample_rate": self._rate, "data": b64encode(wav).decode()},
            "timings": timings(report, self._decode_s),
            "usage": usage(report),
        }
        await self._out.send(json.dumps(document, ensure_ascii=False).encode(), last=True)

    async def fail(self, error: SpeechServerError) -> None:
        """Unreachable but for a client that stalls while the document is sent: nothing more can be said."""


_MEDIA_TYPES: dict[Literal["events", "json"], str] = {
    "events": "text/event-stream; charset=utf-8",
    "json": "application/json",
}


def open_answer(
    reply: Reply, send: Send, *, turn_id: str, model: str, sample_rate: int, decode_s: float, timeout_s: float
) -> tuple[Outgoing, Answer]:
    """The answer in the form asked for. `sample_rate`: of the audio that will be written."""
    writer = open_writer(reply.audio, sample_rate)
    headers = {
        "x-turn-id": turn_id,
        "x-model": model,
        "x-audio-format": reply.audio,
        "x-audio-sample-rate": str(writer.sample_rate),
    }
    media_type = writer.media_type if reply.form == "audio" else _MEDIA_TYPES[reply.form]
    out = Outgoing(send, media_type=media_type, headers=headers, timeout_s=timeout_s)
    turn: dict[str, Any] = {"id": turn_id, "model": model}
    if reply.form == "audio":
        return out, AudioAnswer(out, writer)
    if reply.form == "json":
        return out, JsonAnswer(out, sample_rate, turn, decode_s)
    turn["audio"] = {"format": reply.audio, "sample_rate": writer.sample_rate}
    return out, EventAnswer(out, writer, turn, decode_s)


def timings(report: TurnReport, decode_s: float) -> dict[str, float | None]:
    """`decode_s`: from the last byte of the question to the start of the turn; the rest: seconds since then."""
    names = ("heard_s", "first_token_s", "first_units_s", "first_chunk_s", "first_audio_s", "lm_done_s", "done_s")
    return {"decode_s": _rounded(decode_s)} | {name: _rounded(getattr(report, name)) for name in names}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def usage(report: TurnReport) -> dict[str, float | int]:
    """How much went in and came out."""
    return {
        "input_units": report.input_units,
        "input_tokens": report.input_tokens,
        "output_tokens": report.output_tokens,
        "output_units": report.output_units,
        "dropped_ids": report.dropped_ids,
        "audio_s": round(report.audio_s, 4),
        "underruns": report.playout.underruns,
        "underrun_s": round(report.playout.gap_s, 4),
    }
