"""`cslm load`: many callers speak recordings in real time; measures how soon and how smoothly they are answered."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.status import Status

from clients.errors import ClientError, InvalidPlan
from clients.load.objective import EXAMPLE, Objective, read_objective
from clients.load.page import page
from clients.load.plan import Arrivals, LoadPlan
from clients.load.run import LoadTest
from clients.load.search import Search
from clients.realtime import DEFAULT_URL, ReplyLanguage
from clients.recordings import check_writable, read_recordings
from clients.talk import INTERRUPTED_EXIT, report_error

FAILED_EXIT = 4
MISSED_EXIT = 5


def load(
    recordings: Annotated[list[Path], typer.Argument(help="Recordings, or directories of them.")],
    callers: Annotated[
        int | None, typer.Option(min=1, help="So many callers at once, who call again and again.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=1e-6, help="Instead: sessions that arrive a second.", show_default="0.2")
    ] = None,
    arrivals: Annotated[Arrivals, typer.Option(help="Random arrivals, or evenly spaced ones.")] = "poisson",
    max_sessions: Annotated[int, typer.Option(min=1, help="Sessions at once; further arrivals are skipped.")] = 1000,
    duration: Annotated[float, typer.Option(min=0, help="Seconds in which sessions begin.")] = 60.0,
    drain: Annotated[float, typer.Option(min=0, help="Seconds for sessions to end after that.")] = 60.0,
    objective: Annotated[str | None, typer.Option(help=f"What must be reached, such as '{EXAMPLE}'.")] = None,
    search: Annotated[
        bool, typer.Option("--search", help="Find the most callers at once with whom the objective is met.")
    ] = False,
    turns: Annotated[int, typer.Option(min=1, help="Questions of each session.")] = 1,
    think_time: Annotated[
        float, typer.Option(min=0, help="Mean seconds between an answer's end and the next question.")
    ] = 1.0,
    barge_ins: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the answers that the next question interrupts.")
    ] = 0.0,
    pauses: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the questions with a pause inside the sentence.")
    ] = 0.0,
    commit: Annotated[
        bool, typer.Option("--commit", help="Callers end their turns; else the server hears it.")
    ] = False,
    silence_ms: Annotated[int | None, typer.Option(min=0, help="Silence by which the server ends a turn.")] = None,
    player_buffer: Annotated[float, typer.Option(min=0, help="Seconds a caller's player holds back.")] = 0.0,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for a complete answer.")] = 30.0,
    seed: Annotated[int, typer.Option(help="What callers do is the same for the same seed.")] = 0,
    url: Annotated[
        str, typer.Option("--url", "--server", help="The server: any that speaks the OpenAI Realtime protocol.")
    ] = DEFAULT_URL,
    model: Annotated[str | None, typer.Option(help="Model to ask.")] = None,
    api_key: Annotated[str | None, typer.Option(envvar="CSLM_API_KEY", help="Key of the server.")] = None,
    header: Annotated[list[str] | None, typer.Option(help="More headers, each as 'Name: value'.")] = None,
    reply_language: Annotated[ReplyLanguage | None, typer.Option(help="Language of the answers.")] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Where to write all numbers.")] = None,
    html_path: Annotated[Path | None, typer.Option("--html", help="Where to write a report with plots.")] = None,
) -> None:
    """Speak recordings in real time in many sessions at once, and report times to first audio, gaps and errors.

    Every answer is checked: that it is complete, and that it is this caller's own. Exit status: 0 every session
    completed, or the objective is met; 2 bad input; 3 no session could be opened; 4 a session failed; 5 the objective
    is missed; 130 interrupted, with a report of what was measured until then.
    """
    try:
        plan = LoadPlan(
            callers=callers,
            rate_hz=0.2 if rate is None else rate,
            duration_s=duration,
            url=url,
            headers=tuple(read_header(text) for text in header or ()),
            arrivals=arrivals,
            turns=turns,
            max_sessions=max_sessions,
            commit=commit,
            think_s=think_time,
            barge_ins=barge_ins,
            pauses=pauses,
            buffer_s=player_buffer,
            timeout_s=timeout,
            drain_s=drain,
            silence_ms=silence_ms,
            reply_language=reply_language,
            model=model,
            seed=seed,
        )
        aim = read_objective(objective) if objective is not None else None
        way = _searching(plan, aim, rate) if search else None
        if callers is not None and rate is not None:
            raise InvalidPlan("either --callers or --rate: so many at once, or so many a second")
        for path in (json_path, html_path):
            if path is not None:
                check_writable(path)
        test = LoadTest(plan, read_recordings(recordings), aim, way, api_key)
        interrupted = _measure(test)
    except ClientError as error:
        raise typer.Exit(report_error(error)) from error
    raise typer.Exit(_tell(test, interrupted, json_path, html_path))


def read_header(text: str) -> tuple[str, str]:
    """Name and value. Raises InvalidPlan."""
    name, colon, value = text.partition(":")
    name, value = name.strip(), value.strip()
    if not colon or not name.replace("-", "").replace("_", "").isalnum() or not (name + value).isprintable():
        raise InvalidPlan(f"a header is written 'Name: value', not {text!r}")
    return name, value


def _searching(plan: LoadPlan, aim: Objective | None, rate: float | None) -> Search:
    if aim is None:
        raise InvalidPlan(f"--search needs an --objective, such as '{EXAMPLE}'")
    if rate is not None:
        raise InvalidPlan("--search varies how many callers there are at once; leave out --rate")
    first = plan.callers or 1
    if first > plan.max_sessions:
        raise InvalidPlan(f"--callers {first} is more than --max-sessions {plan.max_sessions}")
    return Search(first, plan.max_sessions)


def _measure(test: LoadTest) -> bool:
    """Whether it was broken off by the user or by SIGTERM: what was measured until then still counts."""
    try:
        with Console(stderr=True).status("opening a first session") as status:
            asyncio.run(_measured(test, status))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return True
    except BaseExceptionGroup as group:
        known, others = group.split(ClientError)
        if others is not None or known is None:
            raise
        raise known.exceptions[0] from group
    return False


async def _measured(test: LoadTest, status: Status) -> None:
    """Measure; SIGTERM breaks it off, as Ctrl-C does, also where SIGINT is ignored, as in a background job of a script."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await test.measure(status)
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def _tell(test: LoadTest, interrupted: bool, json_path: Path | None, html_path: Path | None) -> int:
    """Write what was measured; returns the exit status."""
    Console().print(test.shown())
    result = test.result() | {"interrupted": interrupted}
    if json_path is not None:
        json_path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if html_path is not None:
        html_path.write_text(page(result), encoding="utf-8")
    if interrupted:
        return INTERRUPTED_EXIT
    if test.broken_off is not None:
        return report_error(test.broken_off)
    if test.met() is not None:
        return 0 if test.met() else MISSED_EXIT
    return 0 if test.stats.completed == test.stats.started else FAILED_EXIT
