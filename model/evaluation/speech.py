"""Encoder and vocoder alone. Rows that need phonetic units say so if a bundle has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from random import Random
from typing import Any

import numpy as np

from model.evaluation.asking import speak, units_of
from model.evaluation.bench import NEEDS_JUDGE, Bench, Case, Row, Table, each, grouped, no_items, number, percent, rate
from model.evaluation.scores import errors
from model.evaluation.seams import PLACES, jump_ratios, planned
from model.evaluation.sets import Pcm
from model.training.augment import coloured_noise, mix, telephone
from model.training.edit_distance import distance
from model.training.prepare import NO_PHONES, has_phonetic_units

FRAME_S = 0.02


def noisy(pcm: Pcm, snr_db: float, seed: str) -> Pcm:
    """With noise from white to brown `snr_db` below the speech."""
    return mix(pcm, coloured_noise(len(pcm), np.random.default_rng(Random(seed).getrandbits(32))), snr_db)


def with_peak(pcm: Pcm, dbfs: float) -> Pcm:
    """Louder or quieter, so that the peak is at `dbfs`; above 0 it clips. 16 bits a sample."""
    scaled = pcm * (10 ** (dbfs / 20) / max(1e-6, float(np.abs(pcm).max())))
    return np.asarray(np.round(np.clip(scaled, -1, 1) * 32_767) / 32_767, np.float32)


def spoken_part(pcm: Pcm) -> Pcm:
    """Without what is softer than a fiftieth of the peak at both ends: speech from the first frame to the last."""
    loud = np.flatnonzero(np.abs(pcm) > 0.02 * np.abs(pcm).max())
    return pcm[loud[0] : loud[-1] + 1] if loud.size else pcm


CONDITIONS: dict[str, Callable[[Pcm, int, str], Pcm]] = {
    "clean": lambda pcm, rate, seed: pcm,
    "noise, 10 dB": lambda pcm, rate, seed: noisy(pcm, 10.0, seed),
    "telephone": lambda pcm, rate, seed: telephone(pcm),
    "quiet, peak at -40 dB": lambda pcm, rate, seed: with_peak(pcm, -40.0),
    "loud, clipped by 12 dB": lambda pcm, rate, seed: with_peak(pcm, 12.0),
    "2 s of silence around": lambda pcm, rate, seed: np.pad(pcm, 2 * rate),
    "from the first frame": lambda pcm, rate, seed: spoken_part(pcm),
}
"""How a recording (float32, samples a second, seed of what is random) is made to sound before it is heard."""


class Tokenizer:
    """Phone error, tone apart, and tone error per syllable, against the sounds of what was said, in all `CONDITIONS`."""

    name = "tokenizer"
    timed = True

    def missing(self, bench: Bench) -> str | None:
        """See `Measure`."""
        return no_items(bench, "read") if has_phonetic_units(bench.bundle) else NO_PHONES

    def cases(self, bench: Bench) -> list[Case]:
        """See `Measure`."""
        return [
            Case(f"{case.name}@{variant}", case.item, variant) for case in each(bench, "read") for variant in CONDITIONS
        ]

    async def measure(self, bench: Bench, case: Case) -> Row:
        """See `Measure`."""
        from model.training.g2p import INVENTORY, to_units
        from model.training.tokenizer_train import unit_errors

        rate_hz = bench.bundle.profile.input_sample_rate_hz
        pcm = CONDITIONS[case.variant](bench.audio(case.item), rate_hz, f"{bench.seed}:{case.item.name}")
        heard = [INVENTORY[u] for u in chain.from_iterable(await units_of(bench.stages, pcm))]
        counts = unit_errors(heard, to_units(case.item.text))
        return {
            "who": "people" if case.item.people else "synthetic, unseen voices",
            "language": case.item.language,
            "condition": case.variant,
            "units": heard,
            "phone": [counts["phone"], counts["total"]],
            "unit": [counts["unit"], counts["total"]],
            "tone": [counts["tone"], counts["tones"]] if counts["tones"] else None,
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """See `Measure`."""
        lines = []
        for (who, condition), of in grouped(rows, lambda row: (row["who"], row["condition"])).items():
            each_language = {**grouped(of, lambda row: row["language"]), "**all**": of}
            for language, found in each_language.items():
                rates = (percent(rate(found, key)) for key in ("phone", "tone", "unit"))
                lines.append((who, condition, language, len(found), *rates))
        heads = ("speakers", "", "language", "n", "phone error, tone apart", "tone error per syllable", "unit error")
        note = (
            "Against the sounds of the text; a reader who says it otherwise counts as an error. Noise: white to brown. "
            "Telephone: 300 to 3,400 Hz in 8-bit µ-law."
        )
        return [Table("Tokenizer", heads, lines, note)]


class Stability:
    """Units committed while somebody speaks, frame by frame, against those of the whole recording."""

    name = "stability"
    timed = True

    def missing(self, bench: Bench) -> str | None:
        """See `Measure`."""
        return no_items(bench, None)

    def cases(self, bench: Bench) -> list[Case]:
        """See `Measure`."""
        return each(bench, "read") or each(bench, None)

    async def measure(self, bench: Bench, case: Case) -> Row:
        """See `Measure`."""
        pcm = bench.audio(case.item)
        frame = int(FRAME_S * bench.bundle.profile.input_sample_rate_hz)
        streamed = list(chain.from_iterable(await units_of(bench.stages, pcm, piece=frame)))
        whole = list(chain.from_iterable(await units_of(bench.stages, pcm)))
        return {
            "language": case.item.language,
            "units": [distance(streamed, whole), len(whole)],
            "per_s": [len(whole), pcm.size / bench.bundle.profile.input_sample_rate_hz],
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """See `Measure`."""
        lines = [
            (language, len(found), percent(rate(found, "units")), number(rate(found, "per_s"), 1))
            for language, found in grouped(rows, lambda row: row["language"]).items()
        ]
        heads = ("language", "n", "units that differ", "units a second")
        return [Table("Units: streamed in 20 ms frames against the whole recording", heads, lines)]


class Voice:
    """The vocoder alone: units of a text, judged by what is heard."""

    name = "vocoder"
    timed = True

    def missing(self, bench: Bench) -> str | None:
        """See `Measure`."""
        if not has_phonetic_units(bench.bundle):
            return NO_PHONES
        return NEEDS_JUDGE if bench.judge is None else no_items(bench, "read", recordings=False)

    def cases(self, bench: Bench) -> list[Case]:
        """See `Measure`."""
        return each(bench, "read", recordings=False)

    async def measure(self, bench: Bench, case: Case) -> Row:
        """See `Measure`."""
        from model.training.g2p import to_ids

        item = case.item
        pcm = np.concatenate(await speak(bench.stages, [to_ids(item.text, trim=False)]))
        understood, _ = bench.listen(pcm, item.language)
        return {
            "language": item.language,
            "said": item.text,
            "understood": understood,
            "errors": errors(understood, item.text, item.language),
            "audio": bench.keep_audio(f"vocoder-{item.name}", pcm),
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """See `Measure`."""
        lines = [
            (language, len(found), percent(rate(found, "errors")))
            for language, found in grouped(rows, lambda row: row["language"]).items()
        ]
        heads = ("language", "n", "WER / syllable error without tone")
        return [Table("Vocoder alone, from the units of a text", heads, lines)]


class JudgeItself:
    """The judge on the recordings: what no bundle can beat."""

    name = "judge"
    timed = True

    def missing(self, bench: Bench) -> str | None:
        """See `Measure`."""
        return NEEDS_JUDGE if bench.judge is None else no_items(bench, "read")

    def cases(self, bench: Bench) -> list[Case]:
        """See `Measure`."""
        return each(bench, "read")

    async def measure(self, bench: Bench, case: Case) -> Row:
        """See `Measure`."""
        assert bench.judge is not None
        item, profile = case.item, bench.bundle.profile
        heard = bench.judge.hear(bench.audio(item), profile.input_sample_rate_hz, item.language, profile.languages)
        return {
            "set": item.set,
            "language": item.language,
            "understood": heard.text,
            "errors": errors(heard.text, item.text, item.language),
            "off_target": [heard.language != item.language, 1],
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """See `Measure`."""
        lines = [
            (name, language, len(found), percent(rate(found, "errors")), percent(rate(found, "off_target")))
            for (name, language), found in grouped(rows, lambda row: (row["set"], row["language"])).items()
        ]
        heads = ("set", "language", "n", "WER / syllable error without tone", "language mistaken")
        return [Table("The judge itself, on the recordings of the sets", heads, lines)]


class Seams:
    """Speech in the cuts of the planner against speech decoded at once."""

    name = "seams"
    timed = True

    def missing(self, bench: Bench) -> str | None:
        """See `Measure`."""
        return no_items(bench, None)

    def cases(self, bench: Bench) -> list[Case]:
        """See `Measure`."""
        return each(bench, "read") or each(bench, None)

    async def measure(self, bench: Bench, case: Case) -> Row:
        """See `Measure`. What is spoken are the units that the encoder hears."""
        units = list(chain.from_iterable(await units_of(bench.stages, bench.audio(case.item))))
        whole = np.concatenate([*await speak(bench.stages, [units]), np.zeros(0, np.float32)])
        pieces = await speak(bench.stages, planned(units, bench.stages.cuts))
        joined = np.concatenate([*pieces, np.zeros(0, np.float32)])
        rate_hz, least = bench.bundle.profile.output_sample_rate_hz, min(joined.size, whole.size)
        joins = np.cumsum([piece.size for piece in pieces])[:-1].tolist()
        rng = Random(f"{bench.seed}:{case.name}")
        elsewhere = sorted(rng.sample(range(1, whole.size), PLACES)) if whole.size > PLACES else []
        return {
            "units": len(units),
            "equal_length": joined.size == whole.size,
            "largest_difference": float(np.abs(joined[:least] - whole[:least]).max()) if least else 0.0,
            "jumps": jump_ratios(joined, joins, rate_hz),
            "elsewhere": jump_ratios(whole, elsewhere, rate_hz),
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """See `Measure`."""
        jumps, elsewhere = (list(chain.from_iterable(row[key] for row in rows)) for key in ("jumps", "elsewhere"))
        line: list[Any] = [len(rows), f"{sum(row['equal_length'] for row in rows)} of {len(rows)}"]
        line += [f"{max(row['largest_difference'] for row in rows):.1e}", len(jumps)]
        line += [number(float(np.median(found)) if found else None) for found in (jumps, elsewhere)]
        heads = ("n", "sample count as offline", "largest difference", "joins", "jump: median", "at random places")
        note = "Jump: the step across a join ÷ the median step in the 50 ms on either side; the planner's cuts."
        return [Table("Seams: streamed against offline", heads, [line], note)]
