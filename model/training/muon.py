"""Muon for the hidden matrices (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/): momentum, then the nearest orthogonal matrix.

Matrices of the same shape are orthogonalised in one batch. The products may be of bfloat16, which the iteration bears: faster on CPUs with AVX-512
BF16 or AMX, slower on others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalized(matrices: Tensor, *, steps: int = 4) -> Tensor:
    """Newton–Schulz iteration on [N, rows, columns]; singular values end near 1."""
    wide = matrices if matrices.shape[1] <= matrices.shape[2] else matrices.mT
    x = wide / (wide.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x if wide is matrices else x.mT


class Muon(torch.optim.Optimizer):
    """lr is that of AdamW: an update has the root mean square 0.2·lr (arXiv 2502.16982, section 2.2); dtype: that of the Newton–Schulz iteration."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 3e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    by_shape[p.shape].append(p)
            for same in by_shape.values():
                self._update(same, group)

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        directions = []
        for p in params:
            state = self.state[p]
            momentum = state.setdefault("momentum", torch.zeros_like(p))
            momentum.lerp_(p.grad, 1 - group["momentum"])
            directions.append(p.grad.lerp(momentum, group["momentum"]))
        updates = orthogonalized(torch.stack(directions).to(self._dtype)).float()
        scale = 0.2 * max(params[0].shape) ** 0.5
        for p, update in zip(params, updates, strict=True):
            p.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"] * scale)
