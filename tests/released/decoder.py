"""`glm-4-voice-decoder` in small: `flow.pt` and `hift.pt`, with the settings that the bundle has for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from model.bundle import BUNDLES
from model.vocoders.flow_hift.config import VocoderConfig, load_config
from model.vocoders.flow_hift.small import SMALL, write_small


def small_config() -> VocoderConfig:
    """The bundle's settings, in the sizes of `model.vocoders.flow_hift.small`."""
    released, sizes = load_config(BUNDLES / "glm-4-voice" / "vocoder"), SMALL.flow
    flow = replace(
        sizes,
        n_units=released.flow.n_units,
        block_units=released.flow.block_units,
        norm_eps=released.flow.norm_eps,
        stretch=released.flow.stretch,
        steps=2,
    )
    return replace(released, flow=flow, hift=SMALL.hift)


def write_decoder(directory: Path) -> VocoderConfig:
    """The files, and the `config.json` that says their sizes. Returns what it says."""
    config = small_config()
    write_small(directory, config, predictor=False)
    return config
