"""The networks of `whisper_ctc`: Whisper's encoder on windows of any length, and the head that names its frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.encoders.positions import sinusoids
from model.mel import LogMel
from model.precision import products


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """Sizes of the encoder; frames are 20 ms.

    `lead_frames`: of silence before the first sample, at most `context_frames`; who speaks at once was hardly heard in training.
    `quiet_peak`: a window whose peak is lower is amplified to it, tenfold at most.
    `glide_frames`: a Mandarin final that lasts no longer, beside a longer one, is the way into it or out of it and no syllable.
    """

    n_units: int
    plain_units: int
    tones: int = 5
    n_mels: int = 80
    width: int = 512
    heads: int = 8
    layers: int = 6
    taps: tuple[int, ...] = (2, 4, 6)
    head_width: int = 256
    head_dilations: tuple[int, ...] = (1, 1, 2, 1)
    context_frames: int = 75
    block_frames: int = 50
    lookahead_frames: int = 15
    lead_frames: int = 0
    quiet_peak: float = 0.0
    silence_unit: int = 0
    silence_frames: int = 7
    glide_frames: int = 0

    @property
    def reach(self) -> int:
        """Frames looked at on each side of the one that is named: the head's, and one to average over."""
        return 1 + 2 * sum(self.head_dilations)


_ALL = slice(None)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, wanted: slice) -> Tensor:
        """What the `wanted` frames see in all. For so few, products are twice as fast on a CPU as torch's kernel for many."""
        width, (weight, bias) = x.shape[-1], (self.qkv.weight, self.qkv.bias)
        asked = F.linear(x[:, wanted], weight[:width], bias[:width])
        keys, values = F.linear(x, weight[width:], bias[width:]).chunk(2, dim=-1)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (asked, keys, values))
        seen = (q * q.shape[-1] ** -0.5 @ k.mT).softmax(-1, dtype=torch.float32).to(v.dtype) @ v
        return self.out(seen.transpose(1, 2).flatten(2))


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm, self.feed_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = _Attention(width, heads)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, wanted: slice = _ALL) -> Tensor:
        """[B, T, width] to the `wanted` of its frames."""
        x = x[:, wanted] + self.attention(self.attention_norm(x), wanted)
        return x + self.down(F.gelu(self.up(self.feed_norm(x))))


class WhisperTrunk(nn.Module):
    """Whisper's encoder on the real length, giving several layers side by side."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.taps = config.taps
        self.mel = LogMel(config.n_mels)
        self.conv1 = nn.Conv1d(config.n_mels, config.width, 3, padding=1)
        self.conv2 = nn.Conv1d(config.width, config.width, 3, stride=2, padding=1)
        positions = config.context_frames + config.block_frames + 2 * config.lookahead_frames  # see `WhisperCtc._rest`
        self.register_buffer("positions", sinusoids(positions, config.width), persistent=False)
        self.layers = nn.ModuleList(_Layer(config.width, config.heads) for _ in range(max(config.taps)))
        self.norm = nn.LayerNorm(config.width)
        self.in_bfloat16 = False

    def use_bfloat16(self) -> None:
        """For the layers' products, weights rounded for good; norms, and the sum that goes through the layers, stay in float32."""
        self.in_bfloat16 = True
        for module in self.layers.modules():
            if isinstance(module, nn.Linear):
                module.to(torch.bfloat16)

    def forward(self, pcm: Tensor, wanted: slice = _ALL) -> Tensor:
        """[B, T] float32 at 16 kHz, T a multiple of 320, to the `wanted` of [B, T / 320, len(taps) * width]."""
        x = F.gelu(self.conv1(self.mel(pcm)))
        x = F.gelu(self.conv2(x)).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        kept = []
        with products(self.in_bfloat16):
            for number, layer in enumerate(self.layers, start=1):
                last = number == len(self.layers)
                x = layer(x, wanted if last else _ALL)
                if number in self.taps:
                    kept.append(self.norm(x) if last else F.layer_norm(x[:, wanted], x.shape[-1:]))
        return torch.cat(kept, dim=-1)


class UnitHead(nn.Module):
    """Names frames: [B, T, taps * width] to logits [B, T, n_units + 1]; the last class is CTC's blank.

    Units from `plain_units` on are finals × tones; their logits are sums of a final's and a tone's, for few of them are frequent.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = config.head_width
        self.reduce = nn.Linear(len(config.taps) * config.width, width)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(_HeadBlock(width, d) for d in config.head_dilations)
        self.out_norm = nn.LayerNorm(width)
        self.plain, self.finals = config.plain_units, (config.n_units - config.plain_units) // config.tones
        self.out = nn.Linear(width, self.plain + self.finals + 1)
        self.tone = nn.Linear(width, config.tones)
        self.drop = nn.Dropout(0.1)

    def forward(self, features: Tensor) -> Tensor:
        x = F.gelu(self.norm(self.reduce(features)))
        for block in self.blocks:
            x = block(x)
        x = self.drop(self.out_norm(x))
        plain, finals, blank = self.out(x).split([self.plain, self.finals, 1], dim=-1)
        toned = finals[..., None] + self.tone(x).log_softmax(-1)[..., None, :]
        return torch.cat([plain, toned.flatten(-2), blank], dim=-1)


class _HeadBlock(nn.Module):
    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.depth = nn.Conv1d(width, width, 5, padding=2 * dilation, dilation=dilation, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depth(x.transpose(1, 2)).transpose(1, 2))
        return x + self.drop(self.down(F.gelu(self.up(y))))
