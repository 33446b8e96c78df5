"""Units to log-mel by conditional flow matching (arXiv 2407.05407 section 2.3): `flow.pt`."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.vocoders.flow_hift.config import FlowConfig
from model.vocoders.flow_hift.encoder import UnitContext
from model.vocoders.flow_hift.estimator import Estimator


class _Regulator(nn.Module):
    """Smooths what was stretched from units to frames."""

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        width, layers = config.n_mels, list[nn.Module]()
        for _ in range(config.regulator_layers):
            layers += [nn.Conv1d(width, width, 3, padding=1), nn.GroupNorm(1, width), nn.Mish()]
        self.model = nn.Sequential(*layers, nn.Conv1d(width, width, 1))


class _Decoder(nn.Module):
    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.estimator = Estimator(config)


class Flow(nn.Module):
    """A window of units, the noise of its frames and a voice to the mel of its frames. Knows nothing of streams."""

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.steps, self.guidance = config.steps, config.guidance
        self.input_embedding = nn.Embedding(config.n_units, config.unit_width)
        self.spk_embed_affine_layer = nn.Linear(config.speaker_width, config.n_mels)
        self.encoder = UnitContext(config)
        self.encoder_proj = nn.Linear(config.width, config.n_mels)
        self.length_regulator = _Regulator(config)
        self.decoder = _Decoder(config)
        self._kept_times: dict[tuple[int, torch.device], Tensor] = {}

    def speaker(self, embedding: Tensor) -> Tensor:
        """Speaker embeddings [B, speaker_width] as the flow takes them: [B, n_mels]."""
        return self.spk_embed_affine_layer(F.normalize(embedding, dim=1))

    def forward(
        self,
        units: Tensor,
        places: Tensor,
        noise: Tensor,
        speaker: Tensor,
        prompt: Tensor,
    ) -> Tensor:
        """Log-mel float32 [B, n_mels, T].

        units: [B, N]; places: [B, T], where each frame lies in the window, in units (0 is the middle of the first); noise: float32
        [B, n_mels, T], standard normal; speaker: [B, n_mels]; prompt: [B, n_mels, T], mel that is known, else 0.
        """
        mu = self.condition(units, places)
        return self.solve(mu, noise, speaker.to(mu.dtype), prompt.to(mu.dtype))

    def condition(self, units: Tensor, places: Tensor) -> Tensor:
        """What the units say of each frame: [B, n_mels, T]."""
        hidden = self.encoder_proj(self.encoder(self.input_embedding(units)))
        return self.length_regulator.model(stretch(hidden, places).transpose(1, 2))

    def solve(self, mu: Tensor, noise: Tensor, speaker: Tensor, prompt: Tensor) -> Tensor:
        """Follow the flow from noise to mel: Euler steps, small at first, with classifier-free guidance."""
        nothing, x = torch.zeros_like(mu), noise
        mus, prompts = torch.cat([mu, nothing]), torch.cat([prompt, nothing])
        speakers = torch.cat([speaker, torch.zeros_like(speaker)])
        times = [1 - math.cos(step / self.steps * math.pi / 2) for step in range(self.steps + 1)]
        lengths = [later - now for now, later in zip(times, times[1:], strict=False)]
        for time, length in zip(self._times(times[:-1], x.device), lengths, strict=True):
            both = self.decoder.estimator(torch.cat([x, x]).to(mu.dtype), mus, time, speakers, prompts)
            guided, free = both.float().chunk(2)
            x = x + length * ((1 + self.guidance) * guided - self.guidance * free)
        return x

    def _times(self, times: list[float], device: torch.device) -> Tensor:
        """On the device, and sent there once: every sending would wait for what is computed."""
        key = len(times), device
        if key not in self._kept_times:
            self._kept_times[key] = torch.tensor(times, device=device)
        return self._kept_times[key]


def stretch(hidden: Tensor, places: Tensor) -> Tensor:
    """Linear interpolation of [B, N, D] at `places` [B, T], held at both ends: [B, T, D]."""
    places = places.clamp(0, hidden.shape[1] - 1)
    low = places.floor().long()
    high = (low + 1).clamp_max(hidden.shape[1] - 1)
    weight = (places - low).to(hidden.dtype)[..., None]
    rows = torch.arange(len(hidden), device=hidden.device)[:, None]
    return hidden[rows, low] * (1 - weight) + hidden[rows, high] * weight
