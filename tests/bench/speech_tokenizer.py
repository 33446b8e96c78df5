"""cslm-8b's speech tokenizer in its real size, random weights: PyTorch against onnxruntime on one thread, by turns.

python -m tests.bench.speech_tokenizer
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import onnxruntime
import torch

from model.s3.network import S3Config
from tests.released.speech_tokenizer import random_network, write_onnx


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    torch.set_num_threads(1)
    network, options = random_network(S3Config()), onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "speech_tokenizer_v1.onnx"
        write_onnx(path, network)
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    for seconds in (1, 3, 8):
        mel = torch.randn(1, 128, 100 * seconds)
        ours = lambda: network(mel, torch.tensor([mel.shape[-1]]))  # noqa: B023, E731 - called in this round
        theirs = lambda: session.run(None, {"feats": mel.numpy()})  # noqa: B023, E731
        ours(), theirs()
        rounds = [(timed(ours), timed(theirs)) for _ in range(5)]
        pytorch_s, onnxruntime_s = (round(median(column), 3) for column in zip(*rounds, strict=True))
        print(json.dumps({"sound_s": seconds, "pytorch_s": pytorch_s, "onnxruntime_s": onnxruntime_s}))


if __name__ == "__main__":
    main()
