"""Counts what a trained encoder confuses, so that the language model trains on the errors that it will meet.

    python -m model.training.confusions --features speech/features --encoder bundle/encoder --out confusions.json

Features that the head was validated on count more than those it was trained on, some of which it has memorized. The error rates
of the validation part are printed: `UnitNoise.max_rate` should cover them.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from model.encoders.whisper_ctc import WhisperCtc
from model.training.g2p import INVENTORY, SIL, UNIT_ID, merge
from model.training.noise import Confusions, default_confusions
from model.training.tokenizer_train import align_pairs

VALIDATION_ITEMS = 60
VALIDATION_WEIGHT = 4.0
Pair = tuple[int, int]


def aligned(want: Sequence[int], got: Sequence[int]) -> list[Pair]:
    """(wanted, heard) pairs of an optimal alignment; -1 where one side has nothing."""
    pairs: list[Pair] = []
    i = j = 0
    for heard, wanted in align_pairs(got, want):
        pairs += [(x, -1) for x in want[i:wanted]] + [(-1, y) for y in got[j:heard]]
        pairs.append((want[wanted], got[heard]))
        i, j = wanted + 1, heard + 1
    return pairs + [(x, -1) for x in want[i:]] + [(-1, y) for y in got[j:]]


def table(weighted: Iterable[tuple[Pair, float]], *, prior: float = 0.5) -> Confusions:
    """Substitutions by weight, on top of `prior` times the default neighbours."""
    confusions: dict[str, dict[str, float]] = {
        name: defaultdict(float, {other: prior * w for other, w in near.items()})
        for name, near in default_confusions().items()
    }
    for (want, got), weight in weighted:
        if want >= 0 and got >= 0 and want != got:
            confusions[INVENTORY[want]][INVENTORY[got]] += weight
    return {name: dict(near) for name, near in confusions.items()}


def hear_features(encoder: WhisperCtc, path: Path) -> tuple[list[int], list[int]]:
    """(wanted, heard) unit ids of one file of features, pauses left out."""
    data = np.load(path)
    heard = encoder.name(torch.from_numpy(data["features"]).float())
    return [int(u) for u in data["units"] if u != UNIT_ID[SIL]], merge(u for u in heard if u != UNIT_ID[SIL])


def main() -> None:
    """Command line, see the module's head."""
    parser = argparse.ArgumentParser(description="confusions of the encoder")
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--items", type=int, default=600)
    args = parser.parse_args()
    torch.set_num_threads(1)
    encoder, weighted, kinds = WhisperCtc.load(args.encoder), [], Counter[str]()
    for number, path in enumerate(sorted(args.features.glob("*.npz"))[: args.items]):
        valid = number < VALIDATION_ITEMS
        for want, got in aligned(*hear_features(encoder, path)):
            weighted.append(((want, got), VALIDATION_WEIGHT if valid else 1.0))
            kind = "right" if want == got else "insert" if want < 0 else "delete" if got < 0 else "substitute"
            kinds[f"{'valid' if valid else 'train'} {kind}"] += 1
    args.out.write_text(json.dumps(table(weighted), ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    print(dict(sorted(kinds.items())))


if __name__ == "__main__":
    main()
