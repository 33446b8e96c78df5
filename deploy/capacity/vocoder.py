"""Time of the vocoder's blocks: operations counted from the shapes of the real modules, which are made on torch's meta device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch

from deploy.capacity.hardware import USE, Gpu, Use
from model.vocoders.flow_hift.config import FlowConfig, HiftConfig, VocoderConfig
from model.vocoders.flow_hift.estimator import Estimator
from model.vocoders.flow_hift.hift import Hift

SERVED = VocoderConfig(dtype="bfloat16", graphs=True)
BYTES = 3e9
"""Memory of the vocoder's process: 125 M parameters, activations of a batch, CUDA's own. Assumed."""
KERNELS = 1226
"""Operators of one evaluation of the released estimator that launch a kernel, counted with a `TorchDispatchMode`."""


@cache
def _estimator_terms(config: FlowConfig) -> tuple[float, float]:
    """Operations of one evaluation for one session: per frame, and per frame squared."""
    with torch.device("meta"):
        estimator = Estimator(config)
    linear, square = 0.0, 0.0
    for name, weight in estimator.named_parameters():
        halved = name.startswith(("down_blocks.1", "mid_blocks", "up_blocks.0", "down_blocks.0.2"))
        if weight.dim() > 1 and ".mlp." not in name and not name.startswith("time_mlp"):
            linear += 2 * weight.numel() * (0.5 if halved else 1.0)
        if name.endswith("attn1.to_q.weight"):
            square += 4 * weight.shape[0] * (0.25 if halved else 1.0)
    return linear, square


def estimator_flops(config: FlowConfig, frames: int) -> float:
    """One evaluation for one session, without guidance."""
    linear, square = _estimator_terms(config)
    return linear * frames + square * frames**2


@cache
def hift_flops(config: HiftConfig) -> float:
    """Operations of one frame: every weight of a convolution is used once a step of its rate."""
    with torch.device("meta"):
        hift, total = Hift(config, 22_050), 0.0
    for name, weight in hift.named_parameters():
        if not name.endswith("weight") or weight.dim() < 2:
            continue
        part, *rest = name.split(".")
        level = int(rest[0]) if rest and rest[0].isdigit() else 0
        if part == "resblocks":
            level //= len(config.res_kernels)
        steps = {"resblocks": level + 1, "source_resblocks": level + 1, "source_downs": level + 1, "ups": level}
        rate = math.prod(config.rates[: steps.get(part, len(config.rates) if part == "conv_post" else 0)])
        total += 2 * weight.numel() * rate
    return total


@dataclass(frozen=True, slots=True)
class VocoderTiming:
    """The vocoder on one GPU. `graphs`: the estimator runs as CUDA graphs (`graphs` in its config)."""

    gpu: Gpu
    config: VocoderConfig = SERVED
    graphs: bool = True
    use: Use = USE

    def block_s(self, frames: int, emitted: int, batch: int = 1) -> float:
        """Windows of `frames` frames of `batch` sessions, of which `emitted` each are new: flow and HiFT.

        The flow's encoder is left out: it runs once where the estimator runs 2 × steps times.
        """
        flops = estimator_flops(self.config.flow, frames)
        evaluations = self.config.flow.steps
        launch = self.use.kernel_s if self.graphs else self.use.launch_s
        compute = 2 * batch * flops / (self.gpu.flops16 * self.use.vocoder_compute)
        hift_frames = emitted + 2 * 15 + 5
        hift = batch * hift_flops(self.config.hift) * hift_frames / (self.gpu.flops16 / 2 * self.use.vocoder_compute)
        return evaluations * max(compute, KERNELS * launch) + max(hift, 400 * self.use.launch_s)
