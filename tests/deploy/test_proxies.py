"""The proxies of `deploy`, the real programs, in front of a server: what must pass does, and what they are there for stops."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.fakes import FakeLM
from tests.live_server import ROOT, free_port
from tests.server.front import Front, eventually, listening, recording
from tests.server.models import fake_model

DEPLOY = ROOT / "deploy"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass(frozen=True)
class Behind:
    """A proxy, and the server behind it."""

    name: str
    url: str
    tls: ssl.SSLContext
    front: Front

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, verify=self.tls, timeout=30)


def program(name: str) -> str:
    """Skips where it is not installed (Debian: nginx, caddy)."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    return path or pytest.skip(f"{name} is not installed")


def edited(name: str, **values: str) -> str:
    """A configuration of `deploy` with other values in it; each must be there."""
    text = (DEPLOY / name).read_text(encoding="utf-8")
    for old, new in values.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def nginx(place: Path, port: int, upstream: str, header_s: int) -> list[str]:
    """With a certificate of its own."""
    key, certificate = place / "key.pem", place / "certificate.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-keyout",
        key,
        "-out",
        certificate,
    ]
    subprocess.run([*made, *subject], check=True, capture_output=True)
    site = edited(
        "nginx.conf",
        **{
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "voice.example.org": "localhost",
            "/etc/ssl/voice.pem": str(certificate),
            "/etc/ssl/voice.key": str(key),
            "127.0.0.1:8080": upstream,
            "client_header_timeout 10s": f"client_header_timeout {header_s}s",
        },
    )
    paths = "".join(f"{name}_temp_path {place / name};\n" for name in TEMPORARY)
    user = "user root;" if os.geteuid() == 0 else ""  # else what root has made is not for its workers
    main = (
        f"{user} daemon off; pid {place}/pid; error_log stderr; events {{}}\nhttp {{ access_log off;\n{paths}{site}}}\n"
    )
    (place / "nginx.conf").write_text(main, encoding="utf-8")
    return [program("nginx"), "-p", str(place), "-c", str(place / "nginx.conf")]


def caddy(place: Path, port: int, upstream: str, header_s: int) -> list[str]:
    """With its own authority's certificate, and no other ports than ours."""
    text = edited(
        "Caddyfile",
        **{
            "admin off": "admin off\n\tauto_https disable_redirects\n\tskip_install_trust",
            "{$CSLM_DOMAIN:localhost}": f"https://localhost:{port}",
            "server:8080": upstream,
            "read_header 10s": f"read_header {header_s}s",
            "127.0.0.1:2019": f"127.0.0.1:{free_port()}",
        },
    )
    (place / "Caddyfile").write_text(text, encoding="utf-8")
    return [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(place / "Caddyfile")]


@asynccontextmanager
async def behind(
    name: str, place: Path, *, header_s: int = 10, lm: FakeLM | None = None, **settings: object
) -> AsyncGenerator[Behind]:
    """A server behind the proxy `name`."""
    async with listening(fake_model(lm=lm or FakeLM()), **settings) as front:
        port = free_port()
        command = {"nginx": nginx, "caddy": caddy}[name](place, port, urlsplit(front.url).netloc, header_s)
        environment = os.environ | {"XDG_DATA_HOME": str(place), "XDG_CONFIG_HOME": str(place), "HOME": str(place)}
        process = await asyncio.create_subprocess_exec(*command, env=environment)
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        it = Behind(name, f"https://localhost:{port}", tls, front)
        try:
            await until_ready(it, process)
            yield it
        finally:
            process.terminate()
            await process.wait()


