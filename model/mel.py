"""Mel spectrograms as in Whisper: the input of the speech encoders and the target of the vocoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

SAMPLE_RATE = 16_000
N_FFT, MEL_HOP = 400, 160  # samples at 16 kHz: windows of 25 ms every 10 ms


class LogMel(nn.Module):
    """Whisper's log-mel spectrogram: [B, T] at 16 kHz to [B, n_mels, T / 160] (arXiv 2212.04356 section 2.2)."""

    def __init__(self, n_mels: int) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)
        self.register_buffer("filters", mel_filters(n_mels, N_FFT, SAMPLE_RATE), persistent=False)

    def forward(self, pcm: Tensor) -> Tensor:
        spectrum = torch.stft(pcm, N_FFT, MEL_HOP, window=self.window, return_complex=True)[..., :-1]
        mel = torch.log10((self.filters @ spectrum.abs().square()).clamp_min(1e-10))
        return (torch.maximum(mel, mel.amax(dim=(1, 2), keepdim=True) - 8.0) + 4.0) / 4.0


def mel_filters(n_mels: int, n_fft: int, sample_rate: int) -> Tensor:
    """Triangles of unit area on Slaney's mel scale, from 0 Hz to half the sample rate: float32 [n_mels, n_fft / 2 + 1]."""
    filters = mel_filter_bank(
        n_fft // 2 + 1, n_mels, 0.0, sample_rate / 2, sample_rate, norm="slaney", mel_scale="slaney"
    )
    return torch.from_numpy(filters.T.copy()).float()
