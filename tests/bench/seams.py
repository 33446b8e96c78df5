"""Is streamed speech the same as speech decoded at once, and can the cuts be heard?

    python -m tests.bench.seams --bundle model/bundles/cslm-mini
    python -m model.vocoders.flow_hift.small /tmp/small && python -m tests.bench.seams --flow-hift /tmp/small

The units of every recording, and of four recordings at a time, are spoken by the vocoder, once whole and in cuts of
several sizes. Two measures of clicks at
the places where pieces of audio join, each relative to the rest of the same audio: the jump from one sample to the next,
and the energy above 8 kHz in the 2 ms around it. As a check of the measures, the last row drops one millisecond at every join of the
planner's cuts. With `--flow-hift DIRECTORY` the vocoder is that of the CosyVoice family and the units are random; its audio comes
in the pieces of its own grid whatever the cuts, so one more row measures the places where the blocks of its mel meet.

Speech has loud and quiet places, so a jump says nothing by itself. Two controls stand beside it. *Offline*: the same at the same
places of the audio that was decoded at once, where nothing joins; a seam is what the streamed audio has more than that. *By
chance*: 95% of what the median is where the joins of all utterances are moved along by one and the same random distance, which keeps
their number and how they lie to each other; a median inside it cannot be told from no seam.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import torch

from model.bundle import Bundle
from model.encoders.whisper_ctc import WhisperCtc
from model.evaluation.seams import PLACES, by_chance, high_ratios, jump_ratios, planned
from model.vocoders import StreamingVocoder
from model.vocoders.flow_hift.decoder import FlowHiftVocoder
from model.vocoders.flow_hift.windows import start_of
from model.vocoders.source_filter.decoder import SourceFilterVocoder
from tests.bench.questions import manifest
from tests.bench.results import BUNDLE, arguments, origin, table, write

Pcm = npt.NDArray[np.float32]
SIZES = (1, 2, 7, 25, 120)
RANDOM = "no cut: random places"
BLOCKS = "no cut: where blocks of the mel meet"
CONTROL = "control: 1 ms lost at each"


def main() -> None:
    """Measure and write."""
    parser = arguments(__doc__)
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--limit", type=int, help="only the first so many recordings")
    parser.add_argument("--flow-hift", type=Path, help="weights of a CosyVoice vocoder, to be measured instead")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.flow_hift:
        measure_flow_hift(options.flow_hift, options.out)
        return
    bundle = Bundle(options.bundle)
    encoder, vocoder = WhisperCtc.load(bundle.encoder), SourceFilterVocoder.load(bundle.vocoder)
    spoken = [encoder.encode(soundfile.read(asked.path, dtype="float32")[0]) for asked in manifest(options.limit)]
    spoken += [[unit for each in spoken[at : at + 4] for unit in each] for at in range(0, len(spoken), 4)]
    record: dict[str, Any] = {"origin": origin(options.bundle), "utterances": len(spoken)}
    record["units"] = sum(map(len, spoken))
    said = [(units, vocoder.decode(units)) for units in spoken]
    record["cuts"] = {name: measure(vocoder, said, name) for name in (RANDOM, *map(str, SIZES), "planner", CONTROL)}
    write(options.out, "seams", record, report(record))


def measure_flow_hift(weights: Path, out: Path) -> None:
    """The same for a vocoder that computes in blocks; eight utterances of 150 random units."""
    vocoder, draw = FlowHiftVocoder.load(weights), np.random.RandomState(2)
    spoken = draw.randint(0, vocoder.config.flow.n_units, (8, 150)).tolist()
    record: dict[str, Any] = {"origin": origin(weights), "utterances": len(spoken), "units": 8 * 150}
    names = (RANDOM, BLOCKS, *map(str, SIZES), "planner", CONTROL)
    said = [(units, vocoder.decode(units)) for units in spoken]
    record["alike"] = alike([whole for _, whole in said])
    record["cuts"] = {name: measure(vocoder, said, name) for name in names}
    write(out, "seams_flow_hift", record, report(record))


def cuts_of(count: int, name: str) -> list[int]:
    """Sizes of the cuts of `count` units: all alike, or as the planner makes them where units wait."""
    if name in (RANDOM, BLOCKS):
        return [count]
    if name.isdigit():
        size = int(name)
        return [min(size, count - start) for start in range(0, count, size)]
    return [len(cut) for cut in planned(range(count))]


def stream(vocoder: StreamingVocoder, units: Sequence[int], sizes: Iterable[int]) -> list[Pcm]:
    """The pieces of audio that streaming gives, empty ones left out."""
    state, pieces, at = vocoder.open(), [], 0
    for size in sizes:
        at += size
        pieces.append(vocoder.push(state, units[at - size : at], final=at == len(units)))
    return [piece for piece in pieces if piece.size]


def alike(audio: Sequence[Pcm]) -> float:
    """Mean correlation of two of them, sample by sample: 0 where they have nothing in common, 1 where they are the same."""
    least = min(pcm.size for pcm in audio)
    between = np.corrcoef(np.stack([pcm[:least] for pcm in audio]))
    return round(float(between[np.triu_indices(len(audio), 1)].mean()), 3)


def measure(vocoder: StreamingVocoder, said: Sequence[tuple[Sequence[int], Pcm]], name: str) -> dict[str, Any]:
    """Differences from offline decoding, and the click measures, over all utterances: units, and their audio decoded at once."""
    equal, difference = 0, 0.0
    jumps, highs, offline = list[float](), list[float](), list[float]()
    places = list[tuple[Pcm, list[int]]]()
    for units, whole in said:
        pieces = stream(vocoder, units, cuts_of(len(units), name))
        if name == CONTROL:
            pieces = [piece[: -vocoder.sample_rate // 1000] for piece in pieces[:-1]] + pieces[-1:]
        joined = np.concatenate(pieces)
        equal += joined.size == whole.size
        least = min(joined.size, whole.size)
        difference = max(difference, float(np.abs(joined[:least] - whole[:least]).max()))
        seams = list(accumulate(piece.size for piece in pieces))[:-1]
        if name == RANDOM:
            seams = sorted(Random(joined.size).sample(range(1, joined.size), PLACES))
        if name == BLOCKS and isinstance(vocoder, FlowHiftVocoder):
            starts = [start_of(vocoder.config.grid, number) * vocoder.config.mel_hop for number in range(1, 100)]
            seams = [start for start in starts if start < joined.size]
        jumps += jump_ratios(joined, seams, vocoder.sample_rate)
        highs += high_ratios(joined, seams, vocoder.sample_rate)
        seams = [seam for seam in seams if seam < whole.size]
        offline += jump_ratios(whole, seams, vocoder.sample_rate)
        places.append((whole, seams))
    return {
        "equal_length": equal,
        "of": len(said),
        "largest_difference": None if name == CONTROL else difference,
        "seams": len(jumps),
        "jump": _spread(jumps),
        "offline": _spread(offline),
        "by_chance": by_chance(places, vocoder.sample_rate),
        "high_band": _spread(highs),
    }


def _spread(ratios: Sequence[float]) -> dict[str, float] | None:
    if not ratios:
        return None
    median, p95 = np.percentile(ratios, [50, 95])
    return {"n": len(ratios), "median": round(float(median), 3), "p95": round(float(p95), 3)}


def report(record: dict[str, Any]) -> str:
    """One row for each way to cut."""
    same = ("cuts of", "sample count as offline", "largest difference", "joins")
    heads = (*same, "jump: median", "offline", "by chance", "p95", "above 8 kHz: median", "p95")
    rows = [[_label(name), *_row(cut)] for name, cut in record["cuts"].items()]
    counts = f"{record['utterances']} utterances of {record['units']} units."
    if "alike" in record:
        counts += f" Two of them, with different units, correlate sample by sample with {record['alike']:.2f}."
    return f"{counts}\n\n{table(heads, rows)}"


def _label(name: str) -> str:
    return {"1": "1 unit", "planner": "6, then 24 units (planner)"}.get(
        name, f"{name} units" if name.isdigit() else name
    )


def _row(cut: dict[str, Any]) -> list[str]:
    difference = "–" if cut["largest_difference"] is None else f"{cut['largest_difference']:.1e}"
    head = [f"{cut['equal_length']} of {cut['of']}", difference, str(cut["seams"])]
    if not (cut["jump"] and cut["offline"] and cut["by_chance"] and cut["high_band"]):
        return [*head, *["–"] * 6]
    low, high = cut["by_chance"]
    jumps = (cut["jump"]["median"], cut["offline"]["median"], f"{low:.2f}–{high:.2f}", cut["jump"]["p95"])
    told = [each if isinstance(each, str) else f"{each:.2f}" for each in jumps]
    return [*head, *told, *(f"{cut['high_band'][value]:.2f}" for value in ("median", "p95"))]


if __name__ == "__main__":
    main()
