"""Streams units to speech at 24 kHz: the state of a stream, and when each part is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.vocoders.source_filter.networks import (
    HOP,
    N_FFT,
    PITCH_MEAN,
    PITCH_SCALE,
    Acoustics,
    AcousticsState,
    Generator,
    GeneratorState,
    UnitEncoder,
    VocoderConfig,
    spread,
)
from model.vocoders.source_filter.signal import NOISE_SAMPLES, harmonics, noise_table, overlap_add, shape_sources
from model.weights import fill, loading, read_config
from streaming.stages import Pcm

_EDGE = (N_FFT - HOP) // 2  # a frame's window is centred on its hop


@dataclass(slots=True)
class ConvBuffer:
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

    embedded: ConvBuffer
    acoustics: AcousticsState
    generator: GeneratorState
    memory: Tensor | None
    phase: Tensor
    last_hz: Tensor
    last_voicing: Tensor
    harmonic: Tensor
    tail: Tensor
    made_frames: int = 0
    last_unit: int = -1
    finished: bool = field(default=False)


class SourceFilterVocoder:
    """Units to speech; see the module's head. All state is in `VocoderState`: one vocoder serves many sessions."""

    def __init__(self, config: VocoderConfig, units: UnitEncoder, acoustics: Acoustics, generator: Generator) -> None:
        self.config = config
        self.sample_rate, self.batch = config.sample_rate, 1
        self.voices: tuple[str, ...] = ("default",)
        # float64 up to the pitch: its rounding would add up in the phase, and differ with the cuts
        self._units, self._acoustics, self._generator = (
            units.double().eval(),
            acoustics.double().eval(),
            generator.eval(),
        )
        for part in (acoustics.pitch_enter, acoustics.blocks, acoustics.out):
            part.float()
        self._window, self._noise = torch.hann_window(N_FFT), noise_table()

    @classmethod
    def load(cls, directory: Path) -> SourceFilterVocoder:
        """From `config.json` and `vocoder.safetensors`. Raises BundleError."""
        with loading(directory):
            config = read_config(VocoderConfig, directory / "config.json")
            units, acoustics, generator = UnitEncoder(config), Acoustics(config), Generator(config)
            parts = nn.ModuleDict({"units": units, "acoustics": acoustics, "generator": generator})
            fill(parts, directory / "vocoder.safetensors")
        return cls(config, units, acoustics, generator)

    def open(self, voice: str | None = None) -> VocoderState:
        """A fresh stream. There is one voice a language, so `voice` chooses nothing."""
        zero, width = torch.zeros(1, dtype=torch.float64), self.config.unit_width
        return VocoderState(
            embedded=ConvBuffer(zero.new_zeros(0, width), width),
            acoustics=self._acoustics.open(),
            generator=self._generator.open(),
            memory=None,
            phase=zero,
            last_hz=zero + 150.0,
            last_voicing=zero,
            harmonic=torch.zeros(_EDGE),
            tail=torch.zeros(N_FFT - HOP),
        )

    @torch.inference_mode()
    def push(self, state: VocoderState, units: Sequence[int], *, final: bool = False) -> Pcm:
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
        raw = self._acoustics.advance(state.acoustics, frames, final=final)
        acoustics = torch.cat([raw[:, :-1], raw[:, -1:].sigmoid()], dim=1)
        self._excite(state, acoustics)
        filters = self._generator.advance(state.generator, acoustics.float(), final=final)
        state.finished = final
        return self._render(state, filters, final=final).clamp(-1, 1).numpy()

    def push_all(self, jobs: Sequence[tuple[VocoderState, Sequence[int], bool]]) -> list[Pcm]:
        """`push` for several streams, one after the other."""
        return [self.push(state, units, final=final) for state, units, final in jobs]

    def decode(self, units: Sequence[int]) -> Pcm:
        """All of it at once."""
        return self.push(self.open(), units, final=True)

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

    def _render(self, state: VocoderState, filters: Tensor, *, final: bool) -> Tensor:
        count = len(filters)
        if count:
            need = (count - 1) * HOP + N_FFT
            harmonic = F.pad(state.harmonic, (0, max(0, need - len(state.harmonic))))
            start = state.made_frames * HOP
            noise = self._noise[torch.arange(start, start + need) % NOISE_SAMPLES]
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
