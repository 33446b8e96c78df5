"""What clients do with a connection: offers to upgrade, old HTTP, pauses between requests, nonsense."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import ValidationError
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from websockets.asyncio.client import connect

from server.app import create_app
from server.serve import transport_config
from tests.server.front import Front, eventually, listening, make_settings

BODY = json.dumps({"text": "What is two plus three?"}).encode()
POST = b"POST /v1/speech HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(BODY)
UPGRADE = b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


class Line:
    """A connection of its own, and the answers that come over it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    @asynccontextmanager
    async def to(cls, front: Front) -> AsyncGenerator[Line]:
        host, port = front.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    async def ask(self, *pieces: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer to a request that is sent in `pieces`."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
        status, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        if "content-length" in headers:
            body = await self.reader.readexactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            body = await self._chunks()
        else:
            body = await self.reader.read()
        return int(status.split()[1]), headers, body

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()
        return body


@pytest.mark.parametrize(
    "offer",
    [
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        b"Connection: Upgrade\r\nUpgrade: TLS/1.0, h2c\r\n",
        b"Upgrade: websocket\r\n" + UPGRADE,
    ],
    ids=["h2c", "tls", "websocket"],
)
async def test_an_offer_to_upgrade_is_declined_and_the_request_answered(offer: bytes) -> None:
    async with listening() as front, Line.to(front) as line:
        for _ in range(2):
            status, _, body = await line.ask(POST + offer + b"\r\n", BODY[:9], BODY[9:])
            assert (status, body[:4]) == (200, b"RIFF")


@pytest.mark.parametrize(("offer", "expected"), [(b"WebSocket", 101), (b"h2c", 426), (b"h2c, websocket", 426)])
async def test_a_get_becomes_a_websocket_if_it_offers_that(offer: bytes, expected: int) -> None:
    async with listening() as front, Line.to(front) as line:
        head = b"GET /v1/realtime HTTP/1.1\r\nHost: here\r\nUpgrade: " + offer + b"\r\n" + UPGRADE + b"\r\n"
        line.writer.write(head)
        assert int((await line.reader.readline()).split()[1]) == expected


async def test_http_1_0_gets_no_chunks() -> None:
    async with listening() as front, Line.to(front) as line:
        ask = POST.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n" + BODY
        status, headers, body = await line.ask(ask)
        assert (status, body[:4]) == (200, b"RIFF")
        assert "transfer-encoding" not in headers
        assert headers["connection"] == "close"


@pytest.mark.parametrize("nonsense", [b"hello\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\r\n\r\n"])
async def test_what_is_not_http_is_told_so(nonsense: bytes) -> None:
    async with listening() as front, Line.to(front) as line:
        status, headers, body = await line.ask(nonsense)
        assert (status, json.loads(body)["error"]["code"]) == (400, "bad_request")
        assert headers["connection"] == "close"
        assert await line.reader.read() == b""


async def test_a_connection_waits_for_its_next_request_as_long_as_is_set() -> None:
    settings = make_settings()
    assert transport_config(create_app(settings), settings).timeout_keep_alive >= 75
    async with listening(keep_alive_s=1) as front, Line.to(front) as line:
        assert (await line.ask(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"))[0] == 200
        async with asyncio.timeout(30):
            assert await line.reader.read() == b""


async def _said(line: Line) -> tuple[int, str]:
    status, headers, body = await line.ask()
    assert headers["connection"] == "close"
    code: str = json.loads(body)["error"]["code"]
    return status, code


@pytest.mark.parametrize("began", [b"", b"GET /healthz HTTP/1.1\r\nHost: he"])
async def test_a_connection_that_asks_nothing_is_closed(began: bytes) -> None:
    async with listening(header_timeout_s=0.05) as front, Line.to(front) as line:
        line.writer.write(began)
        assert await _said(line) == (408, "upload_timeout")
        assert await line.reader.read() == b""


async def test_so_is_one_whose_second_request_never_ends() -> None:
    async with listening(header_timeout_s=0.05) as front, Line.to(front) as line:
        status, *_ = await line.ask(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
        assert status == 200
        await asyncio.sleep(0.2)  # an idle connection is none that is late
        line.writer.write(b"GET /he")
        assert await _said(line) == (408, "upload_timeout")


async def test_a_socket_is_no_request_that_is_late() -> None:
    async with (
        listening(header_timeout_s=0.05) as front,
        connect(front.url.replace("http", "ws") + "/v1/realtime", proxy=None) as socket,
    ):
        await socket.recv()
        await asyncio.sleep(0.2)
        await (await socket.ping())


@pytest.mark.parametrize("limits", [{"max_connections": 2}, {"max_connections_per_address": 2}])
async def test_more_connections_than_allowed_are_refused(limits: dict[str, int]) -> None:
    async with listening(**limits) as front:
        url = front.url.replace("http", "ws") + "/v1/realtime"
        async with Line.to(front) as first, connect(url, proxy=None) as socket, Line.to(front) as third:
            await socket.recv()
            assert await _said(third) == (503, "at_capacity")
            status, *_ = await first.ask(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
            assert status == 200
        await eventually(lambda: front.state.admission.active == 0)
        async with Line.to(front) as again:
            status, *_ = await again.ask(b"GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            assert status == 200


@asynccontextmanager
async def full(**settings: object) -> AsyncGenerator[Front]:
    """A server whose only place is taken."""
    async with (
        listening(max_sessions=1, max_waiting_per_peer=1, max_wait_s=60, **settings) as front,
        connect(front.url.replace("http", "ws") + "/v1/realtime", proxy=None) as socket,
    ):
        await socket.recv()
        yield front


async def _waits(line: Line, front: Front, forwarded: str) -> None:
    """A turn of a caller that a proxy names, or that names itself."""
    before = front.state.admission.waiting
    line.writer.write(POST + f"X-Forwarded-For: {forwarded}\r\n\r\n".encode() + BODY)
    await eventually(lambda: front.state.admission.waiting == before + 1)


async def _refused(front: Front, forwarded: str) -> str:
    answer = await front.client.post("/v1/speech", content=BODY, headers={"x-forwarded-for": forwarded})
    code: str = answer.json()["error"]["code"]
    return code


@pytest.mark.parametrize("trusted", ["127.0.0.1", "10.0.0.0/8, 127.0.0.0/8"])
async def test_a_proxy_that_is_trusted_carries_many_peers(trusted: str) -> None:
    async with (
        full(trusted_proxies=trusted, max_connections_per_address=2) as front,
        Line.to(front) as one,
        Line.to(front) as two,
    ):
        await _waits(one, front, "203.0.113.1")
        assert await _refused(front, "203.0.113.1") == "too_many_waiting"
        await _waits(two, front, "203.0.113.2")
        assert await _refused(front, "198.51.100.7, 203.0.113.2") == "too_many_waiting", "the proxy's word is the last"


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "192.0.2.1", "::ffff:192.0.2.1"])
def test_a_proxy_is_trusted_on_a_socket_for_both_versions_of_ip(address: str) -> None:
    """Where the server listens at `::`, callers over IPv4 have IPv6 addresses."""
    settings = make_settings(trusted_proxies="10.0.0.0/8, 192.0.2.1")
    config = transport_config(create_app(settings), settings)
    for seen, caller in ((address, "203.0.113.1"), ("::ffff:192.0.2.2", "::ffff:192.0.2.2")):
        app = ProxyHeadersMiddleware(lambda scope, *_: asyncio.sleep(0), config.forwarded_allow_ips)
        scope: Any = {"type": "http", "client": (seen, 1), "headers": [(b"x-forwarded-for", b"203.0.113.1")]}
        asyncio.run(app(scope, None, None))  # type: ignore[arg-type]
        assert scope["client"][0] == caller
        assert config.http.keywords["limits"].counts(seen) == (seen == caller)  # type: ignore[union-attr]


async def test_nobody_else_says_what_its_address_is() -> None:
    async with full() as front, Line.to(front) as line:
        await _waits(line, front, "203.0.113.1")
        assert await _refused(front, "203.0.113.2") == "too_many_waiting"


@pytest.mark.parametrize("trusted", ["*", "proxy.example.com", "10.0.0.0/99"])
def test_a_proxy_that_is_trusted_is_named_by_its_address(trusted: str) -> None:
    with pytest.raises(ValidationError, match="neither an address nor a network"):
        make_settings(trusted_proxies=trusted)


async def test_a_body_that_drips_gives_its_slot_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.http.uploads._GRACE_S", 0.1)
    async with listening() as front, Line.to(front) as line:
        status, _, body = await line.ask(POST + b"\r\n", BODY[:1])
        assert (status, json.loads(body)["error"]["code"]) == (408, "upload_timeout")
        assert front.state.admission.active == 0


async def test_no_message_is_inflated() -> None:
    async with listening() as front, connect(front.url.replace("http", "ws") + "/v1/realtime", proxy=None) as socket:
        assert socket.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.response.headers
