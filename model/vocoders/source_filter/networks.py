"""The vocoder's networks: units to hidden states and durations, frames to pitch and mel, mel to filters."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.mel import mel_filters

HOP, N_FFT = 300, 1200
PITCH_MEAN, PITCH_SCALE = math.log(180.0), 0.35  # of the log-pitch, as the networks see it


@dataclass(frozen=True, slots=True)
class VocoderConfig:
    """Sizes; a frame is `HOP` samples."""

    n_units: int
    sample_rate: int = 24_000
    n_mels: int = 80
    unit_width: int = 256
    acoustic_width: int = 256
    pitch_blocks: int = 2
    acoustic_blocks: int = 3
    acoustic_ahead: int = 2
    generator_width: int = 256
    generator_blocks: int = 6
    generator_ahead: int = 1
    kernel: int = 7
    silence_unit: int = 0
    lead_frames: int = 4
    tail_frames: int = 12
    max_frames: int = 48


class UnitEncoder(nn.Module):
    """Units [B, N] to hidden states [B, N, D] and log-durations [B, N]; looks two units ahead."""

    behind, ahead = 4, 2

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        width = config.unit_width
        self.embed = nn.Embedding(config.n_units, width)
        self.conv1 = nn.Conv1d(width, width, 5, padding=2)
        self.conv2 = nn.Conv1d(width, width, 3)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.memory = nn.GRU(width, width, batch_first=True)
        self.duration = nn.Linear(width, 1)
        self.drop = nn.Dropout(0.1)

    def context(self, embedded: Tensor) -> Tensor:
        """The two convolutions: [B, N, D] to [B, N, D]."""
        x = F.gelu(self.norm1(self.conv1(embedded.transpose(1, 2)).transpose(1, 2)))
        y = self.conv2(F.pad(x.transpose(1, 2), (2, 0))).transpose(1, 2)
        return self.drop(embedded + F.gelu(self.norm2(y)))

    def remember(self, x: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """(hidden [B, N, D], log-durations [B, N], memory) of contexts [B, N, D] that continue `memory`."""
        y, memory = self.memory(x, memory)
        hidden = x + self.drop(y)
        return hidden, self.duration(hidden).squeeze(-1), memory

    def forward(self, units: Tensor) -> tuple[Tensor, Tensor]:
        hidden, durations, _ = self.remember(self.context(self.embed(units)), None)
        return hidden, durations


class ConvNeXt(nn.Module):
    """Depth-wise convolution, norm, two linear layers (arXiv 2201.03545) that sees `ahead` frames of the future: [B, T, D]."""

    def __init__(self, width: int, kernel: int, ahead: int) -> None:
        super().__init__()
        self.pad = (kernel - 1 - ahead, ahead)
        self.depth = nn.Conv1d(width, width, kernel, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.2))

    def forward(self, x: Tensor) -> Tensor:
        return self._mixed(F.pad(x, (0, 0, *self.pad)), x)

    def advance(self, rows: Tensor, fresh: Tensor, *, final: bool) -> tuple[Tensor, Tensor]:
        """Outputs [n, D] of a stream's frames whose view is complete with the `fresh` ones, and the rows to keep.

        `rows`: [T, D], those kept before; zeros `pad[0]` long before the first frame. `final`: no more frames follow.
        """
        rows = torch.cat([rows, fresh])
        seen = F.pad(rows, (0, 0, 0, self.pad[1])) if final else rows
        made = max(0, len(seen) - sum(self.pad))
        if not made:
            return rows[:0], rows
        here = rows[self.pad[0] : self.pad[0] + made]
        return self._mixed(seen[None], here[None])[0], rows[made:]

    def _mixed(self, seen: Tensor, here: Tensor) -> Tensor:
        """Outputs for the frames `here` [B, T, D], of which all neighbours are in `seen`."""
        served = seen.dtype == torch.float64  # up to the pitch
        y = self._shifted(seen) if served else self.depth(seen.transpose(1, 2)).transpose(1, 2)
        return here + self.scale * self.down(F.gelu(self.up(self.norm(y))))

    def _shifted(self, x: Tensor) -> Tensor:
        """What `depth` gives, [B, T, D] from the padded `x`: torch convolves float64 channel by channel."""
        taps = self.depth.weight[:, 0].T.contiguous()
        length = x.shape[1] - len(taps) + 1
        y = self.depth.bias + taps[0] * x[:, :length]
        for shift, tap in enumerate(taps[1:], start=1):
            y += tap * x[:, shift : shift + length]
        return y


class Blocks(nn.ModuleList):
    """ConvNeXt blocks, one behind the other."""

    def __init__(self, count: int, width: int, kernel: int, ahead: int) -> None:
        super().__init__(ConvNeXt(width, kernel, ahead) for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        for block in self:
            x = block(x)
        return x

    def fresh(self) -> list[Tensor]:
        """What `advance` keeps of a stream, before its first frame."""
        return [block.scale.new_zeros(block.pad[0], len(block.scale)) for block in self]

    def advance(self, rows: list[Tensor], x: Tensor, *, final: bool) -> Tensor:
        """The outputs that `x` [T, D], the next frames of a stream, completes. Each block computes each frame once."""
        for number, block in enumerate(self):
            x, rows[number] = block.advance(rows[number], x, final=final)
        return x


@dataclass(slots=True)
class AcousticsState:
    """A stream on its way through `Acoustics`. `sung`: pitch and voicing of the frames that have no mel yet."""

    pitch_rows: list[Tensor]
    mel_rows: list[Tensor]
    sung: Tensor


class Acoustics(nn.Module):
    """Frames' hidden states and places in their units to pitch and voicing, and from these to log-mel.

    The mel's low bands tell single harmonics apart, so they can only be foretold from the pitch
    (as in FastSpeech 2, arXiv 2006.04558).
    """

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        width, ahead = config.acoustic_width, config.acoustic_ahead
        self.enter = nn.Linear(config.unit_width + 4, width)
        self.pitch_blocks = Blocks(config.pitch_blocks, width, config.kernel, ahead)
        self.pitch_out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2))
        self.pitch_enter = nn.Linear(18, width)
        self.blocks = Blocks(config.acoustic_blocks, width, config.kernel, ahead)
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, config.n_mels))

    def forward(self, frames: Tensor, melody: Tensor | None = None) -> Tensor:
        """[B, T, unit_width + 4] to [B, T, n_mels + 2]: normalised log-mel, normalised log-pitch, voicing logit.

        melody: [B, T, 2], the true pitch and voicing (0…1) that the mel shall follow, in training.
        """
        x = self.pitch_blocks(self.enter(frames))
        sung = self.pitch_out(x)
        return torch.cat([self.out(self.blocks(self._following(x, sung, melody))), sung], dim=-1)

    def open(self) -> AcousticsState:
        """The state of a fresh stream."""
        rows = self.pitch_blocks.fresh()
        return AcousticsState(rows, self.blocks.fresh(), rows[0].new_zeros(0, 2))

    def advance(self, state: AcousticsState, frames: Tensor, *, final: bool) -> Tensor:
        """`forward` of a stream: [T, unit_width + 4], its next frames, to [n, n_mels + 2], those that are certain now."""
        x = self.pitch_blocks.advance(state.pitch_rows, self.enter(frames), final=final)
        sung = self.pitch_out(x)
        state.sung = torch.cat([state.sung, sung])
        mel = self.out(self.blocks.advance(state.mel_rows, self._following(x, sung), final=final)).to(sung.dtype)
        sung, state.sung = state.sung[: len(mel)], state.sung[len(mel) :]
        return torch.cat([mel, sung], dim=-1)

    def _following(self, x: Tensor, sung: Tensor, melody: Tensor | None = None) -> Tensor:
        if melody is None:
            melody = torch.cat([sung[..., :1], sung[..., 1:].sigmoid()], dim=-1)
        enter = self.pitch_enter
        x, melody = x.to(enter.weight.dtype), melody.to(enter.weight.dtype)
        angle = melody[..., :1] * torch.arange(1, 9, device=x.device, dtype=x.dtype)
        return x + enter(torch.cat([melody, angle.sin(), angle.cos()], dim=-1))


@dataclass(slots=True)
class GeneratorState:
    """A stream on its way through `Generator`. `acoustics`: of the frames that have no filters yet."""

    rows: list[Tensor]
    acoustics: Tensor


class Generator(nn.Module):
    """Log-mel, pitch and voicing to the log-magnitudes of a harmonic and a noise filter, each frame."""

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        width, bins = config.generator_width, N_FFT // 2 + 1
        self.enter = nn.Linear(config.n_mels + 2, width)
        self.blocks = Blocks(config.generator_blocks, width, config.kernel, config.generator_ahead)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, 2 * bins)
        self.register_buffer("mel_mean", torch.zeros(config.n_mels))
        self.register_buffer("mel_scale", torch.ones(config.n_mels))
        self.register_buffer("spread", _mel_to_bins(config), persistent=False)
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(self.out.bias)

    def forward(self, acoustics: Tensor) -> Tensor:
        """[B, T, n_mels + 2] (voicing in 0…1) to [B, T, 2, bins]."""
        return self._filters(self.blocks(self.enter(acoustics)), acoustics)

    def open(self) -> GeneratorState:
        """The state of a fresh stream."""
        rows = self.blocks.fresh()
        return GeneratorState(rows, rows[0].new_zeros(0, self.enter.in_features))

    def advance(self, state: GeneratorState, acoustics: Tensor, *, final: bool) -> Tensor:
        """`forward` of a stream: [T, n_mels + 2], its next frames, to [n, 2, bins], those that are certain now."""
        state.acoustics = torch.cat([state.acoustics, acoustics])
        x = self.blocks.advance(state.rows, self.enter(acoustics), final=final)
        ready, state.acoustics = state.acoustics[: len(x)], state.acoustics[len(x) :]
        return self._filters(x, ready)

    def _filters(self, x: Tensor, acoustics: Tensor) -> Tensor:
        change = self.out(self.norm(x)).unflatten(-1, (2, -1))
        mel = acoustics[..., : len(self.mel_mean)] * self.mel_scale + self.mel_mean
        envelope = (mel @ self.spread).unsqueeze(-2)
        # a harmonic of amplitude 1 peaks at N_FFT / 4 in a Hann window's spectrum, white noise has sqrt(3 N_FFT / 8)
        level = torch.tensor([math.log(N_FFT / 4), math.log(math.sqrt(3 * N_FFT / 8)) + 2.0], device=x.device)
        return (envelope + change - level[:, None]).clamp(-16, 4)


def mel_matrix(config: VocoderConfig) -> Tensor:
    """Filters that average the magnitudes in a band: [n_mels, bins]."""
    filters = mel_filters(config.n_mels, N_FFT, config.sample_rate)
    return filters / filters.sum(1, keepdim=True).clamp_min(1e-8)


def _mel_to_bins(config: VocoderConfig) -> Tensor:
    """Linear interpolation between band centres: [n_mels, bins]."""
    centres = mel_filters(config.n_mels, N_FFT, config.sample_rate).argmax(1).numpy()
    eye = np.eye(config.n_mels)
    bins = np.arange(N_FFT // 2 + 1)
    return torch.from_numpy(np.stack([np.interp(bins, centres, row) for row in eye])).float()


def spread(hidden: Tensor, lengths: Tensor) -> Tensor:
    """Repeat unit states [N, D] over their frames, with their place: [sum(lengths), D + 4]."""
    index = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    start = torch.cumsum(lengths, 0) - lengths
    place = (torch.arange(len(index)) - start[index]).to(hidden.dtype) + 0.5
    length = lengths[index].to(hidden.dtype)
    position = torch.stack([place / length, place / 10, (length - place) / 10, length.log()], dim=1)
    return torch.cat([hidden[index], position], dim=1)


def save_config(config: VocoderConfig, directory: Path) -> None:
    """Write `config.json`."""
    (directory / "config.json").write_text(json.dumps(asdict(config), indent=1) + "\n", encoding="utf-8")
