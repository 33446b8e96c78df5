"""Where a stream is cut for the flow, which sees its whole input at once and cannot resume.

Mel frames since the start of the stream are cut into blocks: small ones first (`ramp`), then equal ones. A block is computed from
a window that reaches `back` before and `ahead` after it, as soon as all units of the window are known. When the stream ends, one
last window takes the rest. So the result depends on the units and never on when they came: streaming equals offline by
construction, and all sessions share a few shapes.

Differs from CosyVoice: offline it sees the whole utterance at once, and streamed it cuts where its buffers happen to be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from model.vocoders.flow_hift.config import Grid


@dataclass(frozen=True, slots=True)
class Window:
    """Frames `low` to `high` from units `first_unit` to `last_unit`; frames `start` to `end` are the block. Ends are exclusive."""

    number: int
    first_unit: int
    last_unit: int
    low: int
    high: int
    start: int
    end: int
    final: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Units and frames: windows of one shape can be computed together."""
        return self.last_unit - self.first_unit, self.high - self.low


def start_of(grid: Grid, number: int) -> int:
    """First frame of a block."""
    ramp = grid.ramp[:number]
    return sum(ramp) + (number - len(ramp)) * grid.block


def next_window(
    grid: Grid,
    rate: Fraction,
    number: int,
    units: int,
    *,
    ended: bool,
    align: int | None = None,
    nearest: bool = False,
) -> Window | None:
    """The window of block `number`, or None while its units are not all known.

    rate: frames of one unit; units: how many are known, before merging; align: a window holds whole blocks of so many units;
    nearest: see `places`.
    """
    start, end = start_of(grid, number), start_of(grid, number + 1)
    low, high = max(0, start - grid.back), end + grid.ahead
    unit = max(0, int(place_of(low, rate)))
    if align is None:
        last = unit - (low - high) * rate.denominator // rate.numerator + 2  # as many wherever the window lies
    else:
        last = math.ceil(high / rate) if nearest else math.floor(place_of(high - 1, rate)) + 2
        unit, last = unit - unit % align, -(-last // align) * align
    if last <= units:
        return Window(number, unit, last, low, high, start, end, final=False)
    total = units * rate.numerator // rate.denominator
    if not ended or start >= total:
        return None
    return Window(number, unit, units, low, total, start, total, final=True)


def place_of(frame: int, rate: Fraction) -> Fraction:
    """Where the middle of a frame lies, in units from the middle of the first."""
    return Fraction(2 * frame + 1, 2) / rate - Fraction(1, 2)


def places(window: Window, rate: Fraction, *, nearest: bool = False) -> npt.NDArray[np.float64]:
    """Where the window's frames lie, in units from the middle of its first unit: [T]. `nearest`: each in the middle of its unit."""
    frames = np.arange(window.low, window.high, dtype=np.int64)
    if nearest:
        return (frames * rate.denominator // rate.numerator - window.first_unit).astype(np.float64)
    return (2 * frames + 1) * rate.denominator / (2 * rate.numerator) - 0.5 - window.first_unit
