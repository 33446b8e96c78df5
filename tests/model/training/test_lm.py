"""The language model's trainer: going on where a run stopped, and products in bfloat16."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from model.training.lm import Recipe, ShardStream, Trainer, batch_tensors, build_model, loss_of
from model.training.shards import Document, pack, pack_row, write_shard

BUNDLE = Path("model/bundles/cslm-mini")
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
        if taken == 2:
            shards(tmp_path, 4)
        resumed = ShardStream(tmp_path, "answer", RECIPE, whole.place)
        want, got = whole.batch(), resumed.batch()
        assert [w.ids.tolist() for w in want] == [g.ids.tolist() for g in got], taken
    assert whole.place[1] > 4


def test_documents_longer_than_a_row_are_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents = [Document([n] * 20 + [7] * (n == 1) * 20, [1] * (20 + (n == 1) * 20)) for n in range(4)]
    write_shard(tmp_path / "answer-0000.npz", documents)
    rows = ShardStream(tmp_path, "answer", RECIPE).batch()
    assert [int(row.ids[0]) for row in rows].count(1) == 0
    assert "answer-0000.npz: 1 documents are longer than a row of 32 tokens" in "".join(capsys.readouterr())
    write_shard(tmp_path / "answer-0000.npz", documents[1:2])
    with pytest.raises(ValueError, match="every document is longer than a row of 32 tokens"):
        ShardStream(tmp_path, "answer", RECIPE).batch()


@pytest.mark.parametrize("bfloat16", [False, True])
def test_a_run_goes_on_where_it_stopped(tmp_path: Path, bfloat16: bool) -> None:
    recipe = Recipe(hidden=32, layers=1, heads=2, ffn=32, row_tokens=32, rows=3, read_share=0.0, bfloat16=bfloat16)

    def run(work: str) -> Trainer:
        return Trainer(recipe, BUNDLE, shards(tmp_path), tmp_path / work, minutes=1000)

    whole = run("whole")
    losses = [whole.train_step() for _ in range(6)]
    broken = run("broken")
    assert [broken.train_step() for _ in range(3)] == pytest.approx(losses[:3])
    broken.save()
    again = run("broken")
    assert [again.train_step() for _ in range(3)] == pytest.approx(losses[3:])
    path = tmp_path / "broken" / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    del state["muon"]["param_groups"][0]["ns_steps"]
    torch.save(state, path)
    with pytest.raises(ValueError, match="earlier version"):
        run("broken")
    recipe = replace(recipe, row_tokens=64)
    with pytest.raises(ValueError, match="holds a run on rows of 32 tokens, not of 64"):
        run("broken")


def test_the_loss_is_the_same_however_documents_are_laid_in_rows() -> None:
    rng = np.random.default_rng(0)
    lengths = [16, 9, 7, 30, 5, 11, 16]
    documents = [(rng.integers(0, 90, n).astype(np.uint32), rng.integers(0, 3, n).astype(np.uint8)) for n in lengths]
    torch.manual_seed(0)
    model = build_model(Recipe(hidden=32, layers=2, heads=2, ffn=32), 96, {"bos": 0, "eos": 1, "pad": 2})

    def loss(short: int) -> float:
        packed = pack(documents, length=32, short=short)
        rows = [pack_row(row, 16 if sum(len(ids) for ids, _ in row) <= short else 32) for row in packed]
        assert len({len(row.ids) for row in rows}) == (2 if short else 1)
        return loss_of(model, batch_tensors(rows)).item()

    assert loss(16) == pytest.approx(loss(0), rel=1e-5)
