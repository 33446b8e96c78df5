"""The result of a load test, as JSON with its origin and as a table."""

from __future__ import annotations

import dataclasses
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from clients.load_run import LoadPlan, LoadStats
from clients.recordings import FRAME_S, Recording
from clients.samples import Samples

SATURATED_LAG_S = FRAME_S


def report(plan: LoadPlan, recordings: Sequence[Recording], stats: LoadStats) -> dict[str, Any]:
    """Everything measured. Times in seconds; percentiles by nearest rank."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": checkout(),
        "machine": machine(),
        "configuration": dataclasses.asdict(plan) | {"recordings": describe(recordings), "model": stats.served_model},
        "elapsed_s": round(stats.elapsed_s, 3),
        "sessions": _counts(stats, "started", "completed", "failed", "unfinished", "skipped", "most_at_once"),
        "turns": _counts(stats, "asked", "answered", "interrupted"),
        "errors": dict(stats.errors.most_common()),
        "first_audio_after_speech_end_s": stats.from_speech_end_s.summary(),
        "first_audio_after_speech_stopped_s": stats.from_speech_stopped_s.summary(),
        "complete_after_speech_end_s": stats.until_complete_s.summary(),
        "longest_gap_s": stats.longest_gap_s.summary(),
        "gaps": _counts(stats, "gaps", "turns_with_gaps"),
        "audio": {"spoken_s": round(stats.spoken_s, 3), "answered_s": round(stats.audio_s, 3)},
        "generator": {
            "arrival_lag_s": stats.arrival_lag_s.summary(),
            "frame_lag_s": stats.frame_lag_s.summary(),
            "frame_blocked_s": stats.blocked_s.summary(),
            **_counts(stats, "late_frames", "blocked_frames"),
            "saturated": saturated(stats),
        },
    }


def saturated(stats: LoadStats) -> bool:
    """The generator itself was too slow for its numbers to be trusted: 1 % of its frames left a frame or more late."""
    if not stats.frame_lag_s.count:
        return False
    return stats.frame_lag_s.percentiles(0.99)[0] > SATURATED_LAG_S


def table(stats: LoadStats) -> Table:
    """The numbers that a person wants first, in milliseconds."""
    shown = Table(title=_headline(stats), title_justify="left", caption=_footer(stats), caption_justify="left")
    for heading in ("", "n", "p50", "p95", "p99", "max"):
        shown.add_column(heading, justify="right" if heading else "left")
    rows = {
        "first audio after speech end (ms)": stats.from_speech_end_s,
        "first audio after speech stopped (ms)": stats.from_speech_stopped_s,
        "complete after speech end (ms)": stats.until_complete_s,
        "longest gap in an answer (ms)": stats.longest_gap_s,
        "own lag per frame (ms)": stats.frame_lag_s,
        "frame held by the connection (ms)": stats.blocked_s,
    }
    for name, samples in rows.items():
        shown.add_row(name, str(samples.count), *_milliseconds(samples))
    return shown


def machine() -> dict[str, Any]:
    """The machine that generates the load."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def checkout() -> str | None:
    """Commit that the client runs from, with `+` where files differ from it; None outside a checkout."""
    root = Path(__file__).resolve().parent
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def describe(recordings: Sequence[Recording]) -> dict[str, Any]:
    """How many recordings, of what length."""
    lengths_s = [recording.duration_s for recording in recordings]
    return {"count": len(lengths_s), "mean_s": round(sum(lengths_s) / len(lengths_s), 3), "longest_s": max(lengths_s)}


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _counts(stats: LoadStats, *names: str) -> dict[str, int]:
    return {name: getattr(stats, name) for name in names}


def _milliseconds(samples: Samples) -> list[str]:
    if not samples.count:
        return ["–"] * 4
    summary = samples.summary()
    return [f"{1000 * (summary[name] or 0):.0f}" for name in ("p50", "p95", "p99", "max")]


def _headline(stats: LoadStats) -> str:
    return (
        f"{stats.started} sessions in {stats.elapsed_s:.0f} s, at most {stats.most_at_once} at once\n"
        f"  {stats.completed} completed, {stats.failed} failed, {stats.unfinished} unfinished, {stats.skipped} skipped\n"
        f"{stats.asked} turns asked, {stats.answered} answered, {stats.interrupted} interrupted\n"
        f"  {stats.audio_s:.1f} s of audio, {stats.gaps} gaps in {stats.turns_with_gaps} answers"
    )


def _footer(stats: LoadStats) -> str:
    lines = [f"error {code}: {count}" for code, count in stats.errors.most_common()]
    if saturated(stats):
        lines.append(
            "The generator itself was late: it measures its own machine here. Use fewer sessions or more cores."
        )
    return "\n".join(lines)
