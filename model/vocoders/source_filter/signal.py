"""From filters to samples: a source of harmonics and one of noise, minimum phase, overlap-add."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model.vocoders.source_filter.networks import HOP, N_FFT

NOISE_SAMPLES = 1 << 16
_OLA_GAIN = 1.5  # sum of squared Hann windows at a quarter's hop


def minimum_phase(log_magnitude: Tensor) -> Tensor:
    """The causal filter of that magnitude with the least delay: [..., bins] to complex [..., bins]."""
    cepstrum = torch.fft.irfft(log_magnitude, n=N_FFT)
    half = N_FFT // 2
    fold = torch.zeros(N_FFT, device=cepstrum.device)
    fold[0], fold[half], fold[1:half] = 1, 1, 2
    return torch.exp(torch.fft.rfft(cepstrum * fold))


def harmonics(
    pitch_hz: Tensor, voicing: Tensor, last_hz: Tensor, last_voicing: Tensor, phase: Tensor, rate: int
) -> tuple[Tensor, Tensor]:
    """All harmonics below the Nyquist rate at amplitude 1, gated by voicing.

    Returns samples [B, T * HOP] and the phase after them [B] in cycles.

    pitch_hz, voicing: [B, T]; pitch and gate glide from the frame before (`last_*`, [B]) to this one. float64 inside.
    """
    ramp = (torch.arange(HOP, dtype=torch.float64, device=pitch_hz.device) + 1) / HOP
    pitch = _glide(pitch_hz.double(), last_hz.double(), ramp)
    gate = _glide(voicing.double(), last_voicing.double(), ramp)
    cycles = phase.double()[:, None] + torch.cumsum(pitch / rate, dim=1)
    angle = 2 * math.pi * torch.remainder(cycles, 1.0)
    count = torch.floor(0.5 * rate / pitch.clamp_min(20.0)) - 1
    below = torch.sin(angle / 2)
    safe = torch.where(below.abs() < 1e-7, torch.full_like(below, 1e-7), below)
    total = torch.where(below.abs() < 1e-7, count, torch.sin((count + 0.5) * angle) / (2 * safe) - 0.5)
    return (total * gate).float(), torch.remainder(cycles[:, -1], 1.0)


def _glide(value: Tensor, last: Tensor, ramp: Tensor) -> Tensor:
    before = torch.cat([last[:, None], value[:, :-1]], dim=1)
    return (before[..., None] + (value - before)[..., None] * ramp).flatten(1)


def noise_table() -> Tensor:
    """The noise source, read by absolute sample: [NOISE_SAMPLES]."""
    return torch.from_numpy(np.random.RandomState(20).standard_normal(NOISE_SAMPLES).astype(np.float32))


def shape_sources(harmonic: Tensor, noise: Tensor, filters: Tensor, window: Tensor) -> Tensor:
    """Windows of the sources [B, T, N_FFT] each, through their filters [B, T, 2, bins]: windowed frames [B, T, N_FFT]."""
    voiced = torch.fft.rfft(harmonic * window) * minimum_phase(filters[..., 0, :])
    spectrum = voiced + torch.fft.rfft(noise * window) * filters[..., 1, :].exp()
    return torch.fft.irfft(spectrum, n=N_FFT) * (window / _OLA_GAIN)


def overlap_add(frames: Tensor) -> Tensor:
    """[B, T, N_FFT] to [B, (T - 1) * HOP + N_FFT]."""
    length = (frames.shape[1] - 1) * HOP + N_FFT
    folded = F.fold(frames.transpose(1, 2), (1, length), (1, N_FFT), stride=(1, HOP))
    return folded[:, 0, 0]
