"""A running average of weights that is useful from the first step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def young_average(decay: float = 0.998) -> Callable[[Any, Any, Any], None]:
    """For `AveragedModel(multi_avg_fn=…)`: an exponential average whose memory grows with the number of steps up to `decay`."""

    @torch.no_grad()
    def update(averaged: Any, current: Any, steps: Any) -> None:
        keep = min(decay, (1 + float(steps)) / (10 + float(steps)))
        torch._foreach_lerp_(list(averaged), list(current), 1 - keep)

    return update
