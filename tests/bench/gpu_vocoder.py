"""The vocoder of cslm-8b on a GPU: its first window and a steady one, for 1, 8 and 32 streams, eager and as CUDA graphs.

    python -m tests.bench.gpu_vocoder

Full sizes and random weights, which take as long as others. A window is timed from its units to its samples on the host. More
streams than a batch holds are taken in batches, as the server does; the time is that of all of them. Ten minutes are enough: what
does not fit into `--budget` seconds is left out and said. `--device cpu --small` tries the script without a GPU.

Checked on the way: graphs against eager windows, the GPU against the processor in float32, and how often a batch waits for the
device: once, for its samples.
"""

from __future__ import annotations

import copy
import gc
import time
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from model.vocoders.flow_hift.config import VocoderConfig
from model.vocoders.flow_hift.decoder import FlowHiftVocoder, Stream
from model.vocoders.flow_hift.flow import Flow
from model.vocoders.flow_hift.hift import Hift
from model.vocoders.flow_hift.small import SMALL
from streaming.stages import Pcm
from tests.bench.results import arguments, ms, origin, summary, table, write

STREAMS = (1, 8, 32)
MODES = ("eager", "graphs")
ROUNDS, STEADY_AFTER = 20, 6
"""Blocks before every further one is like the one before."""
_FIRST_UNITS = 23


def main() -> None:
    """Measure and write."""
    parser = arguments(__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16", help="of the flow")
    parser.add_argument("--small", action="store_true", help="small weights, to try the script")
    parser.add_argument("--budget", type=float, default=540.0, help="seconds")
    options = parser.parse_args()
    deadline_s = time.monotonic() + options.budget
    config = replace(SMALL if options.small else VocoderConfig(), dtype=options.dtype, durations="fixed")
    record: dict[str, Any] = {
        "origin": origin(),
        "device": name_of(options.device),
        "dtype": options.dtype,
        "modes": {},
    }
    parts = weights(config)
    record["against_cpu"] = against_cpu(config, parts, options.device)
    heard: dict[str, Pcm] = {}
    for mode in MODES if options.device == "cuda" else MODES[:1]:
        began_s = time.monotonic()
        vocoder = made(replace(config, graphs=mode == "graphs"), copy.deepcopy(parts), options.device)
        found: dict[str, Any] = {"start_s": time.monotonic() - began_s}
        heard[mode] = vocoder.decode(units(100))
        found["waits"] = waits(vocoder) if options.device == "cuda" else None
        found["streams"] = {str(count): timed(vocoder, count, deadline_s) for count in STREAMS}
        record["modes"][mode] = found | memory(options.device)
        del vocoder
        gc.collect()
    if "graphs" in heard:
        record["graphs_against_eager"] = difference(heard["graphs"], heard["eager"])
    write(options.out, "gpu_vocoder", record, report(record))


def name_of(device: str) -> str:
    """What computes."""
    return torch.cuda.get_device_name() if device == "cuda" else "no GPU: the processor"


def weights(config: VocoderConfig) -> tuple[Flow, Hift]:
    """Random ones, a pitch of about 150 Hz."""
    torch.manual_seed(11)
    flow, hift = Flow(config.flow), Hift(config.hift, config.sample_rate)
    hift.f0_predictor.classifier.bias.data.fill_(150.0)
    return flow, hift


def made(config: VocoderConfig, parts: tuple[Flow, Hift], device: str) -> FlowHiftVocoder:
    """A vocoder with those weights; graphs are recorded now."""
    return FlowHiftVocoder(config, *parts, {"one": torch.ones(config.flow.speaker_width)}, None, device)


def units(count: int, seed: int = 0) -> list[int]:
    """Random units, no two alike in a row."""
    steps = np.random.default_rng(seed).integers(1, 100, count)
    return [int(unit) for unit in np.cumsum(steps) % 4096]


def against_cpu(config: VocoderConfig, parts: tuple[Flow, Hift], device: str) -> float:
    """The device in float32 against the processor, of the first windows."""
    exact = replace(config, dtype="float32")
    line = units(40)
    here = made(exact, copy.deepcopy(parts), "cpu").decode(line)
    return difference(made(exact, copy.deepcopy(parts), device).decode(line), here)


def difference(pcm: Pcm, other: Pcm) -> float:
    """RMS of the difference ÷ RMS."""
    return float(np.sqrt(np.mean((pcm - other) ** 2)) / max(1e-9, np.sqrt(np.mean(other**2))))


def waits(vocoder: FlowHiftVocoder) -> float:
    """How often a steady window waits for the device."""
    stream = steady(vocoder, 1)[0]
    block = block_units(vocoder)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            blocks = stream.block
            vocoder.push_all([(stream, units(8 * block, 5), False)])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(each.message) for each in found) / max(1, stream.block - blocks)


