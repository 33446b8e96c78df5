"""Units to hidden states: transformer layers with relative positions, the Conformer of CosyVoice without its convolutions."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.vocoders.flow_hift.config import FlowConfig


class RelativeAttention(nn.Module):
    """Self-attention that knows distances only (Transformer-XL, arXiv 1901.02860 section 3.3): blind to where a window lies."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linear_q, self.linear_k = nn.Linear(width, width), nn.Linear(width, width)
        self.linear_v, self.linear_out = nn.Linear(width, width), nn.Linear(width, width)
        self.linear_pos = nn.Linear(width, width, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(heads, width // heads))
        self.pos_bias_v = nn.Parameter(torch.zeros(heads, width // heads))

    def forward(self, x: Tensor, distances: Tensor, visible: Tensor | None) -> Tensor:
        """x: [B, N, D]; distances: [2N - 1, D], from N - 1 down to 1 - N; visible: bool [N, N]."""
        count = x.shape[1]
        q, k, v = (self._split(layer(x)) for layer in (self.linear_q, self.linear_k, self.linear_v))
        places = self._split(self.linear_pos(distances)[None])
        at = torch.arange(count, device=x.device)
        index = (count - 1) - at[:, None] + at  # the row of distances for i - j
        by_distance = (q + self.pos_bias_v[:, None]) @ places.transpose(-2, -1)
        bias = by_distance.gather(-1, index.expand(*by_distance.shape[:2], count, count)) / math.sqrt(q.shape[-1])
        if visible is not None:
            bias = bias.masked_fill(~visible, -math.inf)
        y = F.scaled_dot_product_attention(q + self.pos_bias_u[:, None], k, v, attn_mask=bias)
        return self.linear_out(y.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class _Feed(nn.Module):
    def __init__(self, width: int, feed: int) -> None:
        super().__init__()
        self.w_1, self.w_2 = nn.Linear(width, feed), nn.Linear(feed, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.w_2(F.silu(self.w_1(x)))


class _Layer(nn.Module):
    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.self_attn = RelativeAttention(config.width, config.heads)
        self.feed_forward = _Feed(config.width, config.feed)
        self.norm_ff, self.norm_mha = (nn.LayerNorm(config.width, eps=config.norm_eps) for _ in range(2))

    def forward(self, x: Tensor, distances: Tensor, visible: Tensor | None) -> Tensor:
        x = x + self.self_attn(self.norm_mha(x), distances, visible)
        return x + self.feed_forward(self.norm_ff(x))


class _Embed(nn.Module):
    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.out = nn.Sequential(nn.Linear(config.unit_width, config.width), nn.LayerNorm(config.width))


class UnitContext(nn.Module):
    """Embedded units [B, N, unit_width] to hidden states [B, N, width]."""

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.block_units = config.block_units
        self.embed = _Embed(config)
        self.encoders = nn.ModuleList(_Layer(config) for _ in range(config.layers))
        self.after_norm = nn.LayerNorm(config.width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed.out(x) * math.sqrt(self.after_norm.normalized_shape[0])
        count = x.shape[1]
        distances = sinusoids(torch.arange(count - 1, -count, -1, device=x.device), x.shape[-1]).to(x.dtype)
        visible = None if self.block_units is None else block_causal(count, self.block_units, x.device)
        for layer in self.encoders:
            x = layer(x, distances, visible)
        return self.after_norm(x)


def sinusoids(places: Tensor, width: int) -> Tensor:
    """Sines and cosines in turn: [N] to [N, width]."""
    scale = torch.exp(torch.arange(0, width, 2, device=places.device) * (-math.log(10_000.0) / width))
    angle = places[:, None].float() * scale
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)


def block_causal(count: int, block: int, device: torch.device) -> Tensor:
    """Who sees whom if each sees its block of `block` and all before it: bool [count, count]."""
    number = torch.arange(count, device=device) // block
    return number[:, None] >= number
