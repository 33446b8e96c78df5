"""The key of the server: where it may be, and what is open without it."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from server.errors import Unauthorised
from server.state.keyring import Keyring
from tests.server.front import make_settings, recording, serving

KEY = "sk-ключ-1"


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"Authorization": f"bearer  {KEY} "},
        {"sec-websocket-protocol": f"realtime, openai-insecure-api-key.{KEY}, openai-beta.realtime-v1"},
    ],
)
def test_the_key_is_taken(headers: dict[str, str]) -> None:
    Keyring(None, KEY).authorise(_Plain(headers))


class _Plain(dict[str, str]):
    """Headers beyond latin-1, which Starlette's own cannot hold."""

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__({key.lower(): value for key, value in headers.items()})


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_api_key"),
        ({"authorization": "Bearer"}, "missing_api_key"),
        ({"authorization": f"Basic {KEY}"}, "missing_api_key"),
        ({"authorization": "Bearer wrong"}, "invalid_api_key"),
        ({"authorization": f"Bearer {KEY}x"}, "invalid_api_key"),
        ({"sec-websocket-protocol": "openai-insecure-api-key.wrong"}, "invalid_api_key"),
        ({"sec-websocket-protocol": "realtime"}, "missing_api_key"),
    ],
)
def test_anything_else_is_refused(headers: dict[str, str], code: str) -> None:
    with pytest.raises(Unauthorised) as failure:
        Keyring(None, KEY).authorise(_Plain(headers))
    assert failure.value.code == code
    assert KEY not in failure.value.message


async def test_v1_needs_the_key_and_probes_do_not() -> None:
    async with serving(api_key="sk-1") as front:
        for method, path in (("POST", "/v1/speech"), ("GET", "/v1/models"), ("GET", "/v1/models/fake")):
            answer = await front.client.request(method, path, content=recording() if method == "POST" else None)
            assert answer.status_code == 401
            assert answer.json()["error"]["code"] == "missing_api_key"
            assert answer.headers["www-authenticate"] == "Bearer"
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await front.client.get(path)).status_code == 200
        headers = {"authorization": "Bearer sk-1"}
        assert (await front.client.post("/v1/speech", content=recording(), headers=headers)).status_code == 200
        assert (await front.client.get("/v1/models", headers=headers)).status_code == 200


def test_the_key_is_not_shown() -> None:
    assert KEY not in repr(make_settings(api_key=KEY))


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_key_beyond_ascii(encoding: str) -> None:
    headers = Headers(raw=[(b"authorization", "Bearer schlüssel".encode(encoding))])
    Keyring(None, "schlüssel").authorise(headers)
    with pytest.raises(Unauthorised):
        Keyring(None, "schlüssel2").authorise(headers)
