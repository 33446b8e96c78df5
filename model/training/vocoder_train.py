"""Trains the vocoder: durations and acoustics from units, then the waveform generator.

    python -m model.training.vocoder_train acoustics --speech speech/utt --work speech/vocoder --minutes 12
    python -m model.training.vocoder_train generator --speech speech/utt --work speech/vocoder --minutes 50 [--predicted]
    python -m model.training.vocoder_train joint     --speech speech/utt --work speech/vocoder --minutes 20 [--adversary]
    python -m model.training.vocoder_train export    --work speech/vocoder --out bundle/vocoder

The acoustics learn from all voices, with a vector for each that is added to its units. `export` keeps only the vectors of the
output voices, added to the units of their own language. The generator learns from these two voices only.

Losses: L1 on log-mel, log-pitch and log-duration. For the waveform, spectral convergence and log-magnitude at four resolutions
(arXiv 1910.11480), and log-mel. With `--adversary`, spectrogram discriminators with least squares and feature matching (arXiv
2106.07889).

All stages resume. Both parts are independent until `--predicted`. `joint` continues with both together, so that the mel becomes
what the generator needs. `--start` begins with the weights of a bundle.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model.precision import products
from model.training.g2p import ENGLISH_IDS, INVENTORY, is_tone_unit, toneless
from model.training.synth import ENGLISH_VOICE, MANDARIN_VOICE
from model.training.trainer import Trainer
from model.training.vocoder_losses import Adversary, SpectralLoss
from model.training.vocoder_speech import CONFIG, EDGE, GAIN, VOICES, Item, load
from model.vocoders.source_filter.networks import (
    HOP,
    N_FFT,
    PITCH_MEAN,
    PITCH_SCALE,
    Acoustics,
    Generator,
    UnitEncoder,
    save_config,
    spread,
)
from model.vocoders.source_filter.signal import harmonics, overlap_add, shape_sources


def _statistics(items: list[Item], work: Path, start: Path | None = None) -> tuple[Tensor, Tensor]:
    """Mean and scale of each mel band, fixed at the first call; those of the vocoder to begin with, where there is one."""
    path = work / "statistics.pt"
    work.mkdir(parents=True, exist_ok=True)
    if not path.exists() and start is not None:
        weights = load_file(start / "vocoder.safetensors")
        torch.save((weights["generator.mel_mean"].float(), weights["generator.mel_scale"].float()), path)
    elif not path.exists():
        mel = torch.cat([i.mel for i in items])
        torch.save((mel.mean(0), mel.std(0)), path)
    mean, scale = torch.load(path, weights_only=True)
    return mean, scale


# --- durations and acoustics


_FINALS = sorted({toneless(name) for name in INVENTORY if is_tone_unit(name)})
_TONES = "12345"
_RARE = 60  # times said; below, a final in a tone is known better by what it shares than by itself


@cache
def kinship() -> Tensor:
    """What each unit shares with others: [n_units, finals + tones], 1 at a Mandarin final's sound and at its tone, else 0.

    Half of the finals that are said are such as an hour of speech has less than forty times in their tone; the final in another tone, and
    the tone on another final, it has often.
    """
    table = torch.zeros(CONFIG.n_units, len(_FINALS) + len(_TONES))
    for unit, name in enumerate(INVENTORY):
        if is_tone_unit(name):
            table[unit, _FINALS.index(toneless(name))] = 1.0
            table[unit, len(_FINALS) + _TONES.index(name[-1])] = 1.0
    return table


def acoustic_model() -> nn.ModuleDict:
    """What is trained together: units, acoustics, a vector for each voice, and those that finals and tones share."""
    voices = nn.Embedding(len(VOICES), CONFIG.unit_width)
    nn.init.normal_(voices.weight, std=0.1)
    kin, units = nn.Embedding(kinship().shape[1], CONFIG.unit_width), UnitEncoder(CONFIG)
    with torch.no_grad():
        units.embed.weight[kinship().any(1)] = 0.0
    return nn.ModuleDict({"units": units, "acoustics": Acoustics(CONFIG), "voices": voices, "kin": kin})


def start_acoustics(model: nn.ModuleDict, directory: Path, said: Tensor) -> None:
    """Weights of an exported vocoder into `model`; blocks that it has not begin as if they were not there.

    The exported table of units already holds the output voices, whose own vectors therefore begin at zero. It is taken apart into what finals
    and tones share and what a unit has of its own, of which little is left to those that were hardly `said` ([n_units], times).
    """
    weights = {k: v.float() for k, v in load_file(directory / "vocoder.safetensors").items()}
    missing, _ = model.load_state_dict(weights, strict=False)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in missing and ".down." in name:
                parameter.zero_()
        for voice in (ENGLISH_VOICE, MANDARIN_VOICE):
            model["voices"].weight[VOICES.index(voice)] = 0.0
        kin, toned = kinship(), kinship().any(1)
        table, often = model["units"].embed.weight, said[:, None] * kin
        model["kin"].weight.copy_(torch.linalg.solve(kin.T @ often + torch.eye(kin.shape[1]), often.T @ table))
        own = table - kin @ model["kin"].weight
        table[toned] = (own * (said / (said + _RARE))[:, None])[toned]


def start_generator(generator: Generator, directory: Path) -> None:
    """Weights of an exported vocoder into `generator`."""
    weights = load_file(directory / "vocoder.safetensors")
    prefix = "generator."
    generator.load_state_dict({k.removeprefix(prefix): v.float() for k, v in weights.items() if k.startswith(prefix)})


def hidden_states(model: Any, units: Tensor, voices: Tensor) -> tuple[Tensor, Tensor]:
    """Hidden states [B, N, D] and log-durations [B, N] of units [B, N] spoken by voices [B]; a pause has no voice."""
    embedded = F.embedding(units, model["units"].embed.weight + kinship() @ model["kin"].weight)
    embedded = embedded + model["voices"](voices)[:, None] * (units != CONFIG.silence_unit)[..., None]
    hidden, durations, _ = model["units"].remember(model["units"].context(embedded), None)
    return hidden, durations


def train_acoustics(speech: Path, work: Path, *, minutes: float, start: Path | None = None, batch: int = 12) -> None:
    """Units and teacher's lengths to mel, pitch and voicing; units to lengths."""
    from tqdm import tqdm

    items = load(speech)
    mean, scale = _statistics(items, work, start)
    valid, items = items[:24], items[24:]
    model = acoustic_model()
    if start is not None:
        start_acoustics(model, start, torch.cat([i.units for i in items]).bincount(minlength=CONFIG.n_units).float())
    trainer = Trainer("acoustics", model, work, minutes=minutes, rate=1.5e-3)
    bar, rng = tqdm(mininterval=10), np.random.default_rng(trainer.step)
    while trainer.running:
        chosen = [items[i] for i in rng.integers(0, len(items), batch)]
        with products():
            losses, _ = _acoustic_losses(trainer.module.train(), chosen, mean, scale)
        trainer.update(sum(losses.values(), torch.zeros(())))
        bar.update()
        if trainer.step % 100 == 0 or not trainer.running:
            with torch.inference_mode():
                held, _ = _acoustic_losses(trainer.average.module.eval(), valid, mean, scale)
            bar.write(
                f"step {trainer.step} {trainer.spent / 60:.1f} min "
                + " ".join(f"{k} {losses[k].item():.3f}/{v:.3f}" for k, v in held.items())
            )


