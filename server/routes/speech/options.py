"""A request to /v1/speech: its options, and the question as a recording or as text.

Options are query parameters, form fields or JSON members. The recording is the body itself, the form's `file`, or base64 in
JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request

from server.errors import NotAcceptable
from server.http.uploads import Upload, once, read_body
from server.http.validation import validated
from server.media.decode import InputFormat
from server.media.encode import SENT_WHOLE, OutputFormat
from server.settings import Settings
from streaming.errors import InvalidRequest
from streaming.names import Language
from streaming.stages import Schedule, TurnOptions

ResponseFormat = Literal["wav", "pcm", "flac", "mp3", "opus", "aac", "json"]

MAX_TEXT = 4_000


class SpeechOptions(BaseModel):
    """Every parameter of POST /v1/speech but the recording itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(None, max_length=200, description="the model's name; default: the server's model")
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT)] | None = Field(
        None, description="a typed question, in place of a recording"
    )
    question_language: Language = Field("auto", description="language of the question, where it is known")
    reply_language: Language = Field("auto", description="language of the answer")
    instructions: str = Field("", max_length=MAX_TEXT, description="how to answer")
    voice: str | None = Field(None, description="one of the model's voices")
    response_format: ResponseFormat | None = Field(
        None, description="format of the answer; default: what Accept asks for, else wav"
    )
    stream: Literal["audio", "events", "file"] | None = Field(
        None,
        description="audio as it is made, server-sent events, or a file with its length when it is complete; default: audio",
    )
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

    def turn_options(self, voice: str) -> TurnOptions:
        """What of it concerns the turn, spoken in a `voice` of the model."""
        return TurnOptions(
            question_language=self.question_language,
            reply_language=self.reply_language,
            instructions=self.instructions,
            schedule=self.schedule,
            voice=voice,
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """The form of the answer: a stream of audio, server-sent events with audio in them, a file, or one JSON document."""

    form: Literal["audio", "events", "file", "json"]
    audio: OutputFormat

    @property
    def is_whole(self) -> bool:
        """The audio is sent when it is complete."""
        return self.form == "file" or (self.form == "audio" and self.audio in SENT_WHOLE)


async def read_request(request: Request, settings: Settings) -> tuple[SpeechOptions, Upload]:
    """Options and recording of a request.

    Raises TooLarge, UploadTimeout, or InvalidRequest: `body_unreadable`, `unknown_parameter`, `duplicate_parameter`,
    `missing_required_parameter`, `audio_empty`, `invalid_value`, `invalid_audio`, `unsupported_format`.
    """
    validated(SpeechOptions, dict(request.query_params))  # before a long upload
    upload = await read_body(request, settings)
    options = validated(SpeechOptions, once([*request.query_params.multi_items(), *upload.fields.items()]))
    if options.text is not None and upload.audio:
        raise InvalidRequest("send a recording or text, not both", param="text")
    if options.text is None and not upload.audio:
        code = "missing_required_parameter" if upload.audio is None else "audio_empty"
        raise InvalidRequest("send a recording, as the body or as `file`, or a `text`", code=code, param="file")
    return options, upload


_ACCEPTED: dict[str, tuple[Literal["audio", "events", "json"], OutputFormat]] = {
    "audio/wav": ("audio", "wav"),
    "audio/x-wav": ("audio", "wav"),
    "audio/wave": ("audio", "wav"),
    "audio/pcm": ("audio", "pcm"),
    "audio/flac": ("audio", "flac"),
    "audio/mpeg": ("audio", "mp3"),
    "audio/mp3": ("audio", "mp3"),
    "audio/aac": ("audio", "aac"),
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
            raise InvalidRequest("json cannot be streamed", param="stream")
        return Reply("json", "wav")
    if options.stream == "events":
        return Reply("events", asked or "pcm")
    if asked is not None:
        events = options.stream is None and _best(accept) == ("events", "pcm")
        return Reply("events" if events else options.stream or "audio", asked)
    found = _best(accept)
    if found is None:
        raise NotAcceptable(f"Accept names no supported media type; accepted: {', '.join(_ACCEPTED)}", param="Accept")
    if options.stream is None:
        return Reply(*found)
    return Reply(options.stream, found[1] if found[0] == "audio" else "wav")


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
