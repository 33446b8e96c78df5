"""What is learned of a frozen text model: low-rank changes of its matrices (arXiv 2106.09685) and the rows of its new tokens.

Own code, not peft's: what is learned of the tied embedding are its last rows alone, and peft's `trainable_token_indices` copies the whole table in
every step to do that.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.backbone.difference import Difference


class LowRank(nn.Module):
    """A frozen linear layer and its change `up @ down`; `up` starts at zero."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base
        self.down = nn.Parameter(torch.randn(rank, base.in_features) * (0.1 / rank**0.5))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + F.linear(F.linear(x, self.down), self.up)


class SplitEmbedding(nn.Module):
    """A table whose last rows are learned; `old` [N, hidden] is frozen, `new` float32 [M, hidden]."""

    def __init__(self, table: Tensor, new_rows: int) -> None:
        super().__init__()
        split = len(table) - new_rows
        self.register_buffer("old", table[:split].clone())
        self.new = nn.Parameter(table[split:].float())

    def forward(self, ids: Tensor) -> Tensor:
        split = len(self.old)
        old = F.embedding(ids.clamp(max=split - 1), self.old)
        new = F.embedding((ids - split).clamp(min=0), self.new).to(old.dtype)
        return torch.where((ids < split)[..., None], old, new)


class SplitHead(nn.Module):
    """Logits from the tied table of a `SplitEmbedding`."""

    def __init__(self, embedding: SplitEmbedding) -> None:
        super().__init__()
        self._tied = (embedding,)  # in a tuple: its parameters are the embedding's own

    def forward(self, hidden: Tensor) -> Tensor:
        (table,) = self._tied
        return torch.cat([F.linear(hidden, table.old), F.linear(hidden, table.new.to(hidden.dtype))], dim=-1)


def adapt(model: Any, rank: int, new_rows: int) -> Any:
    """Freezes `model`, a causal LM with tied embeddings, in place, and gives it what is to be learned. Returns it.

    new_rows: how many rows at the end of its vocabulary are learned. Raises ValueError where the embeddings are not tied.
    """
    if not model.config.tie_word_embeddings:
        raise ValueError("embeddings and output of the base are not tied")
    model.requires_grad_(False)
    layers = model.get_decoder()
    for name, module in list(layers.named_modules()):
        if isinstance(module, nn.Linear):
            parent, _, own = name.rpartition(".")
            setattr(layers.get_submodule(parent), own, LowRank(module, rank))
    embedding = SplitEmbedding(model.get_input_embeddings().weight.data, new_rows)
    model.set_input_embeddings(embedding)
    model.lm_head = SplitHead(embedding)
    return model


@torch.no_grad()
def put(model: nn.Module, difference: Difference) -> None:
    """Lets `model` go on from what was learned before. Raises ValueError where rank or names differ."""
    parameters = learned(model)
    for name, (down, up) in difference.changes.items():
        for half, value in (("down", down), ("up", up)):
            own = parameters.get(f"{name}.{half}")
            if own is None or own.shape != value.shape:
                raise ValueError(
                    f"{name}: the difference has {half} of {list(value.shape)}, this run {None if own is None else list(own.shape)}"
                )
            own.copy_(value)


def learned(model: nn.Module) -> dict[str, Tensor]:
    """Parameters that are learned, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}
