"""cslm-8b's speech tokenizer in its real size, random weights: PyTorch against onnxruntime on one thread, by turns.

    python -m tests.bench.speech_tokenizer

Both read the same ONNX file's weights and are given the same spectrograms, one speech at a time; what is told is the median of
seven rounds in which each runs once. What 8 speeches of 3 s take PyTorch in one batch is measured too: on one thread of a CPU batches gain
nothing, on a GPU they are the reason for PyTorch.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import onnxruntime
import torch

from model.s3.network import S3Config
from tests.bench.results import arguments, ms, origin, table, write
from tests.released.speech_tokenizer import random_network, write_onnx

ROUNDS = 7
SECONDS = (1, 3, 8, 30)


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Measure and write."""
    options = arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    record: dict[str, Any] = {"origin": origin(Path(__file__).parent), "rounds": ROUNDS}
    network, session_options = random_network(S3Config()), onnxruntime.SessionOptions()
    session_options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "speech_tokenizer_v1.onnx"
        write_onnx(path, network)
        session = onnxruntime.InferenceSession(str(path), session_options, providers=["CPUExecutionProvider"])
    record["speeches"] = []
    for seconds in SECONDS:
        mel = torch.randn(1, network.config.n_mels, 100 * seconds)
        ours = lambda: network(mel, torch.tensor([mel.shape[-1]]))  # noqa: B023, E731 - called in this round
        theirs = lambda: session.run(None, {"feats": mel.numpy()})  # noqa: B023, E731
        rounds = [(timed(ours), timed(theirs)) for _ in range(ROUNDS + 1)][1:]
        pytorch_s, onnxruntime_s = (median(column) for column in zip(*rounds, strict=True))
        ratio = median(a / b for a, b in rounds)
        record["speeches"].append(
            {"sound_s": seconds, "pytorch_s": pytorch_s, "onnxruntime_s": onnxruntime_s, "ratio": ratio}
        )
    record["batch"] = batched(network)
    write(options.out, "speech_tokenizer", record, report(record))


def batched(network: torch.nn.Module) -> dict[str, float]:
    """Eight speeches of 3 s in one batch, over one of them eight times."""
    mel, lengths = torch.randn(8, 128, 300), torch.full((8,), 300)
    rounds = [(timed(lambda: network(mel, lengths)), timed(lambda: network(mel[:1], lengths[:1]))) for _ in range(4)][
        1:
    ]
    return {"speeches": 8, "sound_s": 3, "ratio": median(together / (8 * alone) for together, alone in rounds)}


def report(record: dict[str, Any]) -> str:
    """One row a length."""
    rows = [
        [f"{row['sound_s']} s", ms(row["pytorch_s"]), ms(row["onnxruntime_s"]), f"{row['ratio']:.2f}"]
        for row in record["speeches"]
    ]
    batch = record["batch"]
    said = f"{batch['speeches']} speeches of {batch['sound_s']} s in one batch took PyTorch {batch['ratio']:.2f} of the time of one after the other."
    return table(("speech", "PyTorch, ms", "onnxruntime, ms", "ratio"), rows) + "\n\n" + said


if __name__ == "__main__":
    main()
