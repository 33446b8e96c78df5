"""What one caller can do to the others. Each attack is a process of its own, with an address of its own: 127.0.0.2.

    python -m tests.faults.attacks "slow bodies" http://127.0.0.1:8080

prints what it was answered, and how often.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import gzip
import io
import json
import os
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import soundfile
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.server.media.bombs import claims_samples

ADDRESS = ("127.0.0.2", 0)
LASTS_S = 12.0
"""Of attacks that only wait: longer than the time that the server gives a header, or a body."""

Answers = Counter[str]
Attack = Callable[[str], Awaitable[Answers]]

JSON = {"content-type": "application/json"}


async def posted(url: str, path: str, bodies: Sequence[bytes], headers: dict[str, str] = JSON) -> Answers:
    """All at once: how each was answered."""
    transport = httpx.AsyncHTTPTransport(local_address=ADDRESS[0], limits=httpx.Limits(max_connections=200))
    async with httpx.AsyncClient(base_url=url, transport=transport, timeout=120) as client:
        return Counter(await asyncio.gather(*(_answer(client, path, body, headers) for body in bodies)))


async def _answer(client: httpx.AsyncClient, path: str, body: bytes, headers: dict[str, str]) -> str:
    try:
        answer = await client.post(path, content=body, headers=headers)
    except httpx.TransportError as failure:
        return type(failure).__name__
    code = (
        answer.json()["error"]["code"]
        if answer.headers["content-type"] == "application/json" and answer.is_error
        else ""
    )
    return f"{answer.status_code} {code}".strip()


async def validation_errors(url: str) -> Answers:
    """A million wrong elements, and as many unknown members, in 2 to 15 MB of JSON."""
    message = {"model": "cslm-mini", "messages": [{"role": "user", "content": 0}]}
    wrong = json.dumps(message).replace(": 0", ": [" + ",".join(["{}"] * 1_000_000) + "]").encode()
    unknown = ("{" + ",".join(f'"k{number}":0' for number in range(1_000_000)) + "}").encode()
    return await posted(url, "/v1/chat/completions", [wrong, unknown] * 4)


def _socket(url: str, **options: Any) -> connect:
    address = f"{url.replace('http', 'ws')}/v1/realtime"
    return connect(address, max_size=None, local_addr=ADDRESS, **options)


async def _said(stream: ClientConnection, messages: Sequence[str], last: str, limit_s: float = 60) -> Answers:
    """Errors in answer to all messages, until an event of the type `last`, or the end."""
    answers = Answers()
    try:
        for message in messages:
            await stream.send(message)
        async with asyncio.timeout(limit_s):
            while (event := json.loads(await stream.recv()))["type"] != last:
                if event["type"] == "error":
                    answers[event["error"]["code"]] += 1
        if (response := event.get("response")) is not None:
            answers[f"response {response['status']}"] += 1
    except ConnectionClosed as closed:
        answers[f"closed {closed.rcvd.code if closed.rcvd else 1006}"] += 1
    except TimeoutError:
        answers["nothing more"] += 1
    return answers


async def unknown_members(url: str) -> Answers:
    """Eight messages of 330,000 unknown members each on a socket."""
    message = '{"type":"session.update","session":{' + ",".join(f'"k{n}":0' for n in range(330_000)) + "}}"
    async with _socket(url) as stream:
        return await _said(stream, [message] * 8, "never", LASTS_S / 3)


async def typed_text(url: str) -> Answers:
    """Half a million characters in one session, and an answer to them; four sessions."""

    async def session() -> Answers:
        content = [{"type": "input_text", "text": "word " * 6_553}]
        item = {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}
        async with _socket(url) as stream:
            return await _said(stream, [json.dumps(item)] * 16 + ['{"type":"response.create"}'], "response.done")

    return functools.reduce(Counter.__add__, await asyncio.gather(*(session() for _ in range(4))))


async def endless_words(url: str) -> Answers:
    """Questions of 99,000 characters without a space, or of marks alone."""
    units = ("1", "a", "_a", "-", "?!", ". ", "\n", "a@", "<!--", "今天是2020年")
    messages = [[{"role": "user", "content": (unit * 99_000)[:99_000]}] for unit in units]
    bodies = [json.dumps({"model": "cslm-mini", "messages": each}).encode() for each in messages]
    return await posted(url, "/v1/chat/completions", bodies)


async def claimed_samples(url: str) -> Answers:
    """mp4 files of a few hundred bytes that claim twenty million samples."""
    return await posted(url, "/v1/speech", [claims_samples(20_000_000)] * 8, {"content-type": "audio/mp4"})


async def compressed_tags(url: str) -> Answers:
    """An ID3 tag whose frames of 64 MB each were compressed."""
    text = zlib.compress(b"\0" + bytes(64 << 20), 9)
    frame = b"TXXX" + _syncsafe(len(text) + 4) + b"\0\x09" + _syncsafe(64 << 20) + text
    tag = frame * 4
    return await posted(
        url, "/v1/speech", [b"ID3\4\0\0" + _syncsafe(len(tag)) + tag] * 4, {"content-type": "audio/mpeg"}
    )


def _syncsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


async def long_recordings(url: str) -> Answers:
    """Six flacs of 590 s, 192 kHz and eight channels in a few hundred kB each."""
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", 192_000, 8, format="FLAC") as file:
        for _ in range(590):
            file.write(np.zeros((192_000, 8), np.int16))
    boundary = b"x"
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.flac"\r\n\r\n'
    form = (
        head + out.getvalue() + b'\r\n--x\r\nContent-Disposition: form-data; name="model"\r\n\r\ncslm-mini\r\n--x--\r\n'
    )
    kind = f"multipart/form-data; boundary={boundary.decode()}"
    return await posted(url, "/v1/audio/transcriptions", [form] * 6, {"content-type": kind})


OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\n"


async def offers(url: str) -> Answers:
    """Offers of 8,000 candidates, and 40 that nobody goes on with."""
    candidates = "".join(f"a=candidate:{n} 1 udp {n} 10.0.{n >> 8}.{n & 255} 5000 typ host\r\n" for n in range(8_000))
    alone = (
        f"{OFFER}a=mid:0\r\na=sendrecv\r\na=rtpmap:111 opus/48000/2\r\na=ice-ufrag:abcd\r\na=ice-pwd:{'p' * 22}\r\n"
        f"a=fingerprint:sha-256 {':'.join(['AB'] * 32)}\r\na=setup:actpass\r\na=rtcp-mux\r\n"
        "a=candidate:1 1 udp 1 127.0.0.2 9 typ host\r\n"
    )
    bodies = [(OFFER + candidates).encode()] * 4 + [alone.encode()] * 40
    return await posted(url, "/v1/realtime/calls", bodies, {"content-type": "application/sdp"})


async def _raw(url: str, first: bytes, then: bytes, lasts_s: float = LASTS_S) -> str:
    """`first` at once, `then` every second: the first line that comes back, or how it ended."""
    place = urlsplit(url)
    try:
        reader, writer = await asyncio.open_connection(place.hostname, place.port, local_addr=ADDRESS)
    except OSError as failure:
        return type(failure).__name__
    line = asyncio.ensure_future(reader.readline())
    try:
        writer.write(first)
        end_s = time.monotonic() + lasts_s
        while not line.done() and time.monotonic() < end_s:
            await asyncio.wait({line}, timeout=1)
            writer.write(then)
        if not line.done():
            return "open"
        return line.result().decode("latin-1").partition(" ")[2].strip() or "closed"
    except OSError as failure:
        return type(failure).__name__
    finally:
        line.cancel()
        writer.transport.abort()


async def silent_connections(url: str) -> Answers:
    """1,050 connections that send nothing."""
    return Counter(await asyncio.gather(*(_raw(url, b"", b"") for _ in range(1_050))))


async def slow_bodies(url: str) -> Answers:
    """40 bodies of a byte a second."""
    head = b"POST /v1/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: audio/wav\r\nContent-Length: 100000\r\n\r\n"
    return Counter(await asyncio.gather(*(_raw(url, head, b"x", 2 * LASTS_S) for _ in range(40))))


async def foreign_pages(url: str) -> Answers:
    """200 sockets and as many forms of a page of another site, and requests for another name."""

    async def opened() -> str:
        try:
            async with _socket(url, origin="https://evil.example"):
                return "101"
        except InvalidStatus as refused:
            return f"{refused.response.status_code} {json.loads(refused.response.body)['error']['code']}"

    answers = Counter(await asyncio.gather(*(opened() for _ in range(200))))
    page = {"origin": "https://evil.example", "content-type": "text/plain"}
    answers += await posted(url, "/v1/audio/speech", [b'{"input":"Hello."}'] * 200, page)
    return answers + await posted(
        url, "/v1/audio/speech", [b'{"input":"Hello."}'] * 200, JSON | {"host": "evil.example"}
    )


async def large_forms(url: str) -> Answers:
    """Forms of 4 MB while the server can write no file."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    tail = b'\r\n--x\r\nContent-Disposition: form-data; name="model"\r\n\r\ncslm-mini\r\n--x--\r\n'
    out = io.BytesIO()
    soundfile.write(out, np.zeros(125 * 16_000, np.int16), 16_000, format="WAV")
    kind = {"content-type": "multipart/form-data; boundary=x"}
    return await posted(url, "/v1/audio/transcriptions", [head + out.getvalue() + tail] * 8, kind)


