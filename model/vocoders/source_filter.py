"""Phonetic units to speech at 24 kHz, whole or as the units come.

units → durations and hidden states (two convolutions and a GRU that remembers the sentence) → frames of 12.5 ms → log-mel,
pitch and voicing (ConvNeXt blocks, as in Vocos, arXiv 2306.00814) → two filters a frame (the same blocks) over a source of
harmonics and one of noise, as in the neural source-filter family (arXiv 1904.12088, HiFTNet 2309.09493) → inverse STFT and
overlap-add.

Everything has a finite view ahead, or is recurrent with its state carried: `push` keeps the frames that are still needed and
holds back those whose neighbours are not known yet, so that the samples do not depend on how the units were cut.

Differs from HiFTNet: the harmonic filter is minimum phase (its phase follows from its magnitude through the cepstrum,
Oppenheim & Schafer), which is learnt from magnitudes alone and sounds right long before an adversary would find the phases.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from model.mel import mel_filters

HOP, N_FFT = 300, 1200
_EDGE = (N_FFT - HOP) // 2  # a frame's window is centred on its hop
_OLA_GAIN = 1.5  # sum of squared Hann windows at a quarter's hop
_NOISE_SAMPLES = 1 << 16
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
        if x.dtype == torch.float64:  # as it is served, up to the pitch
            y = self._shifted(F.pad(x, (0, 0, *self.pad)))
        else:
            y = self.depth(F.pad(x.transpose(1, 2), self.pad)).transpose(1, 2)
        return x + self.scale * self.down(F.gelu(self.up(self.norm(y))))

    def _shifted(self, x: Tensor) -> Tensor:
        """What `depth` gives, [B, T, D] from the padded `x`: torch convolves float64 channel by channel."""
        taps = self.depth.weight[:, 0].T.contiguous()
        length = x.shape[1] - len(taps) + 1
        y = self.depth.bias + taps[0] * x[:, :length]
        for shift, tap in enumerate(taps[1:], start=1):
            y += tap * x[:, shift : shift + length]
        return y


class Acoustics(nn.Module):
    """Frames' hidden states and places in their units to pitch and voicing, and from these to log-mel.

    The mel's low bands tell single harmonics apart, so they can only be foretold from the pitch
    (as in FastSpeech 2, arXiv 2006.04558).
    """

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        width, ahead = config.acoustic_width, config.acoustic_ahead
        self.enter = nn.Linear(config.unit_width + 4, width)
        self.pitch_blocks = nn.ModuleList(ConvNeXt(width, config.kernel, ahead) for _ in range(config.pitch_blocks))
        self.pitch_out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2))
        self.pitch_enter = nn.Linear(18, width)
        self.blocks = nn.ModuleList(ConvNeXt(width, config.kernel, ahead) for _ in range(config.acoustic_blocks))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, config.n_mels))
        depth = config.pitch_blocks + config.acoustic_blocks
        self.ahead, self.behind = depth * ahead, depth * (config.kernel - 1 - ahead)

    def forward(self, frames: Tensor, melody: Tensor | None = None) -> Tensor:
        """[B, T, unit_width + 4] to [B, T, n_mels + 2]: normalised log-mel, normalised log-pitch, voicing logit.

        melody: [B, T, 2], the true pitch and voicing (0…1) that the mel shall follow, in training.
        """
        x = self.enter(frames)
        for block in self.pitch_blocks:
            x = block(x)
        sung = self.pitch_out(x)
        if melody is None:
            melody = torch.cat([sung[..., :1], sung[..., 1:].sigmoid()], dim=-1)
        angle = melody[..., :1] * torch.arange(1, 9, device=x.device, dtype=x.dtype)
        x = x + self.pitch_enter(torch.cat([melody, angle.sin(), angle.cos()], dim=-1))
        for block in self.blocks:
            x = block(x)
        return torch.cat([self.out(x), sung], dim=-1)


class Generator(nn.Module):
    """Log-mel, pitch and voicing to the log-magnitudes of a harmonic and a noise filter, each frame."""

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        width, blocks, bins = config.generator_width, config.generator_blocks, N_FFT // 2 + 1
        self.enter = nn.Linear(config.n_mels + 2, width)
        self.blocks = nn.ModuleList(ConvNeXt(width, config.kernel, config.generator_ahead) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, 2 * bins)
        self.register_buffer("mel_mean", torch.zeros(config.n_mels))
        self.register_buffer("mel_scale", torch.ones(config.n_mels))
        self.register_buffer("spread", _mel_to_bins(config), persistent=False)
        self.ahead, self.behind = blocks * config.generator_ahead, blocks * (config.kernel - 1 - config.generator_ahead)
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(self.out.bias)

    def forward(self, acoustics: Tensor) -> Tensor:
        """[B, T, n_mels + 2] (voicing in 0…1) to [B, T, 2, bins]."""
        x = self.enter(acoustics)
        for block in self.blocks:
            x = block(x)
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
    """The noise source, read by absolute sample: [_NOISE_SAMPLES]."""
    return torch.from_numpy(np.random.RandomState(20).standard_normal(_NOISE_SAMPLES).astype(np.float32))


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


@dataclass(slots=True)
class _Stretch:
    """An append-only row of vectors of which only the end is kept: what a network with a finite view needs to go on."""

    rows: Tensor
    out_width: int
    first: int = 0
    done: int = 0

    def advance(
        self, fresh: Tensor, net: Callable[[Tensor], Tensor], behind: int, ahead: int, *, final: bool
    ) -> Tensor:
        """`net`'s outputs [n, out_width] for the rows whose view is now complete.

        `net` sees [1, rows, D] and pads at both true ends.
        """
        self.rows = torch.cat([self.rows, fresh])
        end = self.first + len(self.rows)
        ready = end if final else max(self.done, end - ahead)
        if ready == self.done:
            return self.rows.new_zeros(0, self.out_width)
        out = net(self.rows[None])[0, self.done - self.first : ready - self.first]
        self.done = ready
        keep = max(0, ready - behind)
        self.rows, self.first = self.rows[keep - self.first :], keep
        return out


@dataclass(slots=True)
class VocoderState:
    """One session's stream."""

    embedded: _Stretch
    frames: _Stretch
    acoustics: _Stretch
    memory: Tensor | None
    phase: Tensor
    last_hz: Tensor
    last_voicing: Tensor
    harmonic: Tensor
    tail: Tensor
    source_frames: int = 0
    made_frames: int = 0
    last_unit: int = -1
    finished: bool = field(default=False)


