"""Trains the speech tokenizer: Whisper-base frozen, a CTC head on block-wise features.

    python -m model.training.tokenizer_train trunk    --whisper whisper-base/model.bin --out bundle/encoder
    python -m model.training.tokenizer_train features --speech speech/utt --encoder bundle/encoder --out speech/features
    python -m model.training.tokenizer_train train    --features speech/features --encoder bundle/encoder --work speech/tokenizer
    python -m model.training.tokenizer_train test     --speech speech/utt --encoder bundle/encoder

All stages resume. Features are made exactly as at run time (`WhisperCtc.features`), for a clean and a degraded copy of every
utterance (noise, babble, telephone band, room, gain, surrounding silence), with frame labels from the teacher's durations.
"""

from __future__ import annotations

import argparse
import json
import math
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.encoders.whisper_ctc import FRAME_SAMPLES, SAMPLE_RATE, WhisperCtc, save_config
from model.encoders.whisper_network import EncoderConfig, UnitHead, WhisperTrunk
from model.precision import products
from model.training.augment import augment, coloured_noise, mix
from model.training.edit_distance import distance
from model.training.g2p import ENGLISH_PHONES, INITIALS, INVENTORY, SIL, UNIT_ID, is_tone_unit, toneless
from model.training.trainer import young_average

Pcm = npt.NDArray[np.float32]


# --- the trunk, out of a CTranslate2 file


def read_ctranslate2(path: Path) -> dict[str, Tensor]:
    """Variables of a CTranslate2 model file (version 6, float16 or float32 weights)."""
    types = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
    variables = {}
    with path.open("rb") as file:
        _u32(file), _name(file), _u32(file)
        for _ in range(_u32(file)):
            name, rank = _name(file), file.read(1)[0]
            shape = [_u32(file) for _ in range(rank)]
            dtype, size = types[file.read(1)[0]], _u32(file)
            variables[name] = torch.from_numpy(np.frombuffer(file.read(size), dtype).reshape(shape).copy())
    return variables


def _u32(file: BinaryIO) -> int:
    return int(struct.unpack("<I", file.read(4))[0])


def _name(file: BinaryIO) -> str:
    return file.read(struct.unpack("<H", file.read(2))[0])[:-1].decode()


def make_trunk(whisper: Path, out: Path) -> None:
    """Write `config.json`, `trunk.safetensors` (fp16) and an untrained head into `out`."""
    config = EncoderConfig(
        n_units=len(INVENTORY),
        plain_units=1 + len(ENGLISH_PHONES) + len(INITIALS),
        silence_unit=UNIT_ID[SIL],
        lead_frames=25,
        quiet_peak=0.1,
        glide_frames=2,
    )
    source = read_ctranslate2(whisper)
    weights = {}
    for ours, theirs in _trunk_names(max(config.taps)):
        for name, part in (("weight", "weight"), ("bias", "bias")):
            there = f"{theirs}/{part}"
            if there not in source:
                there = f"{theirs}/{ {'weight': 'gamma', 'bias': 'beta'}[part] }"
            weights[f"{ours}.{name}"] = source[there].half()
    out.mkdir(parents=True, exist_ok=True)
    WhisperTrunk(config).load_state_dict({k: v.float() for k, v in weights.items()})
    save_file(weights, out / "trunk.safetensors")
    save_config(config, out)
    if not (out / "head.safetensors").exists():
        save_file({k: v.half() for k, v in UnitHead(config).state_dict().items()}, out / "head.safetensors")


def _trunk_names(layers: int) -> Iterator[tuple[str, str]]:
    yield from (("conv1", "encoder/conv1"), ("conv2", "encoder/conv2"), ("norm", "encoder/layer_norm"))
    for i in range(layers):
        there = f"encoder/layer_{i}"
        yield f"layers.{i}.attention_norm", f"{there}/self_attention/layer_norm"
        yield f"layers.{i}.attention.qkv", f"{there}/self_attention/linear_0"
        yield f"layers.{i}.attention.out", f"{there}/self_attention/linear_1"
        yield f"layers.{i}.feed_norm", f"{there}/ffn/layer_norm"
        yield f"layers.{i}.up", f"{there}/ffn/linear_0"
        yield f"layers.{i}.down", f"{there}/ffn/linear_1"


