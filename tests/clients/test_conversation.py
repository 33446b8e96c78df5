"""Turns of a session against a scripted server, in time that does not pass."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from clients.conversation import Conversation
from clients.errors import Disconnected, InvalidEvent, TurnFailed, TurnTimeout
from clients.realtime import ServerVad, SessionOptions, connect
from clients.recordings import FRAME_BYTES, Recording
from clients.turns import TurnRecord
from tests.clients.conftest import SILENT_FRAME, SPEECH_FRAME, VirtualClock
from tests.clients.fake_server import FakeServer, Script, fake_server

MANUAL = SessionOptions(turn_detection=None)
VAD = SessionOptions(turn_detection=ServerVad())


async def hold(server: FakeServer, script: Callable[[Conversation], Awaitable[None]], **options: Any) -> None:
    async with connect(server.url) as session:
        await Conversation(session, **options).hold(script)


async def test_a_recording_at_once_is_committed_and_answered(recording: Recording, clock: VirtualClock) -> None:
    turns: list[TurnRecord] = []
    seen: list[str] = []

    async def script(conversation: Conversation) -> None:
        await conversation.configure(MANUAL)
        turns.append(await conversation.ask_at_once(recording))

    async with fake_server() as server:
        await hold(server, script, clock=clock, observe=lambda event, _: seen.append(event.type))
    assert server.types() == ["session.update", "input_audio_buffer.commit", "response.create"]
    assert server.audio() == recording.pcm
    assert turns[0].answered
    assert (turns[0].transcript, turns[0].text) == ("what is two plus three", "Two plus three is five.")
    assert turns[0].audio_s == pytest.approx(1.0)
    assert seen.index("conversation.item.added") < seen.index("response.created") < seen.index("response.done")


async def test_a_recording_spoken_aloud_ends_when_the_server_hears_silence(
    recording: Recording, clock: VirtualClock
) -> None:
    turns: list[TurnRecord] = []

    async def script(conversation: Conversation) -> None:
        await conversation.configure(VAD)
        turns.append(await conversation.ask_aloud(recording))

    began_s = clock.now_s()
    async with fake_server() as server:
        await hold(server, script, clock=clock)
    assert server.types() == ["session.update"]
    assert server.audio().startswith(recording.pcm + SILENT_FRAME * 5)
    assert not any(server.audio()[len(recording.pcm) :])
    turn = turns[0]
    assert turn.answered
    assert turn.asked_s == pytest.approx(began_s + 9 * 0.020)
    assert turn.stopped_s is not None
    assert turn.stopped_s >= began_s + 19 * 0.020
    assert turn.first_audio_s is not None
    assert turn.first_audio_s >= turn.stopped_s


async def test_speech_is_committed_where_it_ends(recording: Recording, clock: VirtualClock) -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.configure(MANUAL)
        turn = await conversation.ask_and_commit(recording)
        assert turn.answered

    async with fake_server() as server:
        await hold(server, script, clock=clock)
    assert server.audio() == SPEECH_FRAME * 10


async def test_turns_of_all_kinds_in_one_session(recording: Recording, clock: VirtualClock) -> None:
    turns: list[TurnRecord] = []

    async def script(conversation: Conversation) -> None:
        await conversation.configure(VAD)
        turns.append(await conversation.ask_text("hello"))
        turns.append(await conversation.ask_aloud(recording))
        await conversation.listen_to_answer(1.0, open_microphone=True)
        turns.append(await conversation.ask_aloud(recording))

    async with fake_server() as server:
        await hold(server, script, clock=clock)
    assert all(turn.answered for turn in turns)
    assert len({id(turn) for turn in turns}) == 3
    assert server.connections == 1
    assert "conversation.item.truncate" not in server.types()


async def test_frames_are_due_every_20_ms_whatever_sending_takes(recording: Recording) -> None:
    class SlowClock(VirtualClock):
        """Wakes 5 ms late."""

        async def sleep_until(self, at_s: float) -> None:
            await super().sleep_until(at_s + 0.005)

    lags: list[float] = []
    clock = SlowClock()

    async def script(conversation: Conversation) -> None:
        await conversation.configure(MANUAL)
        await conversation.ask_and_commit(recording)

    began_s = clock.now_s()
    async with fake_server() as server:
        await hold(server, script, clock=clock, measure_lag=lambda lag_s, _: lags.append(lag_s))
    assert lags == pytest.approx([0.005] * 10)
    assert clock.now_s() == pytest.approx(began_s + 9 * 0.020 + 0.005)


async def test_interrupting_tells_what_was_heard(clock: VirtualClock) -> None:
    """The recording pauses for longer than the server waits, so that its first answer comes too early."""
    recording = Recording("two parts.wav", SPEECH_FRAME * 5 + SILENT_FRAME * 40 + SPEECH_FRAME * 5)
    turns: list[TurnRecord] = []

    async def script(conversation: Conversation) -> None:
        await conversation.configure(VAD)
        turns.append(await conversation.ask_aloud(recording))

    async with fake_server() as server:
        await hold(server, script, clock=clock)
    truncations = [event for event in server.received if event["type"] == "conversation.item.truncate"]
    assert len(truncations) == 1
    assert 0 < truncations[0]["audio_end_ms"] < 1000
    assert turns[0].interrupted == 1
    assert turns[0].answered
    assert turns[0].errors == [], "the server's refusal to truncate is no error of the turn"


async def test_a_refused_configuration_is_a_failure() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.configure(MANUAL)

    async with fake_server(Script(refuse_update=True)) as server:
        with pytest.raises(TurnFailed, match="refused") as failed:
            await hold(server, script)
    assert failed.value.code == "invalid_value"


async def test_after_a_refused_commit_no_answer_is_asked_for(recording: Recording) -> None:
    script_of_server = Script(refuse_commit=True)

    async def script(conversation: Conversation) -> None:
        await conversation.configure(MANUAL)
        refused = await conversation.ask_at_once(recording)
        assert refused.over
        assert not refused.answered
        assert [error.code for error in refused.errors] == ["input_audio_buffer_commit_empty"]
        script_of_server.refuse_commit = False
        assert (await conversation.ask_at_once(recording)).answered

    async with fake_server(script_of_server) as server:
        await hold(server, script)
    assert server.types().count("response.create") == 1


async def test_refused_audio_is_no_error_of_the_next_turn(recording: Recording) -> None:
    long = Recording("long.wav", recording.pcm * 500)

    async def script(conversation: Conversation) -> None:
        await conversation.configure(MANUAL)
        refused = await conversation.ask_at_once(long)
        assert {error.code for error in refused.errors} == {"audio_too_long"}
        assert (await conversation.ask_at_once(recording)).answered

    async with fake_server(Script(longest_s=60.0)) as server:
        await hold(server, script)
    assert server.types().count("response.create") == 1
    assert server.types().count("input_audio_buffer.commit") == 2


@pytest.mark.parametrize(("ending", "code"), [("failed", "engine_unavailable"), ("refused", "engine_unavailable")])
async def test_a_failed_answer_leaves_the_session_usable(recording: Recording, ending: Any, code: str) -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.configure(MANUAL)
        failed = await conversation.ask_at_once(recording)
        assert (failed.answered, [error.code for error in failed.errors]) == (False, [code])
        assert (await conversation.ask_at_once(recording)).answered

    async with fake_server(Script(endings=(ending, "completed"))) as server:
        await hold(server, script)


async def test_a_connection_lost_in_the_middle_of_an_answer(recording: Recording) -> None:
    turns: list[TurnRecord] = []

    async def script(conversation: Conversation) -> None:
        await conversation.configure(MANUAL)
        try:
            await conversation.ask_at_once(recording)
        finally:
            turns.append(conversation.turn)

    async with fake_server(Script(endings=("dropped",))) as server:
        with pytest.raises(Disconnected):
            await hold(server, script)
    assert turns[0].audio_s == pytest.approx(1.0), "what came before is kept"
    assert not turns[0].over


@pytest.mark.parametrize("aloud", [False, True])
async def test_a_server_that_never_answers_is_given_up(recording: Recording, clock: VirtualClock, aloud: bool) -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.configure(VAD if aloud else MANUAL)
        await (conversation.ask_aloud if aloud else conversation.ask_at_once)(recording)

    async with fake_server(Script(endings=("silent",))) as server:
        with pytest.raises(TurnTimeout, match=r"within 0\.5 s"):
            await hold(server, script, clock=clock, timeout_s=0.5)


async def test_an_invalid_event_ends_the_session() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.configure(MANUAL)
        await asyncio.Event().wait()

    async with fake_server(Script(extra_messages=('{"type": "response.done"}',))) as server:
        with pytest.raises(InvalidEvent):
            await hold(server, script)


async def test_unknown_events_are_passed_over(recording: Recording) -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.configure(MANUAL)
        assert (await conversation.ask_at_once(recording)).answered

    async with fake_server(Script(extra_messages=('{"type": "response.dance"}',))) as server:
        await hold(server, script)


async def test_the_announced_end_of_a_session_is_no_failure_of_the_turn(recording: Recording) -> None:
    error = {"type": "invalid_request_error", "code": "session_expired", "message": "it has lasted long enough"}
    goodbye = json.dumps({"type": "error", "event_id": "e", "error": error})

    async def script(conversation: Conversation) -> None:
        await conversation.configure(MANUAL)
        turn = await conversation.ask_at_once(recording)
        assert (turn.answered, turn.errors) == (True, [])

    async with fake_server(Script(extra_messages=(goodbye,))) as server:
        await hold(server, script)


def test_a_frame_is_20_ms() -> None:
    assert FRAME_BYTES == 24_000 * 2 * 0.020
