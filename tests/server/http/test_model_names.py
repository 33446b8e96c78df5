"""How a model is named is one rule for all routes: by its name, or not at all."""

from __future__ import annotations

import httpx
import pytest

from tests.server.front import Front, recording, serving

MESSAGES = [{"role": "user", "content": "Hi"}]


async def asked(front: Front, route: str, model: str) -> httpx.Response:
    """The answer of a route to a good request for `model`."""
    client = front.client
    match route:
        case "speech":
            return await client.post("/v1/speech", params={"model": model}, content=recording())
        case "chat":
            return await client.post("/v1/chat/completions", json={"model": model, "messages": MESSAGES})
        case "read":
            return await client.post("/v1/audio/speech", json={"model": model, "input": "Hi."})
        case "transcribe":
            form = {"data": {"model": model}, "files": {"file": ("q", recording())}}
            return await client.post("/v1/audio/transcriptions", **form)  # type: ignore[arg-type]
        case _:
            return await client.get("/v1/realtime", params={"model": model})


@pytest.mark.parametrize("route", ["speech", "chat", "read", "transcribe", "realtime"])
async def test_every_route_names_models_alike(route: str) -> None:
    async with serving() as front:
        let_in = 426 if route == "realtime" else 200  # a socket would be let in
        for model in ("fake", ""):
            assert (await asked(front, route, model)).status_code == let_in
        refused = await asked(front, route, "x" * 150)
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")
        assert "x" * 61 not in error["message"], "a name is not echoed at any length"
        assert "fake" in error["message"]


async def test_a_model_without_a_name_is_not_one() -> None:
    async with serving() as front:
        assert (await front.client.get("/v1/models/")).json()["error"]["code"] == "model_not_found"
