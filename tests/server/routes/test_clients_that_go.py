"""Requests whose client goes: nothing of them is left, whichever route they ask and wherever they are."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from server.media.decode import Declared
from server.media.decoding import decode_here
from streaming.stages import Pcm
from tests.fakes import FakeEncoder, FakeLM
from tests.server.front import Front, eventually, listening, recording, tone
from tests.server.models import fake_model

WORDS: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello."}]}
TYPED: dict[str, dict[str, Any]] = {
    "/v1/speech": {"json": {"text": "Hello."}},
    "/v1/speech?stream=events": {"json": {"text": "Hello."}},
    "/v1/chat/completions": {"json": WORDS},
    "/v1/chat/completions?streamed": {"json": WORDS | {"stream": True}},
    "/v1/audio/speech": {"json": {"input": "Hello."}},
    "/v1/audio/speech?streamed": {"json": {"input": "Hello.", "stream_format": "sse"}},
}
FILE = {"file": ("question.wav", recording())}
SPOKEN: dict[str, dict[str, Any]] = {
    "/v1/speech?recorded": {"content": recording()},
    "/v1/audio/transcriptions": {"files": FILE},
    "/v1/audio/transcriptions?streamed": {"files": FILE, "data": {"stream": "true"}},
    "/v1/audio/translations": {"files": FILE},
}
ALL = TYPED | SPOKEN


@asynccontextmanager
async def asking(front: Front, route: str) -> AsyncGenerator[None]:
    """A client that goes at the end of the context."""
    async with httpx.AsyncClient(base_url=front.url, timeout=60) as client:
        request = asyncio.create_task(
            client.post(route.removesuffix("?streamed").removesuffix("?recorded"), **ALL[route])
        )
        try:
            yield
        finally:
            request.cancel()
            await asyncio.wait({request})
    assert request.cancelled()


async def test_half_a_minute_of_speech_is_a_recording_whose_client_is_seen_to_go() -> None:
    async with listening(max_sessions=1, max_wait_s=60) as front, front.state.admission.slot("rest"):
        async with httpx.AsyncClient(base_url=front.url, timeout=60) as client:
            request = asyncio.create_task(client.post("/v1/speech", content=recording(tone(30))))
            await eventually(lambda: front.state.admission.waiting == 1)
            request.cancel()
            await asyncio.wait({request})
        await eventually(lambda: front.state.admission.waiting == 0)


@pytest.mark.parametrize("route", ALL)
async def test_one_that_waits_for_a_place_waits_no_more(route: str) -> None:
    async with listening(max_sessions=1, max_wait_s=60) as front, front.state.admission.slot("rest"):
        async with asking(front, route):
            await eventually(lambda: front.state.admission.waiting == 1)
        await eventually(lambda: front.state.admission.waiting == 0)
        assert front.state.admission.active == 1, "the place is still another's"


class Held:
    """A decoder that decodes nothing before it is let."""

    def __init__(self) -> None:
        self.began, self.released = threading.Event(), threading.Event()

    def __call__(self, data: bytes, declared: Declared, *, max_s: float) -> Pcm:
        self.began.set()
        self.released.wait()
        return decode_here(data, declared, max_s=max_s)


@pytest.mark.parametrize("route", SPOKEN)
async def test_one_whose_recording_is_decoded_gives_its_place_back(route: str) -> None:
    encoder, decoder = FakeEncoder(), Held()
    async with listening(fake_model(encoder=encoder), decoder=lambda: decoder) as front:
        try:
            async with asking(front, route):
                await eventually(decoder.began.is_set)
            await eventually(lambda: front.state.admission.active == 0)
        finally:
            decoder.released.set()
    assert encoder.calls == 0


@pytest.mark.parametrize("route", ALL)
async def test_one_whose_turn_runs_ends_it(route: str) -> None:
    lm, encoder = FakeLM(hang_after=0), FakeEncoder()
    async with listening(fake_model(lm=lm, encoder=encoder)) as front:
        async with asking(front, route):
            await eventually(lambda: lm.active)
        await eventually(lambda: front.state.admission.active == 0)
        assert (lm.active, lm.cancelled, encoder.closed) == (0, 1, encoder.calls)
        assert front.count("cslm_turns_total", transport="rest", outcome="cancelled") == 1


@pytest.mark.parametrize("expects", [False, True])
async def test_a_long_body_is_not_read_before_the_request_is_let_in(expects: bool) -> None:
    """Nor is one asked for that its client holds back until then."""
    async with listening(max_sessions=1, max_wait_s=60) as front, front.state.admission.slot("rest"):
        reader, writer = await asyncio.open_connection(*front.url.removeprefix("http://").split(":"))
        head = "POST /v1/speech HTTP/1.1\r\nhost: localhost\r\ncontent-length: 20000000\r\n"
        writer.write((head + ("expect: 100-continue\r\n\r\n" if expects else "\r\n")).encode())
        await eventually(lambda: front.state.admission.waiting == 1)
        if expects:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.3)
        else:
            with pytest.raises(TimeoutError):
                for _ in range(200):
                    writer.write(bytes(100_000))
                    await asyncio.wait_for(writer.drain(), 0.3)
        writer.transport.abort()
