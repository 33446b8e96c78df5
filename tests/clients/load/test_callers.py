"""Callers: arrivals wait for nobody, callers at once call again, and every failure is counted as what it is."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable

import pytest

from clients.errors import ServerUnreachable
from clients.load.callers import BACKOFF_S, RAMP_S, Caller, closed_loop, open_loop
from clients.load.plan import LoadPlan, arrival_times, questions
from clients.load.run import run_load
from clients.load.stats import LoadStats, Trace
from clients.recordings import Recording
from tests.clients.conftest import VirtualClock
from tests.clients.fake_server import Script, fake_server


class EventClock:
    """Time jumps to the next sleeper when all others wait."""

    def __init__(self) -> None:
        self._now_s = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def now_s(self) -> float:
        return self._now_s

    async def sleep_until(self, at_s: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (at_s, next(self._numbers), woken))
        await woken

    async def run(self) -> None:
        while True:
            for _ in range(20):
                await asyncio.sleep(0)
            if self._sleepers:
                at_s, _, woken = heapq.heappop(self._sleepers)
                self._now_s = max(self._now_s, at_s)
                if not woken.done():
                    woken.set_result(None)


async def with_time(clock: EventClock, loop: Callable[..., object], *arguments: object) -> None:
    time = asyncio.create_task(clock.run())
    try:
        await loop(*arguments, clock=clock)  # type: ignore[misc]
    finally:
        time.cancel()


def test_fixed_arrivals_are_evenly_spaced() -> None:
    plan = LoadPlan(rate_hz=4, duration_s=1, arrivals="fixed")
    assert list(arrival_times(plan)) == [0.25, 0.5, 0.75, 1.0]


def test_poisson_arrivals_have_their_rate_and_spread_and_repeat() -> None:
    plan = LoadPlan(rate_hz=20, duration_s=500, seed=3)
    times = list(arrival_times(plan))
    gaps = [after - before for before, after in itertools.pairwise([0.0, *times])]
    mean_s = sum(gaps) / len(gaps)
    spread_s = math.sqrt(sum((gap - mean_s) ** 2 for gap in gaps) / len(gaps))
    assert mean_s == pytest.approx(1 / 20, rel=0.05)
    assert spread_s == pytest.approx(mean_s, rel=0.05), "exponential gaps: as much spread as mean"
    assert times == list(arrival_times(plan))
    assert times != list(arrival_times(LoadPlan(rate_hz=20, duration_s=500, seed=4)))


async def test_arrivals_wait_for_no_session() -> None:
    clock, stats, never = VirtualClock(), LoadStats(), asyncio.Event()
    began_s, started_s = clock.now_s(), list[float]()

    async def session(number: int) -> bool:
        started_s.append(clock.now_s() - began_s)
        await never.wait()
        return True

    plan = LoadPlan(rate_hz=2, duration_s=2, arrivals="fixed", drain_s=0)
    await open_loop(plan, session, stats, clock=clock)
    assert (stats.started, stats.unfinished, stats.most_at_once, stats.running) == (4, 4, 4, 0)
    assert stats.arrival_lag.max_s == 0.0
    assert stats.elapsed_s == 2.0
    assert started_s[:2] == [0.5, 1.0]
    assert stats.overdue


async def test_arrivals_beyond_the_limit_are_skipped_not_delayed() -> None:
    clock, stats, release = VirtualClock(), LoadStats(), asyncio.Event()

    async def session(number: int) -> bool:
        await release.wait()
        return True

    async def hang_up() -> None:
        while stats.skipped < 3:
            await asyncio.sleep(0)
        release.set()

    plan = LoadPlan(rate_hz=1, duration_s=5, arrivals="fixed", max_sessions=2)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hang_up())
        await open_loop(plan, session, stats, clock=clock)
    assert (stats.started, stats.skipped, stats.unfinished, stats.completed) == (2, 3, 0, 2)


async def test_a_defect_of_the_generator_is_not_counted_as_the_servers() -> None:
    async def session(number: int) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup):
        await open_loop(LoadPlan(rate_hz=10, duration_s=1), session, LoadStats(), clock=VirtualClock())


async def test_callers_at_once_call_again_until_the_time_is_over() -> None:
    clock, stats = EventClock(), LoadStats()
    began_s, numbers = clock.now_s(), list[int]()

    async def session(number: int) -> bool:
        numbers.append(number)
        await clock.sleep_until(clock.now_s() + 7)
        return True

    await with_time(clock, closed_loop, LoadPlan(callers=5, duration_s=100), session, stats)
    assert stats.most_at_once == 5
    assert numbers == list(range(stats.started))
    assert 5 * 13 <= stats.completed == stats.started <= 5 * 15
    assert 100 <= stats.elapsed_s <= 107
    first_s = [at_s for at_s, _ in stats.load.rows[1:10:2]]
    assert len(set(first_s)) == 5, "not in step"
    assert max(first_s) <= RAMP_S
    assert clock.now_s() - began_s == stats.elapsed_s


async def test_a_caller_whose_sessions_fail_does_not_hammer() -> None:
    clock, stats, calls_s = EventClock(), LoadStats(), list[float]()

    async def session(number: int) -> bool:
        calls_s.append(clock.now_s())
        return len(calls_s) > 8

    await with_time(clock, closed_loop, LoadPlan(callers=1, duration_s=40.1, drain_s=0), session, stats)
    waits_s = [after - before for before, after in itertools.pairwise(calls_s[:9])]
    assert waits_s[:5] == pytest.approx([0.5, 1, 2, 4, 8])
    assert max(waits_s) <= BACKOFF_S[1]
    assert stats.failed == len(calls_s)


async def test_what_was_measured_before_it_was_broken_off_is_kept() -> None:
    stats, begun = LoadStats(), asyncio.Event()

    async def session(number: int) -> bool:
        begun.set()
        await asyncio.Event().wait()
        return True

    plan, clock = LoadPlan(callers=1, duration_s=1000), EventClock()
    running = asyncio.create_task(with_time(clock, closed_loop, plan, session, stats))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not stats.overdue
    assert stats.elapsed_s > 0
    assert stats.unfinished == stats.started


def test_what_a_caller_asks_depends_on_the_seed_and_its_number(recording: Recording) -> None:
    many = [Recording(f"{n}.wav", recording.pcm) for n in range(9)]
    plan = LoadPlan(turns=50, barge_ins=0.3, pauses=0.4, think_s=2)
    asked = questions(plan, many, 7)
    assert asked == questions(plan, many, 7)
    assert asked != questions(plan, many, 8)
    assert all(1 <= each.think_s <= 3 for each in asked)
    assert 5 < sum(each.hear_s is not None for each in asked) < 25
    assert asked[-1].hear_s is None, "the last answer is heard to its end"
    longer = [each.recording for each in asked if each.recording not in many]
    assert 10 < len(longer) < 35
    assert all(each.duration_s >= recording.duration_s + 0.2 for each in longer)


@pytest.mark.parametrize("commit", [False, True])
async def test_callers_measure_answers(recording: Recording, clock: VirtualClock, commit: bool) -> None:
    stats = LoadStats()
    async with fake_server() as server:
        plan = LoadPlan(rate_hz=1, duration_s=1, url=server.url, turns=2, commit=commit)
        good = await Caller(plan, [recording], stats, clock=clock).call(0)
    assert (good, stats.asked, stats.answered, stats.unanswered) == (True, 2, 2, 0)
    assert stats.errors == {}
    assert stats.audio_s == pytest.approx(2.0)
    assert stats.spoken_s == pytest.approx(2 * recording.duration_s)
    for measured in (stats.from_speech_end, stats.from_speech_stopped, stats.until_complete, stats.longest_gap):
        assert (measured.count, measured.missing) == (2, 0)
    assert stats.frame_lag.count >= 20
    if not commit:
        assert (stats.from_speech_end.summary()["min"] or 0) >= 10 * 0.020 - 1e-9
    assert stats.served_model == "fake"
    assert server.connections == 1


@pytest.mark.parametrize(
    ("script", "codes"),
    [
        (Script(endings=("failed",)), {"engine_unavailable": 2}),
        (Script(endings=("incomplete",)), {"response_incomplete": 2}),
        (Script(endings=("dropped",)), {"disconnected": 1}),
        (Script(endings=("silent",)), {"turn_timeout": 1}),
        (Script(refuse_update=True), {"invalid_value": 1}),
        (Script(first_message="{}"), {"invalid_event": 1}),
    ],
)
async def test_failures_are_counted_by_code(
    recording: Recording, clock: VirtualClock, script: Script, codes: dict[str, int]
) -> None:
    stats = LoadStats()
    async with fake_server(script) as server:
        plan = LoadPlan(rate_hz=1, duration_s=1, url=server.url, turns=2, timeout_s=0.5)
        good = await Caller(plan, [recording], stats, clock=clock).call(0)
    assert (good, stats.errors) == (False, codes)
    assert stats.unanswered == stats.asked + stats.refused > 0
    assert stats.from_speech_end.missing + stats.from_speech_end.count == stats.unanswered


async def test_sessions_that_cannot_be_opened_are_counted(recording: Recording) -> None:
    async with fake_server() as server:
        gone = server.url
    stats = LoadStats()
    plan = LoadPlan(rate_hz=1, duration_s=1, url=gone)
    assert not await Caller(plan, [recording], stats).call(0)
    assert (stats.refused, stats.errors) == (1, {"server_unreachable": 1})
    assert stats.from_speech_end.percentile(0.5) == math.inf, "who is not let in is not answered soon"


async def test_no_server_at_all_is_an_error_and_no_result(recording: Recording) -> None:
    async with fake_server() as server:
        gone = server.url
    with pytest.raises(ServerUnreachable):
        await run_load(LoadPlan(rate_hz=1, duration_s=1, url=gone), [recording], LoadStats())


@pytest.mark.parametrize("commit", [False, True])
async def test_callers_speak_into_answers(recording: Recording, clock: VirtualClock, commit: bool) -> None:
    stats = LoadStats()
    async with fake_server(Script(delta_s=5.0)) as server:
        plan = LoadPlan(url=server.url, turns=4, barge_ins=1.0, commit=commit, think_s=0)
        assert await Caller(plan, [recording], stats, clock=clock).call(0)
    assert (stats.asked, stats.barged_in, stats.answered, stats.errors) == (4, 3, 1, {})
    truncated = [event for event in server.received if event["type"] == "conversation.item.truncate"]
    assert len(truncated) == 3
    assert all(300 <= event["audio_end_ms"] <= 4_000 for event in truncated)


async def test_an_answer_that_was_over_before_is_not_interrupted(recording: Recording, clock: VirtualClock) -> None:
    stats = LoadStats()
    async with fake_server(Script(delta_s=0.1)) as server:
        plan = LoadPlan(url=server.url, turns=4, barge_ins=1.0, commit=True, think_s=0)
        assert await Caller(plan, [recording], stats, clock=clock).call(0)
    assert (stats.asked, stats.barged_in, stats.answered) == (4, 0, 4)


async def test_a_server_that_no_longer_reads_holds_nobody_up(recording: Recording, clock: VirtualClock) -> None:
    stats = LoadStats()
    async with fake_server(Script(deaf=True)) as server:
        plan = LoadPlan(url=server.url, commit=True, timeout_s=0.1)
        long = Recording("long.wav", recording.pcm * 200)
        assert not await Caller(plan, [long], stats, clock=clock).call(0)
    assert stats.errors["turn_timeout"] == 1


def test_codes_are_counted_in_bounded_number() -> None:
    stats = LoadStats()
    for number in range(1000):
        stats.error(f"code_{number}")
    stats.error("code_0")
    assert len(stats.errors) <= 65
    assert (stats.errors["code_0"], stats.errors["other"]) == (2, 936)


def test_a_trace_covers_all_of_the_time_in_bounded_memory() -> None:
    trace = Trace(keep=100)
    for number in range(100_000):
        trace.add(number)
    times = [row[0] for row in trace.rows]
    assert 50 <= len(times) <= 101
    steps = {after - before for before, after in itertools.pairwise(times)}
    assert len(steps) == 1
    assert times[0] == 0
    assert times[-1] > 98_000
