"""Turns plain manifests into the documents of a bundle: shards of token ids that `finetune` trains on.

    python -m model.training prepare --bundle BUNDLE --asr a.tsv --tts a.tsv --mt m.jsonl --text t.jsonl --s2s q.jsonl --out data/

Manifests are as in `model.training.manifests`; every option may be given several times. Further columns:

    --mt    translation, translation_language
    --text  answer
    --s2s   answer, answer_language, answer_audio (one recording for each segment, in order), before (question and answer)

Units come from the recordings through the bundle's own encoder, and are kept in `units.jsonl`. With `--units text` they come from
the text, if the bundle's units are phonetic; then no recording is needed, and questions pass the noise model. `--segments` only
prints how the answers of `--s2s` are cut, one segment in each line, for whoever records or synthesizes them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, closing, nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Protocol

from model.bundle import Bundle, find_bundle
from model.sources import file_hash
from model.training.domains import LANGS
from model.training.manifests import ManifestError, Row, kept_lines, read_manifest, read_recording, turns_before
from model.training.rendering import VARIANTS, Scribe, Segment, Variant
from model.training.segments import segments
from model.training.shards import Document, write_shard
from streaming.errors import BundleError

TASKS = ("asr", "tts", "mt", "text", "s2s")


NO_PHONES = "its units are no phonetic symbols that a text could be turned into"


def has_phonetic_units(bundle: Bundle) -> bool:
    """Whether the bundle's units are the phonetic inventory of `model.training.g2p`."""
    from model.training.g2p import INVENTORY

    path = bundle.directory / "units.json"
    return path.is_file() and tuple(json.loads(path.read_text(encoding="utf-8"))) == INVENTORY


class UnitSource(Protocol):
    """Where units come from."""

    def heard(self, rng: Random, row: Row) -> list[int]:
        """Units of what a row's speaker says, as the model will hear them."""
        ...

    def said(self, text: str, audio: Path | None, *, last: bool = True) -> list[int]:
        """Units that the model shall say; `last`: nothing follows, so no pause is spoken behind them."""
        ...


class FromText:
    """Phonetic units of a text; questions as the encoder might hear them (`model.training.noise`)."""

    def __init__(self, confusions: Path | None = None) -> None:
        from model.training.noise import UnitNoise, load_confusions

        self._noise = UnitNoise(load_confusions(confusions))

    def heard(self, rng: Random, row: Row) -> list[int]:
        """See `UnitSource`."""
        if row.language not in LANGS:
            raise ManifestError(
                f"“{row.text}”: --units text does not support {row.language!r}; accepted: {', '.join(LANGS)}"
            )
        return self._noise.hear(rng, self.said(row.text, None))

    def said(self, text: str, audio: Path | None, *, last: bool = True) -> list[int]:
        """See `UnitSource`."""
        from model.training.g2p import to_ids

        return to_ids(text.strip(), trim=last)


class FromRecordings:
    """Units of recordings through an encoder, each recording once: `kept` remembers them over runs.

    `encoder` tells encoders apart; what another one heard, or what was recorded anew since, is not taken from `kept`.
    """

    def __init__(self, encode: Callable[[Any], list[int]], sample_rate: int, kept: Path, encoder: str) -> None:
        self._encode, self._rate, self._kept, self._encoder = encode, sample_rate, kept, encoder
        self._known = {line["of"]: line["units"] for line in kept_lines(kept)}

    def heard(self, rng: Random, row: Row) -> list[int]:
        """See `UnitSource`."""
        return self.said(row.text, row.audio)

    def said(self, text: str, audio: Path | None, *, last: bool = True) -> list[int]:
        """See `UnitSource`."""
        if audio is None:
            raise ManifestError(f"“{text}” has no recording; give one, or use --units text with phonetic units")
        changed = audio.stat().st_mtime_ns if audio.is_file() else 0
        name = f"{audio.resolve()} of {changed} through {self._encoder}"
        if name not in self._known:
            units = self._encode(read_recording(audio, self._rate))
            if not units:
                raise ManifestError(f"{audio}: the encoder finds no units in it")
            self._known[name] = units
            with self._kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"of": name, "units": units}) + "\n")
        return self._known[name]


def documents(
    scribe: Scribe, units: UnitSource, task: str, rows: Sequence[Row], rng: Random, variant: Variant, typed: float = 0.0
) -> Iterator[Document]:
    """One document a row, a share of the questions in writing. Raises ManifestError naming what a row lacks."""
    for row in rows:
        if task == "asr":
            yield scribe.recognition(rng, units.heard(rng, row), row.text, row.language)
        elif task == "tts":
            yield scribe.synthesis(rng, row.text, units.said(row.text, row.audio), row.language)
        elif task == "mt":
            yield scribe.translation(rng, row.text, _told(row, "translation"), _told(row, "translation_language"))
        elif task == "text":
            yield scribe.instruction(rng, row.text, _told(row, "answer"))
        else:
            yield _turn(scribe, units, row, row.text if rng.random() < typed else units.heard(rng, row), variant)


def _turn(scribe: Scribe, units: UnitSource, row: Row, question: str | Sequence[int], variant: Variant) -> Document:
    answer, recordings = _told(row, "answer"), row.more.get("answer_audio")
    pieces = segments(answer)
    audio: list[Path | None] = [None] * len(pieces)
    if recordings:
        if len(recordings) != len(pieces):
            raise ManifestError(
                f"“{answer}” has {len(recordings)} recordings for {len(pieces)} segments: {' | '.join(pieces)}"
            )
        audio = [Path(each) for each in recordings]
    spoken = [
        Segment(piece, units.said(piece, path, last=at == len(pieces) - 1))
        for at, (piece, path) in enumerate(zip(pieces, audio, strict=True))
    ]
    language = row.more.get("answer_language") or row.language
    return scribe.turn(
        question,
        row.text,
        spoken,
        (row.language, language),
        variant=variant,
        before=turns_before(row),
    )


