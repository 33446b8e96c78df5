"""Sessions that come back: against a scripted server, and against the real gateway with scripted stages."""

from __future__ import annotations

import asyncio
import io
import itertools
import random
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.conversation import Conversation
from clients.errors import ConnectionRejected, Disconnected
from clients.live import LiveConversation
from clients.realtime import SessionOptions, audio_of, connect
from clients.reconnect import Backoff, ConnectionLost, ConnectionRestored, LastingSession, stay_connected
from clients.recordings import Recording
from clients.talk import Screen, Talk, ask_all
from clients.turns import TurnRecord
from tests.clients.conftest import SILENT_FRAME, SPEECH_FRAME
from tests.clients.fake_server import Script, fake_server
from tests.clients.test_live import Card, Display
from tests.cut_network import Network
from tests.fakes import TEXT, TRANSCRIPT, FakeLM
from tests.server.front import listening
from tests.server.models import fake_model

MANUAL = SessionOptions(turn_detection=None, reply_language="zh")
SOON = Backoff(first_s=0.01, longest_s=0.05, patience_s=5.0)


async def until(session: LastingSession, kind: str) -> list[Any]:
    """Events up to and with the first of a type."""
    events = []
    async for event in session:
        events.append(event)
        if event.type == kind:
            return events
    raise AssertionError(f"no {kind} in {[event.type for event in events]}")


@given(st.floats(0.01, 10), st.floats(1, 10), st.integers())
def test_waits_double_up_to_the_longest_and_are_never_the_same_for_all(first_s: float, more: float, seed: int) -> None:
    backoff = Backoff(first_s, first_s * more)
    waits = list(itertools.islice(backoff.waits_s(random.Random(seed)), 12))
    for number, wait_s in enumerate(waits):
        wanted_s = min(first_s * 2**number, backoff.longest_s)
        assert wanted_s / 2 <= wait_s <= wanted_s
    assert waits != list(itertools.islice(backoff.waits_s(random.Random(seed + 1)), 12))


async def test_a_session_that_broke_is_told_what_was_said_and_answers_on() -> None:
    script = Script(endings=("dropped", "completed"))
    async with fake_server(script) as server, stay_connected(server.url, backoff=SOON) as session:
        await session.update(MANUAL)
        await session.append(SPEECH_FRAME * 10)
        await session.commit()
        await session.respond()
        lost = (await until(session, "connection.lost"))[-1]
        assert isinstance(lost, ConnectionLost)
        with pytest.raises(Disconnected, match="it is being restored"):
            await session.respond()
        restored = await anext(session)
        assert restored == ConnectionRestored(2, restored.attempts, restored.away_s)
        assert restored.attempts >= 1
        answered_before = len(server.received)
        await session.add_text("And twice that?")
        await session.respond()
        answer = await until(session, "response.done")
    assert server.connections == 2
    replay = server.received[4:answered_before]
    assert [event["type"] for event in replay] == ["session.update", *["conversation.item.create"] * 2]
    assert replay[0]["session"] == MANUAL.event()["session"]
    assert server.messages() == [
        ("user", "what is two plus three"),
        ("assistant", "Two plus three is five."),
        ("user", "And twice that?"),
    ]
    assert [event.type for event in answer[:2]] == ["conversation.item.added", "conversation.item.done"]
    assert answer[-1].response.status == "completed"


async def test_a_server_that_is_full_or_gone_is_tried_again() -> None:
    script = Script(endings=("dropped", "completed"))
    async with fake_server(script) as server, stay_connected(server.url, backoff=SOON) as session:
        await session.add_text("hello")
        await session.respond()
        await until(session, "connection.lost")
        script.refuse_connection = HTTPStatus.SERVICE_UNAVAILABLE
        coming_back = asyncio.create_task(anext(session))
        while server.refusals < 2:
            await asyncio.sleep(0)
        assert not coming_back.done()
        script.refuse_connection = None
        assert (await coming_back).attempts >= 2


async def test_a_refusal_that_does_not_pass_ends_the_session_at_once() -> None:
    script = Script(endings=("dropped",))
    async with fake_server(script) as server, stay_connected(server.url, backoff=SOON) as session:
        await session.respond()
        await until(session, "connection.lost")
        script.refuse_connection = HTTPStatus.UNAUTHORIZED
        with pytest.raises(ConnectionRejected, match="401"):
            await anext(session)


