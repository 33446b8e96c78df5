"""Responses of /v1/speech other than plain audio: server-sent events, or one JSON document at the end."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from typing import Any

from server.http.answers import EVENT_STREAM, AnswerSink, AudioSink, warnings
from server.http.sse import server_sent_event
from server.http.turns import TurnRunner
from server.media.encode import AudioWriter, encode_piece, encode_rest, wav_header
from server.routes.speech.options import Reply
from streaming.audio import float_to_pcm16
from streaming.errors import SpeechServerError
from streaming.interleave import TextDelta, TranscriptDelta, TranscriptDone
from streaming.report import Notice, TurnReport
from streaming.turn import AudioDelta, TurnEvent


def answer_sink(reply: Reply, writer: AudioWriter, runner: TurnRunner, *, decode_s: float) -> AnswerSink:
    """The sink for the form of answer that was asked for. `decode_s`: see `timings`."""
    if reply.form in ("audio", "file"):
        return AudioSink(writer, "its text is in response_format=json and in stream=events")
    turn: dict[str, Any] = {"id": runner.id, "model": runner.model.name}
    if reply.form == "json":
        return DocumentSink(runner.model.stages.decoder.sample_rate, turn, decode_s)
    turn["audio"] = {"format": reply.audio, "sample_rate": writer.sample_rate}
    return EventSink(writer, turn, decode_s)


class EventSink:
    """Server-sent events; docs/api.md lists them."""

    media_type = EVENT_STREAM

    def __init__(self, writer: AudioWriter, turn: dict[str, Any], decode_s: float) -> None:
        self._writer = writer
        self._decode_s = decode_s
        self._turn: dict[str, Any] | None = turn
        self._transcript = ""

    async def write(self, event: TurnEvent) -> bytes:
        if isinstance(event, TranscriptDelta):
            self._transcript += event.text
            return self._event("transcript.delta", delta=event.text)
        if isinstance(event, TranscriptDone):
            return self._event("transcript.done", transcript=self._transcript)
        if isinstance(event, TextDelta):
            return self._event("text.delta", delta=event.text)
        if isinstance(event, Notice):
            return self._event("warning", warning=event.body())
        assert isinstance(event, AudioDelta)  # no tools are declared here
        return self._audio(await encode_piece(self._writer, event.pcm))

    async def finish(self, report: TurnReport) -> bytes:
        return (
            self._audio(await encode_rest(self._writer))
            + self._event("timings", timings=timings(report, self._decode_s))
            + self._event("usage", usage=usage(report))
            + self._event("done", transcript=report.transcript, text=report.text, incomplete=report.incomplete)
        )

    def fail(self, error: SpeechServerError) -> bytes:
        return self._event("error", error=error.body())

    def _audio(self, data: bytes) -> bytes:
        return self._event("audio.delta", delta=b64encode(data).decode()) if data else b""

    def _event(self, kind: str, **members: Any) -> bytes:
        turn, self._turn = self._turn, None
        head = b"" if turn is None else self._event("turn", **turn)
        return head + server_sent_event({"type": kind, **members}, event=kind)


class DocumentSink:
    """One document when the turn is complete; until then a failure is a plain HTTP error."""

    media_type = "application/json"

    def __init__(self, sample_rate: int, turn: dict[str, Any], decode_s: float) -> None:
        self._decode_s = decode_s
        self._rate = sample_rate
        self._turn = turn
        self._pcm = bytearray()

    async def write(self, event: TurnEvent) -> bytes:
        if isinstance(event, AudioDelta):
            self._pcm += float_to_pcm16(event.pcm)
        return b""

    async def finish(self, report: TurnReport) -> bytes:
        wav = wav_header(self._rate, len(self._pcm)) + self._pcm
        document = {
            **self._turn,
            "object": "speech",
            "created": int(time.time()),
            "transcript": report.transcript,
            "text": report.text,
            "incomplete": report.incomplete,
            "warnings": warnings(report),
            "audio": {"format": "wav", "sample_rate": self._rate, "data": b64encode(wav).decode()},
            "timings": timings(report, self._decode_s),
            "usage": usage(report),
        }
        return json.dumps(document, ensure_ascii=False).encode()

    def fail(self, error: SpeechServerError) -> bytes:
        """The document is sent whole or not at all."""
        return b""


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
