"""Recordings for a simulated microphone: 24 kHz mono PCM16, in frames ready to send."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import av
import numpy as np
import soundfile
from av.error import FFmpegError
from numpy.typing import NDArray

from clients.errors import UnreadableRecording, UnwritableOutput
from clients.realtime import RATE_HZ, SAMPLE_BYTES, append_event, frames_of
from streaming.audio import Downmix, float_to_pcm16

FRAME_S = 0.020
FRAME_BYTES = int(RATE_HZ * FRAME_S) * SAMPLE_BYTES
SILENCE_MESSAGE = json.dumps(append_event(bytes(FRAME_BYTES)))

_SPEECH_BELOW_PEAK_DB = 35.0
_WINDOW = RATE_HZ * 40 // 1000
_PAUSES_MS = range(200, 1000, 100)
_Sample = TypeVar("_Sample", bound=np.generic)
_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au", ".caf"})


@dataclass(frozen=True, eq=False)
class Recording:
    """One spoken question. `pcm`: PCM16 mono at 24 kHz. `said`: its words, where they are known."""

    name: str
    pcm: bytes
    said: str | None = None

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.pcm) / SAMPLE_BYTES / RATE_HZ

    @cached_property
    def messages(self) -> tuple[str, ...]:
        """The append events of its 20 ms frames, encoded once for every session that speaks it."""
        return tuple(json.dumps(append_event(frame)) for frame in frames_of(self.pcm, FRAME_BYTES))

    @cached_property
    def speech_frames(self) -> int:
        """Frames up to and with the last that holds speech, so that silence at the end of a file counts as waiting."""
        return speech_end(np.frombuffer(self.pcm, np.int16), FRAME_BYTES // SAMPLE_BYTES)

    @cached_property
    def opened(self) -> Recording:
        """The same with a pause of 200 to 900 ms at the quietest place of its middle, of a length that its name decides."""
        samples = np.frombuffer(self.pcm, np.int16)
        pause = random.Random(self.name).choice(_PAUSES_MS) * RATE_HZ // 1000
        at = quiet_places(samples[: self.speech_frames * FRAME_BYTES // SAMPLE_BYTES], 1)
        pieces = [samples[: at[0]], looped(background(samples), pause), samples[at[0] :]] if at else [samples]
        return Recording(self.name, np.concatenate(pieces).tobytes(), self.said)


def speech_end(samples: NDArray[np.int16], frame_samples: int) -> int:
    """Frames up to and with the last one less than 35 dB below the loudest; all frames where there is only silence."""
    frames = -(-samples.size // frame_samples)
    padded = np.zeros(frames * frame_samples, np.float64)
    padded[: samples.size] = samples
    power = (padded.reshape(frames, frame_samples) ** 2).mean(axis=1)
    if not frames or not power.max():
        return frames
    loud = power >= power.max() * 10 ** (-_SPEECH_BELOW_PEAK_DB / 10)
    return int(np.flatnonzero(loud)[-1]) + 1


def quiet_places(samples: NDArray[Any], count: int) -> list[int]:
    """The quietest places between a quarter and four fifths of the speech, a quarter of a second apart, quietest first."""
    power = _power(samples)
    first, last, found = power.size // 4, power.size * 4 // 5, list[int]()
    frame = FRAME_BYTES // SAMPLE_BYTES
    for at in first + np.argsort(power[first:last:frame]) * frame:
        if all(abs(at - other) > RATE_HZ // 4 for other in found):
            found.append(int(at))
        if len(found) == count:
            break
    return found


def background(samples: NDArray[_Sample]) -> NDArray[_Sample]:
    """The quietest 40 ms: what a pause of this recording sounds like."""
    inner = _power(samples)[_WINDOW // 2 : -_WINDOW // 2]
    start = int(np.argmin(inner)) if inner.size else 0
    return samples[start : start + _WINDOW]


def looped(sound: NDArray[_Sample], samples: int) -> NDArray[_Sample]:
    """`sound` forth and back, without a jump, for so long."""
    return np.resize(np.concatenate([sound, sound[::-1]]), samples)


def _power(samples: NDArray[Any]) -> NDArray[np.float64]:
    """Of 40 ms around each sample."""
    return np.convolve(samples.astype(np.float64) ** 2, np.ones(_WINDOW), "same")[: samples.size]


def read_recording(path: Path) -> Recording:
    """Read any file that FFmpeg reads, at any rate and with any channels, and its words from a .txt of the same name.

    Raises UnreadableRecording.
    """
    if not path.is_file():
        raise UnreadableRecording(f"there is no file {path}")
    try:
        channels = _channels(path)
    except (FFmpegError, OSError) as error:
        raise UnreadableRecording(f"{path} cannot be read as a recording: {error.strerror or error}") from error
    if not channels.size:
        raise UnreadableRecording(f"{path} has no audio")
    if not np.isfinite(channels).all():
        raise UnreadableRecording(f"{path} has samples that are not numbers")
    return Recording(path.name, float_to_pcm16(Downmix().push(channels)), _words(path.with_suffix(".txt")))


def _words(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None if path.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableRecording(f"{path} cannot be read as text: {error}") from error


def _channels(path: Path) -> NDArray[np.float32]:
    """The file's channels [C, T] at 24 kHz."""
    resampler = av.AudioResampler("fltp", rate=RATE_HZ)
    with av.open(path) as container:
        if not container.streams.audio:
            return np.zeros((1, 0), np.float32)
        frames = chain(container.decode(audio=0), [None])
        pieces = [piece.to_ndarray() for frame in frames for piece in resampler.resample(frame)]
    return np.concatenate(pieces, axis=1) if pieces else np.zeros((1, 0), np.float32)


def read_recordings(paths: Iterable[Path]) -> list[Recording]:
    """Read files, and of directories every file that looks like audio. Raises UnreadableRecording, also for none."""
    files = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    chosen = [file for file in files if file in paths or file.suffix.lower() in _SUFFIXES]
    if not chosen:
        raise UnreadableRecording("no recordings found: name sound files, or directories with some")
    return [read_recording(file) for file in chosen]


def check_writable(path: Path) -> None:
    """Raises UnwritableOutput where a file of that name cannot be made: better before the work than after."""
    if path.is_dir():
        raise UnwritableOutput(f"cannot write {path}: it is a directory")
    if not path.parent.is_dir():
        raise UnwritableOutput(f"cannot write {path}: there is no directory {path.parent}")


def check_format(path: Path) -> None:
    """Raises UnwritableOutput where the suffix names no format that can be written."""
    known = soundfile.available_formats()
    if path.suffix.lstrip(".").upper() not in known:
        raise UnwritableOutput(f"cannot write {path}: the suffix must be one of {', '.join(known).lower()}")


def write_recording(path: Path, pcm: bytes) -> None:
    """Write PCM16 mono at 24 kHz in the format of the file's suffix. Raises UnwritableOutput where it cannot."""
    try:
        soundfile.write(path, np.frombuffer(pcm, np.int16), RATE_HZ)
    except (soundfile.SoundFileError, OSError, TypeError, ValueError) as error:
        raise UnwritableOutput(f"cannot write {path}: {error}") from error
