"""Matrix products in float32 and in bfloat16, by turns, on one thread: an update of cslm-mini's language model, its encoder's hearing.

    python -m tests.bench.precision

The update: the same rows of random tokens, weights and optimizers of the recipe; half of the tokens are learned, as in its documents. Heard are
the recordings in `tests/data/recordings`. Told is processor time, the median of the rounds and of the recordings; how far the losses of the same
update lie apart; and how many units the encoder names otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import soundfile
import torch

from model.encoders.whisper_ctc import WhisperCtc
from model.mel import SAMPLE_RATE
from model.training.edit_distance import distance
from model.training.lm import Recipe, Trainer
from model.training.shards import Document, write_shard
from tests.bench.questions import manifest
from tests.bench.results import BUNDLE, arguments, ms, origin, table, write

ROUNDS = 9
NAMES = ("float32", "bfloat16")


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
        runs = {name: trainer(Path(directory), bfloat16=name == "bfloat16") for name in NAMES}
        updates = [{name: timed(run.train_step) for name, run in runs.items()} for _ in range(ROUNDS + 1)]
    record["losses"] = [{name: loss for name, (_, loss) in both.items()} for both in updates]
    record["update"] = compared(updates)
    hear = {name: WhisperCtc.load(BUNDLE / "encoder", bfloat16=name == "bfloat16") for name in NAMES}
    recordings = [soundfile.read(asked.path, dtype="float32")[0] for asked in manifest()]
    warm_up = recordings[:1]
    heard = [{name: timed(partial(hear[name].encode, pcm)) for name in NAMES} for pcm in warm_up + recordings]
    record["second"] = compared(heard, [pcm.size / SAMPLE_RATE for pcm in warm_up + recordings])
    record["units"] = [len(both["float32"][1]) for both in heard[1:]]
    record["units_otherwise"] = [distance(both["float32"][1], both["bfloat16"][1]) for both in heard[1:]]
    write(options.out, "precision", record, report(record))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """(seconds of processor time, what came out)."""
    began = time.process_time()
    out = work()
    return time.process_time() - began, out


def compared(
    rounds: Sequence[dict[str, tuple[float, Any]]], lengths: Sequence[float] | None = None
) -> dict[str, float]:
    """Medians of the rounds but the first, each divided by its length, and of their ratios."""
    lengths = lengths or [1.0] * len(rounds)
    seconds = [
        {name: taken / length for name, (taken, _) in both.items()}
        for both, length in zip(rounds[1:], lengths[1:], strict=True)
    ]
    medians = {name: median(both[name] for both in seconds) for name in NAMES}
    return medians | {"ratio": median(both["float32"] / both["bfloat16"] for both in seconds)}


def report(record: dict[str, Any]) -> str:
    """A row for the update, one for a second of speech."""
    what = {
        "update": f"an update of {Recipe().rows * Recipe().row_tokens} tokens",
        "second": "hearing a second of a recording",
    }
    rows = [
        [text, ms(record[key]["float32"]), ms(record[key]["bfloat16"]), f"{record[key]['ratio']:.2f}"]
        for key, text in what.items()
    ]
    apart = max(abs(both["bfloat16"] / both["float32"] - 1) for both in record["losses"])
    said = (
        f"In {len(record['losses'])} updates from the same weights the losses differ by at most {apart:.1%}. "
        f"Of {sum(record['units'])} units of {len(record['units'])} recordings, {sum(record['units_otherwise'])} came out differently."
    )
    return table(("", "float32, ms", "bfloat16, ms", "ratio"), rows) + "\n\n" + said


if __name__ == "__main__":
    main()