async def deflated_frames(url: str) -> Answers:
    """60 messages that would grow to 4 MB each, in frames marked as compressed."""
    squeeze = zlib.compressobj(9, wbits=-15)
    small = squeeze.compress(b"[" * (4 << 20)) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    key = base64.b64encode(os.urandom(16)).decode()
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, local_addr=ADDRESS)
    writer.write(
        f"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    writer.write((b"\xc1\xfe" + struct.pack(">H", len(small)) + bytes(4) + small) * 60)
    try:
        async with asyncio.timeout(LASTS_S):
            rest = await reader.read()
    except ConnectionError:
        return Counter(["reset"])
    finally:
        writer.transport.abort()
    return Counter(
        [f"closed {int.from_bytes(rest[at + 2 : at + 4])}" for at in [rest.rfind(b"\x88")] if at >= 0] or ["closed"]
    )


async def compressed_bodies(url: str) -> Answers:
    """JSON of 200 MB in 200 kB of gzip."""
    body = gzip.compress(b'{"input":"' + b"a" * (200 << 20) + b'"}', 9)
    return await posted(url, "/v1/audio/speech", [body] * 8, JSON | {"content-encoding": "gzip"})


ATTACKS: dict[str, Attack] = {
    "floods of validation errors": validation_errors,
    "unknown members on a socket": unknown_members,
    "typed text without end": typed_text,
    "words without end": endless_words,
    "mp4 that claims 20 M samples": claimed_samples,
    "compressed ID3 frames": compressed_tags,
    "six long recordings of 8 channels": long_recordings,
    "floods of SDP": offers,
    "silent connections": silent_connections,
    "slow bodies": slow_bodies,
    "pages of another site": foreign_pages,
    "large forms, no file can be written": large_forms,
    "deflated frames": deflated_frames,
    "compressed bodies": compressed_bodies,
}


def main() -> None:
    """One attack."""
    soft, hard = 4096, 4096
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    print(json.dumps(asyncio.run(ATTACKS[sys.argv[1]](sys.argv[2]))))


if __name__ == "__main__":
    main()
