"""POST /v1/audio/speech: a text in, read aloud while the model is still writing how it sounds."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response
from starlette.types import Send

from server.errors import refuse_unsupported, validated
from server.http import openapi
from server.http.dependencies import Gateway, admitted
from server.http.turns import AnswerResponse, Ask, one_turn
from server.http.uploads import read_json
from server.media.decode import AudioWriter, OutputFormat, open_writer
from server.routes.models import the_model
from server.routes.speech.answers import Answer, AudioAnswer, Outgoing, encoded
from server.state.sessions import session_model
from streaming.errors import SpeechServerError
from streaming.turn import AudioDelta, TurnEvent, TurnOptions, TurnReport

router = APIRouter(prefix="/v1/audio")

PCM_HZ = 24_000
"""Rate of `pcm` and `pcm16` in OpenAI's API, whatever the model's own."""


class Voice(BaseModel):
    """A voice by its id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str


def voice_id(voice: str | Voice | None) -> str | None:
    """The id of a voice that was given by it, or as an object that has it."""
    return voice.id if isinstance(voice, Voice) else voice


class ReadingOptions(BaseModel):
    """Every parameter of POST /v1/audio/speech."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(None, max_length=200, description="the model's name; default: the one this server has")
    input: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4096)] = Field(
        description="the text to read"
    )
    voice: str | Voice | None = Field(None, description="one of the model's voices; default: its first")
    response_format: OutputFormat = Field("mp3", description="format of the audio; pcm: 24 kHz, 16 bit, little-endian")
    stream_format: Literal["audio", "sse"] = Field("audio", description="the audio itself, or server-sent events")
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False, description="default: the model's")


_OPENAPI = openapi.route(
    json_body=ReadingOptions,
    examples={
        "A text": {"model": "cslm-mini", "input": "Hello, how are you today?", "voice": "default"},
        "Raw samples as they come": {"input": "Two plus three is five.", "response_format": "pcm"},
        "Server-sent events": {"input": "你好。", "response_format": "pcm", "stream_format": "sse"},
    },
    answers={
        **dict.fromkeys(("audio/mpeg", "audio/ogg", "audio/aac", "audio/flac", "audio/wav", "audio/pcm")),
        "text/event-stream": openapi.events(
            {"type": "speech.audio.delta", "audio": "AAD//w=="},
            {
                "type": "speech.audio.done",
                "usage": {"input_tokens": 9, "output_tokens": 31, "total_tokens": 40},
            },
        ),
    },
)


@router.post("/speech", summary="Read a text aloud", openapi_extra=_OPENAPI, response_class=Response)
async def read_aloud(request: Request, gateway: Annotated[Gateway, Depends(admitted)]) -> Response:
    fields = refuse_unsupported(
        await read_json(request, gateway.settings),
        {"instructions": ("",), "speed": (1,)},
        "this model has one manner and one pace",
    )
    options = validated(ReadingOptions, fields)
    received_s = time.monotonic()
    model = the_model(gateway, options.model)
    voice = session_model(model).voice(voice_id(options.voice), "voice")
    turn_options = TurnOptions(task="read", voice=voice, temperature=options.temperature)
    model.stages.prompts.text_prompt("", turn_options, ())  # refuses what was not learned
    writer = open_writer(options.response_format, model.stages.decoder.sample_rate, pcm_hz=PCM_HZ)

    def opened(send: Send, turn_id: str) -> tuple[Outgoing, Answer]:
        sse = options.stream_format == "sse"
        headers = {
            "x-turn-id": turn_id,
            "x-model": model.name,
            "x-audio-format": options.response_format,
            "x-audio-sample-rate": str(writer.sample_rate),
        }
        out = Outgoing(
            send,
            media_type="text/event-stream; charset=utf-8" if sse else writer.media_type,
            headers=headers,
            timeout_s=gateway.settings.write_timeout_s,
        )
        return out, ReadingEvents(out, writer) if sse else AudioAnswer(out, writer)

    work = one_turn(Ask(turn_options, text=options.input))
    return AnswerResponse(gateway, model, received_s=received_s, open_answer=opened, work=work)


class ReadingEvents:
    """`speech.audio.delta`, all of them together one file of the format asked for, and `speech.audio.done`."""

    def __init__(self, out: Outgoing, writer: AudioWriter) -> None:
        self._out = out
        self._writer = writer

    async def write(self, event: TurnEvent) -> None:
        if isinstance(event, AudioDelta):
            await self._audio(await encoded(self._writer, event.pcm))

    async def finish(self, report: TurnReport) -> None:
        await self._audio(self._writer.finish())
        usage = {
            "input_tokens": report.input_tokens,
            "output_tokens": report.output_tokens,
            "total_tokens": report.input_tokens + report.output_tokens,
        }
        await self._out.send(_event({"type": "speech.audio.done", "usage": usage}), last=True)

    async def fail(self, error: SpeechServerError) -> None:
        await self._out.send(_event({"type": "error", "error": error.body()}), last=True)

    async def _audio(self, data: bytes) -> None:
        if data:
            await self._out.send(_event({"type": "speech.audio.delta", "audio": b64encode(data).decode()}))


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()
