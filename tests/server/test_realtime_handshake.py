"""Handshakes: which are refused, with what, and who speaks which dialect."""

from __future__ import annotations

import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.server.conftest import Front, listening

BETA = {"OpenAI-Beta": "realtime=v1"}


def socket_url(front: Front, path: str = "/v1/realtime") -> str:
    return front.url.replace("http", "ws") + path


async def test_a_refusal_says_what_it_takes() -> None:
    async with listening(api_key="sk-1") as front:
        with pytest.raises(InvalidStatus) as refused:
            await connect(socket_url(front), proxy=None)
        assert refused.value.response.status_code == 401
        assert refused.value.response.headers["WWW-Authenticate"] == "Bearer"


async def test_a_refusal_says_when_to_come_again() -> None:
    async with listening(max_sessions=1) as front, connect(socket_url(front), proxy=None):
        with pytest.raises(InvalidStatus) as refused:
            await connect(socket_url(front), proxy=None)
        assert refused.value.response.status_code == 503
        assert int(refused.value.response.headers["Retry-After"]) >= 1


@pytest.mark.parametrize(("path", "shape"), [("/v1/realtime", "modalities"), ("/v1/realtime/translations", "audio")])
async def test_the_beta_dialect_is_that_of_conversations(path: str, shape: str) -> None:
    async with (
        listening() as front,
        connect(socket_url(front, path), additional_headers=BETA, proxy=None) as socket,
    ):
        created = json.loads(await socket.recv())
        assert created["type"] == "session.created"
        assert shape in created["session"]
