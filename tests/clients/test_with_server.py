"""The clients against the real gateway with scripted stages: every event it sends is validated on the way in."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest

from clients.conversation import Conversation
from clients.errors import ConnectionRejected, TurnFailed
from clients.load.callers import Caller
from clients.load.plan import LoadPlan
from clients.load.stats import LoadStats
from clients.realtime import ServerVad, SessionOptions, UnknownEvent, connect
from clients.recordings import Recording, read_recording
from clients.talk import Screen, Talk, ask_all
from clients.turns import TurnRecord
from tests.clients.conftest import SILENT_FRAME, VirtualClock
from tests.fakes import TEXT, TRANSCRIPT, UNITS, FakeLM, answer_ids
from tests.server.front import listening
from tests.server.models import fake_model

DATA = Path(__file__).parents[1] / "data"
ANSWER_S = len(UNITS) * 0.040
VIRTUAL_S = 3600.0
"""Patience on the virtual clock, which runs as fast as the server reads; a real server that is slow is not late."""


@pytest.fixture(scope="module")
def question() -> Recording:
    return read_recording(DATA / "ask_sum_en.wav")


async def test_talking_in_all_ways(question: Recording, tmp_path: Path) -> None:
    out = io.StringIO()
    async with listening() as front:
        plan = Talk(front.url, (question, "And twice that?"), SessionOptions(None, "en"), tmp_path / "answer.wav")
        turns = await ask_all(plan, Screen(out))
    assert [turn.answered for turn in turns] == [True, True]
    assert [turn.transcript for turn in turns] == [TRANSCRIPT, ""]
    assert {turn.text for turn in turns} == {TEXT}
    assert [turn.audio_s for turn in turns] == pytest.approx([ANSWER_S] * 2)
    assert read_recording(tmp_path / "answer-1.wav").pcm == read_recording(tmp_path / "answer-2.wav").pcm
    assert f"you      {TRANSCRIPT}" in out.getvalue()


async def test_no_event_is_outside_the_protocol(question: Recording, clock: VirtualClock) -> None:
    """Turns by voice activity, one of them interrupted by the rest of its question."""
    interrupted = Recording("two parts", question.pcm + SILENT_FRAME * 100 + question.pcm)
    seen: list[Any] = []
    turns = []

    async def script(conversation: Conversation) -> None:
        await conversation.configure(SessionOptions(ServerVad()))
        turns.append(await conversation.ask_aloud(question))
        await conversation.listen_to_answer(0.1, open_microphone=True)
        turns.append(await conversation.ask_aloud(interrupted))

    model = fake_model(lm=FakeLM(delay_s=0.001))
    async with listening(model) as front, connect(front.url, model="fake") as session:
        await Conversation(session, clock=clock, observe=lambda event, _: seen.append(event), timeout_s=VIRTUAL_S).hold(
            script
        )
    assert all(turn.answered for turn in turns)
    assert turns[1].interrupted >= 1
    assert not [event.type for event in seen if isinstance(event, UnknownEvent)]
    kinds = [event.type for event in seen]
    assert {"input_audio_buffer.speech_started", "response.done"} <= set(kinds)
    assert "error" not in kinds


@pytest.mark.parametrize(("heard_ms", "kept_ms"), [(250, 250), (99_000, ANSWER_S * 1000)])
async def test_an_answer_is_cut_to_what_was_heard(question: Recording, heard_ms: int, kept_ms: float) -> None:
    truncated: asyncio.Queue[Any] = asyncio.Queue()

    def observe(event: Any, _: TurnRecord) -> None:
        if event.type == "conversation.item.truncated":
            truncated.put_nowait(event)

    async with listening() as front, connect(front.url) as session:

        async def script(conversation: Conversation) -> None:
            await conversation.configure(SessionOptions(None))
            turn = await conversation.ask_at_once(question)
            assert turn.item_id is not None
            await session.truncate(turn.item_id, heard_ms)
            assert (await truncated.get()).audio_end_ms == kept_ms

        await Conversation(session, observe=observe).hold(script)


async def test_refusals_keep_their_codes(question: Recording) -> None:
    async with listening() as front:
        plan = Talk(front.url, (question,), SessionOptions(None, voice="nobody"))
        with pytest.raises(TurnFailed, match="no voice 'nobody'") as refused:
            await ask_all(plan, Screen(io.StringIO()))
        with pytest.raises(ConnectionRejected, match="404") as missing:
            async with connect(front.url, model="nobody"):
                pass
    assert (refused.value.code, missing.value.code) == ("invalid_value", "model_not_found")


async def test_a_key_is_asked_for_and_taken() -> None:
    async with listening(api_key="secret") as front:
        with pytest.raises(ConnectionRejected, match="401"):
            async with connect(front.url):
                pass
        async with connect(front.url, api_key="secret") as session:
            assert session.created.session.type == "realtime"


async def test_a_full_server_says_so() -> None:
    async with listening(max_sessions=1, max_waiting=0) as front, connect(front.url):
        with pytest.raises(ConnectionRejected, match="503") as full:
            async with connect(front.url):
                pass
    assert full.value.code == "at_capacity"


async def test_a_place_in_the_queue_takes_as_long_as_the_server_says() -> None:
    """Longer than the client waits for a server that says nothing."""
    async with listening(max_sessions=1, max_wait_s=1.0) as front, connect(front.url):
        with pytest.raises(ConnectionRejected) as full:
            async with connect(front.url, open_timeout_s=0.5):
                pass
    assert (full.value.code, full.value.retryable) == ("at_capacity", True)


async def test_a_stage_that_fails_is_an_error_of_its_turn(question: Recording) -> None:
    out = io.StringIO()
    async with listening(fake_model(lm=FakeLM(fail_after=3))) as front:
        turns = await ask_all(Talk(front.url, (question, "hello"), SessionOptions(None)), Screen(out))
    assert [turn.status for turn in turns] == ["failed", "failed"]
    assert "secret" not in out.getvalue()


@pytest.mark.parametrize("commit", [False, True])
async def test_load_measures_the_gateway(question: Recording, clock: VirtualClock, commit: bool) -> None:
    stats = LoadStats()
    async with listening() as front:
        plan = LoadPlan(rate_hz=1, duration_s=1, url=front.url, turns=2, commit=commit, timeout_s=VIRTUAL_S)
        assert await Caller(plan, [question], stats, clock=clock).call(0)
    assert (stats.answered, stats.errors) == (2, {})
    assert stats.audio_s == pytest.approx(2 * ANSWER_S)
    assert stats.from_speech_stopped.count == 2


@pytest.mark.parametrize("commit", [False, True])
async def test_load_speaks_into_answers_of_the_gateway(question: Recording, clock: VirtualClock, commit: bool) -> None:
    stats = LoadStats()
    model = fake_model(lm=FakeLM(answer_ids(TRANSCRIPT, (TEXT, UNITS * 5))))
    async with listening(model) as front:
        plan = LoadPlan(url=front.url, turns=4, barge_ins=1.0, pauses=0.5, commit=commit, timeout_s=VIRTUAL_S)
        assert await Caller(plan, [question], stats, clock=clock).call(0)
    assert stats.errors == {}
    assert stats.answered + stats.barged_in == 4
