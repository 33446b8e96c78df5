"""Decodes recordings to PCM, with FFmpeg's libraries through PyAV.

The content of a recording decides its format, not its name: only the demuxer that its first bytes call for is opened, and it may
open nothing else. Bytes without a signature, such as an mp3 cut in mid-frame, are left to FFmpeg's own probing. Everything here is
synchronous; callers run it in a thread.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Never

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.error import FFmpegError
from numpy.typing import NDArray

from streaming.audio import MODEL_RATE_HZ, Downmix, Resampler
from streaming.errors import InvalidRequest, UnsupportedMedia
from streaming.stages import Pcm, VoiceActivity

InputFormat = Literal[
    "auto", "wav", "flac", "mp3", "ogg", "opus", "webm", "m4a", "aac", "aiff", "amr", "caf", "au", "w64", "mpegts",
    "pcm", "pcm_s16be", "pcm_f32le", "pcmu", "pcma",
]  # fmt: skip

MIN_QUESTION_S = 0.1
"""Shorter than any word: `audio_too_short`."""
SILENCE_PEAK = 0.001
"""-60 dB of full scale; a recording that never exceeds it is `audio_silent`."""
SPEECH_PROBABILITY = 0.25
"""A recording none of whose windows is this likely speech is `audio_silent`; well below what starts a realtime turn."""

_RATES_HZ = (4_000, 768_000)
_MAX_CHANNELS = 32
_SAMPLES_PER_S = 384_000
"""For each second that a recording may last: two channels at 192 kHz. Of more channels or a higher rate, less is taken."""

_DEMUXERS = {
    "wav": "wav",
    "flac": "flac",
    "mp3": "mp3",
    "ogg": "ogg",
    "webm": "matroska",
    "m4a": "mov",
    "aac": "aac",
    "aiff": "aiff",
    "amr": "amr",
    "caf": "caf",
    "au": "au",
    "w64": "w64",
    "mpegts": "mpegts",
}
_SIGNATURES = (
    (b"fLaC", "flac"),
    (b"OggS", "ogg"),
    (b"\x1a\x45\xdf\xa3", "webm"),
    (b"#!AMR", "amr"),
    (b"caff", "caf"),
    (b".snd", "au"),
    (b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb", "w64"),
)
_PROBED = (
    "aac", "ac3", "aiff", "amr", "amrnb", "amrwb", "ape", "asf", "au", "avi", "caf", "eac3", "flac", "flv", "iff", "ircam", "loas",
    "matroska", "mov", "mp3", "mpeg", "mpegts", "nistsphere", "ogg", "tta", "voc", "w64", "wav", "webm", "wv",
)  # fmt: skip
"""What FFmpeg may find by itself: containers of sound, or with sound in them, that refer to no other files."""
_MOST_TAGS = 4
_UNFRAMED = ("mp3", "aac")
"""May begin anywhere, in the middle of a frame; so a declaration is believed."""
_RAW = {"pcm": "s16le", "pcm_s16be": "s16be", "pcm_f32le": "f32le", "pcmu": "mulaw", "pcma": "alaw"}
_TELEPHONE = {"pcmu", "pcma"}

_MEDIA_TYPES: dict[str, str] = {
    "audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav", "audio/vnd.wave": "wav",
    "audio/flac": "flac", "audio/x-flac": "flac",
    "audio/mpeg": "mp3", "audio/mp3": "mp3",
    "audio/ogg": "ogg", "audio/opus": "ogg", "audio/vorbis": "ogg", "application/ogg": "ogg",
    "audio/webm": "webm", "video/webm": "webm",
    "audio/mp4": "m4a", "audio/m4a": "m4a", "audio/x-m4a": "m4a", "video/mp4": "m4a",
    "audio/aac": "aac", "audio/aacp": "aac", "audio/x-aac": "aac", "audio/aiff": "aiff", "audio/x-aiff": "aiff",
    "audio/amr": "amr", "audio/amr-wb": "amr", "audio/3gpp": "m4a", "audio/3gpp2": "m4a", "video/3gpp": "m4a",
    "video/quicktime": "m4a",
    "audio/x-caf": "caf", "audio/au": "au", "audio/x-au": "au", "audio/basic": "pcmu", "audio/w64": "w64", "audio/x-w64": "w64",
    "video/mp2t": "mpegts", "audio/mp2t": "mpegts",
    "audio/pcm": "pcm", "audio/l16": "pcm_s16be", "audio/pcmu": "pcmu", "audio/pcma": "pcma",
}  # fmt: skip
_UNDECLARED = {"", "application/octet-stream", "application/x-www-form-urlencoded", "binary/octet-stream"}


@dataclass(frozen=True, slots=True)
class Source:
    """What a recording is: name and FFmpeg demuxer; of raw samples also rate (Hz) and channels."""

    name: str
    demuxer: str
    rate_hz: int | None = None
    channels: int = 1


@dataclass(frozen=True, slots=True)
class Declared:
    """What the sender says of a recording: media type with its parameters, and explicit fields, which come first."""

    media_type: str = ""
    input_format: InputFormat = "auto"
    rate_hz: int | None = None
    channels: int | None = None


def identify(data: bytes, declared: Declared) -> Source:
    """What `data` is. Raw samples must be declared; everything else is recognised by its first bytes.

    Raises InvalidRequest: `audio_empty`, `missing_required_parameter` (raw without a rate), `unsupported_format` (415),
    `audio_unreadable`.
    """
    if not data:
        raise InvalidRequest("the recording is empty", code="audio_empty", param="file")
    media_type, parameters = _split(declared.media_type)
    asked = "ogg" if declared.input_format == "opus" else declared.input_format
    name = asked if asked != "auto" else _MEDIA_TYPES.get(media_type)
    if media_type == "audio/basic" and sniff(data) == "au":  # RFC 2046 means samples alone, but files are sent under it
        name = "au"
    if name in _RAW:
        return _raw(name, declared, parameters)
    found = _found(data, name)
    if found is not None and asked in ("auto", found.name):
        return found
    if asked != "auto":
        raise InvalidRequest(
            f"the recording is not {asked}" + (f" but {found.name}" if found else ""),
            code="audio_unreadable",
            param="file",
        )
    if name is None and media_type not in _UNDECLARED:
        raise UnsupportedMedia(f"{media_type[:60]} is not supported; accepted: {', '.join(sorted(_MEDIA_TYPES))}")
    raise InvalidRequest(
        f"the body is not a recording in a known format; accepted: {', '.join(_DEMUXERS)}, or raw samples as audio/pcm;rate=…",
        code="audio_unreadable",
        param="file",
    )


def _found(data: bytes, declared: str | None) -> Source | None:
    """What the bytes are: by their signature, as FFmpeg sees them, or, if they may begin anywhere, as `declared`."""
    name = sniff(data)
    if (name is None or name in _UNFRAMED) and (demuxer := _probe(data)) is not None:  # two bytes are no signature
        return Source(next((name for name, known in _DEMUXERS.items() if known == demuxer), demuxer), demuxer)
    if name is None and declared in _UNFRAMED:
        name = declared
    return None if name is None else Source(name, _DEMUXERS[name])


def _probe(data: bytes) -> str | None:
    """The demuxer that FFmpeg chooses, if it is one of those allowed and finds sound."""
    options = {"format_whitelist": ",".join(_PROBED)}
    try:
        with av.open(io.BytesIO(data), "r", options=options, io_open=_no_further_files) as container:
            return container.format.name.partition(",")[0] if container.streams.audio else None
    except (FFmpegError, AttributeError):
        return None


def _split(media_type: str) -> tuple[str, dict[str, str]]:
    kind, *rest = media_type.split(";")
    pairs = (part.partition("=") for part in rest)
    return kind.strip().lower(), {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}


def _raw(name: str, declared: Declared, parameters: dict[str, str]) -> Source:
    rate_hz = declared.rate_hz or _number(parameters, "rate") or (8_000 if name in _TELEPHONE else None)
    channels = declared.channels or _number(parameters, "channels") or 1
    if rate_hz is None:
        raise InvalidRequest(
            "raw samples need a rate: audio/pcm;rate=16000, or sample_rate",
            code="missing_required_parameter",
            param="sample_rate",
        )
    if not _RATES_HZ[0] <= rate_hz <= _RATES_HZ[1]:
        raise InvalidRequest(
            f"sample_rate is {rate_hz}; accepted: {_RATES_HZ[0]} to {_RATES_HZ[1]}", param="sample_rate"
        )
    if channels > _MAX_CHANNELS:
        raise InvalidRequest(f"channels is {channels}; accepted: 1 to {_MAX_CHANNELS}", param="channels")
    return Source(name, _RAW[name], rate_hz, channels)


def _number(parameters: dict[str, str], key: str) -> int | None:
    value = parameters.get(key)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 8 and int(value) > 0):
        raise InvalidRequest(f"{key} in Content-Type is {value[:20]!r}, not a number", param=key)
    return int(value)


def sniff(data: bytes) -> str | None:
    """Name of the container that starts with these bytes, or None. ID3 tags before it, which any may have, are skipped."""
    at = _tags_end(data)
    head = data[at : at + 16]
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if head[4:8] == b"ftyp":
        return "m4a"
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "aac" if head[1] & 0xF6 == 0xF0 else "mp3"
    return None


def _tags_end(data: bytes) -> int:
    """Where the ID3v2 tags at the beginning end."""
    at = 0
    for _ in range(_MOST_TAGS):
        if data[at : at + 3] == b"ID3":
            at += _id3_size(data[at : at + 10])
    return at


def _id3_size(head: bytes) -> int:
    """Bytes of an ID3v2 tag: 10 of its header, as many of a footer, and a length of four times seven bits (id3.org, 3.1)."""
    length = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=False))
    footer = 10 if len(head) > 5 and head[5] & 0x10 else 0
    return 10 + length + footer


def decode(data: bytes, source: Source, *, max_s: float) -> Pcm:
    """The recording as float32 mono [T] at 16 kHz, in [-1, 1]; louder samples are clipped, channels mixed (`Downmix`).

    A recording that breaks off is taken as far as it goes, and damaged packets are skipped, unless most of them are.
    Raises InvalidRequest: `audio_unreadable`, `audio_not_finite`, `audio_too_short`, `audio_too_long` (it is decoded no
    further than `max_s`).
    """
    pieces: list[Pcm] = []
    resampler, rate_hz, duration_s = Resampler(MODEL_RATE_HZ, MODEL_RATE_HZ), MODEL_RATE_HZ, Fraction()
    for pcm, frame_hz in _frames(data, source, max_s):
        if not np.isfinite(pcm).all():
            raise InvalidRequest(
                "the recording has samples that are not numbers", code="audio_not_finite", param="file"
            )
        duration_s += Fraction(pcm.size, frame_hz)
        if duration_s > max_s:
            raise InvalidRequest(f"the recording is longer than {max_s:g} s", code="audio_too_long", param="file")
        if frame_hz != rate_hz:
            pieces.append(resampler.flush())
            resampler, rate_hz = Resampler(frame_hz, MODEL_RATE_HZ), frame_hz
        pieces.append(resampler.push(np.clip(pcm, -1.0, 1.0)))
    if duration_s < MIN_QUESTION_S:
        code = "audio_too_short" if duration_s else "audio_empty"
        raise InvalidRequest(f"the recording is shorter than {MIN_QUESTION_S:g} s", code=code, param="file")
    pieces.append(resampler.flush())
    return np.clip(np.concatenate(pieces), -1.0, 1.0)


def _frames(data: bytes, source: Source, max_s: float) -> Iterator[tuple[Pcm, int]]:
    """Decoded frames, mono, with their rates."""
    options: dict[str, str] = {}
    if source.rate_hz is not None:
        options = {"sample_rate": str(source.rate_hz), "ch_layout": f"{source.channels}c"}
    good = bad = 0
    downmix = Downmix()
    try:
        with av.open(
            io.BytesIO(data[_tags_end(data) :]), "r", format=source.demuxer, options=options, io_open=_no_further_files
        ) as container:
            if not container.streams.audio:
                raise _unreadable(source)
            budget = _Budget(max_s)
            budget.check(container.streams.audio[0])
            for packet in container.demux(container.streams.audio[0]):
                try:
                    frames = packet.decode()
                except FFmpegError:
                    bad += 1
                    continue
                good += bool(frames)
                for frame in frames:
                    budget.spend(frame.samples * frame.layout.nb_channels)
                    yield downmix.push(_channels(frame, source)), frame.sample_rate
    except (FFmpegError, AttributeError) as failure:  # AttributeError: a stream whose codec FFmpeg does not have
        if not good:
            raise _unreadable(source) from failure
    if bad > good:
        raise _unreadable(source)


class _Budget:
    """How many samples a recording of at most `max_s` may have, all channels together."""

    def __init__(self, max_s: float) -> None:
        self._most = self._left = max_s * _SAMPLES_PER_S

    def check(self, stream: AudioStream) -> None:
        """Raises InvalidRequest for a stream that says it has more. What none says is counted."""
        seconds = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        if seconds * stream.rate * stream.channels > self._most:
            raise self._too_much()

    def spend(self, samples: int) -> None:
        """Raises InvalidRequest when there are more."""
        self._left -= samples
        if self._left < 0:
            raise self._too_much()

    def _too_much(self) -> InvalidRequest:
        return InvalidRequest(
            f"rate × channels × duration of the recording exceed {self._most:,.0f} samples",
            code="audio_too_complex",
            param="file",
        )


def _no_further_files(url: str, flags: int, options: object) -> Never:
    raise PermissionError("a recording may not refer to other files")


def _unreadable(source: Source) -> InvalidRequest:
    return InvalidRequest(f"the recording cannot be decoded as {source.name}", code="audio_unreadable", param="file")


def _channels(frame: AudioFrame, source: Source) -> NDArray[np.float32]:
    """The frame's channels [C, T], in [-1, 1]. Raises InvalidRequest."""
    rate_hz, channels = frame.sample_rate, frame.layout.nb_channels
    if not _RATES_HZ[0] <= rate_hz <= _RATES_HZ[1] or not 1 <= channels <= _MAX_CHANNELS:
        raise _unreadable(source)
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, channels).T
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128.0) / 128.0
    if np.issubdtype(samples.dtype, np.integer):
        return samples.astype(np.float32) / np.float32(2 ** (8 * samples.dtype.itemsize - 1))
    return samples.astype(np.float32)


def check_speech(pcm: Pcm, voice_activity: VoiceActivity) -> None:
    """Raises InvalidRequest (`audio_silent`) unless somebody may be speaking in `pcm` (16 kHz)."""
    if float(np.abs(pcm).max()) < SILENCE_PEAK:
        raise InvalidRequest("the recording is silent", code="audio_silent", param="file")
    window = voice_activity.window_samples
    padded = np.pad(pcm, (0, -pcm.size % window))
    for start in range(0, padded.size, window):
        if voice_activity.probability(padded[start : start + window]) >= SPEECH_PROBABILITY:
            return
    raise InvalidRequest("no speech was found in the recording", code="audio_silent", param="file")
