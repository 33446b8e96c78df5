"""Matrix products in bfloat16 where the processor is faster with them: in training, with weights in float32, and in the encoder."""

from __future__ import annotations

import time
from functools import cache

import torch
from torch.nn import functional as F


@cache
def bfloat16_is_faster() -> bool:
    """Whether this machine multiplies matrices clearly faster in bfloat16 than in float32, as with AVX-512 BF16 or AMX.

    Timed, not asked: by turns, so that what else the machine does meets both; on one thread, so that a process may still be forked.
    """
    pairs = {
        dtype: (torch.randn(1024, 512, dtype=dtype), torch.randn(512, 512, dtype=dtype))
        for dtype in (torch.bfloat16, torch.float32)
    }
    took: dict[torch.dtype, list[float]] = {dtype: [] for dtype in pairs}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(8):
        for dtype, (a, b) in pairs.items():
            started = time.monotonic()
            F.linear(a, b)
            took[dtype].append(time.monotonic() - started)
    torch.set_num_threads(threads)
    return 1.2 * min(took[torch.bfloat16]) < min(took[torch.float32])


def products(bfloat16: bool | None = None) -> torch.autocast:
    """A context whose products are of bfloat16; by default where that is faster."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16_is_faster() if bfloat16 is None else bfloat16)