def block_units(vocoder: FlowHiftVocoder) -> int:
    """Units that are enough for one more block."""
    return -int(-vocoder.config.grid.block // vocoder.config.frames_per_unit)


def steady(vocoder: FlowHiftVocoder, count: int) -> list[Stream]:
    """Streams past their first blocks."""
    streams = [vocoder.open() for _ in range(count)]
    for number, stream in enumerate(streams):
        while stream.block < STEADY_AFTER:
            vocoder.push(stream, units(block_units(vocoder), number + 7 * stream.block))
    return streams


def timed(vocoder: FlowHiftVocoder, count: int, deadline_s: float) -> dict[str, Any]:
    """Seconds of a first and of a steady window of all streams, and the seconds of sound in a steady one."""
    first, later, sound = list[float](), list[float](), list[float]()
    streams = steady(vocoder, count)
    for turn in range(ROUNDS):
        if time.monotonic() > deadline_s:
            break
        fresh = [vocoder.open() for _ in range(count)]
        first.append(spoken(vocoder, fresh, _FIRST_UNITS, turn)[0])
        took_s, samples = spoken(vocoder, streams, block_units(vocoder), turn)
        later.append(took_s)
        sound.append(samples / vocoder.sample_rate)
    return {"first_s": summary(first), "steady_s": summary(later), "sound_s": float(np.mean(sound)) if sound else 0.0}


def spoken(vocoder: FlowHiftVocoder, streams: list[Stream], count: int, seed: int) -> tuple[float, int]:
    """Seconds that all streams' next units take, in batches, and how many samples they gave."""
    jobs = [(stream, units(count, seed + 31 * number), False) for number, stream in enumerate(streams)]
    began_s, samples = time.perf_counter(), 0
    for start in range(0, len(jobs), vocoder.batch):
        samples += sum(pcm.size for pcm in vocoder.push_all(jobs[start : start + vocoder.batch]))
    return time.perf_counter() - began_s, samples


def memory(device: str) -> dict[str, float]:
    """Most that was allocated on the device."""
    if device != "cuda":
        return {}
    most = torch.cuda.max_memory_allocated() / 1e9
    torch.cuda.reset_peak_memory_stats()
    return {"memory_gb": most}


def report(record: dict[str, Any]) -> str:
    """A line for each mode and number of streams."""
    rows = []
    for mode, found in record["modes"].items():
        for count, times in found["streams"].items():
            first, later = times["first_s"], times["steady_s"]
            speed = f"{times['sound_s'] / later['p50']:.1f}" if later["n"] else "–"
            rows.append((mode, count, later["n"], ms(first["p50"]), ms(first["p95"]), ms(later["p50"]), ms(later["p95"]), speed))  # fmt: skip
    heads = (
        "windows",
        "streams",
        "rounds",
        "first window, ms: p50",
        "p95",
        "steady window, ms: p50",
        "p95",
        "sound ÷ time",
    )
    said = [f"{record['device']}, flow in {record['dtype']}."]
    for mode, found in record["modes"].items():
        said.append(f"Start of {mode} windows: {found['start_s']:.1f} s.")
        if found["waits"] is not None:
            said.append(
                f"A steady window waits {found['waits']:.1f} times for the device; memory {found['memory_gb']:.1f} GB."
            )
    said.append(f"Against the processor in float32, the samples differ by {record['against_cpu']:.1e} of their RMS.")
    if "graphs_against_eager" in record:
        said.append(f"Graphs against eager windows: {record['graphs_against_eager']:.1e}.")
    return " ".join(said) + "\n\n" + table(heads, rows)


if __name__ == "__main__":
    main()
