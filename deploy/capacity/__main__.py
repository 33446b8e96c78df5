"""python -m deploy.capacity check | gpus | simulate: tables in Markdown. See docs/capacity.md."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from deploy.capacity.hardware import GPUS
from deploy.capacity.language_model import WEIGHT_BYTES, Timing
from deploy.capacity.published import checks
from deploy.capacity.simulate import MERGED, Result, Talk, capacity, endpoint_delay_s, simulate
from deploy.capacity.vocoder import BYTES, VocoderTiming
from model.vocoders.flow_hift.windows import next_window

CONTEXT = 2048
"""Tokens for which keys and values must fit, each session."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(prog="python -m deploy.capacity", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="the model against published numbers")
    gpus = commands.add_parser("gpus", help="what each GPU holds, alone and at its limit")
    one = commands.add_parser("simulate", help="some people talk to one GPU")
    for command in (gpus, one):
        command.add_argument("--gpu", choices=sorted(GPUS), help="default: all", required=command is one)
        command.add_argument("--weights", choices=sorted(WEIGHT_BYTES), default="bf16" if command is one else None)
        command.add_argument("--no-graphs", action="store_true", help="the vocoder without CUDA graphs")
        command.add_argument("--json", type=Path, help="write the numbers there too")
    one.add_argument("--sessions", type=int, required=True)
    gpus.add_argument("--first-audio-s", type=float, default=1.5, help="95%% of the answers must start by then")
    gpus.add_argument("--broken", type=float, default=0.05, help="share of answers whose playback may run dry")
    options = parser.parse_args(arguments)
    if options.command == "check":
        print(check_table())
    elif options.command == "gpus":
        rows = [found for gpu, weights in chosen(options) if (found := describe(gpu, weights, options)) is not None]
        _write(options.json, rows)
        heads = (
            "GPU",
            "weights",
            "token, ms",
            "block, ms",
            "alone: first audio, s",
            "memory holds",
            "sessions",
            "p50, s",
            "p95, s",
            "GPU busy",
        )
        print(table(heads, [list(row.values()) for row in rows]))
    else:
        lm = Timing(GPUS[options.gpu], weights=options.weights)
        result = simulate(lm, VocoderTiming(lm.gpu, graphs=not options.no_graphs), options.sessions)
        _write(options.json, [asdict(result)])
        print(result_line(result))


def chosen(options: argparse.Namespace) -> Iterable[tuple[str, str]]:
    """GPUs and weights; FP8 only where there are units for it."""
    for gpu in [options.gpu] if options.gpu else GPUS:
        for weights in [options.weights] if options.weights else WEIGHT_BYTES:
            if weights != "fp8" or GPUS[gpu].flops8 > GPUS[gpu].flops16:
                yield gpu, weights


def describe(gpu: str, weights: str, options: argparse.Namespace) -> dict[str, str] | None:
    """A row of the table; None if the weights do not fit."""
    lm = Timing(GPUS[gpu], weights=weights)
    vocoder = VocoderTiming(lm.gpu, graphs=not options.no_graphs)
    held = lm.fits(BYTES, CONTEXT)
    if not held:
        return None
    most = min(held, 256)
    best = capacity(lm, vocoder, first_audio_s=options.first_audio_s, broken=options.broken, most=most)
    grid = vocoder.config.grid
    row = {
        "gpu": gpu,
        "weights": weights,
        "token_ms": f"{1000 * lm.step_s(1, 500):.1f}",
        "block_ms": f"{1000 * vocoder.block_s(grid.back + grid.block + grid.ahead, grid.block):.0f}",
        "alone_s": f"{first_audio_s(lm, vocoder):.2f}",
        "held": str(held),
    }
    if best is None:
        return {**row, "sessions": "0", "p50_s": "–", "p95_s": "–", "busy": "–"}
    return {
        **row,
        "sessions": f"{best.sessions}",
        "p50_s": f"{best.late(0.5):.2f}",
        "p95_s": f"{best.late(0.95):.2f}",
        "busy": f"{best.busy:.0%}",
    }


def first_audio_s(lm: Timing, vocoder: VocoderTiming, talk: Talk | None = None) -> float:
    """From the end of speech to the first audio with nobody else there, without simulation: waiting for silence, prefill,
    transcript, text and units of the first block, and that block."""
    talk, grid, rate = talk or Talk(), vocoder.config.grid, vocoder.config.frames_per_unit
    spread = next(n for n in range(10_000) if next_window(grid, rate, 0, n, ended=False) is not None)
    units = round(spread * MERGED) + 2
    prompt = talk.prompt + talk.history + round(talk.question_s * talk.units_s)
    tokens = talk.transcript + talk.text + 3 + units
    window_s = vocoder.block_s(grid.ramp[0] + grid.ahead, grid.ramp[0])
    return endpoint_delay_s(talk.question_s) + lm.prefill_s(prompt) + tokens * lm.step_s(1, prompt) + window_s


def check_table() -> str:
    """Every published number, what the model says, and by how much it errs."""
    rows, notes, sources = [], list[str](), list[str]()
    for check in checks():
        if check.source not in sources:
            sources.append(check.source)
        if check.note:
            notes.append(f"- {check.what}: {check.note}.")
        measured, predicted = (
            f"{value:,.3g}" if value < 100 else f"{value:,.0f}" for value in (check.measured, check.predicted)
        )
        link = f"[{sources.index(check.source) + 1}]({check.source})"
        rows.append([check.what, check.unit, measured, predicted, f"{check.error:+.0%}", link])
    errors = sorted(abs(check.error) for check in checks() if check.fair)
    middle = f"{len(errors)} like with like: half are within {errors[len(errors) // 2]:.0%}, the worst is {errors[-1]:.0%} off."
    heads = ("what", "unit", "published", "predicted", "error", "source")
    return "\n\n".join([table(heads, rows), middle, "\n".join(notes)])


def result_line(result: Result) -> str:
    """One run in words."""
    return (
        f"{result.sessions} sessions, {len(result.first_audio_s)} answers: first audio p50 {result.late(0.5):.2f} s, "
        f"p95 {result.late(0.95):.2f} s after the end of speech; playback ran dry in {result.broken_share:.0%} of the answers, "
        f"{result.gap_s:.1f} s of {result.audio_s:.0f} s; the GPU was busy {result.busy:.0%}"
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [list(heads), ["---"] * len(heads), *rows])


def _write(path: Path | None, numbers: Sequence[object]) -> None:
    if path is not None:
        path.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
