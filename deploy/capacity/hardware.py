"""GPUs as their data sheets describe them, dense and without sparsity, and how much of that programs get."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gpu:
    """`memory_bytes`; `bandwidth`: bytes/s; `flops16`, `flops8`: FLOP/s in bfloat16 and in FP8 (INT8 on A100, unused); `source`."""

    name: str
    memory_bytes: float
    bandwidth: float
    flops16: float
    flops8: float
    source: str


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("L4", 24e9, 0.300e12, 121e12, 242e12, "https://www.nvidia.com/en-us/data-center/l4/"),
        Gpu("L40S", 48e9, 0.864e12, 362e12, 733e12, "https://www.nvidia.com/en-us/data-center/l40s/"),
        Gpu("A100", 80e9, 2.039e12, 312e12, 312e12, "https://www.nvidia.com/en-us/data-center/a100/"),
        Gpu("H100", 80e9, 3.35e12, 989e12, 1979e12, "https://www.nvidia.com/en-us/data-center/h100/"),
        Gpu("H200", 141e9, 4.8e12, 989e12, 1979e12, "https://www.nvidia.com/en-us/data-center/h200/"),
    )
}
"""L4 and L40S: the sheets give twice these FLOP/s "with sparsity"."""

A100_40 = Gpu("A100 40 GB", 40e9, 1.555e12, 312e12, 312e12, GPUS["A100"].source)
L20 = Gpu("L20", 48e9, 0.864e12, 119.5e12, 239e12, "https://www.techpowerup.com/gpu-specs/l20.c4206")


@dataclass(frozen=True, slots=True)
class Use:
    """What is reached of the data sheet. Chosen once, from the sources named; `deploy.capacity check` shows what that is worth.

    `bandwidth`: 77% of it were measured on an A100 at one request (johnmusgrave.com, see `published`), overhead included.
    `compute`: prefill of 2,048 tokens reaches 69% (A100), 54% (L40S) and 40% (H100, FP8) in NVIDIA's table; 0.55 is between.
    `step_s`: host time of a step of the engine that no kernel hides. Assumed. `first_s`: the same for taking in a request; NVIDIA's
    first tokens after 128 tokens are 4 to 6 ms late without it.
    `vocoder_compute`: the estimator is 256 wide, too narrow to fill a large GPU; no published number. Assumed.
    `kernel_s`: least time of a kernel in a CUDA graph, and `launch_s` without one (PyTorch's overhead of an operator). Assumed.
    """

    bandwidth: float = 0.80
    compute: float = 0.55
    step_s: float = 0.0006
    first_s: float = 0.004
    vocoder_compute: float = 0.25
    kernel_s: float = 2e-6
    launch_s: float = 8e-6


USE = Use()
