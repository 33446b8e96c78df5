"""Keys for browsers: what they open, what they do not, and when they end."""

from __future__ import annotations

import time
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.types.realtime import ClientSecretCreateResponse
from openai.types.realtime.realtime_translation_client_secret_create_response import (
    RealtimeTranslationClientSecretCreateResponse,
)
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from server.errors import Unauthorised
from server.state.secret_signing import SecretSigner
from streaming.errors import TooLarge
from tests.server.front import Front, listening, serving
from tests.tool_caller import WEATHER

KEY = "the-servers-key"
AUTH = {"Authorization": f"Bearer {KEY}"}
MAKER = {"key": "anna", "key_hash": "sha256:00"}
ROUTE = "/v1/realtime/client_secrets"


def stock(front: Front) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{front.url}/v1", api_key=KEY, max_retries=0)


async def first_event(front: Front, secret: str, path: str = "/v1/realtime") -> dict[str, Any]:
    import json

    url = front.url.replace("http", "ws") + path
    offered: Any = ["realtime", f"openai-insecure-api-key.{secret}"]
    async with connect(url, subprotocols=offered) as socket:
        assert socket.subprotocol == "realtime"
        event: dict[str, Any] = json.loads(await socket.recv())
        return event


async def test_a_browser_gets_in_with_the_settings_of_its_key() -> None:
    async with listening(api_key=KEY) as front, stock(front) as client:
        made = await client.realtime.client_secrets.create(
            expires_after={"anchor": "created_at", "seconds": 60},
            session={"type": "realtime", "instructions": "Be brief.", "audio": {"output": {"voice": "other"}}},
        )
        assert isinstance(made, ClientSecretCreateResponse)
        assert made.value.startswith("ek_") and abs(made.expires_at - time.time() - 60) < 30
        assert made.session.type == "realtime" and made.session.instructions == "Be brief."
        session = (await first_event(front, made.value))["session"]
        assert (session["instructions"], session["audio"]["output"]["voice"]) == ("Be brief.", "other")
        async with client.realtime.connect(model="fake") as session_:
            assert (await session_.recv()).type == "session.created"


async def test_transcription_and_translation_keys() -> None:
    async with listening(api_key=KEY) as front, stock(front) as client:
        made = await client.realtime.client_secrets.create(session={"type": "transcription"})
        assert (await first_event(front, made.value))["session"]["type"] == "transcription"
        translation = await client.realtime.translations.client_secrets.create(
            session={"model": "fake", "audio": {"output": {"language": "zh"}}}
        )
        assert isinstance(translation, RealtimeTranslationClientSecretCreateResponse)
        session = (await first_event(front, translation.value, "/v1/realtime/translations"))["session"]
        assert session["audio"]["output"]["language"] == "zh"
        for value, path in ((translation.value, "/v1/realtime"), (made.value, "/v1/realtime/translations")):
            with pytest.raises(InvalidStatus) as refused:
                await first_event(front, value, path)
            assert refused.value.response.status_code == 400


async def test_it_opens_sessions_and_nothing_else() -> None:
    async with serving(api_key=KEY) as front:
        secret = (await front.client.post(ROUTE, headers=AUTH)).json()["value"]
        for path in (ROUTE, "/v1/speech"):
            answer = await front.client.post(path, headers={"Authorization": f"Bearer {secret}"}, json={})
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        assert (await front.client.post(ROUTE, json={})).status_code == 401


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"session": {"type": "realtime", "audio": {"output": {"voice": "nobody"}}}}, "invalid_value", "session.audio.output.voice"),
        ({"session": {"type": "realtime", "tools": [{}]}}, "missing_required_parameter", "session.tools.0.type"),
        ({"session": {"type": "realtime", "tools": [WEATHER]}}, "invalid_value", "session.tools"),
        ({"session": {"type": "realtime", "model": "another"}}, "model_not_found", "model"),
        ({"session": {}}, "missing_required_parameter", "session.type"),
        ({"expires_after": {"seconds": 9}}, "invalid_value", "expires_after.seconds"),
        ({"expires_after": {"seconds": 7201}}, "invalid_value", "expires_after.seconds"),
        ({"colour": "red"}, "unknown_parameter", "colour"),
        ([], "invalid_json", None),
    ],
)  # fmt: skip
async def test_refused(body: Any, code: str, param: str | None) -> None:
    async with serving() as front:
        answer = await front.client.post(ROUTE, json=body)
        error = answer.json()["error"]
        assert (400 <= answer.status_code < 500, error["code"], error["param"]) == (True, code, param)


