"""The load test: arrivals wait for nobody, numbers are what was measured, memory is bounded."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from clients.errors import ServerUnreachable
from clients.load import load, run_load
from clients.load_report import report, saturated, table
from clients.load_run import Caller, LoadPlan, LoadStats, arrival_times, open_loop
from clients.recordings import Recording
from clients.samples import Samples, percentile
from tests.clients.conftest import VirtualClock
from tests.clients.fake_server import Script, fake_server, fake_server_in_thread

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200)


def test_percentiles_of_one_to_a_hundred_are_themselves() -> None:
    ordered = [float(number) for number in range(1, 101)]
    assert [percentile(ordered, share) for share in (0.01, 0.5, 0.95, 0.99, 1.0)] == [1, 50, 95, 99, 100]


@pytest.mark.parametrize(
    ("count", "p50", "p95", "p99"), [(1, 1, 1, 1), (2, 1, 2, 2), (20, 10, 19, 20), (21, 11, 20, 21)]
)
def test_percentiles_of_few_values_are_rather_too_high(count: int, p50: float, p95: float, p99: float) -> None:
    ordered = [float(number) for number in range(1, count + 1)]
    assert [percentile(ordered, share) for share in (0.5, 0.95, 0.99)] == [p50, p95, p99]


@given(values, st.sampled_from([0.01, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_a_percentile_is_the_smallest_value_that_enough_do_not_exceed(measured: list[float], share: float) -> None:
    ordered = sorted(measured)
    found = percentile(ordered, share)
    enough = share * len(ordered) - 1e-9
    assert sum(value <= found for value in ordered) >= enough
    assert sum(value < found for value in ordered) < enough


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)
    assert Samples().summary() == {
        "n": 0,
        "mean": None,
        "min": None,
        "p50": None,
        "p95": None,
        "p99": None,
        "max": None,
    }


@given(values)
def test_summaries_do_not_depend_on_the_order(measured: list[float]) -> None:
    forth, back = Samples(), Samples()
    for value in measured:
        forth.add(value)
    for value in reversed(measured):
        back.add(value)
    assert forth.summary() == pytest.approx(back.summary(), abs=1e-5)
    assert forth.summary()["max"] == pytest.approx(max(measured), abs=1e-6)


def test_a_reservoir_keeps_a_fair_sample_and_no_more() -> None:
    samples = Samples(keep=1000)
    for number in range(50_000):
        samples.add(float(number))
    assert len(samples._kept) == 1000
    p50, p95 = samples.percentiles(0.5, 0.95)
    assert p50 == pytest.approx(25_000, rel=0.1)
    assert p95 == pytest.approx(47_500, rel=0.05)
    assert (samples.count, samples.summary()["max"], samples.summary()["mean"]) == (50_000, 49_999, 24_999.5)


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

    async def session(number: int) -> None:
        started_s.append(clock.now_s() - began_s)
        await never.wait()

    await open_loop([0.5, 1.0, 7.0, 7.0], session, stats, max_sessions=9, drain_s=0, clock=clock)
    assert (stats.started, stats.unfinished, stats.most_at_once) == (4, 4, 4)
    assert stats.arrival_lag_s.summary()["max"] == 0.0
    assert stats.elapsed_s == 7.0
    assert started_s[:2] == [0.5, 1.0]


async def test_arrivals_beyond_the_limit_are_skipped_not_delayed() -> None:
    clock, stats, release = VirtualClock(), LoadStats(), asyncio.Event()

    async def session(number: int) -> None:
        await release.wait()

    def progress() -> None:
        if stats.skipped == 3:
            release.set()

    await open_loop([1, 2, 3, 4, 5], session, stats, max_sessions=2, drain_s=5, clock=clock, progress=progress)
    assert (stats.started, stats.skipped, stats.unfinished, stats.elapsed_s) == (2, 3, 0, 5)


async def test_a_defect_of_the_generator_is_not_counted_as_the_servers() -> None:
    async def session(number: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup):
        await open_loop([0.1], session, LoadStats(), max_sessions=1, drain_s=1, clock=VirtualClock())


@pytest.mark.parametrize("commit", [False, True])
async def test_callers_measure_answers(recording: Recording, clock: VirtualClock, commit: bool) -> None:
    stats = LoadStats()
    async with fake_server() as server:
        plan = LoadPlan(rate_hz=1, duration_s=1, url=server.url, turns=2, commit=commit)
        await Caller(plan, [recording], stats, clock=clock).call(0)
    assert (stats.completed, stats.failed, stats.asked, stats.answered) == (1, 0, 2, 2)
    assert stats.errors == {}
    assert stats.audio_s == pytest.approx(2.0)
    assert stats.spoken_s == pytest.approx(2 * recording.duration_s)
    for samples in (stats.from_speech_end_s, stats.from_speech_stopped_s, stats.until_complete_s, stats.longest_gap_s):
        assert samples.count == 2
    assert stats.frame_lag_s.count >= 20
    if not commit:
        assert (stats.from_speech_end_s.summary()["min"] or 0) >= 10 * 0.020 - 1e-9
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
        await Caller(plan, [recording], stats, clock=clock).call(0)
    assert (stats.completed, stats.failed, stats.errors) == (0, 1, codes)


async def test_sessions_that_cannot_be_opened_are_counted(recording: Recording) -> None:
    async with fake_server() as server:
        gone = server.url
    stats = LoadStats()
    plan = LoadPlan(rate_hz=1, duration_s=1, url=gone)
    await Caller(plan, [recording], stats).call(0)
    assert (stats.failed, stats.errors) == (1, {"server_unreachable": 1})


async def test_no_server_at_all_is_an_error_and_no_result(recording: Recording) -> None:
    async with fake_server() as server:
        gone = server.url
    with pytest.raises(ServerUnreachable):
        await run_load(LoadPlan(rate_hz=1, duration_s=1, url=gone), [recording], LoadStats())


def test_codes_are_counted_in_bounded_number() -> None:
    stats = LoadStats()
    for number in range(1000):
        stats.error(f"code_{number}")
    stats.error("code_0")
    assert len(stats.errors) <= 65
    assert (stats.errors["code_0"], stats.errors["other"]) == (2, 936)


def test_a_late_generator_says_so() -> None:
    punctual, late = LoadStats(), LoadStats()
    rng = random.Random(0)
    for number in range(1000):
        punctual.frame(rng.uniform(0, 0.005), 0.3)
        late.frame(0.1 if number % 50 == 0 else 0.0, 0.0)
    assert not saturated(punctual), "a server that does not read is not the generator's fault"
    assert punctual.blocked_frames == 1000
    assert saturated(late)
    assert late.late_frames == 20
    assert "late" in str(table(late).caption)
    assert not saturated(LoadStats())


def test_a_report_says_where_it_comes_from(recording: Recording) -> None:
    plan = LoadPlan(rate_hz=1, duration_s=1)
    result = json.loads(json.dumps(report(plan, [recording], LoadStats())))
    assert {"date", "commit", "machine", "configuration", "sessions", "turns", "errors", "gaps", "generator"} <= set(
        result
    )
    assert result["configuration"]["rate_hz"] == 1
    assert result["configuration"]["recordings"]["count"] == 1
    assert result["machine"]["cores"] >= 1
    assert result["machine"]["cpu"]
    assert result["first_audio_after_speech_end_s"]["p95"] is None


def run(*arguments: object) -> Any:
    app = typer.Typer()
    app.command()(load)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_writes_numbers(wav: Path, tmp_path: Path) -> None:
    with fake_server_in_thread() as server:
        out = tmp_path / "out.json"
        done = run(wav, "--rate", 20, "--arrivals", "fixed", "--duration", 0.1, "--commit", "--pause", 0, "--url", server.url, "--json", out)  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "2 completed, 0 failed" in done.stdout
    result = json.loads(out.read_text())
    assert (result["sessions"]["completed"], result["turns"]["answered"]) == (2, 2)
    assert result["first_audio_after_speech_end_s"]["n"] == 2
    assert result["interrupted"] is False


def test_the_command_fails_where_sessions_fail(wav: Path) -> None:
    with fake_server_in_thread(Script(endings=("failed",))) as server:
        done = run(wav, "--rate", 20, "--arrivals", "fixed", "--duration", 0.05, "--commit", "--pause", 0, "--url", server.url)  # fmt: skip
    assert done.exit_code == 4
    assert "engine_unavailable: 1" in done.stdout


def test_the_command_says_what_it_needs(wav: Path, tmp_path: Path) -> None:
    nobody = run(wav, "--url", "ws://127.0.0.1:9")
    assert (nobody.exit_code, "make serve" in nobody.stderr) == (3, True)
    assert run(tmp_path / "missing.wav").exit_code == 2
    assert run(wav, "--json", tmp_path / "no" / "out.json").exit_code == 2
    assert run(wav, "--rate", 0).exit_code == 2
    assert run().exit_code == 2
