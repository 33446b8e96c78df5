"""Plain manifests: what a recording says, in which language, by whom. TSV with a header line, or one JSON object in each line.

    audio	text	language	speaker
    clips/0001.flac	Good morning.	en	anna

`audio` is relative to the manifest, and may be empty if only the text counts. Other columns are kept in `more`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SUFFIXES = (".tsv", ".jsonl")


class ManifestError(ValueError):
    """A manifest that cannot be used; says where, what is wrong and what is accepted."""


def kept_lines(path: Path) -> list[dict[str, Any]]:
    """Objects of a file that grows line by line, none where it is not there yet. A last line that was still being written
    when the run ended is cut off, in the file too, so that the next one does not stick to it."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    if lines and not lines[-1].endswith(b"\n"):
        lines.pop()
        path.write_bytes(b"".join(lines))
    return [json.loads(line) for line in lines]


@dataclass(frozen=True, slots=True)
class Row:
    """One utterance. `audio`: None where there is only text."""

    text: str
    language: str
    speaker: str = ""
    audio: Path | None = None
    more: dict[str, Any] = field(default_factory=dict)


def read_manifest(path: Path) -> list[Row]:
    """All rows. Raises ManifestError naming file, line and field."""
    if path.suffix not in SUFFIXES:
        raise ManifestError(f"{path}: a manifest's name ends in {' or '.join(SUFFIXES)}")
    if not path.is_file():
        raise ManifestError(f"there is no manifest {path}")
    try:
        rows = [_row(path, line, raw) for line, raw in _raw(path)]
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from None
    if not rows:
        raise ManifestError(f"{path} has no rows")
    return rows


def _raw(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets write a mark first
        if path.suffix == ".tsv":
            yield from enumerate(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE), start=2)
            return
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                raw = json.loads(text)
            except json.JSONDecodeError as error:
                raise ManifestError(f"{path}:{line}: not JSON: {error.msg}") from None
            if not isinstance(raw, dict):
                raise ManifestError(f"{path}:{line}: a row is a JSON object")
            yield line, raw


def _row(path: Path, line: int, raw: dict[str, Any]) -> Row:
    members = dict(raw)
    if None in members:
        raise ManifestError(f"{path}:{line}: more columns than the header names")
    for name in ("text", "language"):
        if not isinstance(members.get(name), str) or not members[name].strip():
            raise ManifestError(f"{path}:{line}: `{name}` is missing or empty")
    audio = members.pop("audio", None) or None
    if audio is not None and not isinstance(audio, str):
        raise ManifestError(f"{path}:{line}: `audio` is the path of a recording, or left out")
    text, language = members.pop("text").strip(), members.pop("language").strip()
    speaker = str(members.pop("speaker", None) or "")
    return Row(text, language, speaker, None if audio is None else path.parent / audio, members)


def turns_before(row: Row) -> tuple[tuple[str, str], ...]:
    """Questions and answers of the turns before, from the column `before`. Raises ManifestError."""
    before = row.more.get("before") or []
    turns = [before] if isinstance(before, list) and before and isinstance(before[0], str) else before
    if not isinstance(turns, list) or not all(_is_turn(turn) for turn in turns):
        raise ManifestError(
            f"“{row.text}”: `before` is a question and its answer, a list of two texts, or a list of such (JSON lines only)"
        )
    return tuple((asked, told) for asked, told in turns)


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, list) and len(turn) == 2 and all(isinstance(said, str) for said in turn)


def read_recording(audio: Path, sample_rate: int) -> Any:
    """A recording as mono float32 [T] at `sample_rate`, T > 0. Raises ManifestError."""
    import numpy as np
    import soundfile
    import soxr

    try:
        pcm, rate = soundfile.read(audio, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        why = getattr(error, "error_string", error) if audio.is_file() else "there is no such file"
        raise ManifestError(f"{audio}: {why}") from None
    if not len(pcm):
        raise ManifestError(f"{audio} has no sound")
    mono = pcm.mean(1)
    return np.asarray(mono if rate == sample_rate else soxr.resample(mono, rate, sample_rate), np.float32)
