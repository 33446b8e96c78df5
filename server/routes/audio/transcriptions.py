"""POST /v1/audio/transcriptions and POST /v1/audio/translations: what a recording says, in its own language or in English.

A recording is cut into utterances at its pauses, which gives the times of the segments. Each utterance is one turn that ends
where the model's answer would begin.
"""

from __future__ import annotations

import time
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError, from_json
from starlette.responses import Response

from server.http import openapi
from server.http.answers import AnswerResponse, emitter
from server.http.dependencies import AdmittedDep, AppState, resolve_model
from server.http.response_stream import ResponseStream
from server.http.turns import TurnRequest, TurnRunner
from server.http.uploads import Upload, read_body
from server.http.validation import refuse_unsupported, validated
from server.media.decode import Declared, InputFormat
from server.media.decoding import Decode
from server.media.utterances import Utterance, utterances
from server.routes.audio.transcription_formats import (
    Segment,
    TranscriptDocument,
    TranscriptEvents,
    TranscriptFormat,
    TranscriptSink,
    language_of,
)
from server.state.loading import ServedModel
from server.state.sessions import session_model
from streaming.audio import MODEL_RATE_HZ
from streaming.endpointing import EndpointerConfig
from streaming.errors import EmptyAnswer, InvalidRequest
from streaming.names import Language
from streaming.realtime.shapes import Listed
from streaming.report import TurnReport
from streaming.stages import TurnOptions

router = APIRouter(prefix="/v1/audio")

Kind = Literal["transcribe", "translate"]
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "prompt": ("",),
    "include": ([],),
    "keywords": ([],),
    "known_speaker_names": ([],),
    "known_speaker_references": ([],),
}
_WHY = "this model writes what it hears; it takes no hints, names no speakers and gives no probabilities"


class VadChunking(BaseModel):
    """Where to cut, as in a realtime session; `chunking_strategy` of OpenAI's API."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["server_vad"]
    threshold: float = Field(0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(300, ge=0, le=10_000)
    silence_duration_ms: int = Field(500, ge=100, le=10_000)


_AUTO = VadChunking(type="server_vad")


class TranslationOptions(BaseModel):
    """Every parameter of POST /v1/audio/translations but the recording."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(None, max_length=200, description="the model's name; default: the server's model")
    response_format: TranscriptFormat = Field("json", description="form of the answer; srt and vtt have times")
    temperature: float = Field(0.0, ge=0, le=1, allow_inf_nan=False, description="0 is greedy")
    chunking_strategy: VadChunking = Field(_AUTO, description='where to cut into segments; "auto" is the default')
    input_format: InputFormat = Field("auto", description="what the recording is; needed for raw samples only")
    sample_rate: int | None = Field(None, ge=1, description="Hz of raw samples")
    channels: int | None = Field(None, ge=1, description="channels of raw samples; default 1")

    @field_validator("chunking_strategy", mode="before")
    @classmethod
    def _auto(cls, value: Any) -> Any:
        """A form has no objects: there it may also be one in JSON."""
        if value == "auto":
            return _AUTO
        if not isinstance(value, str):
            return value
        try:
            return from_json(value, allow_inf_nan=False)
        except ValueError:
            raise PydanticCustomError("no_strategy", "Input should be 'auto' or an object") from None


class TranscriptionOptions(TranslationOptions):
    """Every parameter of POST /v1/audio/transcriptions but the recording."""

    language: Language = Field("auto", description="language of the recording; the model also detects it itself")
    timestamp_granularities: Listed[Literal["segment"]] | None = Field(None, description="of verbose_json")
    stream: bool = Field(False, description="server-sent events while the model writes; for json and text")

    @field_validator("timestamp_granularities", mode="before")
    @classmethod
    def _no_words(cls, value: Any) -> Any:
        """A list, or one of its values: some clients leave out the brackets."""
        value = [value] if isinstance(value, str) else value
        if isinstance(value, list) and "word" in value:
            raise InvalidRequest(
                "the model gives times of utterances, not of words; accepted: segment",
                code="unsupported_parameter",
                param="timestamp_granularities",
            )
        return value


_VERBOSE = {
    "task": "transcribe",
    "language": "english",
    "duration": 1.9,
    "text": "What is two plus three?",
    "segments": [
        {
            "id": 0,
            "seek": 12,
            "start": 0.12,
            "end": 1.7,
            "text": "What is two plus three?",
            "tokens": [],
            "temperature": 0.0,
            "avg_logprob": 0.0,
            "compression_ratio": 0.767,
            "no_speech_prob": 0.0,
        }
    ],
    "usage": {"type": "duration", "seconds": 1.9},
}
_USAGE = {
    "type": "tokens",
    "input_tokens": 50,
    "output_tokens": 9,
    "total_tokens": 59,
    "input_token_details": {"audio_tokens": 21, "text_tokens": 29},
}
_ANSWERS = {
    "application/json": {"text": "What is two plus three?", "usage": _USAGE},
    "text/plain": "1\n00:00:00,120 --> 00:00:01,700\nWhat is two plus three?\n\n",
    "text/vtt": "WEBVTT\n\n00:00:00.120 --> 00:00:01.700\nWhat is two plus three?\n\n",
}
_TRANSCRIPTIONS = openapi.route(
    form=TranscriptionOptions,
    file=True,
    form_examples={
        "A recording": {"file": "question.wav", "model": "cslm-mini"},
        "Segments with times": {
            "file": "question.wav",
            "response_format": "verbose_json",
            "timestamp_granularities": ["segment"],
        },
        "Subtitles": {"file": "talk.mp3", "response_format": "srt"},
        "Words as they are written": {"file": "question.wav", "stream": True},
    },
    answers={
        **_ANSWERS,
        "text/event-stream": openapi.events(
            {"type": "transcript.text.delta", "delta": "What is"},
            {"type": "transcript.text.done", "text": "What is two plus three?", "usage": _USAGE},
        ),
    },
)
_TRANSLATIONS = openapi.route(
    form=TranslationOptions,
    file=True,
    form_examples={"A recording": {"file": "question.wav", "model": "cslm-mini"}},
    answers=_ANSWERS,
)


