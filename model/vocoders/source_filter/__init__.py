"""Phonetic units to speech at 24 kHz, whole or as the units come.

units → durations and hidden states (two convolutions and a GRU that remembers the sentence) → frames of 12.5 ms → log-mel,
pitch and voicing (ConvNeXt blocks, as in Vocos, arXiv 2306.00814) → two filters a frame (the same blocks) over a source of
harmonics and one of noise, as in the neural source-filter family (arXiv 1904.12088, HiFTNet 2309.09493) → inverse STFT and
overlap-add.

Every layer has a finite view ahead, or is recurrent and carries its state. `push` keeps the frames that are still needed and
holds back those whose neighbours are not known yet, so the samples do not depend on how the units were cut.

Differs from HiFTNet: the harmonic filter is minimum phase (its phase follows from its magnitude through the cepstrum,
Oppenheim & Schafer). It can be learned from magnitudes alone, and sounds right long before an adversary would find the phases.
"""

from __future__ import annotations

from pathlib import Path

from model.profile import Profile
from model.vocoders import VocoderKind
from model.vocoders.source_filter.decoder import SourceFilterVocoder
from model.weights import loading
from streaming.errors import BundleError


def _load(directory: Path, device: str) -> SourceFilterVocoder:
    return SourceFilterVocoder.load(directory)


def _check(directory: Path, profile: Profile) -> str:
    vocoder = SourceFilterVocoder.load(directory)
    if vocoder.sample_rate != profile.output_sample_rate_hz:
        raise BundleError(
            f"the vocoder's rate is {vocoder.sample_rate} Hz, but the profile says {profile.output_sample_rate_hz}"
        )
    with loading(directory):
        pcm = vocoder.decode(list(range(min(8, profile.n_units))))
    return f"eight units give {pcm.size / vocoder.sample_rate:.2f} s at {vocoder.sample_rate} Hz"


KIND = VocoderKind(_load, checks={"vocoder": _check})
