"""The velocity of the flow: a U-Net over mel frames with transformer blocks (Matcha-TTS, arXiv 2309.03199, as CosyVoice has it)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.vocoders.flow_hift.config import FlowConfig


class _Block(nn.Module):
    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv1d(width_in, width, 3, padding=1), nn.GroupNorm(8, width), nn.Mish())

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class _Residual(nn.Module):
    def __init__(self, width_in: int, width: int, time_width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Mish(), nn.Linear(time_width, width))
        self.block1, self.block2 = _Block(width_in, width), _Block(width, width)
        self.res_conv = nn.Conv1d(width_in, width, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """x: [B, C, T]; time: [time_width], the same for all."""
        return self.block2(self.block1(x) + self.mlp(time)[:, None]) + self.res_conv(x)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads, inner = heads, heads * head_width
        self.to_q, self.to_k = nn.Linear(width, inner, bias=False), nn.Linear(width, inner, bias=False)
        self.to_v = nn.Linear(width, inner, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(inner, width)])

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.to_q, self.to_k, self.to_v)
        )
        return self.to_out[0](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class _Gelu(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, inner)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.proj(x))


class _Feed(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(_Gelu(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class _Transformer(nn.Module):
    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.norm1, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn1, self.ff = _Attention(width, heads, head_width), _Feed(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn1(self.norm1(x))
        return x + self.ff(self.norm3(x))


class _Resample(nn.Module):
    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class _TimeMlp(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(width, inner), nn.Linear(inner, inner)

    def forward(self, time: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(time)))


class Estimator(nn.Module):
    """d mel / d t at time t in 0…1. Sees the whole window; two levels, the lower at half the frame rate."""

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.width_in = 4 * config.n_mels
        first, second = config.channels
        time_width = 4 * first
        self.time_mlp = _TimeMlp(self.width_in, time_width)

        def stage(width_in: int, width: int, *rest: nn.Module) -> nn.ModuleList:
            layers = nn.ModuleList(
                _Transformer(width, config.unet_heads, config.head_width) for _ in range(config.transformers)
            )
            return nn.ModuleList([_Residual(width_in, width, time_width), layers, *rest])

        down, plain = nn.Conv1d(first, first, 3, 2, 1), nn.Conv1d(second, second, 3, padding=1)
        self.down_blocks = nn.ModuleList([stage(self.width_in, first, _Resample(down)), stage(first, second, plain)])
        self.mid_blocks = nn.ModuleList(stage(second, second) for _ in range(config.mid_blocks))
        up, flat = nn.ConvTranspose1d(first, first, 4, 2, 1), nn.Conv1d(first, first, 3, padding=1)
        self.up_blocks = nn.ModuleList([stage(2 * second, first, _Resample(up)), stage(2 * first, first, flat)])
        self.final_block = _Block(first, first)
        self.final_proj = nn.Conv1d(first, config.n_mels, 1)

    def forward(self, x: Tensor, mu: Tensor, time: Tensor, speaker: Tensor, prompt: Tensor) -> Tensor:
        """x, mu, prompt: [B, n_mels, T]; time: scalar; speaker: [B, n_mels]. Returns [B, n_mels, T]."""
        embedded = self.time_mlp(time_embedding(time, self.width_in).to(x.dtype))
        x = torch.cat([x, mu, speaker[..., None].expand_as(x), prompt], dim=1)
        skips = []
        for residual, layers, resample in self.down_blocks:
            x = _run(residual, layers, x, embedded)
            skips.append(x)
            x = resample(x)
        for residual, layers in self.mid_blocks:
            x = _run(residual, layers, x, embedded)
        for residual, layers, resample in self.up_blocks:
            skip = skips.pop()
            x = _run(residual, layers, torch.cat([x[..., : skip.shape[-1]], skip], dim=1), embedded)
            x = resample(x)
        return self.final_proj(self.final_block(x))


def _run(residual: nn.Module, layers: nn.ModuleList, x: Tensor, time: Tensor) -> Tensor:
    x = residual(x, time).transpose(1, 2)
    for layer in layers:
        x = layer(x)
    return x.transpose(1, 2)


def time_embedding(time: Tensor, width: int) -> Tensor:
    """A scalar in 0…1 to [width]: sines, then cosines."""
    half = width // 2
    scale = torch.exp(torch.arange(half, device=time.device) * (-math.log(10_000) / (half - 1)))
    angle = 1000 * time.float() * scale
    return torch.cat([angle.sin(), angle.cos()])
