"""Small random weights in exactly the released layout, for tests and for trying the path end to end. They speak noise.

python -m model.vocoders.flow_hift.small DIRECTORY
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from model.vocoders.flow_hift import durations
from model.vocoders.flow_hift.config import FlowConfig, HiftConfig, VocoderConfig, save_config
from model.vocoders.flow_hift.durations import DurationPredictor
from model.vocoders.flow_hift.flow import Flow
from model.vocoders.flow_hift.hift import Hift

SMALL = VocoderConfig(
    flow=FlowConfig(
        unit_width=32,
        speaker_width=192,
        width=32,
        heads=4,
        feed=64,
        layers=2,
        channels=(32, 32),
        transformers=1,
        mid_blocks=1,
        unet_heads=2,
        head_width=16,
        steps=4,
    ),
    hift=HiftConfig(width=32, pitch_width=32),
)
VOICES = ("中文女", "英文女")


def write_small(
    directory: Path, config: VocoderConfig = SMALL, *, predictor: bool = True, voices: tuple[str, ...] = VOICES
) -> None:
    """`config.json`, `flow.pt`, `hift.pt`, `spk2info.pt` and `duration.safetensors`: the same bytes every time."""
    directory.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        flow, hift = Flow(config.flow), Hift(config.hift, config.sample_rate)
        _voiced(hift)
        torch.save(flow.state_dict(), directory / "flow.pt")
        torch.save(unfold_weight_norm(hift), directory / "hift.pt")
        if config.speakers is not None:
            made = {name: {"embedding": torch.randn(1, config.flow.speaker_width)} for name in voices}
            torch.save(made, directory / config.speakers)
        if predictor:
            durations.save(DurationPredictor(config.flow.n_units, 16), directory)
    save_config(replace(config), directory)


def _voiced(hift: Hift) -> None:
    """So that random weights sing: pitch about 150 Hz, samples neither silent nor cut off."""
    hift.f0_predictor.classifier.bias.data.fill_(150.0)
    hift.f0_predictor.classifier.weight.data.mul_(20.0)


def unfold_weight_norm(hift: nn.Module, *, old: bool = False) -> dict[str, Tensor]:
    """The state dictionary with the names that weight normalisation gives: `old` before torch 2.0's parametrizations."""
    names = ("weight_g", "weight_v") if old else tuple(f"parametrizations.weight.original{half}" for half in "01")
    state = dict[str, Tensor]()
    for name, value in hift.state_dict().items():
        layer, _, kind = name.rpartition(".")
        if kind == "weight" and layer.split(".")[0] not in ("m_source", "source_downs") and "classifier" not in layer:
            length = value.flatten(1).norm(dim=1).view(-1, *[1] * (value.dim() - 1))
            state |= {f"{layer}.{names[0]}": length, f"{layer}.{names[1]}": value}
        else:
            state[name] = value
    return state


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Small random weights of the CosyVoice vocoder.")
    parser.add_argument("directory", type=Path)
    write_small(parser.parse_args().directory)
