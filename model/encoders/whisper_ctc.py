"""Speech to phonetic units: a frozen Whisper-base encoder, block by block, and a small CTC head.

Whisper (arXiv 2212.04356) sees a window of `context + block + lookahead` frames and gives the frames of the block. The head,
a few convolutions over three of its layers, names each frame. Repeats and blanks are merged (CTC, Graves et al. 2006).

The blocks lie on a fixed grid of the session's samples, and `encode` runs the same blocks, so streaming equals offline for
any split by construction. Whisper's layers multiply in bfloat16 where the processor is faster with it.

Differs from Whisper: there is no padding to 30 s, positions count from the window's start, and the spectrogram's floor (8
below the loudest) and level are those of the window.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from model.encoders import EncoderKind, EncoderStage
from model.encoders.block_stage import BlockStage
from model.encoders.whisper_network import EncoderConfig, UnitHead, WhisperTrunk
from model.mel import SAMPLE_RATE
from model.precision import bfloat16_is_faster
from model.profile import Profile
from model.weights import fill, loading, read_config
from streaming.errors import BundleError

FRAME_SAMPLES = 320  # one encoder frame: two mel hops of 10 ms
_MOST_GAIN = 10.0


@dataclass(slots=True)
class EncoderState:
    """One session: samples and features still needed, and where the stream stands."""

    pcm: npt.NDArray[np.float32]
    features: Tensor
    first_sample: int = 0
    blocks: int = 0
    first_feature: int = 0
    named_frames: int = 0
    last_unit: int = -1
    run: list[int] = field(default_factory=list)
    final: list[int] = field(default_factory=list)
    glide: list[int] = field(default_factory=list)
    glided: bool = False
    pending_silence: bool = False
    finished: bool = False


class WhisperCtc:
    """Speech at 16 kHz to merged units; see the module's head. Safe to share between sessions: all state is in `EncoderState`."""

    def __init__(self, config: EncoderConfig, trunk: WhisperTrunk, head: UnitHead) -> None:
        self.config = config
        self._trunk, self._head = trunk.eval(), head.eval()

    @classmethod
    def load(cls, directory: Path, *, bfloat16: bool | None = None) -> WhisperCtc:
        """From `config.json`, `trunk.safetensors` and `head.safetensors`. bfloat16: None where it is faster. Raises BundleError."""
        config = read_config(EncoderConfig, directory / "config.json")
        trunk, head = WhisperTrunk(config), UnitHead(config)
        fill(trunk, directory / "trunk.safetensors")
        fill(head, directory / "head.safetensors")
        if bfloat16_is_faster() if bfloat16 is None else bfloat16:
            trunk.use_bfloat16()
        return cls(config, trunk, head)

    def open(self) -> EncoderState:
        """A fresh stream."""
        width = len(self.config.taps) * self.config.width
        return EncoderState(pcm=np.zeros(0, np.float32), features=torch.zeros(0, width))

    def push(self, state: EncoderState, pcm: npt.NDArray[np.float32]) -> list[int]:
        """Hear float32 [T] at 16 kHz; the units that became certain. Silence at both ends of the speech is never reported."""
        state.pcm = np.concatenate([state.pcm, _in_range(pcm)])
        units: list[int] = []
        while self.wants(state) <= 0:
            units += self._name(state, self._block(state), final=False)
        return units

    def wants(self, state: EncoderState) -> int:
        """See `BlockEncoder.wants`."""
        end = (state.blocks + 1) * self.config.block_frames + self.config.lookahead_frames
        return end * FRAME_SAMPLES - state.first_sample - len(state.pcm)

    def finish(self, state: EncoderState) -> list[int]:
        """The units that are left; the stream is over."""
        if state.finished:
            return []
        state.finished = True
        rest = self._rest(state)
        return [] if rest is None else self._name(state, rest, final=True)

    def copied(self, state: EncoderState) -> EncoderState:
        """A state that can be finished while `state` goes on. Arrays are shared: they are replaced, never written to."""
        return replace(state, run=[*state.run], final=[*state.final], glide=[*state.glide])

    def encode(self, pcm: npt.NDArray[np.float32]) -> list[int]:
        """All units of a recording, float32 [T] at 16 kHz."""
        state = self.open()
        return self.push(state, pcm) + self.finish(state)

    @torch.inference_mode()
    def features(self, pcm: npt.NDArray[np.float32]) -> Tensor:
        """Features of a whole recording [T / 320, taps * width], block by block: what the head is trained on."""
        state, kept = self.open(), []
        state.pcm = _in_range(pcm)
        while self.wants(state) <= 0:
            kept.append(self._block(state))
        rest = self._rest(state)
        return torch.cat(kept if rest is None else [*kept, rest])

    def name(self, features: Tensor) -> list[int]:
        """Units of the `features` of a whole recording."""
        return self._name(self.open(), features, final=True)

    def _rest(self, state: EncoderState) -> Tensor | None:
        """Features of all frames that are left, silence behind them; None where there were none at all.

        They are one block, up to `lookahead_frames` longer than the others: an answer waits for it.
        """
        total = -(-(state.first_sample + len(state.pcm)) // FRAME_SAMPLES)
        padded = total + self.config.lookahead_frames
        state.pcm = np.pad(state.pcm, (0, padded * FRAME_SAMPLES - state.first_sample - len(state.pcm)))
        return self._block(state, total - state.blocks * self.config.block_frames) if total else None

    @torch.inference_mode()
    def _block(self, state: EncoderState, frames: int | None = None) -> Tensor:
        """Features [frames, D] of the next block, from what lies in `state.pcm`; drops samples no longer needed.

        `frames`: how many, where it is the last block.
        """
        config = self.config
        start = state.blocks * config.block_frames
        low = max(-config.lead_frames, start - config.context_frames)
        frames = config.block_frames if frames is None else frames
        high = start + max(frames, config.block_frames) + config.lookahead_frames
        begin = low * FRAME_SAMPLES - state.first_sample
        window = state.pcm[max(0, begin) : high * FRAME_SAMPLES - state.first_sample]
        window = np.pad(window, (max(0, -begin), 0))
        peak = float(np.abs(window).max(initial=0.0))
        if 0 < peak < config.quiet_peak:
            window *= min(_MOST_GAIN, config.quiet_peak / peak)
        named = slice(start - low, start - low + frames)
        heard = self._trunk(torch.from_numpy(window)[None], named)[0]
        state.blocks += 1
        keep = max(0, state.blocks * config.block_frames - config.context_frames) * FRAME_SAMPLES
        state.pcm, state.first_sample = state.pcm[keep - state.first_sample :], keep
        return heard

    @torch.inference_mode()
    def _name(self, state: EncoderState, features: Tensor, *, final: bool) -> list[int]:
        """Units of the frames whose neighbours are all known (all of them if `final`)."""
        state.features = torch.cat([state.features, features])
        end = state.first_feature + len(state.features)
        certain = end if final else end - self.config.reach
        if certain <= state.named_frames:
            return []
        likely = self._head(state.features[None]).softmax(-1).transpose(1, 2)
        symbols = F.avg_pool1d(likely, 3, 1, 1, count_include_pad=False)[0].argmax(0)
        fresh = symbols[state.named_frames - state.first_feature : certain - state.first_feature].tolist()
        state.named_frames = certain
        keep = max(0, certain - self.config.reach)
        state.features, state.first_feature = state.features[keep - state.first_feature :], keep
        return self._merge(state, fresh, final=final)

    def _merge(self, state: EncoderState, symbols: list[int], *, final: bool) -> list[int]:
        """Runs of frames to units. A run of one final is one syllable even if its tone wavers: the tone of most frames wins."""
        units: list[int] = []
        for symbol in symbols:
            if state.run and self._base(symbol) != self._base(state.run[-1]):
                self._end_run(state, units)
            state.run.append(symbol)
        if final:
            self._end_run(state, units)
            self._close(state, state.glide, units)
        return units

    def _end_run(self, state: EncoderState, units: list[int]) -> None:
        """Name the run that ended, unless it is a final of a few frames beside a longer one: the way into it, or out of it.

        `state.final` is the final that ended where the run began, or before a glide out of it that did (`state.glided`).
        `state.glide` is one too short to be named before the next is known.
        """
        run, state.run = state.run, []
        glide, state.glide = state.glide, []
        toned = bool(run) and self._toned(run[0])
        if glide and not (toned and len(run) > len(glide)):
            self._close(state, glide, units)
        short = len(run) <= self.config.glide_frames
        glided, state.glided = state.glided, False
        if not toned:
            state.final = []
            self._close(state, run, units)
        elif state.final and self._base(run[0]) == self._base(state.final[0]):
            state.final = state.final + run  # goes on after a glide
        elif short and len(run) < len(state.final) and not glided:
            state.glided = True
        else:
            state.final = run
            if short:
                state.glide = run
            else:
                self._close(state, run, units)

    def _toned(self, symbol: int) -> bool:
        return self.config.plain_units <= symbol < self.config.n_units

    def _base(self, symbol: int) -> int:
        plain, tones = self.config.plain_units, self.config.tones
        return plain + (symbol - plain) // tones if self._toned(symbol) else symbol

    def _close(self, state: EncoderState, run: list[int], units: list[int]) -> None:
        symbol = max(run, key=run.count) if run else self.config.n_units
        if symbol == self.config.silence_unit:
            state.pending_silence |= len(run) >= self.config.silence_frames
        elif symbol != self.config.n_units:
            if state.pending_silence and state.last_unit >= 0:
                units.append(self.config.silence_unit)
                state.last_unit = self.config.silence_unit
            if symbol != state.last_unit:
                units.append(symbol)
            state.last_unit, state.pending_silence = symbol, False


def _in_range(pcm: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.nan_to_num(np.clip(pcm, -1.0, 1.0)).astype(np.float32, copy=False)


def save_config(config: EncoderConfig, directory: Path) -> None:
    """Write `config.json`."""
    (directory / "config.json").write_text(json.dumps(asdict(config), indent=1) + "\n", encoding="utf-8")


def _load(directory: Path, profile: Profile, device: str) -> EncoderStage:
    with loading(directory):
        encoder = WhisperCtc.load(directory)
        encoder.encode(np.zeros(SAMPLE_RATE, np.float32))  # what fails or takes long only once does so now
    return BlockStage(encoder)


def _check(directory: Path, profile: Profile) -> str:
    with loading(directory):
        units = WhisperCtc.load(directory).encode(np.zeros(profile.input_sample_rate_hz, np.float32))
    if any(unit >= profile.n_units for unit in units):
        raise BundleError("the encoder gives units that the profile does not have")
    return f"one second of silence gives {len(units)} units"


KIND = EncoderKind(_load, checks={"encoder": _check})
