"""OpenAPI schema of POST /v1/speech, whose body FastAPI does not parse."""

from __future__ import annotations

from typing import Any

from server.http import openapi
from server.routes.speech.options import SpeechOptions

_TURN = {"id": "turn_5f", "model": "cslm-mini"}
_TYPED = {"text": "What is two plus three?", "response_format": "json"}


def _openapi() -> dict[str, Any]:
    schema = openapi.inlined(SpeechOptions)
    parameters = [
        {"name": name, "in": "query", "required": False, "schema": member}
        for name, member in schema["properties"].items()
    ]
    document = {**schema, "properties": {"audio": {"type": "string", "format": "byte"}, **schema["properties"]}}
    form = {**schema, "properties": {"file": openapi.AUDIO, **schema["properties"]}}
    examples = openapi.shown({"A typed question": _TYPED, "In the other language": {**_TYPED, "reply_language": "zh"}})
    forms = openapi.shown(
        {
            "A recording": {"file": "question.m4a", "response_format": "mp3"},
            "Events as they come": {"file": "question.wav", "stream": "events"},
        }
    )
    content = {
        "audio/*": {"schema": openapi.AUDIO},
        "multipart/form-data": {"schema": form, "examples": forms},
        "application/json": {"schema": document, "examples": examples},
    }
    answers: dict[str, Any] = dict.fromkeys(
        ("audio/wav", "audio/pcm", "audio/flac", "audio/mpeg", "audio/ogg", "audio/aac")
    )
    answers["text/event-stream"] = (
        'event: text.delta\ndata: {"type": "text.delta", "delta": "Two plus three"}\n\n'
        'event: audio.delta\ndata: {"type": "audio.delta", "delta": "AAD//w=="}\n\n'
    )
    answers["application/json"] = {
        **_TURN,
        "object": "speech",
        "created": 1790000000,
        "transcript": "What is two plus three?",
        "text": "Two plus three is five.",
        "incomplete": None,
        "warnings": [],
        "audio": {"format": "wav", "sample_rate": 24000, "data": "UklGRg=="},
        "timings": {"heard_s": 0.03, "first_audio_s": 0.28, "done_s": 0.9},
        "usage": {"input_units": 21, "output_units": 22, "audio_s": 1.6},
    }
    return {
        "parameters": parameters,
        "requestBody": {"required": True, "content": content},
        "responses": openapi.responses(answers),
    }


OPENAPI = _openapi()
