"""Streams of units to streams of samples, many sessions at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.vocoders.flow_hift import durations
from model.vocoders.flow_hift.config import VocoderConfig, load_config
from model.vocoders.flow_hift.durations import DurationPredictor
from model.vocoders.flow_hift.flow import Flow
from model.vocoders.flow_hift.graphs import CudaRecorder, Graphs, Recorder, Tensors, bucket, padded
from model.vocoders.flow_hift.hift import Hift
from model.vocoders.flow_hift.weights import check_layout, load_into, load_speakers
from model.vocoders.flow_hift.windows import Window, next_window, places, start_of
from streaming.errors import InvalidRequest
from streaming.stages import Pcm

NOISE_FRAMES = 1 << 13  # 95 s
PITCH_STEPS = 8  # per Hz: inaudibly fine, and rounding errors, other in each batch, do not add up in the phase
_T = TypeVar("_T")


def describe(directory: Path) -> tuple[VocoderConfig, tuple[str, ...]]:
    """Sizes and voices of the vocoder in `directory`, its weights left unread. Raises as `FlowHiftVocoder.load`."""
    config = load_config(directory)
    with torch.device("meta"):
        flow, hift = Flow(config.flow), Hift(config.hift, config.sample_rate)
    check_layout(flow, directory / "flow.pt")
    check_layout(hift, directory / "hift.pt")
    durations.load(directory, config.flow.n_units)
    return config, tuple(_speakers(directory, config))


def _speakers(directory: Path, config: VocoderConfig) -> dict[str, Tensor]:
    if config.speakers is None:
        return {"default": torch.zeros(config.flow.speaker_width)}
    return load_speakers(directory / config.speakers, config.flow.speaker_width)


@dataclass(slots=True)
class Stream:
    """One session. `units` are merged, `spread` are one per frame of the unit rate; `mel` and `source` are kept as far as needed.

    `mel_from`: number of the first kept frame; `sourced`, `spoken`: frames whose source is made, whose samples are out.
    """

    voice: Tensor
    mel: Tensor
    fading: Tensor
    source: Tensor
    phase: Tensor
    units: list[int] = field(default_factory=list)
    timed: int = 0
    spread: list[int] = field(default_factory=list)
    block: int = 0
    mel_from: int = 0
    sourced: int = 0
    spoken: int = 0
    ended: bool = False
    finished: bool = False
    pcm: list[Tensor] = field(default_factory=list[Tensor])

    @property
    def mel_to(self) -> int:
        """Number of frames that are final."""
        return self.mel_from + self.mel.shape[1]


class FlowHiftVocoder:
    """A `StreamingVocoder`: units → durations → flow → HiFT. All state is in `Stream`: one vocoder serves many sessions."""

    def __init__(
        self,
        config: VocoderConfig,
        flow: Flow,
        hift: Hift,
        speakers: dict[str, Tensor],
        predictor: DurationPredictor | None = None,
        device: str = "cpu",
        recorder: Recorder | None = None,
    ) -> None:
        """`recorder`: records the grid's windows (`Graphs`); by default on a GPU where `config.graphs` is set."""
        self.config, self.sample_rate, self.batch = config, config.sample_rate, config.batch
        self.device = torch.device(device)
        self.flow = flow.eval().to(self.device, getattr(torch, config.dtype))
        self.hift = hift.eval().to(self.device)
        self.predictor = predictor if config.durations == "predicted" else None
        self.voices = tuple(speakers)
        with torch.inference_mode():
            vectors = torch.stack(list(speakers.values())).to(self.device, self.flow.encoder_proj.weight.dtype)
            self._speakers = dict(zip(speakers, self.flow.speaker(vectors), strict=True))
        self._nearest = config.flow.stretch == "nearest"
        noise = np.random.RandomState(3).standard_normal((config.flow.n_mels, NOISE_FRAMES))
        self._noise = torch.from_numpy(noise.astype(np.float32)).to(self.device)
        fade = (torch.arange(config.grid.fade, device=self.device) + 0.5) / max(1, config.grid.fade)
        self._rise = torch.sin(fade * math.pi / 2).square()
        self._copies = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None
        if recorder is None and config.graphs and self.device.type == "cuda":
            recorder = CudaRecorder()
        self._graphs = (
            None if recorder is None else tuple(Graphs(each, recorder) for each in (self._mel, self._sing, self._sound))
        )
        if self._graphs is not None:
            self._record(self._graphs)

    @torch.inference_mode()
    def _record(self, graphs: Sequence[Graphs]) -> None:
        """All that streams compute until every further block is like the one before, in every batch."""
        grid = self.config.grid
        blocks = len(grid.ramp) + math.ceil((grid.back + grid.ahead) / grid.block) + 2
        units = [number % 2 for number in range(math.ceil(start_of(grid, blocks + 1) / self.config.frames_per_unit))]
        with ExitStack() as recording:
            for each in graphs:
                recording.enter_context(each.recording())
            rows = 1
            while rows < 2 * self.batch:
                streams = [self.open() for _ in range(min(rows, self.batch))]
                self.push_all([(stream, units, False) for stream in streams])
                rows *= 2

    @classmethod
    def load(cls, directory: Path, device: str = "cpu") -> FlowHiftVocoder:
        """From `flow.pt`, `hift.pt`, the speakers' file, and `duration.safetensors` if there. Raises BundleError."""
        config = load_config(directory)
        with torch.device("meta"):
            flow = Flow(config.flow)
        flow = flow.to_empty(device="cpu")
        hift = Hift(config.hift, config.sample_rate)
        load_into(flow, directory / "flow.pt")
        load_into(hift, directory / "hift.pt")
        predictor = durations.load(directory, config.flow.n_units)
        return cls(config, flow, hift, _speakers(directory, config), predictor, device)

    @property
    def timing(self) -> str:
        """Where the durations come from, for people."""
        if self.predictor is not None:
            return "durations are predicted"
        if not self.config.merged:
            return f"every unit lasts {self.config.fixed_frames / self.config.unit_rate_hz * 1000:.0f} ms"
        return f"no duration predictor: every unit lasts {self.config.fixed_frames / self.config.unit_rate_hz * 1000:.0f} ms"

    def open(self, voice: str | None = None) -> Stream:
        """A fresh stream; None is the first voice. Raises InvalidRequest for an unknown voice."""
        name = self.voices[0] if voice is None else voice
        if name not in self._speakers:
            raise InvalidRequest(f"there is no voice {name!r}; accepted: {', '.join(self.voices)}", param="voice")
        mel = torch.zeros(self.config.flow.n_mels, 0, device=self.device)
        empty = torch.zeros(0, device=self.device)
        return Stream(self._speakers[name], mel, mel, empty, torch.zeros((), dtype=torch.float64, device=self.device))

    def push(self, state: Stream, units: Sequence[int], *, final: bool = False) -> Pcm:
        """Float32 [T] in [-1, 1]: what is certain after these units, and with `final` all the rest."""
        return self.push_all([(state, units, final)])[0]

    def decode(self, units: Sequence[int], voice: str | None = None) -> Pcm:
        """All samples of `units`; the same as any way of pushing them."""
        return self.push(self.open(voice), units, final=True)

    @torch.inference_mode()
    def push_all(self, jobs: Sequence[tuple[Stream, Sequence[int], bool]]) -> list[Pcm]:
        """`push` for several streams, each at most once; windows of the same shape are computed together."""
        for stream, units, final in jobs:
            if not stream.finished:
                self._take(stream, units, final=final)
        while ready := [(stream, window) for stream, _, _ in jobs if (window := self._window(stream)) is not None]:
            for group in _grouped(ready, lambda each: (each[1].shape, each[1].final)):
                self._flow(group)
            self._speak(ready)
        if self._copies is not None:
            self._copies.synchronize()
        return [_taken(stream) for stream, _, _ in jobs]

    def _take(self, stream: Stream, units: Iterable[int], *, final: bool) -> None:
        """Note the units, merged if the model merges, and spread those whose duration is known by now."""
        for unit in units:
            if not 0 <= unit < self.config.flow.n_units:
                raise ValueError(f"unit {unit} does not exist; the vocoder has {self.config.flow.n_units}")
            if not (self.config.merged and stream.units and stream.units[-1] == unit):
                stream.units.append(unit)
        stream.ended = final
        reach = self.predictor.reach if self.predictor and not final else 0
        end = max(stream.timed, len(stream.units) - reach)
        frames = [self.config.fixed_frames] * (end - stream.timed)
        if self.predictor and end > stream.timed:
            frames = self.predictor.frames(stream.units, stream.timed, end)
        for unit, count in zip(stream.units[stream.timed : end], frames, strict=True):
            stream.spread += [unit] * count
        stream.timed = end

    def _window(self, stream: Stream) -> Window | None:
        if stream.finished:
            return None
        window = next_window(
            self.config.grid,
            self.config.frames_per_unit,
            stream.block,
            len(stream.spread),
            ended=stream.ended,
            align=self.config.flow.block_units,
            nearest=self._nearest,
        )
        stream.finished = stream.ended and window is None
        return window

    def _flow(self, group: Sequence[tuple[Stream, Window]]) -> None:
        """Mel of windows of one shape; the blocks' frames are appended to their streams."""
        spread = [stream.spread[window.first_unit : window.last_unit] for stream, window in group]
        rate, nearest = self.config.frames_per_unit, self._nearest
        where = np.stack([places(window, rate, nearest=nearest) for _, window in group])
        frames = np.stack([np.arange(window.low, window.high) % NOISE_FRAMES for _, window in group])
        noise = self._noise[:, self._sent(frames)].transpose(0, 1)
        prompt = torch.zeros_like(noise)
        if self.config.grid.prompt:
            for row, (stream, window) in zip(prompt, group, strict=True):
                known = stream.mel[:, window.low - stream.mel_from :]
                row[:, : known.shape[1]] = known
        voices = torch.stack([stream.voice for stream, _ in group])
        (mels,) = self._run(0, self._mel, self._sent(np.array(spread)), self._sent(where), noise, voices, prompt)
        for (stream, window), mel in zip(group, mels, strict=True):
            self._append(stream, window, mel[:, window.start - window.low :])

    def _mel(self, *arguments: Tensor) -> Tensors:
        return (self.flow(*arguments),)

    def _sing(self, mels: Tensor, phase: Tensor, first: Tensor, inner: Tensor) -> Tensors:
        """Source and phase of the frames that `inner` [frames] are the numbers of."""
        pitch = torch.round(self.hift.pitch(mels)[:, inner] * PITCH_STEPS) / PITCH_STEPS
        return self.hift.source(pitch, phase, first)

    def _sound(self, mels: Tensor, sources: Tensor) -> Tensors:
        return (self.hift(mels, sources),)

    def _run(self, which: int, function: Callable[..., Tensors], *rows: Tensor, shared: Tensors = ()) -> Tensors:
        """`function` of rows [B, …]. With graphs in a batch of 1, 2, 4, 8, …; `shared` are the same for all rows."""
        if self._graphs is None:
            return function(*rows, *shared)
        count = len(rows[0])
        made = self._graphs[which](*(padded(each, bucket(count)) for each in rows), *shared)
        return tuple(each[:count] for each in made)

    def _sent(self, array: npt.NDArray[Any]) -> Tensor:
        """On the device. From pinned memory: nothing waits."""
        here = torch.from_numpy(array)
        return here if self._copies is None else here.pin_memory().to(self.device, non_blocking=True)

    def _fetched(self, samples: Tensor) -> Tensor:
        """On the host once `_copies` is through. Copied beside what is computed next."""
        if self._copies is None:
            return samples
        here = torch.empty(samples.shape, dtype=samples.dtype, pin_memory=True)
        self._copies.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._copies):
            here.copy_(samples, non_blocking=True)
        samples.record_stream(self._copies)
        return here

    def _append(self, stream: Stream, window: Window, fresh: Tensor) -> None:
        """The block's frames, faded in over what the window before said of the first of them."""
        fade = min(stream.fading.shape[1], fresh.shape[1])
        rise = self._rise[:fade]
        fresh = torch.cat([stream.fading[:, :fade] * (1 - rise) + fresh[:, :fade] * rise, fresh[:, fade:]], dim=1)
        count = window.end - window.start
        stream.fading = fresh[:, count : count + self.config.grid.fade]
        stream.mel = torch.cat([stream.mel, fresh[:, :count]], dim=1)
        stream.block += 1
        stream.finished = window.final

    def _speak(self, ready: Sequence[tuple[Stream, Window]]) -> None:
        """Samples of the frames whose neighbours are all known, for streams that got a block."""
        streams = [stream for stream, _ in ready]
        for group in _grouped(streams, lambda s: (s.mel_to - s.sourced, s.sourced - s.mel_from, s.finished)):
            self._excite(group)
        for group in _grouped(streams, lambda s: (s.mel_to - s.spoken, s.spoken - s.mel_from, s.sourced - s.spoken)):
            self._render(group)

    def _excite(self, group: Sequence[Stream]) -> None:
        """Pitch and source of the frames whose neighbours are known."""
        reach, first = self.hift.pitch_reach, group[0]
        low = max(first.mel_from, first.sourced - reach)
        end = first.mel_to if first.finished else max(first.sourced, first.mel_to - reach)
        mels = torch.stack([stream.mel[:, low - first.mel_from :] for stream in group])
        phase = torch.stack([stream.phase for stream in group])
        begin = self._sent(np.array([stream.sourced * self.hift.hop for stream in group]))
        inner = self._sent(np.arange(first.sourced - low, end - low))
        sources, phases = self._run(1, self._sing, mels, phase, begin, shared=(inner,))
        for stream, source, after in zip(group, sources, phases, strict=True):
            stream.source, stream.phase = torch.cat([stream.source, source]), after
            stream.sourced += len(source) // self.hift.hop

    def _render(self, group: Sequence[Stream]) -> None:
        """Samples of the frames whose mel and source are known far enough ahead; drops what no later frame needs."""
        reach, hop, first = self.hift.reach, self.hift.hop, group[0]
        low = max(first.mel_from, first.spoken - reach)
        end = first.sourced if first.finished else max(first.spoken, first.sourced - reach)
        if end > first.spoken:
            at, to = low - first.mel_from, first.sourced - first.mel_from
            mels = torch.stack([stream.mel[:, at:to] for stream in group])
            sources = torch.stack([stream.source[at * hop : to * hop] for stream in group])
            (made,) = self._run(2, self._sound, mels, sources)
            made = self._fetched(made[:, (first.spoken - low) * hop : (end - low) * hop])
            for stream, pcm in zip(group, made, strict=True):
                stream.pcm.append(pcm)
                stream.spoken += len(pcm) // hop
        for stream in group:
            self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        behind = max(self.hift.reach, self.hift.pitch_reach)
        keep = max(0, stream.spoken - behind)
        if self.config.grid.prompt:
            keep = max(0, min(keep, stream.mel_to - self.config.grid.back))
        drop = keep - stream.mel_from
        stream.mel, stream.source = stream.mel[:, drop:], stream.source[drop * self.hift.hop :]
        stream.mel_from = keep


def _taken(stream: Stream) -> Pcm:
    pcm, stream.pcm = stream.pcm, []
    return torch.cat(pcm).numpy() if pcm else np.zeros(0, np.float32)


def _grouped(items: Iterable[_T], key: Callable[[_T], Hashable]) -> list[list[_T]]:
    """Items with equal keys, in order of first appearance."""
    groups: dict[Any, list[_T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())