def beside(manifest: Path, row: Row) -> Row:
    """`row` with the recordings of its answer relative to its manifest, as those of its question are."""
    recordings = row.more.get("answer_audio")
    if not recordings:
        return row
    if isinstance(recordings, str):
        recordings = [recordings]
    return replace(row, more=row.more | {"answer_audio": [str(manifest.parent / each) for each in recordings]})


def _told(row: Row, name: str) -> str:
    value = row.more.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ManifestError(f"“{row.text}” lacks `{name}`")
    return value.strip()


def lost(rows: Sequence[Row]) -> list[Path]:
    """Recordings that rows name and that are not there."""
    named = [row.audio for row in rows if row.audio is not None]
    named += [Path(each) for row in rows for each in row.more.get("answer_audio") or ()]
    return [path for path in named if not path.is_file()]


def write_documents(directory: Path, name: str, documents: Iterator[Document], *, each: int) -> str:
    """Shards `NAME-0.npz`, `NAME-1.npz`, … of at most `each` documents; tells what was written.

    They take the place of an earlier run's when all are there: an error half way leaves what was.
    """
    unfinished = directory / f"{name}.part"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    made = tokens = 0
    for number, some in enumerate(iter(lambda: list(islice(documents, each)), [])):
        made, tokens = made + len(some), tokens + write_shard(unfinished / f"{name}-{number}.npz", some)
    for old in directory.glob(f"{name}-*.npz"):
        if re.fullmatch(r"[0-9]+", old.stem.removeprefix(f"{name}-")):
            old.unlink()
    for shard in unfinished.iterdir():
        shard.rename(directory / shard.name)
    unfinished.rmdir()
    return f"{name}: {made} documents, {tokens} tokens"


def _recordings(bundle: Any, out: Path) -> tuple[FromRecordings, Any]:
    stage = bundle.encoder_kind.load(bundle.encoder, bundle.profile, "cpu")

    async def units(pcm: Any) -> list[int]:
        async def whole() -> Any:
            yield pcm

        async with aclosing(stage.encode(whole())) as heard:
            return [unit async for piece in heard for unit in piece]

    rate = bundle.profile.input_sample_rate_hz
    name = " ".join(file_hash(path) for path in sorted(bundle.encoder.rglob("*")) if path.is_file())
    return FromRecordings(lambda pcm: asyncio.run(units(pcm)), rate, out / "units.jsonl", name), stage


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m model.training prepare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", default="cslm-mini", help="name or directory; its lm/ needs the tokenizer only")
    for task in TASKS:
        parser.add_argument(f"--{task}", type=Path, action="append", default=[], metavar="MANIFEST")
    parser.add_argument("--variant", choices=VARIANTS, default="interleaved", help="of the answers of --s2s")
    parser.add_argument("--typed", type=float, default=0.0, help="share of the questions of --s2s that are in writing")
    parser.add_argument("--units", choices=("audio", "text"), default="audio")
    parser.add_argument("--confusions", type=Path, help="measured confusions for --units text")
    parser.add_argument("--copies", type=int, default=1, help="documents a row, each with its own wording and noise")
    parser.add_argument("--documents", type=int, default=20_000, help="documents a shard, which are in memory at once")
    parser.add_argument("--segments", action="store_true", help="print how the answers are cut, and end")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("data/documents"))
    args = parser.parse_args(argv)
    if not any(getattr(args, task) for task in (("s2s",) if args.segments else TASKS)):
        parser.error("--segments needs --s2s" if args.segments else f"nothing to prepare: give --{', --'.join(TASKS)}")
    if args.copies < 1 or args.documents < 1 or not 0 <= args.typed <= 1:
        parser.error("--copies and --documents are at least 1, --typed a share from 0 to 1")
    return args


def main(argv: list[str] | None = None) -> None:
    """See the module's head."""
    args = _arguments(argv)
    try:
        if args.segments:
            for path in args.s2s:
                for row in read_manifest(path):
                    print("\n".join(piece.strip() for piece in segments(_told(row, "answer"))))
            return
        _prepare(args)
    except (ValueError, OSError, BundleError) as error:
        raise SystemExit(f"prepare: {error}") from None


def _prepare(args: argparse.Namespace) -> None:
    manifests = {
        task: [beside(path, row) for path in getattr(args, task) for row in read_manifest(path)] for task in TASKS
    }
    missing = lost([row for task in ("asr", "tts", "s2s") for row in manifests[task]]) if args.units == "audio" else []
    if missing:
        raise ManifestError(f"{len(missing)} recordings are missing, the first is {missing[0]}")
    bundle = find_bundle(args.bundle)
    scribe, rng = Scribe(bundle.profile, bundle.lm), Random(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    source: UnitSource
    if args.units == "text":
        if not has_phonetic_units(bundle):
            raise ManifestError(f"--units text: {bundle.profile.name} cannot: {NO_PHONES}")
        source, stage = FromText(args.confusions), None
    else:
        source, stage = _recordings(bundle, args.out)
    with closing(stage) if stage is not None else nullcontext():
        for task, rows in manifests.items():
            if rows:
                made = documents(scribe, source, task, rows * args.copies, rng, args.variant, args.typed)
                name = task if task != "s2s" else f"s2s-{args.variant}"
                print(write_documents(args.out, name, made, each=args.documents))


if __name__ == "__main__":
    main()
