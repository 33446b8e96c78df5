"""What /openapi.json says of POST /v1/speech, whose body FastAPI does not parse."""

from __future__ import annotations

from typing import Any

from server.questions import SpeechOptions

_AUDIO = {"type": "string", "format": "binary"}


def _openapi() -> dict[str, Any]:
    schema = SpeechOptions.model_json_schema()
    properties: dict[str, Any] = schema["properties"]
    parameters = [
        {"name": name, "in": "query", "required": False, "schema": member} for name, member in properties.items()
    ]
    form = {"type": "object", "properties": {"file": _AUDIO, **properties}}
    document = {"type": "object", "properties": {"audio": {"type": "string", "format": "byte"}, **properties}}
    content = {
        "audio/*": {"schema": _AUDIO},
        "multipart/form-data": {"schema": form},
        "application/json": {"schema": document},
    }
    answers = {kind: {"schema": _AUDIO} for kind in ("audio/wav", "audio/pcm", "audio/flac", "audio/mpeg", "audio/ogg")}
    return {
        "parameters": parameters,
        "requestBody": {"required": True, "content": content},
        "responses": {"200": {"description": "The answer", "content": {**answers, "text/event-stream": {}}}},
    }


OPENAPI = _openapi()
