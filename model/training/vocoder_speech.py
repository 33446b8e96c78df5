"""Reads the teacher's speech that `synth` wrote: units, lengths, mel, pitch and samples of every utterance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model.training.g2p import INVENTORY, SIL, UNIT_ID, merge, to_ids
from model.training.synth import ENGLISH_VOICE, MANDARIN_VOICE
from model.vocoders.source_filter.networks import HOP, N_FFT, PITCH_MEAN, PITCH_SCALE, VocoderConfig, mel_matrix

EDGE = (N_FFT - HOP) // 2
VOICES = (
    *"af_alloy af_aoede af_bella af_heart af_jessica af_kore af_nicole af_nova af_river af_sarah af_sky am_adam".split(),
    *"am_echo am_eric am_fenrir am_liam am_onyx am_puck am_santa bf_alice bf_isabella bf_lily bm_daniel bm_fable".split(),
    *"bm_george bm_lewis zf_xiaobei zf_xiaoni zf_xiaoxiao zm_yunjian zm_yunxi zm_yunxia".split(),
)
GAIN = {ENGLISH_VOICE: 1.35, MANDARIN_VOICE: 0.68}  # the teacher's two voices, brought to one loudness
_EARLY, _LONGEST_LAST, _HURRIED_PAUSE = 3, 16, 2  # frames
CONFIG = VocoderConfig(n_units=len(INVENTORY), silence_unit=UNIT_ID[SIL], acoustic_blocks=5)


@dataclass(slots=True)
class Item:
    """One utterance: units [N], lengths [N] in frames, mel [T, n_mels] (log, not normalised), pitch [T] (normalised log), voiced [T], pcm [T * HOP]."""

    units: Tensor
    lengths: Tensor
    mel: Tensor
    pitch: Tensor
    voiced: Tensor
    pcm: Tensor
    voice: int
    text: str


def load(speech: Path, *, limit: int = 10**9) -> list[Item]:
    """Utterances, their units as the language model will write them, silence at both ends cut to what the vocoder will speak.

    The teacher sounds `_EARLY` frames before its durations say so, and counts the silence after a sentence to the last unit.
    """
    items, strange = [], 0
    matrix, window = mel_matrix(CONFIG), torch.hann_window(N_FFT)
    for path in sorted(speech.glob("*.npz"))[:limit]:
        data = np.load(path)
        split, voice, _, text = str(data["text"]).split("\t")
        if split != "train" or voice not in VOICES:
            continue
        units, lengths = data["units"].astype(np.int64), 2 * data["frames"].astype(np.int64)
        pcm, f0 = (
            torch.from_numpy(data["pcm"].astype(np.float32) / 32768),
            torch.from_numpy(data["f0"].astype(np.float32)),
        )
        if (written := as_written(units.tolist(), lengths.tolist(), text)) is None:
            strange += 1
            continue
        units, lengths = np.array(written[0]), np.array(written[1])
        excess = max(0, int(lengths[-2]) - _LONGEST_LAST)
        lengths[-2], lengths[-1] = lengths[-2] - excess, lengths[-1] + excess
        low = int(lengths[0]) - CONFIG.lead_frames - _EARLY
        high = int(lengths.sum()) - int(lengths[-1]) + CONFIG.tail_frames - _EARLY
        if low < 0 or lengths[-1] < CONFIG.tail_frames or high - low < 40:
            continue
        lengths[0], lengths[-1] = CONFIG.lead_frames, CONFIG.tail_frames
        pcm, f0 = pcm[low * HOP : high * HOP], f0[low:high]
        pcm = pcm * GAIN.get(voice, 0.1 / float(pcm.std().clamp_min(0.02)))
        voiced = (f0 > 50).float()
        items.append(
            Item(
                torch.from_numpy(units),
                torch.from_numpy(lengths),
                log_mel(pcm, matrix, window),
                _pitch(f0),
                voiced,
                pcm,
                VOICES.index(voice),
                text,
            )
        )
    if strange:
        print(f"{strange} utterances left out: their units are not those of their text")
    return items


def as_written(units: list[int], lengths: list[int], text: str) -> tuple[list[int], list[int]] | None:
    """Units and lengths [N] of speech with a pause where `text` has a mark and nowhere else, as in what the vocoder is given to speak.

    The teacher also rests between words: such a rest is counted to the unit before it. It hurries over marks: their pause is cut out of the unit
    before, which is cut in two where equal sounds ran together over the mark. None where the speech is not that of the text.
    """
    silence, said, frames = UNIT_ID[SIL], list[int](), list[int]()
    wanted = merge([silence, *to_ids(text, trim=False), silence])
    expected = dict(enumerate(wanted)).get
    for unit, length in zip(units, lengths, strict=True):
        marked = expected(len(said)) == silence
        if unit == silence and not marked:
            frames[-1] += length
            continue
        if unit != silence and marked and said:
            pause = min(_HURRIED_PAUSE, frames[-1] // 2)
            frames[-1] -= pause
            said.append(silence)
            frames.append(pause)
            if said[-2] == expected(len(said)) != unit:
                said.append(said[-2])
                frames.append(frames[-2] // 2)
                frames[-3] -= frames[-1]
        said.append(unit)
        frames.append(length)
    return (said, frames) if said == wanted and all(frames) else None


def log_mel(pcm: Tensor, matrix: Tensor, window: Tensor) -> Tensor:
    """[..., T] to [..., T / HOP, n_mels]: log of the mean magnitude in each band, frames centred on their hops."""
    spectrum = torch.stft(F.pad(pcm, (EDGE, EDGE)), N_FFT, HOP, window=window, center=False, return_complex=True).abs()
    return torch.log((matrix @ spectrum).clamp_min(1e-4)).transpose(-1, -2)


def _pitch(f0: Tensor) -> Tensor:
    """Normalised log-pitch, straight lines across what is unvoiced: [T]."""
    known = (f0 > 50).nonzero()[:, 0].numpy()
    if not len(known):
        return torch.zeros(len(f0))
    log = np.interp(np.arange(len(f0)), known, np.log(f0.numpy()[known]))
    return torch.from_numpy((log - PITCH_MEAN) / PITCH_SCALE).float()
