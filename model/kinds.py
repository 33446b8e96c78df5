"""Which code runs which part of a bundle: the kinds that a profile may name.

A family of models is a bundle, and a kind here for each part that no other family has. Every entry imports its code when it is
called: a server pays for the kinds of its own bundle alone, and the vocoder's is loaded in the vocoder's own process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from model.profile import Profile
from streaming.errors import BundleError
from streaming.stability import EarlyCounts
from streaming.stages import Pcm, SpeechEncoder
from streaming.turn import PromptWriter

if TYPE_CHECKING:
    from model.encoders.s3.early import EarlyUnits

Look = Callable[[Path, Profile], str]
"""Looks at a part and says what it found. Raises BundleError for what is wrong; what else it raises is wrong too."""


class EncoderStage(SpeechEncoder, Protocol):
    """An encoder with a life."""

    def close(self) -> None:
        """Stop its thread."""
        ...


@runtime_checkable
class EarlyEncoder(EncoderStage, Protocol):
    """An encoder that hears both ways, and can nevertheless commit units while somebody speaks."""

    early_counts: EarlyCounts

    def commit_early(self, plan: EarlyUnits | None) -> None:
        """Do so for speeches that begin from now on; None: tell nothing of a speech before it is over."""
        ...


class StreamingVocoder(Protocol):
    """Units to audio, piece by piece. All of a stream is in its state: one vocoder serves many.

    `voices`: names that `open` takes, the first is the default; `batch`: how many streams it gains from being pushed at once.
    """

    sample_rate: int
    voices: tuple[str, ...]
    batch: int

    def open(self, voice: str | None = None) -> Any:
        """The state of a fresh stream. Raises InvalidRequest for a voice that there is not."""
        ...

    def push(self, state: Any, units: Sequence[int], *, final: bool = False) -> Pcm:
        """Float32 [T] in [-1, 1]: what is certain after these units, and with `final` all the rest."""
        ...

    def push_all(self, jobs: Sequence[tuple[Any, Sequence[int], bool]]) -> list[Pcm]:
        """`push` for several streams, each there once: (state, units, final)."""
        ...

    def decode(self, units: Sequence[int]) -> Pcm:
        """All audio of `units`; the same, sample for sample, as any way of pushing them."""
        ...


@dataclass(frozen=True, slots=True)
class EncoderKind:
    """`load(directory, profile, device)`; `looks`: what `cslm check` looks at, by name; `glance`: what `cslm serve` looks at first;
    `early`: its stage is an `EarlyEncoder`.
    """

    load: Callable[[Path, Profile, str], EncoderStage]
    looks: Mapping[str, Look]
    glance: Look | None = None
    early: bool = False


@dataclass(frozen=True, slots=True)
class VocoderKind:
    """`load(directory, device)`; `looks`: what `cslm check` looks at, by name; `glance`: what `cslm serve` looks at first."""

    load: Callable[[Path, str], StreamingVocoder]
    looks: Mapping[str, Look]
    glance: Look | None = None


PromptFormat = Callable[[Profile, Path], PromptWriter]
"""Prompts of a profile, written with the tokenizer in a language model's directory. Raises BundleError."""

_Kind = TypeVar("_Kind")


def kind_of(kinds: Mapping[str, _Kind], name: str, part: str) -> _Kind:
    """The kind that a profile names. Raises BundleError with those there are."""
    if name not in kinds:
        raise BundleError(f"kinds.{part} is {name!r}; accepted: {', '.join(sorted(kinds))}", param=f"kinds.{part}")
    return kinds[name]


def _load_whisper_ctc(directory: Path, profile: Profile, device: str) -> EncoderStage:
    from model.encoders.block_stage import EncoderStage as Stage
    from model.encoders.whisper_ctc import UnitEncoder

    return Stage(UnitEncoder.load(directory))


def _look_at_whisper_ctc(directory: Path, profile: Profile) -> str:
    import numpy as np

    from model.encoders.whisper_ctc import UnitEncoder

    units = UnitEncoder.load(directory).encode(np.zeros(profile.input_sample_rate_hz, np.float32))
    if any(unit >= profile.n_units for unit in units):
        raise BundleError("the encoder gives units that the profile does not have")
    return f"one second of silence gives {len(units)} units"


def _load_s3(directory: Path, profile: Profile, device: str) -> EncoderStage:
    from model.encoders.s3.stage import S3Stage
    from model.encoders.s3.weights import load_network

    stage = S3Stage(load_network(directory), device=device)
    stage.warm()
    return stage


