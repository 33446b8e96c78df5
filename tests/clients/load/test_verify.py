"""Answers that are not whole, or somebody else's, are found."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from clients.load.callers import Caller
from clients.load.plan import LoadPlan
from clients.load.stats import LoadStats
from clients.load.verify import _MAX_IDS, AnswerCheck, Responses, words_of_another
from clients.recordings import Recording
from tests.clients.conftest import VirtualClock
from tests.clients.fake_server import Script, Twist, fake_server

SUM = Recording("sum.wav", b"", "What is two plus three?")
SUMS = Recording("sums.wav", b"", "What is six plus one?")
RIVER = Recording("river.wav", b"", "What is the longest river in China?")
UNKNOWN = Recording("unknown.wav", b"")


def created(response: str) -> Any:
    return SimpleNamespace(type="response.created", response=SimpleNamespace(id=response))


def done(response: str, status: str = "completed") -> Any:
    return SimpleNamespace(type="response.done", response=SimpleNamespace(id=response, status=status))


def audio(response: str, item: str = "item") -> Any:
    return SimpleNamespace(type="response.output_audio.delta", response_id=response, item_id=item, delta="AAA=")


def audio_done(response: str, item: str = "item") -> Any:
    return SimpleNamespace(type="response.output_audio.done", response_id=response, item_id=item)


def faults(check: AnswerCheck, *events: Any, unfinished: bool = False) -> list[str]:
    for event in events:
        check.observe(event)
    return check.faults(UNKNOWN, "", (), unfinished=unfinished)


@pytest.fixture
def check() -> AnswerCheck:
    return AnswerCheck(0, Responses())


def test_a_whole_answer_has_no_fault(check: AnswerCheck) -> None:
    assert faults(check, created("a"), audio("a"), audio("a"), audio_done("a"), done("a")) == []


def test_an_answer_in_two_items_is_whole_when_both_are(check: AnswerCheck) -> None:
    events = [created("a"), audio("a", "1"), audio_done("a", "1"), audio("a", "2")]
    assert faults(check, *events, audio_done("a", "2"), done("a")) == []
    assert faults(check, created("b"), audio("b", "1"), audio_done("b", "1"), audio("b", "2"), done("b")) == [
        "answer_audio_unfinished"
    ]


def test_an_answer_that_was_cancelled_need_not_be_whole(check: AnswerCheck) -> None:
    assert faults(check, created("a"), audio("a"), done("a", "cancelled")) == []


def test_faults_belong_to_one_turn(check: AnswerCheck) -> None:
    assert faults(check, created("a"), done("a")) == ["answer_without_audio"]
    assert faults(check) == []


def test_an_answer_that_was_interrupted_ends_before_the_next_is_over(check: AnswerCheck) -> None:
    assert faults(check, created("a"), audio("a"), unfinished=True) == []
    ended = [created("b"), audio("b"), audio_done("b"), done("b")]
    assert faults(check, *ended) == ["answer_unfinished"]
    assert faults(check, done("a", "cancelled")) == []


def test_an_id_of_two_sessions_is_found_and_forgotten_in_time() -> None:
    everyone = Responses()
    here, there = AnswerCheck(0, everyone), AnswerCheck(1, everyone)
    assert faults(here, created("a"), audio("a"), audio_done("a"), done("a")) == []
    assert faults(there, created("a"), audio("a"), audio_done("a"), done("a")) == ["answer_of_another"]
    for number in range(_MAX_IDS):
        everyone.announce(f"response_{number}", 2)
    assert everyone.announce("a", 1)


@pytest.mark.parametrize(
    ("asked", "heard", "mixed_up"),
    [
        (SUM, "what is two plus three", False),
        (SUM, "What is six plus one?", False),
        (SUM, "What is the longest river in China?", True),
        (SUM, "", False),
        (SUM, "Do you know a joke?", False),
        (UNKNOWN, "What is the longest river in China?", False),
    ],
)
def test_words_of_another_recording(asked: Recording, heard: str, mixed_up: bool) -> None:
    """A sum that was misheard as another sum is misheard; a river where a sum was asked is somebody else's."""
    assert words_of_another(asked, heard, [SUM, SUMS, RIVER, UNKNOWN]) is mixed_up


@pytest.mark.parametrize(
    ("twist", "codes"),
    [
        ("no_audio", ["answer_without_audio"]),
        ("no_audio_end", ["answer_audio_unfinished"]),
        ("half_text", ["answer_text_incomplete"]),
        ("foreign", ["answer_of_another"]),
    ],
)
@pytest.mark.parametrize("commit", [False, True])
async def test_a_wrong_answer_is_no_answer(
    recording: Recording, clock: VirtualClock, twist: Twist, codes: list[str], commit: bool
) -> None:
    stats = LoadStats()
    async with fake_server(Script(twist=twist)) as server:
        plan = LoadPlan(url=server.url, turns=2, commit=commit)
        assert not await Caller(plan, [recording], stats, clock=clock).call(0)
    assert (stats.asked, stats.answered, stats.wrong, stats.unanswered) == (2, 0, 2, 2)
    assert stats.errors == dict.fromkeys(codes, 2)


async def test_audio_after_the_end_is_found_with_the_next_turn(recording: Recording, clock: VirtualClock) -> None:
    stats = LoadStats()
    async with fake_server(Script(twist="late_audio")) as server:
        await Caller(LoadPlan(url=server.url, turns=3), [recording], stats, clock=clock).call(0)
    assert stats.errors["answer_audio_unfinished"] >= 2


async def test_two_sessions_with_one_answer_are_found(recording: Recording, clock: VirtualClock) -> None:
    stats = LoadStats()
    async with fake_server(Script(twist="same_id")) as server:
        caller = Caller(LoadPlan(url=server.url), [recording], stats, clock=clock)
        assert [await caller.call(number) for number in range(3)] == [True, False, False]
    assert stats.errors == {"answer_of_another": 2}


async def test_questions_that_are_mixed_up_are_found(recording: Recording, clock: VirtualClock) -> None:
    stats = LoadStats()
    recordings = [Recording("sum.wav", recording.pcm, SUM.said), Recording("river.wav", recording.pcm, RIVER.said)]
    async with fake_server(Script(transcript="what is two plus three")) as server:
        await Caller(LoadPlan(url=server.url, turns=40), recordings, stats, clock=clock).call(0)
    assert stats.errors == {"question_of_another": stats.wrong}
    assert stats.wrong + stats.answered == 40
    assert min(stats.wrong, stats.answered) > 5