def _acoustic_losses(model: Any, items: list[Item], mean: Tensor, scale: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Losses, and for the generator the predicted mel with the true pitch and voicing: [B, T, n_mels + 2]."""
    pad = nn.utils.rnn.pad_sequence
    voices = torch.tensor([i.voice for i in items])
    hidden, durations = hidden_states(model, pad([i.units for i in items], batch_first=True), voices)
    frames = pad([spread(h[: len(i.lengths)], i.lengths) for h, i in zip(hidden, items, strict=True)], batch_first=True)
    mask = pad([torch.ones(len(i.mel)) for i in items], batch_first=True)
    mel = (pad([i.mel for i in items], batch_first=True) - mean) / scale
    pitch, voiced = (pad([getattr(i, k) for i in items], batch_first=True) for k in ("pitch", "voiced"))
    out = model["acoustics"](frames, torch.stack([pitch, voiced], dim=-1))
    weight = mask * (0.1 + voiced)
    inner = torch.cat([d[1 : len(i.lengths) - 1] for d, i in zip(durations, items, strict=True)])
    lengths = torch.cat([i.lengths[1:-1] for i in items]).float().log()
    losses = {
        "mel": ((out[..., :-2] - mel).abs().mean(-1) * mask).sum() / mask.sum(),
        "pitch": ((out[..., -2] - pitch).abs() * weight).sum() / weight.sum(),
        "voicing": 0.3
        * F.binary_cross_entropy_with_logits(out[..., -1], voiced, weight=mask, reduction="sum")
        / mask.sum(),
        "length": (inner - lengths).abs().mean(),
    }
    return losses, torch.cat([out[..., :-2], pitch[..., None], voiced[..., None]], dim=-1)


@torch.inference_mode()
def predict(work: Path, items: list[Item]) -> list[Tensor]:
    """What the acoustics say for each utterance with the teacher's lengths: [T, n_mels + 2], voicing in 0…1."""
    model = acoustic_model()
    model.load_state_dict(_averaged(work / "acoustics.pt"))
    said = []
    for item in items:
        hidden, _ = hidden_states(model.eval(), item.units[None], torch.tensor([item.voice]))
        melody = torch.stack([item.pitch, item.voiced], dim=-1)[None]
        out = model["acoustics"](spread(hidden[0], item.lengths)[None], melody)[0]
        said.append(torch.cat([out[:, :-1], out[:, -1:].sigmoid()], dim=1).clone())
    return said


# --- the generator


def train_generator(
    speech: Path,
    work: Path,
    *,
    minutes: float,
    predicted: bool,
    adversary: bool,
    start: Path | None = None,
    batch: int = 12,
    frames: int = 64,
) -> None:
    """Acoustics to waveforms on random cuts; from the truth, or from what the acoustics predict (pitch and voicing stay true)."""
    from tqdm import tqdm

    items = [i for i in load(speech) if VOICES[i.voice] in GAIN]
    mean, scale = _statistics(items, work, start)
    inputs = [torch.cat([(i.mel - mean) / scale, i.pitch[:, None], i.voiced[:, None]], dim=1) for i in items]
    if predicted:
        said = predict(work, items)
        inputs = [torch.cat([s[:, :-2], t[:, -2:]], dim=1) for s, t in zip(said, inputs, strict=True)]
    generator = Generator(CONFIG)
    if start is not None:
        start_generator(generator, start)
    generator.mel_mean.copy_(mean)
    generator.mel_scale.copy_(scale)
    trainer = Trainer("generator", generator, work, minutes=minutes, rate=4e-4 if adversary else 8e-4)
    judge = Trainer("adversary", Adversary(), work, minutes=minutes, rate=4e-4) if adversary else None
    loss_of = SpectralLoss(CONFIG)
    window, bar, rng = torch.hann_window(N_FFT), tqdm(mininterval=10), np.random.default_rng(trainer.step)
    while trainer.running:
        chosen = rng.integers(0, len(items), batch)
        starts = [int(rng.integers(0, max(1, len(inputs[i]) - frames))) for i in chosen]
        acoustics = torch.stack([_cut(inputs[i], a, frames) for i, a in zip(chosen, starts, strict=True)])
        truth = torch.stack([_cut(items[i].pcm, a * HOP, frames * HOP) for i, a in zip(chosen, starts, strict=True)])
        made = waveform(generator.train(), acoustics, window)
        truth = truth[:, EDGE : EDGE + made.shape[1]]
        loss = loss_of(made, truth)
        shown = f"{loss.item():.3f}"
        if judge is not None:
            against, told = _contest(judge, made, truth)
            loss, shown = loss + against, shown + f" adversary {told:.3f} against {against.item():.3f}"
        trainer.update(loss)
        bar.update()
        if trainer.step % 100 == 0:
            bar.write(f"step {trainer.step} {trainer.spent / 60:.1f} min loss {shown}")


def train_joint(
    speech: Path,
    work: Path,
    *,
    minutes: float,
    adversary: bool,
    start: Path | None = None,
    batch: int = 8,
    frames: int = 64,
) -> None:
    """Units to waveforms on random cuts, the acoustics and the generator together; a generator that was not trained here is that of `start`."""
    from tqdm import tqdm

    items = [i for i in load(speech) if VOICES[i.voice] in GAIN]
    mean, scale = _statistics(items, work)
    generator = Generator(CONFIG)
    both = nn.ModuleDict({"acoustic": acoustic_model(), "generator": generator})
    both["acoustic"].load_state_dict(_averaged(work / "acoustics.pt"))
    if start is not None and not (work / "generator.pt").exists():
        start_generator(generator, start)
    else:
        generator.load_state_dict(_averaged(work / "generator.pt"))
    generator.mel_mean.copy_(mean)
    generator.mel_scale.copy_(scale)
    trainer = Trainer("joint", both, work, minutes=minutes, rate=3e-4)
    judge = Trainer("adversary", Adversary(), work, minutes=minutes, rate=3e-4) if adversary else None
    loss_of = SpectralLoss(CONFIG)
    window, bar, rng = torch.hann_window(N_FFT), tqdm(mininterval=10), np.random.default_rng(trainer.step)
    while trainer.running:
        chosen = [items[i] for i in rng.integers(0, len(items), batch)]
        with products():
            losses, said = _acoustic_losses(both["acoustic"].train(), chosen, mean, scale)
        starts = [int(rng.integers(0, max(1, len(i.mel) - frames))) for i in chosen]
        acoustics = torch.stack(
            [_cut(s[: len(i.mel)], a, frames) for s, i, a in zip(said, chosen, starts, strict=True)]
        )
        truth = torch.stack([_cut(i.pcm, a * HOP, frames * HOP) for i, a in zip(chosen, starts, strict=True)])
        made = waveform(generator.train(), acoustics, window)
        truth = truth[:, EDGE : EDGE + made.shape[1]]
        loss = loss_of(made, truth)
        shown = f"{loss.item():.3f} mel {losses['mel'].item():.3f}"
        loss = loss + sum(losses.values(), torch.zeros(()))
        if judge is not None:
            against, told = _contest(judge, made, truth)
            loss, shown = loss + against, shown + f" adversary {told:.3f} against {against.item():.3f}"
        trainer.update(loss)
        bar.update()
        if trainer.step % 100 == 0:
            bar.write(f"step {trainer.step} {trainer.spent / 60:.1f} min loss {shown}")


def _cut(rows: Tensor, start: int, length: int) -> Tensor:
    piece = rows[start : start + length]
    return torch.cat([piece, piece.new_zeros(length - len(piece), *piece.shape[1:])])


def waveform(generator: Generator, acoustics: Tensor, window: Tensor) -> Tensor:
    """[B, T, n_mels + 2] to the samples that all windows cover: [B, (T - 3) * HOP], from sample `EDGE` of the cut."""
    pitch, voicing = torch.exp(acoustics[..., -2] * PITCH_SCALE + PITCH_MEAN), acoustics[..., -1]
    start = torch.rand(len(acoustics))
    harmonic, _ = harmonics(pitch, voicing, pitch[:, 0], voicing[:, 0], start, CONFIG.sample_rate)
    harmonic = F.pad(harmonic, (EDGE, EDGE)).unfold(-1, N_FFT, HOP)
    noise = torch.randn(len(acoustics), (acoustics.shape[1] - 1) * HOP + N_FFT).unfold(-1, N_FFT, HOP)
    pcm = overlap_add(shape_sources(harmonic, noise, generator(acoustics), window))
    return pcm[:, N_FFT - HOP : -(N_FFT - HOP)]


def _contest(judge: Trainer, made: Tensor, truth: Tensor) -> tuple[Tensor, float]:
    """(the generator's adversarial loss, the adversary's own loss after its step)."""
    real, fake = judge.module(truth)[0], judge.module(made.detach())[0]
    own = sum((((r - 1) ** 2).mean() + (f**2).mean() for r, f in zip(real, fake, strict=True)), torch.zeros(()))
    judge.update(own)
    scores, maps = judge.module(made)
    with torch.no_grad():
        _, wanted = judge.module(truth)
    fool = sum((((s - 1) ** 2).mean() for s in scores), torch.zeros(()))
    match = sum(
        ((m - w).abs().mean() / w.abs().mean().clamp_min(1e-3) for m, w in zip(maps, wanted, strict=True)),
        torch.zeros(()),
    )
    return 0.3 * fool + 0.3 * match, own.item()


# --- export


def _averaged(path: Path) -> dict[str, Tensor]:
    saved = torch.load(path, weights_only=True)
    weights = {k.removeprefix("module."): v for k, v in saved["average"].items() if k.startswith("module.")}
    return {**saved["module"], **weights}


def export(work: Path, out: Path) -> None:
    """Averaged weights of both trainings, or of the joint one where there is one, fp16, into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    if (work / "joint.pt").exists():
        both = _averaged(work / "joint.pt")
        weights, generator = (
            {k.removeprefix(part): v for k, v in both.items() if k.startswith(part)}
            for part in ("acoustic.", "generator.")
        )
    else:
        weights, generator = _averaged(work / "acoustics.pt"), _averaged(work / "generator.pt")
    voices, table = weights.pop("voices.weight"), weights["units.embed.weight"]
    table += kinship() @ weights.pop("kin.weight")
    for unit in range(CONFIG.n_units):
        if unit != CONFIG.silence_unit:
            table[unit] += voices[VOICES.index(ENGLISH_VOICE if unit in ENGLISH_IDS else MANDARIN_VOICE)]
    mean, scale = torch.load(work / "statistics.pt", weights_only=True)
    weights |= {f"generator.{k}": v for k, v in generator.items()} | {
        "generator.mel_mean": mean,
        "generator.mel_scale": scale,
    }
    save_file({k: v.half().contiguous() for k, v in weights.items()}, out / "vocoder.safetensors")
    save_config(CONFIG, out)


def main() -> None:
    """Command line, see the module's head."""
    parser = argparse.ArgumentParser(description="the vocoder")
    parser.add_argument("step", choices=("acoustics", "generator", "joint", "export"))
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--start", type=Path, help="an exported vocoder to begin with")
    parser.add_argument("--predicted", action="store_true")
    parser.add_argument("--adversary", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    budget = {"minutes": args.minutes}
    if args.step == "acoustics":
        train_acoustics(args.speech, args.work, **budget, start=args.start)
    elif args.step == "generator":
        how = {"predicted": args.predicted, "adversary": args.adversary}
        train_generator(args.speech, args.work, **budget, **how, start=args.start)
    elif args.step == "joint":
        train_joint(args.speech, args.work, **budget, adversary=args.adversary, start=args.start)
    else:
        export(args.work, args.out)


if __name__ == "__main__":
    main()
