"""What the language model makes of units alone: held-out sentences, with so many of their units wrong."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from model.evaluation.asking import ask
from model.evaluation.bench import Bench, Case, Row, Table, grouped, percent, rate
from model.evaluation.scores import errors, written_errors
from model.evaluation.sets import Item
from model.training.backbone.texts import scored_sentences
from model.training.noise import UnitNoise
from model.training.prepare import NO_PHONES, has_phonetic_units

RATES = (0.0, 0.08, 0.15)
MOST_TOKENS = 40
"""Of a transcript, as in `backbone score`: one that goes round in a circle would outweigh all others."""


class Units:
    """Units of a text, through the noise model of the encoder's mistakes, back to text: 100 sentences a language."""

    name = "units"
    timed = False

    def missing(self, bench: Bench) -> str | None:
        """See `Measure`."""
        return None if has_phonetic_units(bench.bundle) else NO_PHONES

    def cases(self, bench: Bench) -> list[Case]:
        """See `Measure`."""
        return [
            Case(f"{lang}/{number:03d}/{wrong}", _item(number, lang, text), str(wrong))
            for number, pair in enumerate(list(zip(*scored_sentences().values(), strict=True))[: bench.limit])
            for lang, text in zip(scored_sentences(), pair, strict=True)
            for wrong in RATES
        ]

    async def measure(self, bench: Bench, case: Case) -> Row:
        """See `Measure`."""
        from model.training.lm_data import spoken_units

        item, rng = case.item, Random(f"{bench.seed}:{case.name}")
        units = UnitNoise().at_rate(rng, list(spoken_units(item.text)), float(case.variant))
        reply = await ask(
            bench.stages, units, bench.options(item, task="transcribe", speak=False, max_tokens=MOST_TOKENS)
        )
        heard = (reply.report.transcript or reply.report.text).strip()
        return {
            "language": item.language,
            "wrong": float(case.variant),
            "said": item.text,
            "heard": heard,
            "written": written_errors(heard, item.text),
            "sounded": errors(heard, item.text, item.language) if item.language == "zh" else None,
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """See `Measure`."""
        lines = [
            (language, f"{wrong:.0%}", len(found), percent(rate(found, "written")), percent(rate(found, "sounded")))
            for (language, wrong), found in grouped(rows, lambda row: (row["language"], row["wrong"])).items()
        ]
        heads = ("language", "units wrong", "n", "WER / CER", "syllables without tone")
        return [Table("Units to text", heads, lines, "Held-out sentences of `model/training/backbone/heldout.json`.")]


def _item(number: int, language: str, text: str) -> Item:
    return Item(f"heldout/{language}-{number:03d}", "heldout", "read", text, language, "", None, language)