@router.post(
    "/transcriptions",
    summary="Transcribe a recording",
    openapi_extra=_TRANSCRIPTIONS,
    response_class=Response,
)
async def transcriptions(request: Request, state: AdmittedDep) -> Response:
    upload = await read_body(request, state.settings)
    options = validated(TranscriptionOptions, refuse_unsupported(upload.fields, _NEUTRAL, _WHY))
    model = resolve_model(state, options.model)
    _check(options, model)
    return await _written(state, model, upload, options, "transcribe", as_events=options.stream)


@router.post(
    "/translations",
    summary="Translate a recording into English",
    openapi_extra=_TRANSLATIONS,
    response_class=Response,
)
async def translations(request: Request, state: AdmittedDep) -> Response:
    upload = await read_body(request, state.settings)
    options = validated(TranslationOptions, refuse_unsupported(upload.fields, _NEUTRAL, _WHY))
    model = resolve_model(state, options.model)
    # A model that cannot translate refuses here, before a long recording is decoded.
    model.stages.prompts.speech_prompt(_turn_options(options, "translate"), ())
    return await _written(state, model, upload, options, "translate", as_events=False)


def _check(options: TranscriptionOptions, model: ServedModel) -> None:
    session_model(model).check_question_language(options.language, "language")
    if options.stream and options.response_format not in ("json", "text"):
        raise InvalidRequest(f"{options.response_format} cannot be streamed; accepted: json, text", param="stream")
    if options.timestamp_granularities and options.response_format != "verbose_json":
        raise InvalidRequest(
            "timestamp_granularities needs response_format verbose_json", param="timestamp_granularities"
        )


async def _written(
    state: AppState, model: ServedModel, upload: Upload, options: TranslationOptions, kind: Kind, *, as_events: bool
) -> Response:
    if upload.audio is None:
        raise InvalidRequest("send a recording as `file`", code="missing_required_parameter", param="file")
    received_s = time.monotonic()
    what = Declared(upload.media_type, options.input_format, options.sample_rate, options.channels)
    heard, duration_s = await state.decoding.run(
        state.settings.max_recording_s, _utterances, upload.audio, what, options, state, model
    )
    runner = TurnRunner(state, model, received_s)
    sink: TranscriptSink = (
        TranscriptEvents()
        if as_events
        else TranscriptDocument(
            options.response_format, task=kind, duration_s=duration_s, temperature=options.temperature
        )
    )

    async def work(stream: ResponseStream) -> None:
        emit = emitter(sink, stream)
        segments, reports = list[Segment](), list[TurnReport]()
        for utterance in heard:
            sink.begin_utterance()
            reports.append(await runner.run(TurnRequest(_turn_options(options, kind), utterance.pcm), emit))
            segments.append(Segment(utterance, _text(reports[-1], kind)))
        if segments and not any(segment.text for segment in segments):
            raise EmptyAnswer("no words were understood in the recording")
        await stream.send(sink.finish(segments, reports), last=True)

    return AnswerResponse(runner, sink, work)


def _turn_options(options: TranslationOptions, kind: Kind) -> TurnOptions:
    return TurnOptions(task=kind, reply_language="en", speak=False, temperature=options.temperature)


def _text(report: TurnReport, kind: Kind) -> str:
    """What was said in English already is its own translation."""
    translated = kind == "translate" and language_of(report.transcript) != "en"
    return (report.text if translated else report.transcript).strip()


def _utterances(
    decode: Decode, data: bytes, what: Declared, options: TranslationOptions, state: AppState, model: ServedModel
) -> tuple[list[Utterance], float]:
    """What is said in the recording, and how long it is. Raises InvalidRequest."""
    pcm = decode(data, what, max_s=state.settings.max_recording_s)
    vad = options.chunking_strategy
    config = EndpointerConfig(
        threshold=vad.threshold,
        prefix_padding_ms=vad.prefix_padding_ms,
        silence_duration_ms=vad.silence_duration_ms,
        max_turn_ms=round(model.max_question_s * 1000),
    )
    return utterances(pcm, model.stages.voice_activity(), config), pcm.size / MODEL_RATE_HZ
