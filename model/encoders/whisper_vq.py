"""GLM-4-Voice's speech tokenizer (arXiv 2412.02612 section 2.1): the lower half of Whisper-large-v3's encoder, causal in blocks of
4 s. Its frames are averaged to 12.5 a second, and each becomes the number of the nearest code vector.

A block sees itself and everything before it, and convolutions see only the past. So a block is computed once, when its samples
are there, and keys and values of earlier blocks are kept. The grid of blocks starts with the speech, so streaming equals offline
for any split by construction. As in the released code, everything starts anew every 30 s.

Differs from the released code: the floor of the spectrogram (8 below the loudest) follows what was heard until the end of the
block. The released code takes that of the whole 30 s, which is not known before they are over.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.encoders import EncoderKind, EncoderStage, check_units
from model.encoders.block_stage import BlockStage
from model.mel import MEL_HOP, N_FFT, SAMPLE_RATE, mel_filters
from model.profile import Profile
from model.weights import check_shapes, loading, opened, read_json
from streaming.errors import BundleError
from streaming.stages import Pcm

CONFIG, WEIGHTS = "config.json", "model.safetensors"
_FRAME_SAMPLES = 2 * MEL_HOP
_MARGIN = N_FFT // 2
_SEGMENT_SAMPLES = 30 * SAMPLE_RATE
_IGNORED = ("embed_positions2.", "ema_count", "ema_weight", "layer_norm.")
"""Weights of training alone, or of what comes after the codes."""


@dataclass(frozen=True, slots=True)
class VqConfig:
    """Sizes; the released tokenizer has the defaults. `block`: frames of 20 ms that see each other; `pooled`: frames of a unit."""

    n_units: int = 16_384
    n_mels: int = 128
    width: int = 1280
    heads: int = 20
    feed: int = 5120
    layers: int = 16
    positions: int = 1500
    block: int = 200
    pooled: int = 4


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.v_proj, self.out_proj = (
            nn.Linear(width, width),
            nn.Linear(width, width),
            nn.Linear(width, width),
        )
        self.k_proj = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, past: Tensor | None, heard: int) -> tuple[Tensor, Tensor]:
        """x: a block [T, D]; past: keys and values before it [2, heads, P, D / heads]; heard: frames of `x` that are no padding."""
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(0, 1)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        known = torch.stack([k[:, :heard], v[:, :heard]])
        if past is not None:
            known = torch.cat([past, known], dim=2)
        mixed = F.scaled_dot_product_attention(q[None], known[:1], known[1:])[0]
        return self.out_proj(mixed.transpose(0, 1).flatten(1)), known


class _Layer(nn.Module):
    def __init__(self, config: VqConfig) -> None:
        super().__init__()
        self.self_attn = _Attention(config.width, config.heads)
        self.self_attn_layer_norm, self.final_layer_norm = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.fc1, self.fc2 = nn.Linear(config.width, config.feed), nn.Linear(config.feed, config.width)

    def forward(self, x: Tensor, past: Tensor | None, heard: int) -> tuple[Tensor, Tensor]:
        attended, known = self.self_attn(self.self_attn_layer_norm(x), past, heard)
        x = x + attended
        return x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x)))), known


@dataclass(slots=True)
class _Segment:
    """30 s under way: samples and frames that are encoded, and what the next block needs of them."""

    samples: int = 0
    frames: int = 0
    loudest: float = -np.inf
    mel: Tensor | None = None
    convolved: Tensor | None = None
    past: list[Tensor] | None = None


@dataclass(slots=True)
class VqState:
    """One speech. `pcm`: samples not yet encoded, and the last `_MARGIN` before them."""

    pcm: Pcm = field(default_factory=lambda: np.zeros(0, np.float32))
    segment: _Segment = field(default_factory=_Segment)

    @property
    def before(self) -> int:
        """How many of `pcm` are encoded."""
        return min(self.segment.samples, _MARGIN)


class WhisperVq(nn.Module):
    """Speech to units, 12.5 a second, repeats kept. All of a speech is in its `VqState`: one encoder serves many."""

    def __init__(self, config: VqConfig) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv1d(config.n_mels, config.width, 3)
        self.conv2 = nn.Conv1d(config.width, config.width, 3, stride=2)
        self.embed_positions = nn.Embedding(config.positions, config.width)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))
        self.codebook = nn.Embedding(config.n_units, config.width)
        with torch.device("cpu"):  # they are in no file, so they must be real even where the rest is not yet
            self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)
            self.register_buffer("filters", mel_filters(config.n_mels, N_FFT, SAMPLE_RATE), persistent=False)

    @classmethod
    def load(cls, directory: Path, device: str = "cpu") -> WhisperVq:
        """From a bundle's `encoder/`. Raises BundleError: `bundle_file_missing`, `bundle_invalid`."""
        config = describe(directory)
        with opened(directory / WEIGHTS) as file:
            names = _names(list(file.keys()), config)
            state = {name: file.get_tensor(stored).float() for name, stored in names.items()}
        with torch.device("meta"):
            encoder = cls(config)
        encoder.load_state_dict(state, assign=True)
        return encoder.to(device).eval()

    def open(self) -> VqState:
        """The state of a fresh speech."""
        return VqState()

    def push(self, state: VqState, pcm: Pcm) -> list[int]:
        """Units of the blocks that are complete with these samples, 16 kHz."""
        clean = np.nan_to_num(np.clip(pcm, -1.0, 1.0)).astype(np.float32, copy=False)
        state.pcm = np.concatenate([state.pcm, clean])
        units: list[int] = []
        while self.wants(state) <= 0:
            units += self._next(state, self._room(state))
        return units

    def wants(self, state: VqState) -> int:
        """Samples that complete the next block and the look past its end."""
        return self._room(state) + _MARGIN + 1 - self._pending(state)

    def finish(self, state: VqState) -> list[int]:
        """The speech is over: units of the rest."""
        units: list[int] = []
        while pending := self._pending(state):
            units += self._next(state, min(pending, self._room(state)))
        return units

    def copied(self, state: VqState) -> VqState:
        """A state that can be finished while `state` goes on. Arrays are shared: they are replaced, never written to."""
        return replace(state, segment=replace(state.segment))

    def encode(self, pcm: Pcm) -> list[int]:
        """All units of a speech; the same as any way of pushing it."""
        state = self.open()
        return self.push(state, pcm) + self.finish(state)

    def _pending(self, state: VqState) -> int:
        return state.pcm.size - state.before

    def _room(self, state: VqState) -> int:
        """Samples until the block ends, or the 30 s."""
        return min(self.config.block * _FRAME_SAMPLES, _SEGMENT_SAMPLES - state.segment.samples)

    @torch.inference_mode()
    def _next(self, state: VqState, count: int) -> list[int]:
        """Units of the next `count` samples: a block, or what is left of the speech or of its 30 s."""
        segment, done = state.segment, state.before + count
        last = state.pcm.size == done or segment.samples + count == _SEGMENT_SAMPLES
        mel = self._spectrogram(state, count, last=last)
        units = self._nearest(self._hidden(segment, mel, -(-count // _FRAME_SAMPLES)))
        segment.samples += count
        if segment.samples == _SEGMENT_SAMPLES:
            state.segment = _Segment()
        state.pcm = state.pcm[done - state.before :]
        return units

    def _spectrogram(self, state: VqState, count: int, *, last: bool) -> Tensor:
        """Whisper's log-mel spectrogram of the next `count` samples, filled up with silence to whole units: [n_mels, T].

        Both ends of a segment are mirrored, as Whisper does.
        """
        filled = -(-count // (self.config.pooled * _FRAME_SAMPLES)) * self.config.pooled * _FRAME_SAMPLES
        pcm = state.pcm[: state.before + (count if last else count + _MARGIN)]
        pcm = np.pad(pcm, (0, state.before + filled + (0 if last else _MARGIN) - pcm.size))
        pcm = np.pad(pcm, (_MARGIN - state.before, _MARGIN if last else 0), mode="reflect")
        wave = torch.from_numpy(pcm[: filled - MEL_HOP + N_FFT]).to(self.window)
        spectrum = torch.stft(wave, N_FFT, MEL_HOP, window=self.window, center=False, return_complex=True)
        mel = torch.log10((self.filters @ spectrum.abs().square()).clamp_min(1e-10))
        state.segment.loudest = max(state.segment.loudest, float(mel.max()))
        return (mel.clamp_min(state.segment.loudest - 8.0) + 4.0) / 4.0

    def _hidden(self, segment: _Segment, mel: Tensor, heard: int) -> Tensor:
        """The spectrogram of the next block, `heard` frames of it no padding, to a hidden state for each unit: [N, width]."""
        if segment.mel is None or segment.convolved is None:
            segment.mel, segment.convolved = mel.new_zeros(mel.shape[0], 2), mel.new_zeros(self.config.width, 2)
        x = torch.cat([segment.mel, mel], dim=1)
        segment.mel = x[:, -2:]
        x = torch.cat([segment.convolved, F.gelu(self.conv1(x))], dim=1)
        segment.convolved = x[:, -2:]
        x = F.gelu(self.conv2(x)).t()
        x = x + self.embed_positions.weight[segment.frames : segment.frames + len(x)]
        segment.frames += len(x)
        kept = list[Tensor]()
        for number, layer in enumerate(self.layers):
            x, known = layer(x, segment.past[number].to(x.device) if segment.past else None, heard)
            kept.append(known.cpu())  # 8 MB a second of speech and session: not for the GPU's memory
        segment.past = kept
        return x.unflatten(0, (-1, self.config.pooled)).mean(dim=1)

    def _nearest(self, hidden: Tensor) -> list[int]:
        codes = self.codebook.weight
        distances = codes.square().sum(1) - 2 * hidden @ codes.t()  # |hidden|² is the same for all
        return [int(unit) for unit in distances.argmin(-1)]


def describe(directory: Path) -> VqConfig:
    """Sizes of the tokenizer in `directory`, its weights left unread. Raises as `WhisperVq.load`."""
    config, path = _config(directory / CONFIG), directory / WEIGHTS
    with opened(path) as file:
        names = _names(list(file.keys()), config)
        shapes = {name: file.get_slice(stored).get_shape() for name, stored in names.items()}
    with torch.device("meta"):
        check_shapes(path, shapes, WhisperVq(config))
    return config


def _names(stored: list[str], config: VqConfig) -> dict[str, str]:
    """Ours to the file's: those of a whole Whisper have `model.encoder.` before them, and layers above the codes."""
    found = {name.removeprefix("model.").removeprefix("encoder."): name for name in stored if "decoder." not in name}
    above = tuple(f"layers.{number}." for number in range(config.layers, 64))
    return {
        ours: name
        for ours, name in found.items()
        if not ours.startswith((*_IGNORED, *above)) and ours != "proj_out.weight"
    }


_SIZES = {
    "n_units": "quantize_vocab_size", "n_mels": "num_mel_bins", "width": "d_model", "heads": "encoder_attention_heads",
    "feed": "encoder_ffn_dim", "layers": "quantize_position", "positions": "max_source_positions",
    "block": "quantize_causal_block_size", "pooled": "pooling_kernel_size",
}  # fmt: skip


def _config(path: Path) -> VqConfig:
    raw = read_json(path)
    for name in _SIZES.values():
        if not isinstance(raw.get(name), int) or raw[name] < 1:
            raise BundleError(f"{path}: {name} is {raw.get(name)!r}; GLM-4-Voice's tokenizer has a number", param=name)
    config = VqConfig(**{ours: raw[name] for ours, name in _SIZES.items()})
    wanted = {
        "pooling_type": "avg", "pooling_position": config.layers, "encoder_causal_convolution": True,
        "encoder_causal_attention": False, "quantize_causal_encoder": False,
    }  # fmt: skip
    for name, value in wanted.items():
        if raw.get(name, value) != value:
            raise BundleError(f"{path}: {name} is {raw[name]!r}, GLM-4-Voice's tokenizer has {value!r}", param=name)
    return config


def _load(directory: Path, profile: Profile, device: str) -> EncoderStage:
    with loading(directory):
        encoder = WhisperVq.load(directory, device)
        encoder.encode(np.zeros(SAMPLE_RATE, np.float32))  # what fails or takes long only once does so now
    return BlockStage(encoder)


def _check(directory: Path, profile: Profile) -> str:
    with loading(directory):
        config = describe(directory)
    check_units(config.n_units, profile)
    return (
        f"{config.n_units} units of {config.n_mels} mel bands at {50 / config.pooled:g} a second, {config.layers} layers of "
        f"{config.width}, in blocks of {config.block / 50:g} s"
    )


KIND = EncoderKind(_load, checks={"encoder": _check}, preflight=_check)
