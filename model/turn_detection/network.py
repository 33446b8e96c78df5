"""Networks in ONNX files, run on one thread of the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime

from streaming.errors import BundleError


def open_network(path: Path, what: str) -> Any:
    """An `onnxruntime.InferenceSession`; `what` it is, for the error. Raises BundleError."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has many
        raise BundleError(f"{path} cannot be read as {what}: {error}") from error