class Vocoder:
    """Units to speech; see the module's head. All state is in `VocoderState`: one vocoder serves many sessions."""

    def __init__(self, config: VocoderConfig, units: UnitEncoder, acoustics: Acoustics, generator: Generator) -> None:
        self.config = config
        self.sample_rate, self.voices, self.batch = config.sample_rate, ("default",), 1
        # float64 up to the pitch: its rounding would add up in the phase, and differ with the cuts
        self._units, self._acoustics, self._generator = (
            units.double().eval(),
            acoustics.double().eval(),
            generator.eval(),
        )
        self._window, self._noise = torch.hann_window(N_FFT), noise_table()

    @classmethod
    def load(cls, directory: Path) -> Vocoder:
        """From `config.json` and `vocoder.safetensors`."""
        config = VocoderConfig(**json.loads((directory / "config.json").read_text(encoding="utf-8")))
        parts = nn.ModuleDict(
            {"units": UnitEncoder(config), "acoustics": Acoustics(config), "generator": Generator(config)}
        )
        parts.load_state_dict({k: v.float() for k, v in load_file(directory / "vocoder.safetensors").items()})
        return cls(config, parts["units"], parts["acoustics"], parts["generator"])  # type: ignore[arg-type]

    def open(self, voice: str | None = None) -> VocoderState:
        """A fresh stream. There is one voice a language, so `voice` chooses nothing."""
        config, zero, width = self.config, torch.zeros(1, dtype=torch.float64), self.config.unit_width
        return VocoderState(
            embedded=_Stretch(zero.new_zeros(0, width), width),
            frames=_Stretch(zero.new_zeros(0, width + 4), config.n_mels + 2),
            acoustics=_Stretch(torch.zeros(0, config.n_mels + 2), N_FFT + 2),
            memory=None,
            phase=zero,
            last_hz=zero + 150.0,
            last_voicing=zero,
            harmonic=torch.zeros(_EDGE),
            tail=torch.zeros(N_FFT - HOP),
        )

    @torch.inference_mode()
    def push(self, state: VocoderState, units: Sequence[int], *, final: bool = False) -> npt.NDArray[np.float32]:
        """Float32 [T] in [-1, 1] at `sample_rate`: what is certain after these units, and with `final` all the rest.

        A little silence is spoken before the first unit and after the last.
        """
        if state.finished or not (units or (final and state.last_unit >= 0)):
            return np.zeros(0, np.float32)
        spoken = self._merged(state, units, final=final)
        ids = torch.tensor(spoken, dtype=torch.long)
        reach = UnitEncoder.behind, UnitEncoder.ahead
        context = state.embedded.advance(self._units.embed(ids), self._units.context, *reach, final=final)
        frames = self._frames(state, context, last=final)
        net = self._acoustics
        raw = state.frames.advance(frames, net, net.behind, net.ahead, final=final)
        acoustics = torch.cat([raw[:, :-1], raw[:, -1:].sigmoid()], dim=1)
        self._excite(state, acoustics)
        made = state.acoustics.advance(
            acoustics.float(), self._filters, self._generator.behind, self._generator.ahead, final=final
        )
        state.finished = final
        return self._render(state, made.unflatten(-1, (2, -1)), final=final).clamp(-1, 1).numpy()

    def push_all(self, jobs: Sequence[tuple[VocoderState, Sequence[int], bool]]) -> list[npt.NDArray[np.float32]]:
        """`push` for several streams, one after the other."""
        return [self.push(state, units, final=final) for state, units, final in jobs]

    def decode(self, units: Sequence[int]) -> npt.NDArray[np.float32]:
        """All of it at once."""
        return self.push(self.open(), units, final=True)

    def _filters(self, acoustics: Tensor) -> Tensor:
        return self._generator(acoustics).flatten(2)

    def _merged(self, state: VocoderState, units: Sequence[int], *, final: bool) -> list[int]:
        silence = self.config.silence_unit
        spoken = []
        for unit in [*([silence] if state.last_unit < 0 else []), *units, *([silence] if final else [])]:
            if unit != state.last_unit:
                spoken.append(unit)
            state.last_unit = unit
        return spoken

    def _frames(self, state: VocoderState, context: Tensor, *, last: bool) -> Tensor:
        """Hidden states repeated for each unit's duration: [frames, unit_width + 4]."""
        if not len(context):
            return context.new_zeros(0, self.config.unit_width + 4)
        first = state.memory is None
        hidden, log_durations, state.memory = self._units.remember(context[None], state.memory)
        lengths = torch.round(torch.exp(log_durations[0])).long().clamp(2, self.config.max_frames)
        if first:
            lengths[0] = self.config.lead_frames
        if last:
            lengths[-1] = self.config.tail_frames
        return spread(hidden[0], lengths)

    def _excite(self, state: VocoderState, acoustics: Tensor) -> None:
        if not len(acoustics):
            return
        hz = torch.exp(acoustics[:, -2] * PITCH_SCALE + PITCH_MEAN).clamp(50, 600)
        samples, state.phase = harmonics(
            hz[None], acoustics[None, :, -1], state.last_hz, state.last_voicing, state.phase, self.sample_rate
        )
        state.last_hz, state.last_voicing = hz[-1:], acoustics[-1:, -1]
        state.harmonic = torch.cat([state.harmonic, samples[0]])
        state.source_frames += len(acoustics)

    def _render(self, state: VocoderState, filters: Tensor, *, final: bool) -> Tensor:
        count = len(filters)
        if count:
            need = (count - 1) * HOP + N_FFT
            harmonic = F.pad(state.harmonic, (0, max(0, need - len(state.harmonic))))
            start = state.made_frames * HOP
            noise = self._noise[torch.arange(start, start + need) % _NOISE_SAMPLES]
            frames = shape_sources(
                harmonic.unfold(0, N_FFT, HOP)[None, :count],
                noise.unfold(0, N_FFT, HOP)[None],
                filters[None],
                self._window,
            )
            added = overlap_add(frames)[0]
            added[: len(state.tail)] += state.tail
            pcm, state.tail = added[: count * HOP], added[count * HOP :]
            pcm = pcm[max(0, _EDGE - state.made_frames * HOP) :]  # a first piece may be shorter than the edge
            state.made_frames += count
            state.harmonic = state.harmonic[count * HOP :]
        else:
            pcm = state.tail[:0]
        return torch.cat([pcm, state.tail[:_EDGE]]) if final else pcm


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
