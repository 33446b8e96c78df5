"""Judge the answers that `tests.bench.answers` kept: heard right, answered right, spoken so that another recognizer understands?

    python -m tests.bench.judge_answers answers/ --whisper whisper-base/

Writes docs/benchmarks/answers.json and answers.md: all results, the bad ones too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import soundfile

from model.evaluation.bench import percent
from model.evaluation.judge import Judge
from model.evaluation.scores import error_rate, heard_right, right, written_errors
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
        row["spoken_right"] = heard_right(row["understood"], row["answers"], row["reply_language"])
    record["summary"] = {name: summary(rows) for name, rows in groups(record["answers"]).items()}
    write(options.out, "answers", record, report(record))


def raw_error_rate(pairs: Sequence[tuple[str, str]]) -> float:
    """Errors per word or character over pairs of (got, meant)."""
    counts = [written_errors(got, meant) for got, meant in pairs]
    return sum(wrong for wrong, _ in counts) / max(1, sum(of for _, of in counts))


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


if __name__ == "__main__":
    main()
