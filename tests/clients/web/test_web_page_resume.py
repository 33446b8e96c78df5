"""The page over the real gateway with scripted stages: the network breaks in the middle of an answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Page, expect

from tests.chromium import chromium_path, open_page
from tests.clients.web.test_web_page import ask, number, until
from tests.fakes import TEXT, UNITS, FakeDecoder, FakeLM
from tests.server.front import Front, listening
from tests.server.models import fake_model

SAMPLES = len(UNITS) * FakeDecoder.per_unit


@dataclass
class Gateway:
    """A gateway in a thread of its own."""

    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    front: Front | None = None
    ready: threading.Event = field(default_factory=threading.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        async with listening(fake_model(lm=FakeLM(delay_s=0.04))) as self.front:
            self.ready.set()
            await self.over.wait()

    def count(self, name: str, **labels: str) -> float:
        assert self.front is not None
        return self.front.count(name, **labels)

    def cut(self, *, forget: bool = False) -> None:
        """Break every connection, and have the gateway know nothing of the sessions, if it shall `forget` them."""
        self.loop.call_soon_threadsafe(self._cut, forget)

    def _cut(self, forget: bool) -> None:
        assert self.front is not None
        assert self.front.server is not None
        for line in list(self.front.state.parking._tokens) if forget else []:
            self.front.state.parking.forget(line)
        connections: list[Any] = list(self.front.server.server_state.connections)
        for connection in connections:
            connection.transport.abort()


@contextmanager
def gateway() -> Iterator[Gateway]:
    chromium_path()
    served = Gateway()
    thread = threading.Thread(target=lambda: served.loop.run_until_complete(served.run()))
    thread.start()
    assert served.ready.wait(60)
    try:
        yield served
    finally:
        served.loop.call_soon_threadsafe(served.over.set)
        thread.join(60)
        served.loop.close()


def ask_and_hear_its_beginning(page: Page) -> None:
    ask(page, "Well?")
    until(lambda: number(page, "played-samples"), page)


def test_an_answer_goes_on_where_the_network_broke() -> None:
    with gateway() as served, open_page(served.front.url, errors=True) as page:
        ask_and_hear_its_beginning(page)
        served.cut()
        expect(page.locator("#connection")).to_contain_text("Reconnecting in")
        expect(page.locator("#connection")).to_contain_text("Connected")
        expect(page.locator(".turn").first.locator(".answer .words")).to_have_text(TEXT)
        until(lambda: number(page, "played-samples") == SAMPLES, page)
        assert not page.locator(".turn .note").first.is_visible()
        assert served.count("cslm_parkings_total", outcome="resumed") == 1
        ask(page, "And now?")
        expect(page.locator(".turn").nth(1).locator(".answer .words")).to_have_text(TEXT)
        assert served.count("cslm_turns_total", transport="realtime", outcome="completed") == 2


def test_a_session_that_is_not_there_any_more_is_told_again() -> None:
    with gateway() as served, open_page(served.front.url, errors=True) as page:
        ask_and_hear_its_beginning(page)
        served.cut(forget=True)
        expect(page.locator(".turn").first.locator(".note")).to_contain_text("The connection was lost.")
        expect(page.locator("#connection")).to_contain_text("Connected")
        page.locator(".turn").first.get_by_role("button", name="Ask again").click()
        expect(page.locator(".turn").nth(1).locator(".answer .words")).to_have_text(TEXT)
