"""cslm-8b's speech tokenizer in its real size, random weights: PyTorch against onnxruntime on one thread, by turns.

    python -m tests.bench.speech_tokenizer

Both read the weights of the same ONNX file and are given the same spectrograms, one speech at a time. Told is processor time, which other
work on the machine hardly touches: the median of five rounds in which each runs once. What 4 speeches take PyTorch in one batch is measured
too.
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

from model.encoders.s3.network import S3Config
from tests.bench.results import arguments, ms, origin, table, write
from tests.released.speech_tokenizer import random_network, write_onnx

ROUNDS = 5
SECONDS = (1, 3, 8)


def timed(work: Callable[[], object]) -> float:
    """Seconds of processor time of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


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
    """Four speeches of 3 s in one batch, over one of them four times."""
    mel, lengths = torch.randn(4, 128, 300), torch.full((4,), 300)
    together = lambda: network(mel, lengths)  # noqa: E731
    alone = lambda: network(mel[:1], lengths[:1])  # noqa: E731
    rounds = [(timed(together), timed(alone)) for _ in range(4)][1:]
    return {"speeches": 4, "sound_s": 3, "ratio": median(all_s / (4 * one_s) for all_s, one_s in rounds)}


def report(record: dict[str, Any]) -> str:
    """One row a length."""
    rows = [
        [f"{row['sound_s']} s", ms(row["pytorch_s"]), ms(row["onnxruntime_s"]), f"{row['ratio']:.2f}"]
        for row in record["speeches"]
    ]
    batch = record["batch"]
    said = f"{batch['speeches']} recordings of {batch['sound_s']} s in one batch took PyTorch {batch['ratio']:.2f} of the time they took one by one."
    return table(("speech", "PyTorch, ms", "onnxruntime, ms", "ratio"), rows) + "\n\n" + said


if __name__ == "__main__":
    main()
