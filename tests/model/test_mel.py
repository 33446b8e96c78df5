"""Mel filters: those of the library are the ones that the released weights were made with."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from model.mel import mel_filters


def slaney(n_mels: int, n_fft: int, sample_rate: int) -> Tensor:
    """The scale written out: linear to 1 kHz, logarithmic above, triangles of unit area."""
    step = math.log(6.4) / 27

    def to_hz(mel: Tensor) -> Tensor:
        return torch.where(mel < 15, mel * 200 / 3, 1000 * torch.exp(step * (mel - 15)))

    top_mel = 15 + math.log(sample_rate / 2 / 1000) / step
    edges = to_hz(torch.linspace(0, top_mel, n_mels + 2, dtype=torch.float64))
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    slopes = edges[:, None] - bins[None]
    widths = edges.diff()
    rising, falling = -slopes[:-2] / widths[:-1, None], slopes[2:] / widths[1:, None]
    triangles = torch.minimum(rising, falling).clamp_min(0)
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).float()


@pytest.mark.parametrize(
    ("n_mels", "n_fft", "sample_rate"), [(80, 400, 16_000), (128, 400, 16_000), (80, 1200, 24_000)]
)
def test_mel_filters_are_slaneys(n_mels: int, n_fft: int, sample_rate: int) -> None:
    filters = mel_filters(n_mels, n_fft, sample_rate)
    assert filters.shape == (n_mels, n_fft // 2 + 1)
    torch.testing.assert_close(filters, slaney(n_mels, n_fft, sample_rate), atol=1e-8, rtol=0)
    assert (filters.argmax(1).diff() >= 0).all()


def test_their_height_is_whispers() -> None:
    assert float(mel_filters(80, 400, 16_000).max()) == pytest.approx(0.02597, abs=2e-4)
