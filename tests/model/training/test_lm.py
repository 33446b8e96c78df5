"""The language model's trainer: going on where a run stopped, and products in bfloat16."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import torch

from model.training.lm import Recipe, ShardStream
from model.training.lm_data import Document, write_shard
from model.training.muon import orthogonalized

RECIPE = Recipe(row_tokens=32, rows=3)


def shards(directory: Path, count: int = 3) -> Path:
    rng = Random(0)
    for number in range(count):
        documents = [Document([rng.randrange(500)] * rng.randint(4, 20), [1] * 20) for _ in range(20)]
        for d in documents:
            d.weights = d.weights[: len(d.ids)]
        write_shard(directory / f"answer-{number:04d}.npz", documents)
    return directory


def test_a_stream_goes_on_with_the_row_after_the_last(tmp_path: Path) -> None:
    whole = ShardStream(shards(tmp_path), "answer", RECIPE)
    for taken in range(14):  # through all shards and into the first one again
        resumed = ShardStream(tmp_path, "answer", RECIPE)
        resumed.go_to(whole.place)
        want, got = whole.batch(), resumed.batch()
        assert [w.ids.tolist() for w in want] == [g.ids.tolist() for g in got], taken
    assert whole.place[0] > 3


def test_orthogonalized_in_bfloat16_is_near_the_same_in_float32() -> None:
    matrices = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 24, 64), dtype=np.float32))
    exact, rounded = orthogonalized(matrices), orthogonalized(matrices.bfloat16()).float()
    assert (exact - rounded).abs().max() < 0.05 * exact.abs().max()
    assert torch.linalg.svdvals(rounded).min() > 0.5
