"""Log-mel to samples: a source of harmonics and noise, filtered, then an inverse STFT (HiFTNet, arXiv 2309.09493): `hift.pt`.

It has convolutions only, so every sample depends on few frames: `reach` and `pitch_reach` give their number.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.vocoders.flow_hift.config import HiftConfig

NOISE_SAMPLES = 1 << 17


class _Snake(nn.Module):
    """x + sin²(αx) / α (arXiv 2006.08195)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        alpha = self.alpha[:, None]
        return x + torch.sin(x * alpha).square() / (alpha + 1e-9)


class _Residuals(nn.Module):
    def __init__(self, width: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        half = (kernel - 1) // 2
        self.convs1 = nn.ModuleList(
            nn.Conv1d(width, width, kernel, dilation=each, padding=half * each) for each in dilations
        )
        self.convs2 = nn.ModuleList(nn.Conv1d(width, width, kernel, padding=half) for _ in dilations)
        self.activations1 = nn.ModuleList(_Snake(width) for _ in dilations)
        self.activations2 = nn.ModuleList(_Snake(width) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for bend1, conv1, bend2, conv2 in zip(
            self.activations1, self.convs1, self.activations2, self.convs2, strict=True
        ):
            x = x + conv2(bend2(conv1(bend1(x))))
        return x


class _Pitch(nn.Module):
    def __init__(self, config: HiftConfig) -> None:
        super().__init__()
        layers, width = list[nn.Module](), config.n_mels
        for _ in range(config.pitch_layers):
            layers += [nn.Conv1d(width, config.pitch_width, 3, padding=1), nn.ELU()]
            width = config.pitch_width
        self.condnet = nn.Sequential(*layers)
        self.classifier = nn.Linear(width, 1)

    def forward(self, mel: Tensor) -> Tensor:
        return self.classifier(self.condnet(mel).transpose(1, 2)).squeeze(-1).abs()


class _Source(nn.Module):
    def __init__(self, config: HiftConfig) -> None:
        super().__init__()
        self.l_linear = nn.Linear(config.harmonics + 1, 1)


class Hift(nn.Module):
    """Mel [B, n_mels, T] to samples; `hop` of them a frame. The source's phase is the caller's to carry on."""

    def __init__(self, config: HiftConfig, sample_rate: int) -> None:
        super().__init__()
        self.config, self.sample_rate = config, sample_rate
        self.hop = config.hop * math.prod(config.rates)
        bins = config.n_fft + 2
        widths = [config.width // 2**level for level in range(len(config.rates) + 1)]
        self.m_source = _Source(config)
        self.conv_pre = nn.Conv1d(config.n_mels, config.width, 7, padding=3)
        self.ups, self.source_downs = nn.ModuleList(), nn.ModuleList()
        self.source_resblocks, self.resblocks = nn.ModuleList(), nn.ModuleList()
        for level, (rate, kernel) in enumerate(zip(config.rates, config.kernels, strict=True)):
            width = widths[level + 1]
            self.ups.append(nn.ConvTranspose1d(widths[level], width, kernel, rate, (kernel - rate) // 2))
            down = math.prod(config.rates[level + 1 :])
            sizes = (1, 1, 0) if down == 1 else (2 * down, down, down // 2)
            self.source_downs.append(nn.Conv1d(bins, width, *sizes))
            self.source_resblocks.append(_Residuals(width, config.source_kernels[level], config.dilations))
            self.resblocks.extend(_Residuals(width, size, config.dilations) for size in config.res_kernels)
        self.conv_post = nn.Conv1d(widths[-1], bins, 7, padding=3)
        self.f0_predictor = _Pitch(config)
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)
        noise, phases = source_noise(config.harmonics + 1)
        self.register_buffer("noise", noise, persistent=False)
        self.register_buffer("phases", phases, persistent=False)

    @property
    def pitch_reach(self) -> int:
        """Frames on either side that the pitch of a frame depends on."""
        return self.config.pitch_layers

    @property
    def reach(self) -> int:
        """Frames of mel and source on either side that a sample depends on (its own frame's pitch apart)."""
        config = self.config
        widest, steps = 0, config.n_fft // config.hop // 2 + 3 + 1  # inverse STFT, last convolution, the padded step
        for level in reversed(range(len(config.rates))):
            steps += _span(max(config.res_kernels), config.dilations)
            heard = steps + _span(config.source_kernels[level], config.dilations) + 2
            widest = max(widest, -(-heard // math.prod(config.rates[: level + 1])) + 1)
            steps = -(-steps // config.rates[level]) + 1
        return max(widest, steps + 3)

    def pitch(self, mel: Tensor) -> Tensor:
        """Hz of each frame, about 0 where there is no voice: [B, T]."""
        return self.f0_predictor(mel)

    def source(self, pitch: Tensor, phase: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        """Harmonics and noise for frames of `pitch` [B, T]: samples [B, T * hop] and the phase after them [B] in cycles.

        phase: [B] float64, cycles of the fundamental so far; first: [B], number of the first sample, which picks the noise.
        Differs from CosyVoice: phase and noise go on where the frames before ended, instead of starting anew at random.
        """
        config, count = self.config, pitch.shape[1] * self.hop
        hertz = pitch.repeat_interleave(self.hop, dim=1)
        cycles = phase[:, None] + torch.cumsum(hertz.double() / self.sample_rate, dim=1)
        multiples = torch.arange(1, config.harmonics + 2, device=pitch.device)
        turns = torch.remainder(cycles[..., None] * multiples, 1.0).float() + self.phases
        voiced = (hertz > config.voiced_hz)[..., None]
        at = torch.remainder(first[:, None] + torch.arange(count, device=pitch.device), NOISE_SAMPLES)
        noise = self.noise[at] * torch.where(voiced, config.noise_level, config.sine_level / 3)
        sines = config.sine_level * torch.sin(2 * math.pi * turns) * voiced
        return torch.tanh(self.m_source.l_linear(sines + noise)).squeeze(-1), torch.remainder(cycles[:, -1], 1.0)

    def forward(self, mel: Tensor, source: Tensor) -> Tensor:
        """Mel [B, n_mels, T] and its source [B, T * hop] to samples [B, T * hop] in [-limit, limit]."""
        config = self.config
        spectrum = torch.view_as_real(self._stft(source))
        heard = torch.cat([spectrum[..., 0], spectrum[..., 1]], dim=1)
        x = self.conv_pre(mel)
        for level, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, config.slope))
            if level == len(self.ups) - 1:
                x = F.pad(x, (1, 0), mode="reflect")
            x = x + self.source_resblocks[level](self.source_downs[level](heard))
            kinds = len(config.res_kernels)
            x = sum(block(x) for block in self.resblocks[level * kinds : (level + 1) * kinds]) / kinds
        x = self.conv_post(F.leaky_relu(x))
        level_log, angle = x.split(config.n_fft // 2 + 1, dim=1)
        magnitude, angle = level_log.exp().clamp_max(1e2), angle.sin()
        spectrum = torch.complex(magnitude * angle.cos(), magnitude * angle.sin())
        return self._istft(spectrum).clamp(-config.limit, config.limit)

    def _stft(self, source: Tensor) -> Tensor:
        config = self.config
        return torch.stft(source, config.n_fft, config.hop, config.n_fft, window=self.window, return_complex=True)

    def _istft(self, spectrum: Tensor) -> Tensor:
        """[B, bins, S] to [B, (S - 1) * hop]. As torch.istft, whose check of the window waits for the device every time."""
        size, hop = self.config.n_fft, self.config.hop
        steps = spectrum.shape[-1]
        length = size + hop * (steps - 1)
        pieces = torch.fft.irfft(spectrum, size, dim=1) * self.window[:, None]
        weights = self.window.square()[None, :, None].expand(1, size, steps)
        summed, weight = (
            F.fold(each, (1, length), (1, size), stride=(1, hop)).flatten(1) for each in (pieces, weights)
        )
        inner = slice(size // 2, length - size // 2)
        return summed[:, inner] / weight[:, inner]


def source_noise(harmonics: int) -> tuple[Tensor, Tensor]:
    """The source's noise by sample number [NOISE_SAMPLES, harmonics], and where in its cycle each harmonic starts [harmonics]."""
    draw = np.random.RandomState(7)
    noise = torch.from_numpy(draw.standard_normal((NOISE_SAMPLES, harmonics)).astype(np.float32))
    phases = draw.uniform(-0.5, 0.5, harmonics).astype(np.float32)
    phases[0] = 0
    return noise, torch.from_numpy(phases)


def _span(kernel: int, dilations: tuple[int, ...]) -> int:
    """Steps on either side that a `_Residuals` sees."""
    half = (kernel - 1) // 2
    return half * (sum(dilations) + len(dilations))
