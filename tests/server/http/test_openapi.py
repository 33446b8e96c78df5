"""/openapi.json: every route described, with examples, and the examples are true."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from server.app import create_app
from tests.server.front import make_settings, recording, serving
from tests.server.models import fake_model
from tests.server.webrtc.rtc_peer import calling

OPERATIONS = [
    pytest.param(path, method, operation, id=f"{method} {path}")
    for path, methods in create_app(make_settings()).openapi()["paths"].items()
    for method, operation in methods.items()
]
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_route_is_described(path: str, method: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    answers = {status: answer for status, answer in operation["responses"].items() if status.startswith(("2", "426"))}
    assert answers, "what a good answer is"
    for answer in answers.values():
        for media_type, content in answer.get("content", {}).items():
            is_audio = content["schema"] == {"type": "string", "format": "binary"}
            assert is_audio or "example" in content or "examples" in content, f"{media_type} has an example"
    for status in ("4XX", "5XX"):
        error = operation["responses"][status]["content"]["application/json"]["example"]["error"]
        assert set(error) == {"type", "code", "message", "param"}
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        assert media_type.startswith("audio/") or content["examples"], f"{media_type} has an example"
    assert "$ref" not in str(operation)


def bodies() -> list[Any]:
    """Every example of a JSON body or a form."""
    return [
        pytest.param(parameter.values[0], media_type, example["value"], id=f"{parameter.id} {name}")
        for parameter in OPERATIONS
        for media_type, content in parameter.values[2].get("requestBody", {}).get("content", {}).items()
        for name, example in content.get("examples", {}).items()
        if media_type == "application/json" or media_type in FORMS
    ]


def filled(value: Any) -> Any:
    """An example with a recording in which somebody speaks."""
    if isinstance(value, dict):
        inner = {key: filled(each) for key, each in value.items()}
        return inner | {"data": base64.b64encode(recording()).decode()} if set(inner) == {"data", "format"} else inner
    if isinstance(value, list):
        return [filled(each) for each in value]
    return value.replace("cslm-mini", "fake") if isinstance(value, str) else value


@pytest.mark.parametrize(("path", "media_type", "example"), bodies())
async def test_every_example_works(path: str, media_type: str, example: Any) -> None:
    async with serving(fake_model()) as front:
        answer = await sent(front.client, path, media_type, filled(example))
        assert answer.status_code in (200, 201), answer.text
        content = create_app(make_settings()).openapi()["paths"][path]["post"]["responses"]
        documented = next(iter(each for status, each in content.items() if status.startswith("2")))["content"]
        assert answer.headers["content-type"].partition(";")[0] in documented


async def sent(client: httpx.AsyncClient, path: str, media_type: str, example: dict[str, Any]) -> httpx.Response:
    if media_type == "application/json":
        return await client.post(path, json=example)
    if "sdp" in example:
        async with calling() as caller:
            parts = example | {"sdp": await caller.offer()}
            return await client.post(path, files={name: (None, text) for name, text in parts.items()})
    data = {
        f"{name}[]" if isinstance(value, list) else name: value for name, value in example.items() if name != "file"
    }
    return await client.post(path, data=data, files={"file": (example["file"], recording())})


def test_options_are_explained() -> None:
    paths = create_app(make_settings()).openapi()["paths"]
    form = paths["/v1/audio/transcriptions"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["file"]
    assert {"file", "model", "response_format", "stream", "chunking_strategy"} <= set(form["properties"])
    chat = paths["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert chat["required"] == ["messages"]
