"""Full duplex over a sound card, with a card that is made up."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.errors import Disconnected, SoundCardMissing
from clients.live import LiveConversation
from clients.playback import Heard
from clients.realtime import SessionOptions, connect
from clients.soundcard import Loudspeaker, open_sound_card
from clients.turns import TurnRecord
from tests.clients.conftest import SILENT_FRAME, SPEECH_FRAME
from tests.clients.fake_server import Script, fake_server

MS = 48


class Card:
    """A microphone that hears what it is told, and a loudspeaker that plays when asked to."""

    def __init__(self) -> None:
        self.loudspeaker = Loudspeaker()
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()

    def hear(self, *frames: bytes) -> None:
        for frame in frames:
            self.heard.put_nowait(frame)

    async def frames(self) -> AsyncIterator[bytes]:
        while True:
            yield await self.heard.get()


class Display:
    """Waits for events to be shown."""

    def __init__(self) -> None:
        self.shown: asyncio.Queue[str] = asyncio.Queue()
        self.finished: list[TurnRecord] = []

    def show(self, event: Any, turn: TurnRecord) -> None:
        self.shown.put_nowait(event.type)

    def timings(self, turn: TurnRecord) -> None:
        self.finished.append(turn)

    async def until(self, kind: str) -> None:
        while await self.shown.get() != kind:
            pass


async def test_speaking_interrupts_and_tells_what_was_heard() -> None:
    card, display = Card(), Display()
    async with fake_server() as server, connect(server.url) as session:
        await session.update(SessionOptions())
        talking = asyncio.create_task(LiveConversation(session, card, display).run())
        card.hear(*[SPEECH_FRAME] * 5, *[SILENT_FRAME] * 10)
        await display.until("response.done")
        assert card.loudspeaker.pull(300 * MS) == b"\1\2" * (150 * MS)
        card.hear(SPEECH_FRAME)
        await display.until("input_audio_buffer.speech_started")
        assert not any(card.loudspeaker.pull(100 * MS))
        await display.until("error")
        talking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await talking
    truncate = server.received[-1]
    assert (truncate["type"], truncate["audio_end_ms"]) == ("conversation.item.truncate", 300)
    assert [turn.text for turn in display.finished] == ["Two plus three is five."]


async def test_silence_after_an_answer_was_heard_truncates_nothing() -> None:
    card, display = Card(), Display()
    async with fake_server() as server, connect(server.url) as session:
        await session.update(SessionOptions())
        talking = asyncio.create_task(LiveConversation(session, card, display).run())
        for _ in range(2):
            card.hear(*[SPEECH_FRAME] * 5, *[SILENT_FRAME] * 10)
            await display.until("response.done")
            card.loudspeaker.pull(1000 * MS)
        talking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await talking
    assert server.types() == ["session.update"]


async def test_a_server_that_goes_away_ends_the_talk() -> None:
    card = Card()
    async with fake_server(Script(endings=("dropped",))) as server, connect(server.url) as session:
        card.hear(*[SPEECH_FRAME] * 5, *[SILENT_FRAME] * 10)
        with pytest.raises(Disconnected):
            await LiveConversation(session, card, Display()).run()


def test_a_loudspeaker_plays_in_order_and_fills_up_with_silence() -> None:
    loudspeaker = Loudspeaker()
    loudspeaker.play("a", b"1" * 4)
    loudspeaker.play("b", b"2" * 4)
    assert loudspeaker.pull(6) == b"111122"
    assert loudspeaker.pull(6) == b"22" + bytes(4)
    loudspeaker.ended("b")
    assert loudspeaker.stop() == []


def test_an_item_that_did_not_start_was_heard_for_no_time() -> None:
    loudspeaker = Loudspeaker()
    loudspeaker.play("a", bytes(10 * MS))
    assert loudspeaker.stop() == [Heard("a", 0)]
    assert loudspeaker.stop() == []


def test_an_answer_that_is_still_coming_is_cut_short_even_where_nothing_waits() -> None:
    loudspeaker = Loudspeaker()
    loudspeaker.play("a", bytes(30 * MS))
    loudspeaker.pull(50 * MS)
    assert loudspeaker.stop() == [Heard("a", 30)]


def test_what_waits_is_bounded() -> None:
    loudspeaker = Loudspeaker()
    second = b"\1\2" * 24_000
    for _ in range(700):
        loudspeaker.play("a", second)
    assert loudspeaker.pull(700 * len(second)) == second * 600 + bytes(100 * len(second))
    assert loudspeaker.stop() == [Heard("a", 600_000)]


@given(st.lists(st.integers(1, 50), min_size=1), st.lists(st.integers(1, 50), min_size=1))
def test_any_split_plays_the_same(pushed: list[int], pulled: list[int]) -> None:
    loudspeaker = Loudspeaker()
    audio = bytes(number % 251 for number in range(sum(pushed)))
    at = 0
    for size in pushed:
        loudspeaker.play("a", audio[at : at + size])
        at += size
    heard = b"".join(loudspeaker.pull(size) for size in pulled)
    assert heard == (audio + bytes(len(heard)))[: len(heard)]


def card_error(monkeypatch: pytest.MonkeyPatch, library: ModuleType | None) -> str:
    monkeypatch.setitem(sys.modules, "sounddevice", library)

    async def open_card() -> None:
        with open_sound_card():
            pass

    with pytest.raises(SoundCardMissing) as missing:
        asyncio.run(open_card())
    return missing.value.message


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "pip install" in card_error(monkeypatch, None)


def test_a_missing_sound_card_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class PortAudioError(Exception):
        pass

    def none(**_: Any) -> None:
        raise PortAudioError("Error querying device -1")

    library = ModuleType("sounddevice")
    library.__dict__.update(PortAudioError=PortAudioError, RawInputStream=none, RawOutputStream=none)
    assert "no microphone or loudspeaker" in card_error(monkeypatch, library)
