"""`cslm load`: many callers speak recordings in real time; measures how soon and how smoothly they are answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.status import Status

from clients.errors import ClientError
from clients.load_report import report, table
from clients.load_run import Arrivals, Caller, LoadPlan, LoadStats, arrival_times, open_loop
from clients.playback import Clock, SystemClock
from clients.realtime import DEFAULT_URL, ReplyLanguage, connect
from clients.recordings import Recording, check_writable, read_recordings
from clients.talk import INTERRUPTED_EXIT, report_error

FAILED_EXIT = 4


async def run_load(
    plan: LoadPlan,
    recordings: Sequence[Recording],
    stats: LoadStats,
    *,
    api_key: str | None = None,
    clock: Clock | None = None,
    status: Status | None = None,
) -> None:
    """Run a load test; `stats` fills while it runs. Raises ClientError where not even a first session can be opened."""
    for recording in recordings:
        _ = recording.messages, recording.speech_frames
    async with connect(plan.url, api_key=api_key, model=plan.model):
        pass
    clock = clock or SystemClock()

    def show() -> None:
        if status is not None:
            running = stats.started - stats.completed - stats.failed
            status.update(f"{stats.started} sessions, {running} running, {stats.failed} failed")

    await open_loop(
        arrival_times(plan),
        Caller(plan, recordings, stats, api_key=api_key, clock=clock).call,
        stats,
        max_sessions=plan.max_sessions,
        drain_s=plan.drain_s,
        clock=clock,
        progress=show,
    )


def load(
    recordings: Annotated[list[Path], typer.Argument(help="Recordings, or directories of them.")],
    rate: Annotated[
        float, typer.Option("--rate", "--sessions-per-second", min=1e-6, help="Sessions that arrive a second.")
    ] = 0.2,
    duration: Annotated[float, typer.Option(min=0, help="Seconds in which sessions arrive.")] = 60.0,
    arrivals: Annotated[Arrivals, typer.Option(help="Random arrivals, or evenly spaced ones.")] = "poisson",
    turns: Annotated[int, typer.Option(min=1, help="Questions of each session.")] = 1,
    max_sessions: Annotated[int, typer.Option(min=1, help="Sessions at once; further arrivals are skipped.")] = 1000,
    commit: Annotated[
        bool, typer.Option("--commit", help="Callers end their turns; else the server hears it.")
    ] = False,
    pause: Annotated[float, typer.Option(min=0, help="Seconds between an answer's end and the next question.")] = 1.0,
    player_buffer: Annotated[float, typer.Option(min=0, help="Seconds a caller's player holds back.")] = 0.0,
    silence_ms: Annotated[int | None, typer.Option(min=0, help="Silence by which the server ends a turn.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for a complete answer.")] = 30.0,
    drain: Annotated[float, typer.Option(min=0, help="Seconds for sessions to end after the last arrival.")] = 60.0,
    seed: Annotated[int, typer.Option(help="Arrivals and choice of recordings are the same for the same seed.")] = 0,
    url: Annotated[str, typer.Option(help="The server.")] = DEFAULT_URL,
    reply_language: Annotated[ReplyLanguage | None, typer.Option(help="Language of the answers.")] = None,
    model: Annotated[str | None, typer.Option(help="Model to ask.")] = None,
    api_key: Annotated[str | None, typer.Option(envvar="CSLM_API_KEY", help="Key of the server.")] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Where to write all numbers.")] = None,
) -> None:
    """Speak recordings in real time in many sessions at once, and report times to first audio, gaps and errors.

    The load is open-loop: sessions arrive when they arrive, however slow the server is. Exit status: 0 every session
    completed, 2 bad input, 3 no session could be opened, 4 a session failed.
    """
    plan = LoadPlan(
        rate_hz=rate,
        duration_s=duration,
        url=url,
        arrivals=arrivals,
        turns=turns,
        max_sessions=max_sessions,
        commit=commit,
        pause_s=pause,
        buffer_s=player_buffer,
        timeout_s=timeout,
        drain_s=drain,
        silence_ms=silence_ms,
        reply_language=reply_language,
        model=model,
        seed=seed,
    )
    raise typer.Exit(_run(plan, recordings, api_key, json_path))


def _run(plan: LoadPlan, paths: Sequence[Path], api_key: str | None, json_path: Path | None) -> int:
    stats = LoadStats()
    try:
        recordings = read_recordings(paths)
        if json_path is not None:
            check_writable(json_path)
        interrupted = _measure(plan, recordings, stats, api_key)
    except ClientError as error:
        return report_error(error)
    Console().print(table(stats))
    if json_path is not None:
        result = report(plan, recordings, stats) | {"interrupted": interrupted}
        json_path.write_text(json.dumps(result, indent=2) + "\n")
    if interrupted:
        return INTERRUPTED_EXIT
    return 0 if stats.completed == stats.started else FAILED_EXIT


def _measure(plan: LoadPlan, recordings: Sequence[Recording], stats: LoadStats, api_key: str | None) -> bool:
    """Whether the user broke it off: what was measured until then still counts."""
    try:
        with Console(stderr=True).status("opening a first session") as status:
            asyncio.run(run_load(plan, recordings, stats, api_key=api_key, status=status))
    except KeyboardInterrupt:
        return True
    return False