# --- features


def make_features(speech: Path, encoder: Path, out: Path, *, copies: int = 2, follow_until: float = 0.0) -> None:
    """Features and frame labels of every training utterance, `out/<index>_<copy>.npz`; with `follow_until` (Unix time) wait for more.

    The first of the `copies` is nearly clean, the others are augmented, each otherwise.
    """
    from tqdm import tqdm

    out.mkdir(parents=True, exist_ok=True)
    hear = WhisperCtc.load(encoder)
    babble = np.zeros(16_000, np.float32)
    bar = tqdm(mininterval=10)
    while True:
        todo = [p for p in sorted(speech.glob("*.npz")) if not (out / f"{p.stem}_{copies - 1}.npz").exists()]
        for path in todo:
            pcm, units, frames, line = load_utterance(path)
            if line.startswith("test"):
                continue
            for copy in range(copies):
                if (out / f"{path.stem}_{copy}.npz").exists():
                    continue
                rng = np.random.default_rng((int(path.stem), copy))
                heard, before = augment(pcm, rng, babble=babble, hard=copy > 0)
                features = hear.features(heard).half().numpy()
                labels = frame_labels(units, frames, len(features), before)
                np.savez(out / f"{path.stem}_{copy}.npz", features=features, labels=labels, units=units)
            babble = np.concatenate([babble, pcm])[-64_000:]
            bar.update()
        if time.time() > follow_until:
            return
        time.sleep(5)


def load_utterance(path: Path) -> tuple[Pcm, npt.NDArray[np.int16], npt.NDArray[np.int16], str]:
    """(float32 at 16 kHz, unit ids, frames of 25 ms per unit, manifest line)."""
    import soxr

    data = np.load(path)
    pcm = soxr.resample(data["pcm"].astype(np.float32) / 32768, 24_000, SAMPLE_RATE)
    return pcm.astype(np.float32), data["units"], data["frames"], str(data["text"])


def frame_labels(units: Sequence[int], frames: Sequence[int], length: int, before: int) -> npt.NDArray[np.int16]:
    """The unit in the middle of each 20 ms frame, `sil` outside: [length]."""
    ends = np.cumsum(np.asarray(frames, np.int64)) * 0.025
    middle = (np.arange(length) + 0.5) * FRAME_SAMPLES / SAMPLE_RATE - before / SAMPLE_RATE
    index = np.searchsorted(ends, middle, side="right")
    padded = np.append(np.asarray(units, np.int16), np.int16(UNIT_ID[SIL]))
    return np.where(middle < 0, np.int16(UNIT_ID[SIL]), padded[index])


# --- training


