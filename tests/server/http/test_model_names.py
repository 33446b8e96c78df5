"""How models, voices and languages are named is one rule for all routes, and what clients have built in is understood."""

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
        for model in ("fake", "", "whisper-1", "tts-1-hd", "gpt-realtime-2025-08-28", "GPT-4o-transcribe"):
            assert (await asked(front, route, model)).status_code == let_in
        refused = await asked(front, route, "x" * 150)
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")
        assert "x" * 61 not in error["message"], "a name is not echoed at any length"
        assert "fake" in error["message"]


async def test_a_model_without_a_name_is_not_one() -> None:
    async with serving() as front:
        assert (await front.client.get("/v1/models/")).json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("route", ["speech", "chat", "read", "transcribe", "realtime"])
async def test_in_strict_mode_a_model_has_one_name(route: str) -> None:
    async with serving(strict_names=True) as front:
        assert (await asked(front, route, "fake")).status_code in (200, 426)
        for model in ("whisper-1", "gpt-realtime"):
            assert (await asked(front, route, model)).json()["error"]["code"] == "model_not_found"
        answer = await front.client.post("/v1/audio/speech", json={"input": "Hi.", "voice": "alloy"})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "voice")


async def test_the_names_that_stand_for_the_model_are_a_setting() -> None:
    async with serving(model_aliases="Ours-*, mine", voice_aliases="anna") as front:
        for model, status in (("ours-1", 200), ("mine", 200), ("whisper-1", 404)):
            assert (await asked(front, "read", model)).status_code == status
        for voice, status in (("Anna", 200), ("alloy", 400), ("other", 200), ("", 200)):
            answer = await front.client.post("/v1/audio/speech", json={"input": "Hi.", "voice": voice})
            assert answer.status_code == status


async def test_another_name_finds_the_model() -> None:
    async with serving() as front:
        assert (await front.client.get("/v1/models/whisper-1")).json()["id"] == "fake"


LANGUAGES = [
    "en",
    "EN",
    "en-US",
    "en_GB",
    "english",
    "English",
    "zh-CN",
    "zh-Hans-CN",
    "chinese",
    "Mandarin",
    "cmn",
    "",
    "auto",
]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_languages_as_clients_write_them(language: str) -> None:
    async with serving() as front:
        files = {"file": ("q", recording())}
        for path, sent in (
            ("/v1/audio/transcriptions", {"data": {"language": language}, "files": files}),
            (
                "/v1/speech",
                {"params": {"question_language": language, "reply_language": language}, "content": recording()},
            ),
            ("/v1/chat/completions", {"json": {"messages": MESSAGES, "reply_language": language}}),
        ):
            answer = await front.client.post(path, **sent)  # type: ignore[arg-type]
            assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("language", ["fr", "fr-FR", "french", "klingon", "e", "en;DROP", "x" * 600])
async def test_languages_that_the_model_does_not_know(language: str) -> None:
    async with serving() as front:
        form = {"data": {"language": language}, "files": {"file": ("q", recording())}}
        answer = await front.client.post("/v1/audio/transcriptions", **form)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "language")