async def test_after_some_time_it_is_given_up() -> None:
    async with fake_server(Script(endings=("dropped",))) as server:
        hurried = Backoff(first_s=0.01, longest_s=0.02, patience_s=0.05)
        async with stay_connected(server.url, backoff=hurried) as session:
            await session.respond()
            await until(session, "connection.lost")
            server.script.refuse_connection = HTTPStatus.SERVICE_UNAVAILABLE
            with pytest.raises(Disconnected, match=r"could not be restored: .*503"):
                await anext(session)


async def test_without_patience_a_lost_connection_is_the_end() -> None:
    async with fake_server(Script(endings=("dropped",))) as server:
        async with stay_connected(server.url, backoff=Backoff(patience_s=0)) as session:
            await session.respond()
            with pytest.raises(Disconnected, match="could not be restored"):
                await until(session, "connection.restored")
        assert server.connections == 1


async def test_a_session_that_was_closed_here_does_not_come_back() -> None:
    async with fake_server() as server:
        async with stay_connected(server.url, backoff=SOON) as session:
            pass
        assert [event async for event in session] == []
        assert server.connections == 1


async def test_a_refused_replay_is_told_and_the_talk_goes_on(recording: Recording) -> None:
    script = Script(endings=("dropped", "completed"))
    async with fake_server(script) as server, stay_connected(server.url, backoff=SOON) as session:
        await session.update(MANUAL)
        await session.respond()
        await until(session, "connection.lost")
        script.refuse_update = True
        assert (await anext(session)).type == "connection.restored"
        assert (await anext(session)).error.code == "invalid_value"
        await session.respond()
        await until(session, "response.done")


async def test_a_turn_that_lost_its_connection_is_asked_again(recording: Recording) -> None:
    out = io.StringIO()
    async with fake_server(Script(endings=("completed", "dropped", "completed"))) as server:
        plan = Talk(server.url, ("one", recording, "three"), MANUAL, backoff=SOON)
        turns = await ask_all(plan, Screen(out))
    assert [turn.answered for turn in turns] == [True, True, True]
    assert server.connections == 2
    assert server.audio() == recording.pcm * 2
    lines = [line.split()[0] for line in out.getvalue().splitlines()]
    assert lines.count("timings") == 3
    assert lines.index("lost") + 1 == lines.index("back")


async def test_a_turn_in_real_time_notices_that_the_connection_broke(recording: Recording) -> None:
    failures: list[Disconnected] = []

    async def speak(conversation: Conversation) -> None:
        await conversation.configure(SessionOptions())
        for _ in range(2):
            try:
                assert (await conversation.ask_aloud(recording)).answered
            except Disconnected as lost:
                failures.append(lost)

    script = Script(endings=("dropped", "completed"))
    async with fake_server(script) as server, stay_connected(server.url, backoff=SOON) as session:
        await Conversation(session).hold(speak)
    assert len(failures) == 1


async def test_talking_goes_on_and_what_was_heard_before_is_not_truncated_again() -> None:
    card, display = Card(), Display()
    script = Script(endings=("dropped", "completed"))
    async with fake_server(script) as server, stay_connected(server.url, backoff=SOON) as session:
        await session.update(SessionOptions())
        talking = asyncio.create_task(LiveConversation(session, card, display).run())
        card.hear(*[SPEECH_FRAME] * 5, *[SILENT_FRAME] * 10)
        await display.until("connection.restored")
        assert card.loudspeaker.pull(48_000) == b"\1\2" * 24_000, "what had arrived is played"
        card.hear(*[SPEECH_FRAME] * 5, *[SILENT_FRAME] * 10)
        await display.until("response.done")
        talking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await talking
    assert "conversation.item.truncate" not in server.types()
    assert [turn.text for turn in display.finished] == ["Two plus three is five."]