async def until_ready(it: Behind, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(60), it.client() as client:
        while True:
            assert process.returncode is None
            try:
                if (await client.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)


pytestmark = pytest.mark.parametrize("name", ["nginx", "caddy"])


async def test_sockets_and_pages_pass_and_foreign_pages_do_not(name: str, tmp_path: Path) -> None:
    async with behind(name, tmp_path) as it, it.client() as client:
        address = it.url.replace("https", "wss") + "/v1/realtime"
        async with connect(address, ssl=it.tls, origin=it.url, max_size=None) as socket:  # type: ignore[arg-type]
            assert json.loads(await socket.recv())["type"] == "session.created"
            await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": "A" * 1_000_000}))
            await socket.send('{"type":"input_audio_buffer.clear"}')
            assert json.loads(await socket.recv())["type"] == "input_audio_buffer.cleared"
        with pytest.raises(InvalidStatus) as refused:
            await connect(address, ssl=it.tls, origin="https://evil.example")  # type: ignore[arg-type]
        assert refused.value.response.status_code == 403
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/metrics")).status_code == 404


async def test_callers_are_known_by_their_own_addresses(name: str, tmp_path: Path) -> None:
    settings = {"max_sessions": 1, "max_waiting_per_peer": 1, "max_connections_per_address": 2, "max_wait_s": 60}
    async with behind(name, tmp_path, trusted_proxies="127.0.0.1", **settings) as it, AsyncExitStack() as callers:
        socket = await callers.enter_async_context(connect(it.url.replace("https", "wss") + "/v1/realtime", ssl=it.tls))
        await socket.recv()

        async def ask(address: str, claims: str) -> httpx.Response:
            transport = httpx.AsyncHTTPTransport(local_address=address, verify=it.tls)
            port = urlsplit(it.url).port
            async with httpx.AsyncClient(
                transport=transport, base_url=f"https://127.0.0.1:{port}", timeout=60
            ) as client:
                headers = {"host": f"localhost:{port}", "x-forwarded-for": claims}
                extensions = {"sni_hostname": "localhost"}
                return await client.post("/v1/speech", content=recording(), headers=headers, extensions=extensions)

        waiting = [asyncio.create_task(ask(address, "203.0.113.1")) for address in ("127.0.0.2", "127.0.0.3")]
        await eventually(lambda: it.front.state.admission.waiting == 2)
        refused = await ask("127.0.0.2", "203.0.113.9")
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_waiting")
        await socket.close()
        assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200, 200]


async def test_an_answer_is_sent_on_as_it_is_made(name: str, tmp_path: Path) -> None:
    lm = FakeLM(hang_after=12)
    async with (
        behind(name, tmp_path, lm=lm) as it,
        it.client() as client,
        client.stream("POST", "/v1/speech?stream=events", content=recording()) as answer,
    ):
        assert answer.status_code == 200
        pieces = answer.aiter_raw()
        assert await anext(pieces)  # although the rest is not written yet
        lm.released.set()
        assert "event:" in "".join([piece.decode() async for piece in pieces])


async def test_a_body_that_is_too_large_is_refused(name: str, tmp_path: Path) -> None:
    """Caddy closes the connection, which a client that still sends may see before it sees the answer."""
    async with behind(name, tmp_path) as it:
        size = 26 << 20
        head = (
            f"POST /v1/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: audio/wav\r\nContent-Length: {size}\r\n\r\n"
        )
        try:
            line = await said(it, head.encode() + bytes(size))
        except ConnectionError:
            line = b""
        assert line.startswith(b"HTTP/1.1 413 ") or (name == "caddy" and not line)
        assert it.front.state.admission.active == 0


async def test_half_a_header_does_not_keep_a_connection(name: str, tmp_path: Path) -> None:
    async with behind(name, tmp_path, header_s=1) as it:
        await said(it, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n")


async def said(it: Behind, request: bytes) -> bytes:
    """The first line of the answer, or nothing where the connection ends without one."""
    reader, writer = await asyncio.open_connection("localhost", urlsplit(it.url).port, ssl=it.tls)
    writer.write(request)
    try:
        async with asyncio.timeout(60):
            return await reader.readline()
    finally:
        writer.transport.abort()


async def test_one_address_has_its_limit_and_the_server_is_spared(name: str, tmp_path: Path) -> None:
    if name == "caddy":
        pytest.skip("Caddy counts no connections; the server does")
    async with behind(name, tmp_path, max_sessions=64) as it:
        address = it.url.replace("https", "wss") + "/v1/realtime"
        sockets = [await connect(address, ssl=it.tls) for _ in range(32)]
        with pytest.raises(InvalidStatus) as refused:
            await connect(address, ssl=it.tls)
        assert refused.value.response.status_code == 429
        assert it.front.state.admission.active == 32
        await asyncio.gather(*(socket.close() for socket in sockets))


async def test_callers_wait_while_the_server_is_replaced(name: str, tmp_path: Path) -> None:
    if name == "nginx":
        pytest.skip("nginx tries the same server once")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nnew")
        await writer.drain()
        writer.close()

    async with behind(name, tmp_path) as it, it.client() as client:
        assert it.front.server is not None
        await it.front.server.shutdown()
        asking = asyncio.create_task(client.get("/healthz"))
        await asyncio.sleep(1)
        assert not asking.done()
        async with await asyncio.start_server(answer, "127.0.0.1", urlsplit(it.front.url).port):
            assert (await asking).text == "new"
