"""Training within a budget of minutes: checkpoints, a rate that falls with the time used, a running average of the weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class Trainer:
    """A module under an optimizer and a running average, with a time budget and a checkpoint."""

    def __init__(
        self, name: str, module: nn.Module, work: Path, *, minutes: float, rate: float, decay: float = 0.998
    ) -> None:
        self.module, self.minutes, self.rate = module, minutes, rate
        self.average = AveragedModel(module, multi_avg_fn=young_average(decay), use_buffers=False)
        self.optimizer = torch.optim.AdamW(module.parameters(), lr=rate, betas=(0.8, 0.99), weight_decay=0.01)
        self.path = work / f"{name}.pt"
        self.step, self.spent = 0, 0.0
        work.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            saved = torch.load(self.path, weights_only=True)
            self.step, self.spent = saved["step"], saved["spent"]
            module.load_state_dict(saved["module"])
            self.average.load_state_dict(saved["average"])
            self.optimizer.load_state_dict(saved["optimizer"])
        self._mark, self._saved = time.time(), self.spent

    @property
    def running(self) -> bool:
        return self.spent < 60 * self.minutes

    def update(self, loss: Tensor, *, floor: float = 0.03) -> None:
        """One step; the rate falls with the cosine of the time used."""
        progress = min(1.0, self.spent / (60 * self.minutes))
        for group in self.optimizer.param_groups:
            group["lr"] = (
                self.rate * min(1.0, (self.step + 1) / 100) * max(floor, 0.5 * (1 + math.cos(math.pi * progress)))
            )
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), 5.0)
        self.optimizer.step()
        self.average.update_parameters(self.module)
        now = time.time()
        self.step, self.spent, self._mark = self.step + 1, self.spent + min(60, now - self._mark), now
        if self.spent - self._saved > 60 or not self.running:
            self.save()

    def save(self) -> None:
        """Write the checkpoint, atomically."""
        self._saved = self.spent
        state = {
            "module": self.module.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        torch.save({**state, "step": self.step, "spent": self.spent}, self.path.with_suffix(".part"))
        self.path.with_suffix(".part").rename(self.path)


def young_average(decay: float = 0.998) -> Callable[[Any, Any, Any], None]:
    """For `AveragedModel(multi_avg_fn=…)`: an exponential average whose memory grows with the number of steps up to `decay`."""

    @torch.no_grad()
    def update(averaged: Any, current: Any, steps: Any) -> None:
        keep = min(decay, (1 + float(steps)) / (10 + float(steps)))
        torch._foreach_lerp_(list(averaged), list(current), 1 - keep)

    return update
