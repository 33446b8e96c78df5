"""Makes clean speech sound as microphones deliver it: noise, babble, telephone band, room, gain, surrounding silence."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pcm = npt.NDArray[np.float32]


def augment(pcm: Pcm, rng: np.random.Generator, *, babble: Pcm | None = None, hard: bool = True) -> tuple[Pcm, int]:
    """(float32 16 kHz, samples put in front). Without `hard` only gain, a faint noise floor and up to half a second of silence.

    babble: other speech of any length, mixed in sometimes.
    """
    before = int(rng.uniform(0, 0.5 if not hard else 1.2) * 16_000) if rng.random() < 0.75 else 0
    after = int(rng.uniform(0, 0.5 if not hard else 1.2) * 16_000)
    pcm = np.pad(pcm, (before, after))
    if hard:
        if rng.random() < 0.3:
            pcm = _room(pcm, rng)
        snr_db = rng.uniform(5, 30) if rng.random() < 0.8 else rng.uniform(30, 50)
        use_babble = babble is not None and rng.random() < 0.25
        noise = np.resize(babble, len(pcm)) if use_babble and babble is not None else coloured_noise(len(pcm), rng)
        pcm = mix(pcm, noise, snr_db + (5 if use_babble else 0))
        if rng.random() < 0.25:
            pcm = telephone(pcm)
    else:
        pcm = mix(pcm, coloured_noise(len(pcm), rng), rng.uniform(35, 70))
    peak = 10 ** (rng.uniform(-30, 0) / 20) if hard else 10 ** (rng.uniform(-14, 0) / 20)
    return (pcm * (peak / max(1e-4, float(np.abs(pcm).max())))).astype(np.float32), before


def mix(pcm: Pcm, noise: Pcm, snr_db: float) -> Pcm:
    """`pcm` plus `noise` at `snr_db` over the loud part of `pcm`."""
    active = np.abs(pcm) > 0.02 * np.abs(pcm).max()
    power = float(np.mean(pcm[active] ** 2)) if active.any() else 1e-6
    scale = np.sqrt(power / (10 ** (snr_db / 10) * max(1e-12, float(np.mean(noise**2)))))
    return np.asarray(pcm + noise * scale, np.float32)


def coloured_noise(length: int, rng: np.random.Generator) -> Pcm:
    """Noise of a random spectral slope (white to brown) with a random hump, [length]."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    hz = np.fft.rfftfreq(length, 1 / 16_000)
    shape = np.maximum(hz, 40) ** -rng.uniform(0, 1.1)
    if rng.random() < 0.5:
        shape *= 1 + 4 * np.exp(-(((hz - rng.uniform(80, 4000)) / rng.uniform(50, 800)) ** 2))
    noise = np.fft.irfft(spectrum * shape, length)
    return (noise / max(1e-9, noise.std())).astype(np.float32)


def telephone(pcm: Pcm) -> Pcm:
    """300–3400 Hz, quantised as 8-bit µ-law."""
    spectrum = np.fft.rfft(pcm)
    hz = np.fft.rfftfreq(len(pcm), 1 / 16_000)
    narrow = np.fft.irfft(spectrum * ((hz > 280) & (hz < 3450)), len(pcm))
    peak = max(1e-4, float(np.abs(narrow).max()))
    law = np.sign(narrow) * np.log1p(255 * np.abs(narrow) / peak) / np.log(256)
    law = np.round(law * 127) / 127
    return (np.sign(law) * (256 ** np.abs(law) - 1) / 255 * peak).astype(np.float32)


def _room(pcm: Pcm, rng: np.random.Generator) -> Pcm:
    length = int(16_000 * rng.uniform(0.1, 0.35))
    impulse = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length) * rng.uniform(0.02, 0.12)
    impulse[0] = 1.0
    size = len(pcm) + length
    return np.fft.irfft(np.fft.rfft(pcm, size) * np.fft.rfft(impulse, size), size)[: len(pcm)].astype(np.float32)