def train(features: Path, encoder: Path, work: Path, *, minutes: float, batch: int = 16, rate: float = 1.5e-3) -> None:
    """Frame cross-entropy, then CTC with a little of it; the averaged weights go to `encoder/head.safetensors` every minute: those of the end,
    where the rate is zero, are the ones to have. Sixty utterances say how it goes, too few to choose by.

    Begins with the head that is there, trained or not.
    """
    from tqdm import tqdm

    work.mkdir(parents=True, exist_ok=True)
    config = WhisperCtc.load(encoder).config
    data = _load_features(features)
    valid, data = data[:60], data[60:]
    head = UnitHead(config)
    head.load_state_dict({k: v.float() for k, v in load_file(encoder / "head.safetensors").items()})
    optimizer = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=0.02)
    average = torch.optim.swa_utils.AveragedModel(head, multi_avg_fn=young_average(0.998))
    step, spent = 0, 0.0
    checkpoint = work / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        head.load_state_dict(saved["head"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        step, spent = saved["step"], saved["spent"]
    bar, rng = tqdm(mininterval=10), np.random.default_rng(step)
    start, logged = time.time(), 0.0
    while spent < 60 * minutes:
        done = spent / (60 * minutes)
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, step / 100) * max(0.02, 0.5 * (1 + math.cos(math.pi * done)))
        chosen = [data[i] for i in rng.integers(0, len(data), batch)]
        loss = _loss(head.train(), chosen, rng, ctc=0.0 if done < 0.6 else 0.5, blank=config.n_units)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 2.0)
        optimizer.step()
        average.update_parameters(head)
        step, spent, start = step + 1, spent + time.time() - start, time.time()
        bar.update()
        if spent - logged > 60 or spent >= 60 * minutes:
            logged = spent
            error = _validate(average.module, valid, config)
            bar.write(f"step {step} {spent / 60:.1f} min loss {loss.item():.3f} error {error:.4f}")
            save_file({k: v.half() for k, v in average.module.state_dict().items()}, encoder / "head.safetensors")
            state = {"head": head.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save({**state, "step": step, "spent": spent}, checkpoint)


_Item = tuple[Tensor, Tensor, Tensor]


def _load_features(folder: Path) -> list[_Item]:
    """(features fp16, labels, units) of all copies; the first come first, so that a fixed few can validate."""
    items = []
    for path in sorted(folder.glob("*.npz")):
        data = np.load(path)
        labels = settle(data["labels"])
        items.append((torch.from_numpy(data["features"]), torch.from_numpy(labels), torch.from_numpy(data["units"])))
    return items


def settle(labels: npt.NDArray[np.int16], *, early: int = 2, longest: int = 12) -> npt.NDArray[np.int16]:
    """Labels corrected for two habits of the teacher: it sounds `early` frames before its durations say so, and it counts the
    silence after a sentence to the last unit, which is cut to `longest` frames."""
    labels = np.append(labels[early:], np.full(early, UNIT_ID[SIL], labels.dtype))
    spoken = np.flatnonzero(labels != UNIT_ID[SIL])
    if len(spoken):
        last = int(spoken[-1])
        other = np.flatnonzero(labels[: last + 1] != labels[last])
        first = int(other[-1]) + 1 if len(other) else 0
        labels[first + longest : last + 1] = UNIT_ID[SIL]
    return labels


def _loss(head: UnitHead, items: list[_Item], rng: np.random.Generator, *, ctc: float, blank: int) -> Tensor:
    lengths = torch.tensor([len(f) for f, _, _ in items])
    features = torch.nn.utils.rnn.pad_sequence([f.float() for f, _, _ in items], batch_first=True)
    labels = torch.nn.utils.rnn.pad_sequence([y.long() for _, y, _ in items], batch_first=True, padding_value=-100)
    for row in features:  # time masks, arXiv 1904.08779
        for _ in range(2):
            at = int(rng.integers(0, max(1, len(row) - 8)))
            row[at : at + int(rng.integers(0, 8))] = 0
    features *= torch.empty(len(items), 1, features.shape[-1]).bernoulli_(0.9) / 0.9  # whole channels
    with products():
        logits = head(features)
    logits = logits.float()
    frame = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100, label_smoothing=0.05)
    if ctc == 0.0:
        return frame
    targets, sizes = torch.cat([u for _, _, u in items]).long(), torch.tensor([len(u) for _, _, u in items])
    logp = logits.log_softmax(-1).transpose(0, 1)
    aligned = F.ctc_loss(logp, targets, lengths, sizes, blank=blank, zero_infinity=True)
    return (1 - ctc) * frame + ctc * aligned


@torch.inference_mode()
def _validate(head: UnitHead, items: list[_Item], config: EncoderConfig) -> float:
    wrong = total = 0
    for features, _, units in items:
        symbols = head.eval()(features.float()[None])[0].argmax(-1).tolist()
        got = [s for i, s in enumerate(symbols) if s != config.n_units and (i == 0 or symbols[i - 1] != s)]
        want = [int(u) for u in units]
        wrong += distance([g for g in got if g != config.silence_unit], [w for w in want if w != config.silence_unit])
        total += len(want)
    return wrong / max(1, total)


# --- testing


