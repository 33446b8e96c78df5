"""How fast the parts are alone, one after the other: the language model, then the vocoder on what it wrote.

Wall time is what a listener waits for, but says little on a busy machine. Processor time, over all processes of the model, is
what an answer costs on any machine. Both use as many cores as the process may; on a CPU the engine and the vocoder compute on
one thread each.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import aclosing
from itertools import chain
from pathlib import Path

import numpy as np

from model.evaluation.asking import speak, units_of
from model.evaluation.bench import Bench, Case, Row, Table, each, no_items, number
from streaming.interleave import UnitsDelta


class Speed:
    """Real-time factors of language model and vocoder."""

    name = "speed"
    timed = True

    def missing(self, bench: Bench) -> str | None:
        """See `Measure`."""
        return no_items(bench, "question")

    def cases(self, bench: Bench) -> list[Case]:
        """See `Measure`."""
        return each(bench, "question")

    async def measure(self, bench: Bench, case: Case) -> Row:
        """See `Measure`."""
        stages, item = bench.stages, case.item
        options, prompts = bench.options(item), stages.prompts
        before, after = prompts.speech_prompt(options, ())
        heard = chain.from_iterable(await units_of(stages, bench.audio(item)))
        prompt = [*before, *prompts.unit_ids(list(heard)), *after]
        tokens: list[int] = []
        started, cpu = time.monotonic(), processor_s()
        async with aclosing(stages.lm.generate(prompt, prompts.sampling(options, len(prompt)))) as answer:
            async for ids in answer:
                tokens += ids
        lm_s, lm_cpu = time.monotonic() - started, _since(cpu)
        events = prompts.parser().feed(tokens)
        units = [unit for event in events if isinstance(event, UnitsDelta) for unit in event.units]
        started, cpu = time.monotonic(), processor_s()
        audio = await speak(stages, [units]) if units else []
        vocoder_s, vocoder_cpu = time.monotonic() - started, _since(cpu)
        samples = int(np.sum([piece.size for piece in audio]))
        return {
            "tokens": len(tokens),
            "units": len(units),
            "audio_s": samples / bench.bundle.profile.output_sample_rate_hz,
            "lm_s": lm_s,
            "lm_cpu_s": lm_cpu,
            "vocoder_s": vocoder_s,
            "vocoder_cpu_s": vocoder_cpu,
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """See `Measure`."""
        spoken = [row for row in rows if row["audio_s"] > 0]
        if not spoken:
            return []
        audio, tokens = sum(row["audio_s"] for row in spoken), sum(row["tokens"] for row in spoken)
        lines = []
        for clock, suffix in (("wall", "_s"), ("processor", "_cpu_s")):
            if any(row[f"lm{suffix}"] is None for row in spoken):
                continue
            lm, vocoder = (sum(row[f"{part}{suffix}"] for row in spoken) for part in ("lm", "vocoder"))
            fast = number(tokens / lm, 0) if lm else "–"
            times = number(audio / lm) if lm else "–"
            lines.append((clock, len(spoken), fast, number(tokens / audio, 1), times, number(vocoder / audio, 3)))
        heads = (
            "clock",
            "n",
            "LM: tokens a second",
            "needed for real time",
            "÷ needed",
            "vocoder: real-time factor",
        )
        note = "One answer at a time, one thread each. *Needed*: text and units that a second of its speech takes."
        return [Table("Speed", heads, lines, note)]


def processor_s() -> float | None:
    """Processor seconds used so far by this process and all below it; None where /proc does not tell."""
    tree: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    try:
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            pid = int(path.parent.name)
            tree.setdefault(int(fields[1]), []).append(pid)
            used[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError):
        return None
    total, waiting = 0.0, [os.getpid()]
    while waiting:
        pid = waiting.pop()
        total += used.get(pid, 0.0)
        waiting += tree.get(pid, [])
    return total if used else None


def _since(before: float | None) -> float | None:
    now = processor_s()
    return None if before is None or now is None else now - before
