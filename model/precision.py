"""Matrix products in bfloat16, sums in float32, where the processor gains by it: in training, and in the speech encoder."""

from __future__ import annotations

import time
from functools import cache

import torch
from torch.nn import functional as F


@cache
def bfloat16_is_faster() -> bool:
    """Whether this machine multiplies matrices clearly faster in bfloat16 than in float32, as with AVX-512 BF16 or AMX.

    Timed, not asked.
    """

    def seconds(dtype: torch.dtype) -> float:
        a, b = torch.randn(1024, 512, dtype=dtype), torch.randn(512, 512, dtype=dtype)
        took = []
        for _ in range(8):
            started = time.monotonic()
            F.linear(a, b)
            took.append(time.monotonic() - started)
        return min(took)

    return 1.2 * seconds(torch.bfloat16) < seconds(torch.float32)


def products(bfloat16: bool | None = None) -> torch.autocast:
    """A context whose products are of bfloat16; by default where that is faster."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16_is_faster() if bfloat16 is None else bfloat16)
