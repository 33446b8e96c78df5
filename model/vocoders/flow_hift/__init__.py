"""The vocoder of the CosyVoice family: units → durations → flow matching → HiFT, streamed in blocks on a fixed grid.

The modules keep the names of the weights that CosyVoice (arXiv 2407.05407, FunAudioLLM, Apache-2.0) releases, so that `flow.pt`
and `hift.pt` load as they are; the code is our own.
"""

from __future__ import annotations

from pathlib import Path

from model.profile import Profile
from model.vocoders import VocoderKind
from model.vocoders.flow_hift.decoder import FlowHiftVocoder, describe
from model.weights import loading
from streaming.errors import BundleError


def _load(directory: Path, device: str) -> FlowHiftVocoder:
    with loading(directory):
        return FlowHiftVocoder.load(directory, device)


def _preflight(directory: Path, profile: Profile) -> str:
    with loading(directory):
        config, voices = describe(directory)
    if config.sample_rate != profile.output_sample_rate_hz:
        raise BundleError(
            f"the vocoder's rate is {config.sample_rate} Hz, but the profile says {profile.output_sample_rate_hz}"
        )
    if config.flow.n_units != profile.n_units:
        raise BundleError(f"the vocoder has {config.flow.n_units} units, but the profile says {profile.n_units}")
    strangers = [voice for voice in profile.voices if voice not in voices]
    if strangers:
        raise BundleError(f"the voice {strangers[0]!r} has no embedding; accepted: {', '.join(voices)}")
    return f"voices {', '.join(voices)}"


def _check(directory: Path, profile: Profile) -> str:
    voices = _preflight(directory, profile)
    vocoder = _load(directory, "cpu")
    with loading(directory):
        pcm = vocoder.decode(list(range(min(8, profile.n_units))))
    return (
        f"eight units give {pcm.size / vocoder.sample_rate:.2f} s at {vocoder.sample_rate} Hz; {vocoder.timing}; "
        f"{voices}"
    )


KIND = VocoderKind(_load, checks={"vocoder": _check}, preflight=_preflight)
