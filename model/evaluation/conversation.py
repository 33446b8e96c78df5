"""Speech to speech: transcript, answer, voice, language; latency (arXiv 2604.11096, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from model.evaluation.asking import Reply, ask
from model.evaluation.bench import NEEDS_JUDGE, Bench, Case, Row, Table, each, grouped, no_items, number, percent, rate
from model.evaluation.bench import share as share_of
from model.evaluation.scores import errors, heard_right, right, written_errors, written_language
from streaming.report import TurnReport


class Recognition:
    """ASR: what the model writes as the transcript of a sentence read to it."""

    name = "asr"
    timed = False

    def missing(self, bench: Bench) -> str | None:
        """See `Measure`."""
        return no_items(bench, "read")

    def cases(self, bench: Bench) -> list[Case]:
        """See `Measure`."""
        return each(bench, "read")

    async def measure(self, bench: Bench, case: Case) -> Row:
        """See `Measure`."""
        item = case.item
        reply = await ask(bench.stages, bench.audio(item), bench.options(item, task="transcribe", speak=False))
        report = reply.report
        heard = (report.transcript or report.text).strip()  # a model without a mark for transcripts writes plain text
        return {
            "set": item.set,
            "language": item.language,
            "said": item.text,
            "heard": heard,
            "written": written_errors(heard, item.text),
            "sounded": errors(heard, item.text, item.language) if item.language == "zh" else None,
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """See `Measure`."""
        lines = [
            (name, language, len(found), percent(rate(found, "written")), percent(rate(found, "sounded")))
            for (name, language), found in grouped(rows, lambda row: (row["set"], row["language"])).items()
        ]
        heads = ("set", "language", "n", "WER / CER", "syllables without tone")
        note = "The transcript of the question (TQ), which the model writes first. English: words; Chinese: characters."
        return [Table("ASR", heads, lines, note)]


class Answers:
    """Questions, answered in text and speech; language on the way."""

    name = "answers"
    timed = False

    def missing(self, bench: Bench) -> str | None:
        """See `Measure`."""
        return no_items(bench, "question")

    def cases(self, bench: Bench) -> list[Case]:
        """See `Measure`."""
        return each(bench, "question")

    async def measure(self, bench: Bench, case: Case) -> Row:
        """See `Measure`."""
        item = case.item
        reply = await ask(bench.stages, bench.audio(item), bench.options(item), item.before)
        text, wanted = reply.report.text.strip(), item.reply_language
        row: Row = {
            "set": item.set,
            "direction": item.direction,
            "said": item.text,
            "heard": reply.report.transcript,
            "heard_errors": written_errors(reply.report.transcript, item.text),
            "answers": item.answers,
            "answered": text,
            "right": right(text, item.answers),
            "off_target_text": off_target(written_language(text), wanted),
            "audio": bench.keep_audio(item.name, reply.pcm) if reply.pcm.size else None,
            "audio_s": reply.report.audio_s,
        }
        if bench.judge is None:
            return row
        understood, language = bench.listen(reply.pcm, wanted)
        return row | {
            "understood": understood,
            "heard_right": heard_right(understood, item.answers, wanted),
            "off_target_speech": off_target(language or None, wanted),
            "spoken_errors": errors(understood, text, wanted),
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """See `Measure`."""
        lines = []
        for name, of in grouped(rows, lambda row: row["set"]).items():
            directions = grouped(of, lambda row: row["direction"])
            lines += [_answer_line(name, direction, found) for direction, found in directions.items()]
            if len(directions) > 1:
                lines.append(_answer_line(name, "**all**", of))
        heads = (
            "set",
            "direction",
            "n",
            "heard: WER / CER",
            "right in text",
            "right as heard",
            "spoken: error",
            "off target, text",
            "off target, speech",
        )
        note = (
            "*Right*: the wanted answer word for word; *as heard*: what the judge understood is a right answer, in Mandarin by "
            "syllable without tone. *Spoken*: what the judge understood against the model's own text. *Off target*: not in the "
            "language asked for, by script in text, by the judge's language identification in speech; of answers that have "
            "text or speech at all."
        )
        return [Table("Speech to speech", heads, lines, note)]


def _answer_line(name: str, direction: str, rows: Sequence[Row]) -> list[Any]:
    return [
        name,
        direction,
        len(rows),
        percent(rate(rows, "heard_errors")),
        percent(share_of(rows, "right")),
        percent(share_of(rows, "heard_right")),
        percent(rate(rows, "spoken_errors")),
        percent(share_of(rows, "off_target_text")),
        percent(share_of(rows, "off_target_speech")),
    ]


def off_target(found: str | None, wanted: str) -> bool | None:
    """Whether an answer is in another language than `wanted`; None where it is in none."""
    return None if found is None or wanted not in ("en", "zh") else found != wanted


def times(report: TurnReport) -> dict[str, float | None]:
    """Seconds from the complete prompt to the first audio, the first speech chunk (TQ, TA₁, SA₁), and the last token."""
    start = report.heard_s or 0.0
    ends = {
        "first_audio_s": report.first_audio_s,
        "first_chunk_s": report.first_chunk_s,
        "last_token_s": report.lm_done_s,
    }
    return {name: None if end is None else round(end - start, 4) for name, end in ends.items()}


class Typed:
    """The same questions in writing, answered in writing: what the language model knows, without its ears and voice."""

    name = "typed"
    timed = False

    def missing(self, bench: Bench) -> str | None:
        """See `Measure`."""
        return no_items(bench, "question", recordings=False)

    def cases(self, bench: Bench) -> list[Case]:
        """See `Measure`."""
        return each(bench, "question", recordings=False)

    async def measure(self, bench: Bench, case: Case) -> Row:
        """See `Measure`."""
        item = case.item
        reply = await ask(bench.stages, item.text, bench.options(item, speak=False), item.before)
        text = reply.report.text.strip()
        return {
            "set": item.set,
            "direction": item.direction,
            "said": item.text,
            "answered": text,
            "right": right(text, item.answers),
            "off_target": off_target(written_language(text), item.reply_language),
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """See `Measure`."""
        groups = grouped(rows, lambda row: (row["set"], row["direction"]))
        lines = [
            (name, direction, len(found), percent(share_of(found, "right")), percent(share_of(found, "off_target")))
            for (name, direction), found in groups.items()
        ]
        return [Table("Typed questions", ("set", "direction", "n", "right", "off target"), lines)]


class Chain:
    """The same question asked both ways, interleaved and full chain, one right after the other."""

    name = "chain"
    timed = True

    def missing(self, bench: Bench) -> str | None:
        """See `Measure`."""
        return no_items(bench, "question")

    def cases(self, bench: Bench) -> list[Case]:
        """See `Measure`."""
        knows = bool(bench.bundle.profile.full_chain_suffix)
        return [
            Case(case.name, case.item, ("ab" if number % 2 else "ba") if knows else "a")
            for number, case in enumerate(each(bench, "question"))
        ]

    async def measure(self, bench: Bench, case: Case) -> Row:
        """See `Measure`. Which way is asked first alternates; a bundle that knows no full chain is asked one way."""
        item, pcm = case.item, bench.audio(case.item)
        asked: dict[str, Reply] = {}
        for way in case.variant:
            schedule = {"a": "interleaved", "b": "full_chain"}[way]
            asked[schedule] = await ask(bench.stages, pcm, bench.options(item, schedule=schedule), item.before)
        row: Row = {"direction": item.direction}
        for name, reply in asked.items():
            row[name] = {"text": reply.report.text.strip(), "audio_s": reply.report.audio_s, **times(reply.report)}
        return row

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """See `Measure`."""
        spoken = [row for row in rows if _spoken(row)]
        lines = []
        for name, found in [*grouped(spoken, lambda row: row["direction"]).items(), ("**all**", spoken)]:
            lines += [_chain_line(name, found)] if found else []
        long = [row for row in spoken if row["interleaved"]["audio_s"] >= LONG_S]
        if long:
            lines.append(_chain_line(f"answers of {LONG_S:.0f} s and more", long))
        heads = (
            "direction",
            "n",
            "answer, s",
            "TQ+TA₁+SA₁, s",
            "full chain, s",
            "ratio",
            "first audio, s",
            "full chain, s",
            "ratio",
            "same answer, other order",
        )
        note = (
            "Time from the complete prompt, means over the questions; ratios are of sums, as in the paper, whose mean is 2.93. "
            "The paper's latency is read as the time until transcript, first text and first speech chunk are complete; a full "
            "chain has one chunk, all of it. *First audio*: the first samples leave the vocoder; this server cuts inside a "
            "chunk, in both schedules. *Same answer, other order*: time to the last token of the interleaved answer ÷ time to "
            "its first chunk: what the full chain of the very same text and speech would take, whatever the weights know."
        )
        return [Table("Interleaved against full chain", heads, lines, note)]


LONG_S = 4.0


def _spoken(row: Row) -> bool:
    return all(row[way]["first_audio_s"] and row[way]["first_chunk_s"] for way in WAYS if way in row)


WAYS = ("interleaved", "full_chain")


def _chain_line(name: str, rows: Sequence[Row]) -> list[Any]:
    def mean(way: str, key: str) -> float | None:
        return fmean(row[way][key] for row in rows) if all(way in row for row in rows) else None

    def ratio(above: float | None, below: float | None) -> str:
        return number(above / below) if above and below else "–"

    chunk, audio, last = (mean(WAYS[0], key) for key in ("first_chunk_s", "first_audio_s", "last_token_s"))
    full_chunk, full_audio = mean(WAYS[1], "first_chunk_s"), mean(WAYS[1], "first_audio_s")
    return [
        name,
        len(rows),
        number(mean(WAYS[0], "audio_s"), 1),
        number(chunk),
        number(full_chunk),
        ratio(full_chunk, chunk),
        number(audio),
        number(full_audio),
        ratio(full_audio, audio),
        ratio(last, chunk),
    ]


class Reading:
    """TTS: a text read aloud, judged by what is heard."""

    name = "tts"
    timed = False

    def missing(self, bench: Bench) -> str | None:
        """See `Measure`."""
        if "read" not in bench.bundle.profile.tasks:
            return "the bundle has no wording for reading a text aloud"
        return NEEDS_JUDGE if bench.judge is None else no_items(bench, "read", recordings=False)

    def cases(self, bench: Bench) -> list[Case]:
        """See `Measure`."""
        return each(bench, "read", recordings=False)

    async def measure(self, bench: Bench, case: Case) -> Row:
        """See `Measure`."""
        item = case.item
        reply = await ask(bench.stages, item.text, bench.options(item, task="read"))
        understood, _ = bench.listen(reply.pcm, item.language)
        return {
            "set": item.set,
            "language": item.language,
            "text": item.text,
            "understood": understood,
            "audio": bench.keep_audio(f"tts-{item.name}", reply.pcm) if reply.pcm.size else None,
            "sounded": errors(understood, item.text, item.language),
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """See `Measure`."""
        lines = [
            (name, language, len(found), percent(rate(found, "sounded")))
            for (name, language), found in grouped(rows, lambda row: (row["set"], row["language"])).items()
        ]
        heads = ("set", "language", "n", "WER / syllable error without tone")
        return [Table("TTS: texts read aloud, as the judge understood them", heads, lines)]


class Repetition:
    """“Repeat after me”, from audio to audio: judged by what is heard."""

    name = "repeat"
    timed = False

    def missing(self, bench: Bench) -> str | None:
        """See `Measure`."""
        return NEEDS_JUDGE if bench.judge is None else no_items(bench, "repeat")

    def cases(self, bench: Bench) -> list[Case]:
        """See `Measure`."""
        return each(bench, "repeat")

    async def measure(self, bench: Bench, case: Case) -> Row:
        """See `Measure`."""
        item = case.item
        reply = await ask(bench.stages, bench.audio(item), bench.options(item))
        understood, _ = bench.listen(reply.pcm, item.reply_language)
        wanted = item.answers[0] if item.answers else item.text
        return {
            "set": item.set,
            "language": item.reply_language,
            "wanted": wanted,
            "transcript": reply.report.transcript,
            "answered": reply.report.text.strip(),
            "understood": understood,
            "audio": bench.keep_audio(item.name, reply.pcm) if reply.pcm.size else None,
            "written": written_errors(reply.report.text, wanted),
            "sounded": errors(understood, wanted, item.reply_language),
            "spoken": errors(understood, reply.report.text, item.reply_language),
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """See `Measure`."""
        lines = [
            (language, len(found), *(percent(rate(found, key)) for key in ("written", "spoken", "sounded")))
            for language, found in grouped(rows, lambda row: row["language"]).items()
        ]
        heads = ("language", "n", "text: WER / CER", "speech against its own text", "speech against what was said")
        note = "Speech as the judge understood it: errors per English word, per Mandarin syllable without tone."
        return [Table("Repeat after me, from audio to audio", heads, lines, note)]
