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


class _Int8Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: Int8Linear) -> Tensor:
        ctx.layer = layer
        return layer.ahead(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.layer.back(gradients[0]), None


class Int8Linear(nn.Module):
    """A frozen linear layer in 8-bit integers both ways, by vLLM's kernels for a CPU: W8A8 as the bundle is served, and half the time.

    Rows of the input, and of the gradient of the output, are scaled each by its own largest value, and so are those of the weight
    (arXiv 2304.13013 does the same). Nothing is learned in it, so the gradient of the weight, which would suffer, is never needed.
    """

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        weight = base.weight.detach()
        self._ahead, self._back = _Kernel(weight), _Kernel(weight.t())
        self.bias = None if base.bias is None else base.bias.detach().to(torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        return _Int8Product.apply(x.to(torch.bfloat16), self)

    def ahead(self, x: Tensor) -> Tensor:
        """x bfloat16 [..., in] → [..., out]."""
        return self._ahead(x, self.bias)

    def back(self, gradient: Tensor) -> Tensor:
        """gradient [..., out] → [..., in]."""
        return self._back(gradient.to(torch.bfloat16), None)


class _Kernel:
    """x → x @ weight.T for a weight [out, in]. Not for two threads: vLLM's kernels share one scratch memory."""

    def __init__(self, weight: Tensor) -> None:
        self._ops, self._out = _kernels_for_a_cpu(), len(weight)
        self._scales = weight.float().abs().amax(1, keepdim=True).clamp(min=1e-8) / 127  # the handle points to it
        rounded = (weight.float() / self._scales).round().to(torch.int8).contiguous()
        self._handle = self._ops.create_onednn_scaled_mm(rounded.t(), self._scales, torch.bfloat16, True, False)

    def __call__(self, x: Tensor, bias: Tensor | None) -> Tensor:
        flat = x.reshape(-1, x.shape[-1]).contiguous()
        rounded, scales, _ = self._ops.onednn_scaled_int8_quant(flat, None, None, True)
        out = flat.new_empty(len(flat), self._out)
        self._ops.onednn_scaled_mm(self._handle, rounded, out, scales, None, None, bias)
        return out.view(*x.shape[:-1], self._out)


def _kernels_for_a_cpu() -> Any:
    """vLLM's operators. Raises ValueError where there are none for this processor."""
    try:
        from vllm import _custom_ops  # here: other trainings do without vLLM

        if hasattr(torch.ops._C, "create_onednn_scaled_mm_handler"):
            return _custom_ops
    except ImportError:
        pass
    raise ValueError(
        "`int8` needs vLLM for a CPU (requirements/cpu.txt); with `int8: false` in the recipe it is not needed"
    )


class LowRank(nn.Module):
    """A frozen linear layer and its change `up @ down`; `up` starts at zero."""

    def __init__(self, base: nn.Linear, rank: int, *, int8: bool = False) -> None:
        super().__init__()
        self.base = Int8Linear(base) if int8 else base
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


def adapt(model: Any, rank: int, new_rows: int, *, int8: bool = False) -> Any:
    """Freezes `model`, a causal LM with tied embeddings, in place, and gives it what is to be learned. Returns it.

    new_rows: how many rows at the end of its vocabulary are learned; int8: the frozen layers as `Int8Linear`. Raises ValueError where the embeddings are not tied.
    """
    if not model.config.tie_word_embeddings:
        raise ValueError("embeddings and output of the base are not tied")
    model.requires_grad_(False)
    layers = model.get_decoder()
    for name, module in list(layers.named_modules()):
        if isinstance(module, nn.Linear):
            parent, _, own = name.rpartition(".")
            setattr(layers.get_submodule(parent), own, LowRank(module, rank, int8=int8))
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
