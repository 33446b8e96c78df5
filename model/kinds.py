"""The kinds that a profile may name, and the module of each.

A family of models needs a bundle, and a kind here for each part that no other family has. A module is imported when its kind is
asked for, so a server loads only the code of its own bundle.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from model.encoders import EncoderKind
from model.prompts import PromptFormat
from model.vocoders import VocoderKind
from streaming.errors import BundleError

ENCODERS = {
    "s3": "model.encoders.s3",
    "whisper_ctc": "model.encoders.whisper_ctc",
    "whisper_vq": "model.encoders.whisper_vq",
}
VOCODERS = {
    "flow_hift": "model.vocoders.flow_hift",
    "source_filter": "model.vocoders.source_filter",
}
PROMPTS = {
    "alternating": "model.prompts.alternating",
    "interleaved": "model.prompts.interleaved",
}


def encoder_kind(name: str) -> EncoderKind:
    """What runs the encoder. Raises BundleError with the accepted names."""
    kind: EncoderKind = _kind(ENCODERS, name, "encoder")
    return kind


def vocoder_kind(name: str) -> VocoderKind:
    """What runs the vocoder. Raises BundleError with the accepted names."""
    kind: VocoderKind = _kind(VOCODERS, name, "vocoder")
    return kind


def prompt_format(name: str) -> PromptFormat:
    """What writes the prompts. Raises BundleError with the accepted names."""
    kind: PromptFormat = _kind(PROMPTS, name, "prompts")
    return kind


def _kind(modules: Mapping[str, str], name: str, part: str) -> Any:
    if name not in modules:
        raise BundleError(f"kinds.{part} is {name!r}; accepted: {', '.join(sorted(modules))}", param=f"kinds.{part}")
    return import_module(modules[name]).KIND
