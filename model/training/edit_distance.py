"""Edit distance, the measure of recognized units and words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def distance(got: Sequence[Any], want: Sequence[Any]) -> int:
    """Edit distance."""
    row = list(range(len(want) + 1))
    for i, g in enumerate(got, start=1):
        previous, row[0] = row[0], i
        for j, w in enumerate(want, start=1):
            previous, row[j] = row[j], min(previous + (g != w), row[j] + 1, row[j - 1] + 1)
    return row[-1]