def _look_at_s3(directory: Path, profile: Profile) -> str:
    from model.encoders.s3.weights import describe

    config = describe(directory)
    if config.n_units != profile.n_units:
        raise BundleError(f"the encoder has {config.n_units} units, the profile {profile.n_units}")
    return (
        f"{config.n_units} units of {config.n_mels} mel bands at {100 // (2 * config.stride)} frames a second, "
        f"{config.layers} layers of {config.width}"
    )


def _load_whisper_vq(directory: Path, profile: Profile, device: str) -> EncoderStage:
    from model.encoders.block_stage import EncoderStage as Stage
    from model.encoders.whisper_vq import WhisperVq

    return Stage(WhisperVq.load(directory, device))


def _look_at_whisper_vq(directory: Path, profile: Profile) -> str:
    from model.encoders.whisper_vq import describe

    config = describe(directory)
    if config.n_units != profile.n_units:
        raise BundleError(f"the encoder has {config.n_units} units, the profile {profile.n_units}")
    return (
        f"{config.n_units} units of {config.n_mels} mel bands at {50 / config.pooled:g} a second, {config.layers} layers of "
        f"{config.width}, in blocks of {config.block / 50:g} s"
    )


def _load_source_filter(directory: Path, device: str) -> StreamingVocoder:
    from model.vocoders.source_filter import Vocoder

    return Vocoder.load(directory)


def _look_at_source_filter(directory: Path, profile: Profile) -> str:
    from model.vocoders.source_filter import Vocoder

    vocoder = Vocoder.load(directory)
    if vocoder.sample_rate != profile.output_sample_rate_hz:
        raise BundleError(
            f"the vocoder speaks {vocoder.sample_rate} Hz, the profile says {profile.output_sample_rate_hz}"
        )
    pcm = vocoder.decode(list(range(min(8, profile.n_units))))
    return f"eight units give {pcm.size / vocoder.sample_rate:.2f} s at {vocoder.sample_rate} Hz"


def _load_flow_hift(directory: Path, device: str) -> StreamingVocoder:
    from model.vocoders.flow_hift.decoder import FlowHiftVocoder

    return FlowHiftVocoder.load(directory, device)


def _glance_at_flow_hift(directory: Path, profile: Profile) -> str:
    from model.vocoders.flow_hift.decoder import look

    config, voices = look(directory)
    if config.sample_rate != profile.output_sample_rate_hz:
        raise BundleError(
            f"the vocoder speaks {config.sample_rate} Hz, the profile says {profile.output_sample_rate_hz}"
        )
    if config.flow.n_units != profile.n_units:
        raise BundleError(f"the vocoder has {config.flow.n_units} units, the profile {profile.n_units}")
    strangers = [voice for voice in profile.voices if voice not in voices]
    if strangers:
        raise BundleError(f"the voice {strangers[0]!r} has no embedding; there are: {', '.join(voices)}")
    return f"voices {', '.join(voices)}"


def _look_at_flow_hift(directory: Path, profile: Profile) -> str:
    from model.vocoders.flow_hift.decoder import FlowHiftVocoder

    voices = _glance_at_flow_hift(directory, profile)
    vocoder = FlowHiftVocoder.load(directory)
    pcm = vocoder.decode(list(range(min(8, profile.n_units))))
    return (
        f"eight units give {pcm.size / vocoder.sample_rate:.2f} s at {vocoder.sample_rate} Hz; {vocoder.timing}; "
        f"{voices}"
    )


def _interleaved(profile: Profile, lm_directory: Path) -> PromptWriter:
    from model.prompts.interleaved import Prompts

    return Prompts(profile, lm_directory)


def _alternating(profile: Profile, lm_directory: Path) -> PromptWriter:
    from model.prompts.alternating import AlternatingPrompts

    return AlternatingPrompts(profile, lm_directory)


ENCODERS: dict[str, EncoderKind] = {
    "whisper_ctc": EncoderKind(_load_whisper_ctc, {"encoder": _look_at_whisper_ctc}),
    "s3": EncoderKind(_load_s3, {"encoder": _look_at_s3}, glance=_look_at_s3, early=True),
    "whisper_vq": EncoderKind(_load_whisper_vq, {"encoder": _look_at_whisper_vq}, glance=_look_at_whisper_vq),
}
VOCODERS: dict[str, VocoderKind] = {
    "source_filter": VocoderKind(_load_source_filter, {"vocoder": _look_at_source_filter}),
    "flow_hift": VocoderKind(_load_flow_hift, {"vocoder": _look_at_flow_hift}, glance=_glance_at_flow_hift),
}
PROMPTS: dict[str, PromptFormat] = {
    "interleaved": _interleaved,
    "alternating": _alternating,
}
