"""POST /v1/audio/speech: reads a text aloud while the model still writes its units."""

from __future__ import annotations

import time
from base64 import b64encode
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from server.http import openapi
from server.http.answers import EVENT_STREAM, AudioSink, answer_one_turn, audio_headers, warnings
from server.http.dependencies import AdmittedDep, resolve_model
from server.http.sse import server_sent_event
from server.http.turns import TurnRequest, TurnRunner
from server.http.uploads import read_json
from server.http.usage import Usage
from server.http.validation import refuse_unsupported, validated
from server.http.voices import Voice, voice_id
from server.media.encode import (
    OPENAI_PCM_HZ,
    SENT_WHOLE,
    AudioWriter,
    OutputFormat,
    encode_piece,
    encode_rest,
    open_writer,
)
from server.state.sessions import session_model
from streaming.errors import EmptyAnswer, SpeechServerError
from streaming.report import TurnReport
from streaming.stages import TurnOptions
from streaming.turn import AudioDelta, TurnEvent

router = APIRouter(prefix="/v1/audio")


class TextToSpeechOptions(BaseModel):
    """Every parameter of POST /v1/audio/speech."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(None, max_length=200, description="the model's name; default: the server's model")
    input: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4096)] = Field(
        description="the text to read"
    )
    voice: str | Voice | None = Field(None, description="one of the model's voices; default: its first")
    response_format: OutputFormat = Field("mp3", description="format of the audio; pcm: 24 kHz, 16 bit, little-endian")
    stream_format: Literal["audio", "sse", "file"] = Field(
        "audio",
        description="audio as it is made, server-sent events, or a file with its length when it is complete (an extension)",
    )
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False, description="default: the model's")


_OPENAPI = openapi.route(
    json_body=TextToSpeechOptions,
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
                "warnings": [],
            },
        ),
    },
)


@router.post("/speech", summary="Read a text aloud", openapi_extra=_OPENAPI, response_class=Response)
async def text_to_speech(request: Request, state: AdmittedDep) -> Response:
    fields = refuse_unsupported(
        await read_json(request, state.settings),
        {"instructions": ("",), "speed": (1,)},
        "this model has one manner and one pace",
    )
    options = validated(TextToSpeechOptions, fields)
    received_s = time.monotonic()
    model = resolve_model(state, options.model)
    voice = session_model(model).voice(voice_id(options.voice), "voice")
    turn_options = TurnOptions(task="read", voice=voice, temperature=options.temperature)
    model.stages.prompts.text_prompt("", turn_options, ())  # refuses what was not learned
    kind, form = options.response_format, options.stream_format
    whole = form == "file" or (form == "audio" and kind in SENT_WHOLE)
    writer = open_writer(kind, model.stages.decoder.sample_rate, pcm_hz=OPENAI_PCM_HZ, whole=whole)
    sink = TextToSpeechEvents(writer) if form == "sse" else AudioSink(writer, "send the text in other words")
    return answer_one_turn(
        TurnRunner(state, model, received_s),
        TurnRequest(turn_options, text=options.input, param="input"),
        sink,
        audio_headers(kind, writer),
    )


class TextToSpeechEvents:
    """`speech.audio.delta`, all of them together one file of the format asked for, and `speech.audio.done`."""

    media_type = EVENT_STREAM

    def __init__(self, writer: AudioWriter) -> None:
        self._writer = writer

    async def write(self, event: TurnEvent) -> bytes:
        return self._audio(await encode_piece(self._writer, event.pcm)) if isinstance(event, AudioDelta) else b""

    async def finish(self, report: TurnReport) -> bytes:
        if not report.audio_s:
            raise EmptyAnswer("the model said nothing; send the text in other words", code="no_speech")
        done: dict[str, Any] = {"type": "speech.audio.done", "usage": Usage.of(report).speech()}
        done["warnings"] = warnings(report)
        return self._audio(await encode_rest(self._writer)) + server_sent_event(done)

    def fail(self, error: SpeechServerError) -> bytes:
        return server_sent_event({"type": "error", "error": error.body()})

    def _audio(self, data: bytes) -> bytes:
        if not data:
            return b""
        return server_sent_event({"type": "speech.audio.delta", "audio": b64encode(data).decode()})
