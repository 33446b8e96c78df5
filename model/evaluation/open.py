"""Open questions, conversations and instructions, spoken or typed, judged by the rules that their rows state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from model.evaluation.asking import ask
from model.evaluation.bench import Bench, Case, Row, Table, each, grouped, no_items, percent, rate, share
from model.evaluation.rules import obeys, says, sensible, understood
from model.evaluation.scores import plain, right, written_errors
from model.evaluation.sets import Item

TASK = "open"


class OpenQuestions:
    """Understood, sensible and obeyed, by rule."""

    timed = False

    def __init__(self, *, typed: bool) -> None:
        self._typed = typed

    @property
    def name(self) -> str:
        """See `Measure`."""
        return "open_typed" if self._typed else "open"

    def missing(self, bench: Bench) -> str | None:
        """See `Measure`."""
        return no_items(bench, TASK, recordings=not self._typed)

    def cases(self, bench: Bench) -> list[Case]:
        """See `Measure`."""
        return each(bench, TASK, recordings=not self._typed)

    async def measure(self, bench: Bench, case: Case) -> Row:
        """See `Measure`. A typed question is answered in text; a spoken one is heard by the judge too, if there is one."""
        item = case.item
        question = item.text if self._typed else bench.audio(item)
        options = replace(bench.options(item), instructions=item.instructions, speak=not self._typed)
        if item.instructions or item.language == item.reply_language:  # as people ask: nobody chooses a language
            options = replace(options, reply_language=_unchosen(bench, item))
        reply = await ask(bench.stages, question, options, item.before)
        answered, transcript = reply.report.text.strip(), reply.report.transcript
        row: Row = {
            "set": item.set,
            "direction": item.direction,
            "said": item.text,
            "before": item.before,
            "instructions": item.instructions,
            "heard": None if self._typed else transcript,
            "answered": answered,
            "sensible": _sensible(answered, item),
            "obeyed": obeys(answered, item.reply_language, item.manner) if item.manner else None,
        }
        if self._typed:
            return row
        row["heard_errors"] = written_errors(transcript, item.text)
        row["understood"] = understood(transcript, item.keep) if item.keep else None
        if reply.pcm.size:
            row["audio"] = bench.keep_audio(item.name, reply.pcm)
            if bench.judge is not None:
                spoken, _ = bench.listen(reply.pcm, item.reply_language)
                row |= {"spoken": spoken, "sensible_heard": _sensible(spoken, item)}
        return row

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """See `Measure`."""
        lines = []
        for (name, direction), found in grouped(rows, lambda row: (row["set"], row["direction"])).items():
            both = [row | {"kept": row["obeyed"] and row["sensible"]} for row in found if row["obeyed"] is not None]
            shares = [percent(share(found, key)) for key in ("sensible", "sensible_heard", "obeyed")]
            heard = [] if self._typed else [percent(rate(found, "heard_errors")), percent(share(found, "understood"))]
            lines.append((name, direction, len(found), *heard, *shares, percent(share(both, "kept"))))
        heads = ("sensible", "sensible as heard", "instruction obeyed", "obeyed and sensible")
        ears = () if self._typed else ("heard: WER / CER", "understood")
        title = "Open questions, typed" if self._typed else "Open questions, spoken"
        note = (
            "*Understood*: the transcript keeps the words that the row names. *Sensible*: the answer speaks of what the row names, "
            "in the language asked for, short enough to be spoken, without a loop. `model/evaluation/rules.py` has the rules."
        )
        return [Table(title, ("set", "direction", "n", *ears, *heads), lines, note)]


def _unchosen(bench: Bench, item: Item) -> str:
    return "auto" if "auto" in bench.bundle.profile.templates else item.reply_language


def _sensible(text: str, item: Item) -> bool:
    """By the row's words. Where there is a right answer and no manner that embellishes it, it says that and nothing else."""
    if not sensible(text, item.reply_language, item.sense) or plain(text) == plain(item.text):
        return False
    return not item.answers or bool(item.manner) or bool(right(text, item.answers)) or says(text, item.sense)
