"""How much of an unfinished speech can be committed early, and how often that was wrong, for several rules (streaming/stability.py).

    python -m tests.bench.stability
    python -m tests.bench.stability --s3 BUNDLE/encoder [--recordings RECORDING ...]

Every recording is encoded again and again as it grows, as the server does with `CSLM_EARLY_UNITS`. `early`: share of a speech's
frames committed at the last look before its end. `wrong`: share of the committed frames that the whole speech contradicts.
`units`: edit distance from what the language model is told to the units of the whole speech, over their number.

Which rule is right is a matter of what attention has learnt. The weights of cslm-8b's tokenizer are not in this repository; without
`--s3` two others are measured: Whisper-base's encoder as cslm-mini was trained with it, here attending to all of the speech
where cslm-mini shows it windows (frames of 20 ms), and a small random tokenizer, which tells what happens where nothing was learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from model.encoders.s3.network import S3Network
from model.encoders.s3.weights import load_network
from model.encoders.s3.windows import merged
from model.encoders.whisper_ctc import FRAME_SAMPLES, WhisperCtc
from model.encoders.whisper_network import EncoderConfig
from model.mel import LogMel
from model.training.edit_distance import distance
from streaming.audio import MODEL_RATE_HZ, AudioFrame, resampled
from streaming.stability import CommittedPrefix, StabilityRule
from streaming.stages import Pcm
from tests.bench.questions import manifest
from tests.bench.results import BUNDLE, arguments, origin, table, write

EVERY_S, REPEATS, EDGES_S = (0.5, 1.0), (1, 2, 3), (0.0, 0.24, 0.48, 1.0)
MOST_S = 30
Encode = Callable[[Pcm], list[int]]
Looks = list[list[int]]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--s3", type=Path, help="directory of a tokenizer, to be measured alone")
    parser.add_argument("--recordings", type=Path, nargs="+", help="in place of those of tests/data/recordings")
    options = parser.parse_args()
    torch.set_num_threads(1)
    speeches = [heard(path) for path in options.recordings or [asked.path for asked in manifest()]]
    record: dict[str, Any] = {"origin": origin(options.s3 or BUNDLE), "speeches": len(speeches)}
    record["seconds"] = round(sum(pcm.size for pcm in speeches) / MODEL_RATE_HZ, 1)
    record["encoded"] = {str(every_s): round(encoded(speeches, every_s), 2) for every_s in EVERY_S}
    record["encoders"] = {}
    for name, encode, rate_hz in encoders(options.s3):
        record["encoders"][name] = list(judged(encode, rate_hz, speeches))
    write(options.out, "stability", record, report(record))


def encoders(s3: Path | None) -> Iterator[tuple[str, Encode, int]]:
    """Name, codes of a speech, and frames a second."""
    if s3 is not None:
        yield "tokenizer", tokenizer(load_network(s3)), 25
        return
    from tests.released.speech_tokenizer import random_network

    yield "Whisper-base, learnt", whole_attention(BUNDLE / "encoder"), 50
    yield "random tokenizer", tokenizer(random_network()), 25


def heard(path: Path) -> Pcm:
    """A recording at 16 kHz, at most 30 s of it."""
    pcm, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return resampled(AudioFrame(pcm.mean(axis=1), rate_hz), MODEL_RATE_HZ)[: MOST_S * MODEL_RATE_HZ]


def encoded(speeches: Sequence[Pcm], every_s: float) -> float:
    """Sound that is encoded, looks and whole, over the sound that was spoken."""
    step = round(every_s * MODEL_RATE_HZ)
    looks = sum(sum(range(step, pcm.size, step)) + pcm.size for pcm in speeches)
    return looks / sum(pcm.size for pcm in speeches)


def tokenizer(network: S3Network) -> Encode:
    """cslm-8b's."""
    mel = LogMel(network.config.n_mels)

    def encode(pcm: Pcm) -> list[int]:
        spectrum = mel(torch.from_numpy(pcm)[None])
        codes, _ = network(spectrum, torch.tensor([spectrum.shape[-1]]))
        return codes[0].tolist()

    return encode


def whole_attention(directory: Path) -> Encode:
    """cslm-mini's, with one block that is as long as the speech."""
    loaded = WhisperCtc.load(directory, bfloat16=False)
    config: EncoderConfig = replace(loaded.config, context_frames=0, block_frames=50 * MOST_S + 50)
    encoder = WhisperCtc(config, type(loaded._trunk)(config), loaded._head)
    encoder._trunk.load_state_dict(loaded._trunk.state_dict())

    @torch.inference_mode()
    def encode(pcm: Pcm) -> list[int]:
        whole = np.pad(pcm, (0, -pcm.size % FRAME_SAMPLES))
        return encoder._head(encoder._trunk(torch.from_numpy(whole)[None]))[0].argmax(-1).tolist()

    return encode


def judged(encode: Encode, rate_hz: int, speeches: Sequence[Pcm]) -> Iterator[dict[str, float | int]]:
    """One line a rule."""
    step, seen = round(min(EVERY_S) * MODEL_RATE_HZ), list[Looks]()
    for pcm in speeches:
        seen.append([encode(pcm[:end]) for end in [*range(step, pcm.size, step), pcm.size]])
    for every_s, repeats, edge_s in product(EVERY_S, REPEATS, EDGES_S):
        rule = StabilityRule(repeats, round(edge_s * rate_hz))
        stride = round(every_s / min(EVERY_S))
        found = row(rule, [[*looks[:-1][stride - 1 :: stride], looks[-1]] for looks in seen])
        yield {"every_s": every_s, "repeats": repeats, "edge_s": edge_s, **found}


def row(rule: StabilityRule, speeches: Sequence[Looks]) -> dict[str, float | int]:
    """What a rule does to speeches: codes at each look, at last of the whole."""
    frames = early = revised = units = wrong_units = 0
    for *unfinished, whole in speeches:
        prefix = CommittedPrefix(rule)
        for codes in unfinished:
            prefix.update(codes)
        told, true = merged([*prefix.frames, *prefix.settle(whole)]), merged(whole)
        frames, early, revised = frames + len(whole), early + len(prefix.frames), revised + prefix.revised
        units, wrong_units = units + len(true), wrong_units + distance(told, true)
    return {
        "early": round(early / frames, 4),
        "wrong": round(revised / max(1, early), 4),
        "units": round(wrong_units / max(1, units), 4),
    }


def report(record: dict[str, Any]) -> str:
    """One row a rule, three columns an encoder."""
    heads, columns = ["a pass every, s", "passes that agree", "from the end, s"], list[list[list[str]]]()
    for name, rules in record["encoders"].items():
        heads += [f"{name}: early", "of those wrong", "units wrong"]
        columns.append([[f"{rule[kind]:.1%}" for kind in ("early", "wrong", "units")] for rule in rules])
    rules = next(iter(record["encoders"].values()))
    rows = [
        [rule["every_s"], rule["repeats"], rule["edge_s"], *(cell for found in columns for cell in found[place])]
        for place, rule in enumerate(rules)
    ]
    costs = ", ".join(f"{cost:.1f} s with a pass every {every_s} s" for every_s, cost in record["encoded"].items())
    said = (
        f"{record['speeches']} recordings, {record['seconds']} s in all. Audio encoded for each second spoken: {costs}."
    )
    return f"{said}\n\n{table(heads, rows)}"


if __name__ == "__main__":
    main()
