"""Who may ask from inside a browser, under which names, and what answers say about themselves."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.server.front import Front, listening, serving

SOCKET = "/v1/realtime"


async def opens(front: Front, path: str = SOCKET, **headers: str) -> int:
    """The status of a handshake with these headers."""
    try:
        async with connect(front.url.replace("http", "ws") + path, additional_headers=headers, proxy=None):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def code_of(answer: httpx.Response) -> str:
    code: str = answer.json()["error"]["code"]
    return code


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 101),
        ("{own}", 101),
        ("https://evil.example", 403),
        ("http://[", 403),
        ("http://[::1", 403),
        ("http://[evil]", 403),
        ("null", 403),
        ("http://127.0.0.1:1", 403),
        ("{own}.evil.example", 403),
        ("http://evil.example@127.0.0.1", 403),
        ("https://app.example", 101),
        ("", 403),
    ],
)
async def test_a_socket_is_for_our_own_pages_and_those_listed(origin: str | None, status: int) -> None:
    async with listening(cors_origins=("https://app.example",)) as front:
        headers = {} if origin is None else {"Origin": origin.format(own=front.url)}
        assert await opens(front, **headers) == status
        assert front.count("cslm_errors_total", code="origin_not_allowed") == (status == 403)


async def test_a_form_that_needs_no_preflight_is_refused() -> None:
    async with serving() as front:
        simple = {"content-type": "text/plain", "origin": "https://evil.example"}
        answer = await front.client.post("/v1/speech", content=b'{"text": "Hello"}', headers=simple)
        assert (answer.status_code, code_of(answer)) == (403, "origin_not_allowed")


async def test_behind_a_proxy_that_says_what_it_was_asked_for() -> None:
    async with serving() as front:
        headers = {"origin": "https://voice.example", "x-forwarded-host": "voice.example"}
        assert (await front.client.get("/v1/models", headers=headers)).status_code == 200


async def test_a_listed_page_passes_its_preflight() -> None:
    asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
    async with serving(cors_origins=("https://app.example",)) as front:
        answer = await front.client.options("/v1/speech", headers=asked)
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        answer = await front.client.get("/v1/models", headers={"origin": "https://app.example"})
        assert answer.headers["access-control-allow-origin"] == "https://app.example"


PUBLIC = ("evil.example", "evil.example:8080", "localhost.evil.example", "1.evil.example", "evil.example.")
PRIVATE = (
    "localhost", "LOCALHOST:8080", "a.localhost", "127.0.0.1:8080", "[::1]:8080", "[::1]", "10.0.0.7", "server:8080", "gpu.local",
    "cslm.voice.svc.cluster.local", "host.docker.internal:8080",
)  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "accepted", "refused"),
    [
        ({}, PRIVATE, PUBLIC),
        ({"api_key": "sk-1"}, (*PRIVATE, *PUBLIC), ()),
        ({"keys": '{"keys": []}'}, (*PRIVATE, *PUBLIC), ()),
        ({"allowed_hosts": "*"}, (*PRIVATE, *PUBLIC), ()),
        (
            {"allowed_hosts": "voice.example, *.voices.example", "api_key": "sk-1"},
            ("voice.example", "Voice.Example:443", "a.voices.example", *PRIVATE),
            (*PUBLIC, "voices.example", "xvoice.example"),
        ),
    ],
    ids=["open", "with a key", "with several keys", "any", "listed"],
)
async def test_names_that_the_server_answers_to(
    settings: dict[str, Any], accepted: tuple[str, ...], refused: tuple[str, ...]
) -> None:
    async with serving(**settings) as front:
        for host in accepted:
            assert (await front.client.get("/healthz", headers={"host": host})).status_code == 200, host
        for host in refused:
            answer = await front.client.get("/healthz", headers={"host": host})
            assert (answer.status_code, code_of(answer)) == (403, "host_not_allowed"), host


async def test_a_socket_under_a_strange_name_is_refused() -> None:
    async with listening() as front:
        place = {"host": "127.0.0.1", "port": int(front.url.rpartition(":")[2])}
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://evil.example{SOCKET}", proxy=None, **place)
        assert refused.value.response.status_code == 403


@pytest.mark.parametrize("path", ["/", "/docs", "/v1/models", "/v1/none", "/healthz", "/assets/app.js"])
async def test_every_answer_says_what_it_is_and_that_nobody_frames_it(path: str) -> None:
    async with serving() as front:
        answer = await front.client.get(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


async def test_the_description_loads_nothing_from_elsewhere() -> None:
    async with serving() as front:
        page = await front.client.get("/docs")
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert len(loaded) == 3
        for address in loaded:
            assert address.startswith("/")
            assert (await front.client.get(address)).status_code == 200
        assert "http" not in page.text.replace("http://www.w3.org", "")
        assert (await front.client.get("/redoc")).status_code == 404
