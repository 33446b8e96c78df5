"""One update of cslm-mini's language model with matrix products in float32 and in bfloat16, by turns, on one thread.

    python -m tests.bench.precision

The same rows of random tokens, weights and optimizers of the recipe; half of the tokens are learned, as in its documents. Told is processor
time, the median of the rounds, and how far the losses of the same step lie apart.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from model.training.lm import Recipe, Trainer
from model.training.lm_data import Document, write_shard
from tests.bench.results import BUNDLE, arguments, ms, origin, table, write

ROUNDS = 9


def trainer(directory: Path, *, bfloat16: bool) -> Trainer:
    """A run that goes on from the bundle's weights, on documents of random tokens."""
    recipe = replace(Recipe(), bfloat16=bfloat16, read_share=0.0)
    return Trainer(recipe, BUNDLE, directory, directory / str(bfloat16), minutes=1000, start=BUNDLE / "lm")


def main() -> None:
    """Measure and write."""
    options = arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    record: dict[str, Any] = {"origin": origin(), "rounds": ROUNDS}
    with TemporaryDirectory() as directory:
        rng = np.random.default_rng(0)
        documents = [Document(rng.integers(300, 4000, 128).tolist(), [0] * 64 + [1] * 64) for _ in range(1000)]
        write_shard(Path(directory) / "answer-0000.npz", documents)
        runs = {name: trainer(Path(directory), bfloat16=name == "bfloat16") for name in ("float32", "bfloat16")}
        rounds = [{name: timed(run) for name, run in runs.items()} for _ in range(ROUNDS + 1)]
    record["losses"] = [{name: loss for name, (_, loss) in both.items()} for both in rounds]
    seconds = [{name: taken for name, (taken, _) in both.items()} for both in rounds[1:]]
    record |= {name: median(both[name] for both in seconds) for name in ("float32", "bfloat16")}
    record["ratio"] = median(both["float32"] / both["bfloat16"] for both in seconds)
    write(options.out, "precision", record, report(record))


def timed(run: Trainer) -> tuple[float, float]:
    """(seconds of processor time, loss) of one update."""
    began = time.process_time()
    loss = run.train_step()
    return time.process_time() - began, loss


def report(record: dict[str, Any]) -> str:
    """One row: an update of both."""
    tokens = Recipe().rows * Recipe().row_tokens
    apart = max(abs(both["bfloat16"] / both["float32"] - 1) for both in record["losses"])
    rows = [[f"{tokens} tokens", ms(record["float32"]), ms(record["bfloat16"]), f"{record['ratio']:.2f}"]]
    said = f"In {len(record['losses'])} updates from the same weights the losses lay at most {apart:.1%} apart."
    return table(("an update of", "float32, ms", "bfloat16, ms", "ratio"), rows) + "\n\n" + said


if __name__ == "__main__":
    main()
