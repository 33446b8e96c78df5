"""OpenAPI schemas and working examples for routes whose bodies FastAPI does not parse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from server.http.sse import server_sent_event

AUDIO: dict[str, Any] = {"type": "string", "format": "binary"}
ERROR = {
    "error": {
        "type": "invalid_request_error",
        "code": "invalid_value",
        "message": "temperature: Input should be less than or equal to 2",
        "param": "temperature",
    }
}


def install(app: FastAPI) -> None:
    """Leave FastAPI's own validation error out of the description: this server answers it as it does every other one."""
    plain = app.openapi

    def truthful() -> dict[str, Any]:
        schema = plain()
        for methods in schema["paths"].values():
            for operation in methods.values():
                operation["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            schema.get("components", {}).get("schemas", {}).pop(name, None)
        return schema

    app.openapi = truthful  # type: ignore[method-assign]


Examples = Mapping[str, Any]
"""Name of an example to its value; the name is a sentence that says what it shows."""


def route(
    *,
    json_body: type[BaseModel] | None = None,
    form: type[BaseModel] | None = None,
    file: bool = False,
    examples: Examples | None = None,
    form_examples: Examples | None = None,
    answers: Mapping[str, Any],
    status: str = "200",
) -> dict[str, Any]:
    """`openapi_extra` of a route. `answers`: media type to an example, or to None for audio; `file`: the form has a recording."""
    content: dict[str, Any] = {}
    if json_body is not None:
        content["application/json"] = {"schema": inlined(json_body), "examples": shown(examples or {})}
    if form is not None:
        schema = inlined(form)
        if file:
            schema["properties"] = {"file": AUDIO, **schema["properties"]}
            schema["required"] = ["file", *schema.get("required", [])]
        content["multipart/form-data"] = {"schema": schema, "examples": shown(form_examples or examples or {})}
    body = {"requestBody": {"required": True, "content": content}} if content else {}
    return {**body, "responses": responses(answers, status)}


def responses(answers: Mapping[str, Any], status: str = "200") -> dict[str, Any]:
    """The answer, and what every failure looks like."""
    return {
        status: {
            "description": "The answer",
            "content": {kind: _answer(kind, value) for kind, value in answers.items()},
        },
        "4XX": {"description": "The request must change; codes in docs/errors.md", "content": _json(ERROR)},
        "5XX": {"description": "The server cannot answer, perhaps not yet: see Retry-After", "content": _json(ERROR)},
    }


def shown(examples: Examples) -> dict[str, Any]:
    """Named examples as OpenAPI writes them."""
    return {name.lower().replace(" ", "_"): {"summary": name, "value": value} for name, value in examples.items()}


def inlined(shape: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of `shape` without references, which would point outside an operation."""
    schema = shape.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs", {})

    def resolved(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return resolved(definitions[node["$ref"].rpartition("/")[2]])
            return {key: resolved(value) for key, value in node.items() if key != "discriminator"}
        return [resolved(each) for each in node] if isinstance(node, list) else node

    whole: dict[str, Any] = resolved(schema)
    return whole


def events(*examples: Mapping[str, Any] | str) -> str:
    """Server-sent events, as an example of a stream."""
    return b"".join(server_sent_event(each) for each in examples).decode()


def _answer(kind: str, example: Any) -> dict[str, Any]:
    if example is None:
        return {"schema": AUDIO}
    return (
        _json(example)["application/json"]
        if kind == "application/json"
        else {"schema": {"type": "string"}, "example": example}
    )


def _json(example: Any) -> dict[str, Any]:
    return {"application/json": {"schema": example_schema(example), "example": example}}


def example_schema(example: Any) -> dict[str, Any]:
    """The JSON schema that an example shows."""
    if isinstance(example, Mapping):
        return {"type": "object", "properties": {key: example_schema(value) for key, value in example.items()}}
    if isinstance(example, list):
        return {"type": "array", "items": example_schema(example[0]) if example else {}}
    names = {bool: "boolean", int: "integer", float: "number", str: "string"}
    return {"type": names[type(example)]} if type(example) in names else {}
