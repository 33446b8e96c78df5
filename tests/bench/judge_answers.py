"""Judge the answers that `tests.bench.answers` kept: heard right, answered right, spoken so that another recognizer understands?

    python -m tests.bench.judge_answers answers/ --whisper whisper-base/

Writes docs/benchmarks/answers.json and answers.md: all results, the bad ones too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import soundfile

from model.training.g2p import spell_english, spell_mandarin
from model.training.judge import Judge, distance, error_rate
from tests.bench.results import arguments, table, write

MARKS = {True: "right", False: "wrong", None: "–"}


def main() -> None:
    """Transcribe, compare, write."""
    parser = arguments(__doc__)
    parser.add_argument("answers", type=Path, help="directory that tests.bench.answers wrote")
    parser.add_argument("--whisper", type=Path, required=True, help="CTranslate2 directory of Whisper-base")
    options = parser.parse_args()
    record = json.loads((options.answers / "answers.json").read_text(encoding="utf-8"))
    judge = Judge(options.whisper)
    for row in record["answers"]:
        pcm, rate_hz = soundfile.read(options.answers / row["spoken"], dtype="float32")
        row["understood"] = judge.transcribe(pcm, rate_hz, row["reply_language"])
        row["right"] = right(row["answered"], row["answers"])
        row["spoken_right"] = None if row["right"] is None else spoken_right(row)
    record["summary"] = {name: summary(rows) for name, rows in groups(record["answers"]).items()}
    write(options.out, "answers", record, report(record))


def plain(text: str) -> list[str]:
    """What is compared: English words and Chinese characters, numbers spelt out, no punctuation."""
    chinese = re.search("[\u4e00-\u9fff]", text)
    text = spell_mandarin(text) if chinese else spell_english(text.lower().replace("’", "'")).replace("-", " ")
    return re.findall("[\u4e00-\u9fff]|[a-z]+", text.lower().replace("'", ""))


def right(answered: str, answers: Sequence[str]) -> bool | None:
    """Whether the text is one of the right answers; None where nothing was asked."""
    return any(plain(answered) == plain(answer) for answer in answers) if answers else None


def spoken_right(row: dict[str, Any]) -> bool:
    """Whether what the recognizer understood is a right answer: exactly, in Mandarin by syllables without tone."""
    language = row["reply_language"]
    return any(error_rate([(row["understood"], answer)], language) == 0 for answer in row["answers"])


def raw_error_rate(pairs: Sequence[tuple[str, str]]) -> float:
    """Errors per word or character over pairs of (got, meant)."""
    wrong = sum(distance(plain(got), plain(meant)) for got, meant in pairs)
    return wrong / max(1, sum(len(plain(meant)) for _, meant in pairs))


def groups(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows by direction, synthetic voices and people apart."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        who = "people, " if row["voice"] == "human" else ""
        found.setdefault(f"{who}{row['language']}→{row['reply_language']}", []).append(row)
    return found


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts and error rates of one group; in Mandarin also by syllable without tone."""
    heard = [(row["heard"], row["said"]) for row in rows]
    spoken = [(row["understood"], row["answered"]) for row in rows]
    judged = [row for row in rows if row["right"] is not None]
    return {
        "n": len(rows),
        "heard_error": round(raw_error_rate(heard), 4),
        "heard_syllable_error": round(error_rate(heard, "zh"), 4) if rows[0]["language"] == "zh" else None,
        "asked": len(judged),
        "right": sum(row["right"] for row in judged),
        "spoken_right": sum(row["spoken_right"] for row in judged),
        "spoken_error": round(raw_error_rate(spoken), 4),
        "spoken_syllable_error": round(error_rate(spoken, "zh"), 4) if rows[0]["reply_language"] == "zh" else None,
    }


def report(record: dict[str, Any]) -> str:
    """Summary and all results."""
    heads = (
        "direction",
        "n",
        "heard: error",
        "without tones",
        "answered right",
        "spoken right",
        "spoken: error",
        "without tones",
    )
    lines = [
        (
            name,
            s["n"],
            percent(s["heard_error"]),
            percent(s["heard_syllable_error"]),
            f"{s['right']} of {s['asked']}" if s["asked"] else "–",
            f"{s['spoken_right']} of {s['asked']}" if s["asked"] else "–",
            percent(s["spoken_error"]),
            percent(s["spoken_syllable_error"]),
        )
        for name, s in record["summary"].items()
    ]
    every = [
        (
            r["file"].removesuffix(".flac"),
            r["voice"],
            r["said"],
            r["heard"] or "(nothing)",
            r["answered"] or "(nothing)",
            MARKS[r["right"]],
            r["understood"] or "(nothing)",
            " / ".join(r["answers"]) if r["right"] is False else "",
        )
        for r in record["answers"]
    ]
    columns = (
        "recording",
        "voice",
        "said",
        "heard (TQ)",
        "answered (TA)",
        "",
        "spoken, as Whisper-base understood it",
        "wanted",
    )
    return f"{table(heads, lines)}\n\n{table(columns, every)}"


def percent(share: float | None) -> str:
    """One decimal, – for None."""
    return "–" if share is None else f"{share:.1%}"


if __name__ == "__main__":
    main()