async def test_the_real_gateway_takes_the_replay_and_gives_the_same_history_again() -> None:
    """Sessions are cut off by their own transport; each next one is told the same conversation."""
    async with listening(resume_s=0) as front, stay_connected(front.url, backoff=SOON) as session:
        await session.update(MANUAL)
        await session.send({"type": "conversation.item.create", "item": _system("Be brief.")})
        await session.append(b"\x00\x20" * 24_000)
        await session.commit()
        await session.respond()
        await until(session, "response.done")
        replays = [session._history.replay()]
        for _ in range(2):
            session._socket.transport.abort()
            events = await until(session, "connection.restored")
            assert events[-1].messages == 3
            assert session.created.session.id not in [None, replays]
            replays.append(session._history.replay())
        await session.respond()
        assert (await until(session, "response.done"))[-1].response.status == "completed"
    messages = [(e["item"]["role"], e["item"]["content"][0]["text"]) for e in replays[0][1:]]
    assert messages == [("system", "Be brief."), ("user", TRANSCRIPT), ("assistant", TEXT.strip())]
    assert replays[0] == replays[1] == replays[2]


async def test_a_plain_session_stays_lost() -> None:
    async with fake_server(Script(endings=("dropped",))) as server, connect(server.url) as session:
        await session.respond()
        with pytest.raises(Disconnected):
            async for _ in session:
                pass
        assert server.connections == 1


def _system(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "system", "content": [{"type": "input_text", "text": text}]}


async def _asked_through(lives: list[int]) -> tuple[bytes, list[tuple[str, str]], int]:
    """Audio of the answers to two questions, the conversation, and the connections that it took."""
    audio = bytearray()

    def heard(event: Any, _: TurnRecord) -> None:
        if event.type == "response.output_audio.delta":
            audio.extend(audio_of(event))

    async def script(conversation: Conversation) -> None:
        await conversation.configure(MANUAL)
        assert (await conversation.ask_at_once(Recording("a", b"\x00\x20" * 24_000))).answered
        assert (await conversation.ask_text("And twice that?")).answered

    async with listening(fake_model(lm=FakeLM(delay_s=0.001))) as front:
        network = Network(int(front.url.rpartition(":")[2]), lives)
        async with network.opened() as url, stay_connected(url, backoff=SOON) as session:
            await Conversation(session, observe=heard).hold(script)
            messages = [
                (event["item"]["role"], event["item"]["content"][0]["text"]) for event in session._history.replay()[1:]
            ]
        return bytes(audio), messages, network.connections


@pytest.mark.parametrize("seed", range(5))
async def test_cuts_anywhere_are_not_heard(seed: int) -> None:
    rng = random.Random(seed)
    whole = await _asked_through([])
    cut = await _asked_through([rng.randrange(6_000, 120_000), *(rng.randrange(100, 60_000) for _ in range(4))])
    assert cut[:2] == whole[:2], "sample for sample, word for word"
    assert cut[2] > whole[2] == 1


async def test_a_session_is_given_up_when_the_server_waits_no_longer() -> None:
    async with listening(resume_s=0.05) as front:
        network = Network(int(front.url.rpartition(":")[2]), [1 << 60, *[0] * 8])
        async with network.opened() as url, stay_connected(url, backoff=SOON) as session:
            await session.update(MANUAL)
            await until(session, "session.updated")
            session._socket.transport.abort()
            assert (await until(session, "connection.lost"))[-1].resumable
            await session.add_text("this waits in vain")
            assert await anext(session) == ConnectionLost("the connection broke without a close message")
            with pytest.raises(Disconnected, match="it is being restored"):
                await session.respond()
            assert not (await until(session, "connection.restored"))[-1].resumed


async def test_a_session_that_was_not_kept_is_told_again() -> None:
    async with listening(resume_s=30) as front, stay_connected(front.url, backoff=SOON) as session:
        await session.update(MANUAL)
        await session.add_text("Well?")
        await until(session, "conversation.item.done")
        for line in list(front.state.parking._tokens):
            front.state.parking.forget(line)
        session._socket.transport.abort()
        lost, restored = await until(session, "connection.restored")
        assert (lost.resumable, restored.resumed, restored.messages) == (True, False, 1)
        await session.respond()
        done = (await until(session, "response.done"))[-1]
        assert done.response.status == "completed"