def unit_errors(got: Sequence[str], want: Sequence[str]) -> dict[str, float]:
    """Errors, tone apart, and tone errors of the syllables whose final was heard right: counts to add up."""
    got, want = [g for g in got if g != SIL], [w for w in want if w != SIL]
    pairs = align_pairs([toneless(g) for g in got], [toneless(w) for w in want])
    tones = [(got[i], want[j]) for i, j in pairs if is_tone_unit(want[j]) and toneless(got[i]) == toneless(want[j])]
    return {
        "phone": distance([toneless(g) for g in got], [toneless(w) for w in want]),
        "unit": distance(got, want),
        "total": len(want),
        "tone": sum(g != w for g, w in tones),
        "tones": len(tones),
    }


def align_pairs(got: Sequence[Any], want: Sequence[Any]) -> list[tuple[int, int]]:
    """Index pairs that an optimal alignment matches or substitutes."""
    cost = np.zeros((len(got) + 1, len(want) + 1), int)
    cost[:, 0], cost[0] = np.arange(len(got) + 1), np.arange(len(want) + 1)
    for i in range(1, len(got) + 1):
        for j in range(1, len(want) + 1):
            other = min(cost[i - 1, j], cost[i, j - 1]) + 1
            cost[i, j] = min(cost[i - 1, j - 1] + (got[i - 1] != want[j - 1]), other)
    pairs, i, j = [], len(got), len(want)
    while i and j:
        if cost[i, j] == cost[i - 1, j - 1] + (got[i - 1] != want[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]


def measure(speech: Path, encoder: Path, *, snr_db: float | None = None) -> dict[str, dict[str, float]]:
    """Phone, unit and tone error per held-out voice, and over each language; noise of `snr_db` (white to brown) if given."""
    hear = WhisperCtc.load(encoder)
    sums: dict[str, dict[str, float]] = {}
    confusions: dict[tuple[str, str], int] = {}
    for path in sorted(speech.glob("*.npz"))[:200]:
        pcm, units, _, line = load_utterance(path)
        if not line.startswith("test"):
            continue
        if snr_db is not None:
            pcm = mix(pcm, coloured_noise(len(pcm), np.random.default_rng(int(path.stem))), snr_db)
        got, want = [INVENTORY[u] for u in hear.encode(pcm)], [INVENTORY[u] for u in units]
        voice = line.split("\t")[1]
        for key in (voice, "zh" if voice.startswith("z") else "en"):
            for name, value in unit_errors(got, want).items():
                sums.setdefault(key, {}).setdefault(name, 0)
                sums[key][name] += value
        for i, j in align_pairs(got, want):
            if got[i] != want[j]:
                confusions[want[j], got[i]] = confusions.get((want[j], got[i]), 0) + 1
    for key, s in sorted(sums.items()):
        tone = f" tone {s['tone'] / s['tones']:.1%}" if s["tones"] else ""
        print(
            f"{key:12} phone {s['phone'] / s['total']:.1%} unit {s['unit'] / s['total']:.1%}{tone} of {s['total']:.0f}"
        )
    print(sorted(confusions.items(), key=lambda kv: -kv[1])[:25])
    return sums


def main() -> None:
    """Command line, see the module's head."""
    parser = argparse.ArgumentParser(description="the speech tokenizer")
    parser.add_argument("step", choices=("trunk", "features", "train", "test"))
    parser.add_argument("--whisper", type=Path)
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--encoder", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--snr", type=float)
    parser.add_argument(
        "--copies", type=int, default=2, help="of every utterance: one nearly clean, the others augmented"
    )
    parser.add_argument("--follow", type=float, default=0, help="minutes to wait for more speech")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.step == "trunk":
        make_trunk(args.whisper, args.out)
        (args.out.parent / "units.json").write_text(
            json.dumps(INVENTORY, ensure_ascii=False, indent=0) + "\n", encoding="utf-8"
        )
    elif args.step == "features":
        until = time.time() + 60 * args.follow
        make_features(args.speech, args.encoder, args.out, copies=args.copies, follow_until=until)
    elif args.step == "train":
        train(args.features, args.encoder, args.work, minutes=args.minutes)
    else:
        measure(args.speech, args.encoder, snr_db=args.snr)


if __name__ == "__main__":
    main()
