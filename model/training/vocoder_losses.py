"""The losses of the vocoder's waveforms: spectra at several resolutions (arXiv 1910.11480), and discriminators (arXiv 2106.07889)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.training.vocoder_speech import log_mel
from model.vocoders.source_filter.networks import N_FFT, VocoderConfig, mel_matrix


class SpectralLoss(nn.Module):
    """Spectral convergence and log-magnitude at several resolutions, and log-mel."""

    def __init__(self, config: VocoderConfig, sizes: tuple[int, ...] = (256, 512, 1024, 2048)) -> None:
        super().__init__()
        self.sizes = sizes
        self.windows = [torch.hann_window(n) for n in sizes]
        self.mel, self.mel_window = mel_matrix(config), torch.hann_window(N_FFT)

    def forward(self, made: Tensor, truth: Tensor) -> Tensor:
        total = torch.zeros(())
        for n, window in zip(self.sizes, self.windows, strict=True):
            a, b = (
                torch.stft(x, n, n // 4, window=window, return_complex=True).abs().clamp_min(1e-4)
                for x in (made, truth)
            )
            total = total + torch.linalg.norm(b - a) / torch.linalg.norm(b) + (a.log() - b.log()).abs().mean()
        mel = (log_mel(made, self.mel, self.mel_window) - log_mel(truth, self.mel, self.mel_window)).abs().mean()
        return total / len(self.sizes) + 2 * mel


class Adversary(nn.Module):
    """Discriminators over log-magnitude spectrograms at three resolutions."""

    def __init__(self, sizes: tuple[int, ...] = (512, 1024, 2048), width: int = 24) -> None:
        super().__init__()
        self.sizes = sizes
        self.nets = nn.ModuleList(self._net(width) for _ in sizes)

    @staticmethod
    def _net(width: int) -> nn.ModuleList:
        norm = nn.utils.parametrizations.weight_norm
        shapes = [(1, (3, 9), (1, 2)), (width, (3, 9), (1, 2)), (width, (3, 9), (1, 2)), (width, (3, 3), (1, 1))]
        convs = [norm(nn.Conv2d(c, width, k, s, padding=(k[0] // 2, k[1] // 2))) for c, k, s in shapes]
        return nn.ModuleList([*convs, norm(nn.Conv2d(width, 1, 3, padding=1))])

    def forward(self, pcm: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """[B, T] to (scores, inner maps)."""
        scores, maps = [], []
        for n, net in zip(self.sizes, self.nets, strict=True):
            x = torch.stft(pcm, n, n // 4, window=torch.hann_window(n), return_complex=True).abs().clamp_min(1e-4).log()
            x = x.transpose(1, 2).unsqueeze(1) / 4
            for conv in net[:-1]:  # type: ignore[index]
                x = F.leaky_relu(conv(x), 0.1)
                maps.append(x)
            scores.append(net[-1](x))  # type: ignore[index]
        return scores, maps
