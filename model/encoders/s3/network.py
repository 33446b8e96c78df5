"""The tokenizer's network: the lower half of a Whisper-like encoder, and for each frame the nearest of 4096 code vectors.

Its state dict has the names and shapes of the package `s3tokenizer` (Apache-2.0), which reads them from the released ONNX file.
The package itself is not used. It needs torchaudio only to read files, chooses the frame rate by the *name* of a file, and
loses up to two seconds at the end of some recordings longer than 30 s (see `model.encoders.s3.windows`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.encoders.positions import sinusoids


@dataclass(frozen=True, slots=True)
class S3Config:
    """Sizes. The released tokenizer has the defaults; `stride` of the first convolution 2 is 25 Hz, 1 is 50 Hz."""

    n_units: int = 4096
    n_mels: int = 128
    width: int = 1280
    heads: int = 20
    layers: int = 6
    positions: int = 1500
    stride: int = 2

    def frames(self, mel_frames: int) -> int:
        """Units of so many spectrogram frames (10 ms each), before merging."""
        return _half(_half(mel_frames) if self.stride == 2 else mel_frames)


def _half(length: int) -> int:
    return (length + 1) // 2  # a convolution of 3 with padding 1 and stride 2


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.value, self.out = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, heard: Tensor) -> Tensor:
        q, k, v = (f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=heard[:, None, None])
        return self.out(attended.transpose(1, 2).flatten(2))


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn, self.attn_ln = _Attention(width, heads), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.mlp_ln = nn.LayerNorm(width)

    def forward(self, x: Tensor, heard: Tensor) -> Tensor:
        x = x + self.attn(self.attn_ln(x), heard)
        return x + self.mlp(self.mlp_ln(x))


class _Encoder(nn.Module):
    def __init__(self, config: S3Config) -> None:
        super().__init__()
        self.stride = config.stride
        self.conv1 = nn.Conv1d(config.n_mels, config.width, 3, stride=config.stride, padding=1)
        self.conv2 = nn.Conv1d(config.width, config.width, 3, stride=2, padding=1)
        self.register_buffer("positional_embedding", sinusoids(config.positions, config.width))
        self.blocks = nn.ModuleList(_Block(config.width, config.heads) for _ in range(config.layers))

    def forward(self, mel: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = F.gelu(self.conv1(mel * _heard(lengths, mel.shape[-1])[:, None]))
        if self.stride == 2:
            lengths = (lengths + 1) // 2
        x = F.gelu(self.conv2(x * _heard(lengths, x.shape[-1])[:, None])).transpose(1, 2)
        lengths = (lengths + 1) // 2
        heard = _heard(lengths, x.shape[1])
        x = x + self.positional_embedding[: x.shape[1]]
        for block in self.blocks:
            x = block(x, heard)
        return x, lengths


def _heard(lengths: Tensor, longest: int) -> Tensor:
    """True where there is sound, False in the padding: [B, longest]."""
    return torch.arange(longest, device=lengths.device) < lengths[:, None]


class _Codebook(nn.Module):
    def __init__(self, config: S3Config) -> None:
        super().__init__()
        self.register_buffer("embed", torch.zeros(config.n_units, config.width))


class _Quantizer(nn.Module):
    def __init__(self, config: S3Config) -> None:
        super().__init__()
        self._codebook = _Codebook(config)

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, T, width] to the indices [B, T] of the nearest code vectors, on the unit sphere."""
        x = F.normalize(hidden.float(), dim=-1)
        embed = self._codebook.embed
        return (embed.square().sum(1) - 2 * x @ embed.t()).argmin(-1)  # |x|² is the same for all


class S3Network(nn.Module):
    """Spectrograms to frames of codes, 25 a second."""

    def __init__(self, config: S3Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = _Encoder(config)
        self.quantizer = _Quantizer(config)

    @torch.inference_mode()
    def forward(self, mel: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """mel: [B, n_mels, T] of at most 30 s, padded with anything; lengths: int64 [B].

        Returns codes int64 [B, T'] and how many of them are real, [B]. A row does not depend on the others.
        """
        hidden, lengths = self.encoder(mel, lengths)
        return self.quantizer(hidden), lengths
