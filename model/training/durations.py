"""Trains the duration predictor of a unit vocoder: how many frames each merged unit lasts (arXiv 2604.11096, figure 1).

    python -m model.training durations codes --encoder BUNDLE/encoder --manifest ljspeech.tsv --codes codes.jsonl
    python -m model.training durations train --codes codes.jsonl --units 4096 --epochs 15 --out BUNDLE/vocoder

The durations come from the tokenizer itself: before repeats are merged, a unit that lasts three frames occurs three times.
`codes.jsonl` has one utterance in each line, `{"codes": [7, 7, 7, 2, …]}`, or `{"units": [7, 2], "frames": [3, 1]}` if an aligner
measured them. The paper trained on LJSpeech and Baker for 15 epochs and did not release the weights.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from torch.nn import functional as F

from model.training.manifests import ManifestError, kept_lines, read_manifest, read_recording
from model.vocoders.flow_hift.durations import DurationPredictor, save
from streaming.errors import BundleError

Utterance = tuple[list[int], list[int]]


def runs(codes: Sequence[int]) -> Utterance:
    """Merged units and their lengths.

    >>> runs([7, 7, 7, 2, 7])
    ([7, 2, 7], [3, 1, 1])
    """
    grouped = [(unit, len(list(run))) for unit, run in groupby(codes)]
    return [unit for unit, _ in grouped], [length for _, length in grouped]


def read_codes(path: Path, n_units: int) -> list[Utterance]:
    """All utterances with at least one unit. Raises ValueError naming the line."""
    found = []
    for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        row = json.loads(text)
        units, frames = runs(row["codes"]) if "codes" in row else (row.get("units", []), row.get("frames", [0]))
        if len(units) != len(frames) or any(not 0 <= unit < n_units for unit in units) or any(f < 1 for f in frames):
            raise ValueError(f"{path}:{line}: expected units below {n_units}, each with its number of frames")
        if units:
            found.append((units, frames))
    if not found:
        raise ValueError(f"{path} has no utterances")
    return found


def write_codes(encoder: Path, manifest: Path, out: Path) -> None:
    """Unmerged codes of a manifest's recordings, through a tokenizer of kind `s3`; what is there already is kept."""
    from model.encoders.s3.stage import S3Stage
    from model.encoders.s3.weights import load_network

    done = {line["audio"] for line in kept_lines(out)}
    stage = S3Stage(load_network(encoder))

    async def codes(audio: Path) -> list[int]:
        return await stage.submit(read_recording(audio, 16_000))

    with closing(stage), out.open("a", encoding="utf-8") as file:
        for row in read_manifest(manifest):
            if row.audio is None:
                raise ManifestError(f"{manifest}: “{row.text}” has no recording")
            if str(row.audio) not in done:
                file.write(json.dumps({"audio": str(row.audio), "codes": asyncio.run(codes(row.audio))}) + "\n")
                file.flush()


def padded(utterances: Sequence[Utterance]) -> tuple[Tensor, Tensor, Tensor]:
    """(units [B, N], frames [B, N], which are there [B, N])."""
    longest = max(len(units) for units, _ in utterances)
    units, frames = (torch.zeros(len(utterances), longest, dtype=torch.long) for _ in range(2))
    for row, (u, f) in enumerate(utterances):
        units[row, : len(u)], frames[row, : len(f)] = torch.tensor(u), torch.tensor(f)
    return units, frames, frames > 0


def loss_of(predictor: DurationPredictor, utterances: Sequence[Utterance]) -> Tensor:
    """Mean squared error of log(1 + frames)."""
    units, frames, there = padded(utterances)
    return F.mse_loss(predictor(units, there)[there], torch.log1p(frames.float())[there])


def error_of(predictor: DurationPredictor, utterances: Sequence[Utterance]) -> tuple[float, float]:
    """(mean absolute error in frames a unit, predicted ÷ true total length)."""
    wrong = total = spoken = count = 0
    for units, frames in utterances:
        got = predictor.frames(units, 0, len(units))
        wrong += sum(abs(g - f) for g, f in zip(got, frames, strict=True))
        spoken, total, count = spoken + sum(got), total + sum(frames), count + len(units)
    return wrong / count, spoken / total


def train(
    utterances: list[Utterance], n_units: int, *, epochs: int, batch: int = 32, rate: float = 1e-3, seed: int = 0
) -> DurationPredictor:
    """The predictor after `epochs` over `utterances`."""
    torch.manual_seed(seed)
    predictor, rng = DurationPredictor(n_units), Random(seed)
    optimizer = torch.optim.AdamW(predictor.parameters(), lr=rate)
    for _ in range(epochs):
        rng.shuffle(utterances)
        predictor.train()
        for at in range(0, len(utterances), batch):
            loss = loss_of(predictor, utterances[at : at + batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return predictor.eval()


def main(argv: list[str] | None = None) -> None:
    """See the module's head."""
    parser = argparse.ArgumentParser(prog="python -m model.training durations", description=main.__doc__)
    parser.add_argument("step", choices=("codes", "train"))
    parser.add_argument("--encoder", type=Path, help="the bundle's encoder, of kind s3")
    parser.add_argument("--manifest", type=Path, help="recordings")
    parser.add_argument("--codes", type=Path, required=True)
    parser.add_argument("--units", type=int, default=4096)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--out", type=Path, help="directory of the vocoder; gets duration.safetensors")
    args = parser.parse_args(argv)
    needed = (args.encoder and args.manifest) if args.step == "codes" else args.out
    if not needed:
        parser.error("codes needs --encoder and --manifest" if args.step == "codes" else "train needs --out")
    try:
        if args.step == "codes":
            write_codes(args.encoder, args.manifest, args.codes)
        else:
            _train_and_save(read_codes(args.codes, args.units), args)
    except (ValueError, KeyError, OSError, BundleError) as error:
        raise SystemExit(f"durations: {error}") from None


def _train_and_save(utterances: list[Utterance], args: argparse.Namespace) -> None:
    """A twentieth is held out, and tells how good the predictor is."""
    if len(utterances) < 2:
        raise ValueError("one utterance is not enough: one is held out")
    Random(1).shuffle(utterances)
    held = utterances[: max(1, len(utterances) // 20)]
    predictor = train(utterances[len(held) :], args.units, epochs=args.epochs)
    error, length = error_of(predictor, held)
    args.out.mkdir(parents=True, exist_ok=True)
    save(predictor, args.out)
    print(f"{len(held)} held-out utterances: {error:.2f} frames off a unit, {length:.1%} of the true length")


if __name__ == "__main__":
    main()
