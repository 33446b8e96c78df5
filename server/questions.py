"""A request to /v1/speech taken apart: options, and the question as a recording or as text.

Options come as query parameters, form fields or JSON members; the recording as the body itself, as the form's `file`, or
as base64 in JSON. The body is counted while it comes in and never held beyond the limit.
"""

from __future__ import annotations

import asyncio
import binascii
import json
from base64 import b64decode
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, cast
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from server.errors import NotAcceptable, UploadTimeout, invalid_fields
from server.media import InputFormat, OutputFormat, sniff
from server.settings import Settings
from streaming.errors import InvalidRequest, TooLarge
from streaming.turn import ReplyLanguage, Schedule, TurnOptions

ResponseFormat = Literal["wav", "pcm", "flac", "mp3", "opus", "json"]

MAX_TEXT = 4_000
MAX_FIELDS = 32
MAX_FIELD_BYTES = 64 * 1024
_FILE_FIELDS = ("file", "audio")


class SpeechOptions(BaseModel):
    """Every parameter of POST /v1/speech but the recording itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(None, max_length=200, description="the model's name; default: the one this server has")
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT)] | None = Field(
        None, description="a typed question, in place of a recording"
    )
    question_language: ReplyLanguage = Field("auto", description="language of the question, where it is known")
    reply_language: ReplyLanguage = Field("auto", description="language of the answer")
    instructions: str = Field("", max_length=MAX_TEXT, description="how to answer")
    voice: str | None = Field(None, description="one of the model's voices")
    response_format: ResponseFormat | None = Field(
        None, description="format of the answer; default: what Accept asks for, else wav"
    )
    stream: Literal["audio", "events"] | None = Field(None, description="audio, or server-sent events; default: audio")
    schedule: Schedule = Field("interleaved", description="text and speech in turn, or all text before all speech")
    temperature: float | None = Field(
        None, ge=0.0, le=2.0, allow_inf_nan=False, description="0 is greedy; default: the model's"
    )
    top_p: float | None = Field(
        None, gt=0.0, le=1.0, allow_inf_nan=False, description="nucleus sampling; default: the model's"
    )
    max_tokens: int | None = Field(
        None, ge=1, le=100_000, description="most tokens of the answer; default: the model's"
    )
    input_format: InputFormat = Field("auto", description="what the recording is; needed for raw samples only")
    sample_rate: int | None = Field(None, ge=1, description="Hz of raw samples")
    channels: int | None = Field(None, ge=1, description="channels of raw samples; default 1")

    def turn_options(self) -> TurnOptions:
        """What of it concerns the turn."""
        return TurnOptions(
            question_language=self.question_language,
            reply_language=self.reply_language,
            instructions=self.instructions,
            schedule=self.schedule,
            voice=self.voice,
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """The form of the answer: a stream of audio, server-sent events with audio in them, or one JSON document."""

    form: Literal["audio", "events", "json"]
    audio: OutputFormat


@dataclass(slots=True)
class Upload:
    """A body read: its fields, and the recording with its media type if there is one."""

    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    audio: bytes | None = None
    media_type: str = ""


async def read_request(request: Request, settings: Settings) -> tuple[SpeechOptions, Upload]:
    """Options and recording of a request.

    Raises TooLarge, UploadTimeout, or InvalidRequest: `body_unreadable`, `unknown_parameter`, `duplicate_parameter`,
    `missing_parameter`, `invalid_value`, `invalid_audio`, `unsupported_format`.
    """
    options_of(dict(request.query_params))  # before a long upload
    try:
        async with asyncio.timeout(settings.max_upload_s):
            upload = await _read_body(request, settings.max_body_bytes)
    except TimeoutError:
        raise UploadTimeout(f"the body did not arrive within {settings.max_upload_s:g} s") from None
    options = options_of(_once([*request.query_params.multi_items(), *upload.fields.items()]))
    if options.text is not None and upload.audio:
        raise InvalidRequest("send a recording or text, not both", param="text")
    if options.text is None and upload.audio is None:
        raise InvalidRequest("send a recording as `file`, or `text`", code="missing_parameter", param="file")
    return options, upload


def options_of(fields: dict[str, Any]) -> SpeechOptions:
    """Validated options. Raises InvalidRequest for the first field that is not accepted."""
    try:
        return SpeechOptions.model_validate(fields)
    except ValidationError as failure:
        raise invalid_fields(cast(Any, failure.errors())) from None


def _once(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in items:
        if key in fields:
            raise InvalidRequest(f"{key[:60]} is given twice", code="duplicate_parameter", param=key[:60])
        fields[key] = value
    return fields


async def _read_body(request: Request, limit: int) -> Upload:
    media_type = request.headers.get("content-type", "")
    kind = media_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _multipart(request, limit)
    body = b"".join([chunk async for chunk in _counted(request, limit)])
    if kind == "application/json":
        return await asyncio.to_thread(_json, body)
    if kind == "application/x-www-form-urlencoded" and sniff(body) is None:
        return Upload(fields=_form(body))
    if not body and "text" in request.query_params:
        return Upload()
    return Upload(audio=body, media_type=media_type)


async def _counted(request: Request, limit: int) -> AsyncGenerator[bytes]:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        yield chunk


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit} bytes")


async def _multipart(request: Request, limit: int) -> Upload:
    parser = MultiPartParser(
        request.headers, _counted(request, limit), max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES
    )
    try:
        form = await parser.parse()
    except MultiPartException as failure:
        raise InvalidRequest(f"the form cannot be read: {failure.message}", code="body_unreadable") from None
    upload, fields = Upload(), list[tuple[str, Any]]()
    try:
        for key, value in form.multi_items():
            if key in _FILE_FIELDS:
                if not isinstance(value, UploadFile):
                    raise InvalidRequest(f"{key} must be a file part, with a filename", param=key)
                upload.audio, upload.media_type = await value.read(), value.content_type or ""
            elif not isinstance(value, UploadFile):
                fields.append((key, value))
            else:
                raise InvalidRequest(
                    f"unknown file {key[:60]!r}; send `file`", code="unknown_parameter", param=key[:60]
                )
    finally:
        await form.close()
    upload.fields = _once(fields)
    return upload


def _form(body: bytes) -> dict[str, Any]:
    try:
        return _once(
            parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=MAX_FIELDS)
        )
    except ValueError:
        raise InvalidRequest("the form cannot be read", code="body_unreadable") from None


def _json(body: bytes) -> Upload:
    try:
        fields = json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise InvalidRequest("the body is not JSON", code="body_unreadable") from None
    if not isinstance(fields, dict):
        raise InvalidRequest("the body is not a JSON object", code="body_unreadable")
    upload = Upload(fields=cast(dict[str, Any], fields))
    encoded = upload.fields.pop("audio", None)
    if encoded is not None:
        try:
            upload.audio = b64decode(encoded, validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise InvalidRequest("audio is not base64", code="invalid_audio", param="audio") from None
    return upload


_ACCEPTED: dict[str, tuple[Literal["audio", "events", "json"], OutputFormat]] = {
    "audio/wav": ("audio", "wav"),
    "audio/x-wav": ("audio", "wav"),
    "audio/wave": ("audio", "wav"),
    "audio/pcm": ("audio", "pcm"),
    "audio/flac": ("audio", "flac"),
    "audio/mpeg": ("audio", "mp3"),
    "audio/mp3": ("audio", "mp3"),
    "audio/ogg": ("audio", "opus"),
    "audio/opus": ("audio", "opus"),
    "audio/*": ("audio", "wav"),
    "*/*": ("audio", "wav"),
    "application/json": ("json", "wav"),
    "text/event-stream": ("events", "pcm"),
}


def negotiate(options: SpeechOptions, accept: str | None) -> Reply:
    """The form of the answer: explicit options first, then `Accept`, then wav. Raises NotAcceptable, InvalidRequest."""
    asked = options.response_format
    if asked == "json":
        if options.stream is not None:
            raise InvalidRequest("json is one document; it has no stream", param="stream")
        return Reply("json", "wav")
    if options.stream == "events":
        return Reply("events", asked or "pcm")
    if asked is not None:
        events = options.stream is None and _best(accept) == ("events", "pcm")
        return Reply("events" if events else "audio", asked)
    found = _best(accept)
    if found is None:
        raise NotAcceptable(f"nothing in Accept can be written; accepted: {', '.join(_ACCEPTED)}", param="Accept")
    if options.stream == "audio" and found[0] != "audio":
        return Reply("audio", "wav")
    return Reply(*found)


def _best(accept: str | None) -> tuple[Literal["audio", "events", "json"], OutputFormat] | None:
    """The most wanted of what `Accept` names that can be written; the first of equals."""
    best, best_weight = None, 0.0
    for offer in (accept or "*/*").split(","):
        kind, *parameters = (part.strip().lower() for part in offer.split(";"))
        weight = next((_weight(part[2:]) for part in parameters if part.startswith("q=")), 1.0)
        if kind in _ACCEPTED and weight > best_weight:
            best, best_weight = _ACCEPTED[kind], weight
    return best


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
