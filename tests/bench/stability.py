"""How much of an unfinished speech cslm-8b's tokenizer will not change its mind about, for several rules (streaming/stability.py).

    python -m tests.bench.stability BUNDLE/encoder RECORDING [RECORDING ...]

One line a rule. `early`: share of a speech's frames relied upon at the last look before its end; `wrong`: share of what was ever
relied upon that the whole speech, or a later look, contradicted. Meant for the real weights: random ones change everything.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path

import soundfile
import torch

from model.encoder import LogMel
from model.s3.network import S3Network
from model.s3.weights import load_network
from streaming.audio import MODEL_RATE_HZ, Resampler
from streaming.stability import LikelyPrefix, StabilityRule
from streaming.stages import Pcm

INTERVAL_S = 0.5
REPEATS, EDGES = (1, 2, 3), (0, 6, 12, 25)


def looks(network: S3Network, pcm: Pcm) -> list[list[int]]:
    """Codes of the speech as far as it was heard at each look, at last all of it."""
    mel, step = LogMel(network.config.n_mels), round(INTERVAL_S * MODEL_RATE_HZ)
    ends = [*range(step, pcm.size, step), pcm.size]
    seen = []
    for end in ends:
        spectrum = mel(torch.from_numpy(pcm[:end])[None])
        codes, _ = network(spectrum, torch.tensor([spectrum.shape[-1]]))
        seen.append(codes[0].tolist())
    return seen


def judged(rule: StabilityRule, speeches: list[list[list[int]]]) -> dict[str, float | int]:
    """The line of one rule."""
    frames = early = relied = revised = 0
    for *unfinished, whole in speeches:
        prefix, likely = LikelyPrefix(rule), list[int]()
        for codes in unfinished:
            likely = prefix.look(codes)
        prefix.settle(whole)
        frames, early = frames + len(whole), early + len(likely)
        relied, revised = relied + prefix.relied, revised + prefix.revised
    return {
        "repeats": rule.repeats,
        "edge_frames": rule.edge_frames,
        "early": round(early / frames, 3),
        "wrong": round(revised / max(1, relied), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("recordings", type=Path, nargs="+")
    options = parser.parse_args()
    network, speeches = load_network(options.encoder), []
    for path in options.recordings:
        pcm, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        heard = Resampler(rate_hz, MODEL_RATE_HZ).push(pcm.mean(axis=1), final=True)
        speeches.append(looks(network, heard[: 30 * MODEL_RATE_HZ]))
    for repeats, edge in product(REPEATS, EDGES):
        print(json.dumps(judged(StabilityRule(repeats, edge), speeches)))


if __name__ == "__main__":
    main()