async def test_a_body_over_the_limit_is_refused() -> None:
    async with serving(max_body_bytes=2000) as front:
        for route in (ROUTE, "/v1/realtime/translations/client_secrets"):
            answer = await front.client.post(route, json={"session": {"type": "realtime", "instructions": "x" * 2000}})
            assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_forged_damaged_and_late() -> None:
    ours, theirs = SecretSigner(KEY), SecretSigner("another")
    late = int(time.time()) + 60
    value = ours.make({"type": "realtime"}, late, **MAKER)
    assert SecretSigner(KEY).read(value).session == {"type": "realtime"}, "every gateway with the key knows it"
    for bad in (theirs.make({}, late, **MAKER), "ek_", "ek_x.y", "ek_é.y", value[:-4], value.replace(".", "..")):
        with pytest.raises(Unauthorised):
            ours.read(bad)
    with pytest.raises(Unauthorised) as expired:
        ours.read(ours.make({}, int(time.time()) - 1, **MAKER))
    assert expired.value.code == "client_secret_expired"
    with pytest.raises(Unauthorised):
        SecretSigner(None).read(SecretSigner(None).make({}, late, **MAKER))


def test_too_much_to_carry() -> None:
    import random

    letters = random.Random(1)
    long = "".join(chr(letters.randrange(32, 127)) for _ in range(9000))
    with pytest.raises(TooLarge, match=r"session\.update"):
        SecretSigner(KEY).make({"instructions": long}, 0, **MAKER)


async def test_the_beta_dialect_on_request() -> None:
    import json

    async with listening() as front:
        url = front.url.replace("http", "ws") + "/v1/realtime"
        async with connect(url, additional_headers={"OpenAI-Beta": "realtime=v1"}) as socket:
            assert json.loads(await socket.recv())["session"]["input_audio_format"] == "pcm16"
        offered: Any = ["realtime", "openai-beta.realtime-v1"]
        async with connect(url, subprotocols=offered) as socket:
            assert json.loads(await socket.recv())["session"]["input_audio_format"] == "pcm16"
        async with connect(url) as socket:
            assert "audio" in json.loads(await socket.recv())["session"]


async def test_transcription_by_intent() -> None:
    import json

    async with listening() as front:
        url = front.url.replace("http", "ws") + "/v1/realtime?intent=transcription"
        async with connect(url) as socket:
            assert json.loads(await socket.recv())["session"]["type"] == "transcription"


async def test_the_addresses_of_the_beta_make_keys_too() -> None:
    async with listening(api_key=KEY) as front, stock(front) as client:
        made = await client.beta.realtime.sessions.create(
            instructions="Be brief.",
            voice="ash",
            modalities=["text", "audio"],
            input_audio_format="g711_ulaw",
            client_secret={"expires_after": {"anchor": "created_at", "seconds": 60}},
        )
        assert (made.instructions, made.voice, made.input_audio_format) == ("Be brief.", "default", "g711_ulaw")
        assert abs(made.client_secret.expires_at - time.time() - 60) < 30
        session = (await first_event(front, made.client_secret.value))["session"]
        assert session["instructions"] == "Be brief."
        assert session["audio"]["input"]["format"]["type"] == "audio/pcmu"
        written = await client.beta.realtime.transcription_sessions.create(turn_detection={"type": "server_vad"})
        assert (await first_event(front, written.client_secret.value))["session"]["type"] == "transcription"
        answer = await front.client.post("/v1/realtime/sessions", json={"colour": "red"}, headers=AUTH)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "session.colour")
        answer = await front.client.post("/v1/realtime/sessions", json={"client_secret": "mine"}, headers=AUTH)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "client_secret")


async def test_a_servers_key_may_look_like_a_client_secret() -> None:
    async with serving(api_key="ek_mine") as front:
        answer = await front.client.get("/v1/realtime", headers={"Authorization": "Bearer ek_mine"})
        assert answer.json()["error"]["code"] == "upgrade_required"
