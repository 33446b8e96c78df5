"""Measures whether a join can be heard: steps and high frequencies where two pieces of audio meet, against their surroundings."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import numpy.typing as npt

from streaming.planning import CutSchedule, CutScheduler

Pcm = npt.NDArray[np.float32]
PLACES, DRAWS, FARTHEST_S = 20, 200, 10.0
SPREAD_S, HIGH_HZ, WINDOW_S = 0.05, 8000.0, 0.002


def planned(units: Sequence[int], schedule: CutSchedule | None = None) -> list[Sequence[int]]:
    """`units` as the scheduler cuts them where they wait."""
    scheduler, cuts = CutScheduler(schedule or CutSchedule()), list[Sequence[int]]()
    scheduler.push(units, now_s=0.0)
    scheduler.finish()
    while (cut := scheduler.next_cut(buffered_s=1.0, now_s=0.0)) is not None:
        cuts.append(cut[0])
    return cuts


def jump_ratios(pcm: Pcm, seams: Sequence[int], rate_hz: int) -> list[float]:
    """For each join: the step across it over the median step in the 50 ms on either side; silence left out."""
    steps, near = np.abs(np.diff(pcm)), int(SPREAD_S * rate_hz)
    ratios = []
    for seam in seams:
        around = np.delete(steps[max(0, seam - 1 - near) : seam + near], min(near, seam - 1))
        usual = float(np.median(around))
        if usual > 1e-5:
            ratios.append(float(steps[seam - 1]) / usual)
    return ratios


def by_chance(places: Sequence[tuple[Pcm, Sequence[int]]], rate_hz: int) -> tuple[float, float] | None:
    """95% of what the median jump ratio is where nothing joins, for joins that lie to each other as those in `places` do.

    `places`: audio without joins, and where they are in the other. All are moved along by one and the same random distance, past
    the end to the beginning, `DRAWS` times: what several utterances have in common at one place, they have in common there too.
    """
    draw, medians = Random(0), list[float]()
    for _ in range(DRAWS):
        far, jumps = round(draw.random() * FARTHEST_S * rate_hz), list[float]()
        for pcm, seams in places:
            jumps += jump_ratios(pcm, [1 + (seam + far) % (pcm.size - 1) for seam in seams], rate_hz)
        medians += [float(np.median(jumps))] if jumps else []
    if not medians:
        return None
    low, high = np.percentile(medians, [2.5, 97.5])
    return round(float(low), 3), round(float(high), 3)


def high_ratios(pcm: Pcm, seams: Sequence[int], rate_hz: int) -> list[float]:
    """For each join: energy above 8 kHz in the 2 ms around it over its median in such windows 50 ms on either side."""
    half, near = int(WINDOW_S * rate_hz / 2), int(SPREAD_S * rate_hz)
    ratios = []
    for seam in seams:
        if seam < near + half or seam > pcm.size - near - half:
            continue
        centres = [c for c in range(seam - near, seam + near + 1, 2 * half) if abs(c - seam) >= 2 * half]
        usual = float(np.median([_high_energy(pcm[c - half : c + half], rate_hz) for c in centres]))
        if usual > 1e-9:
            ratios.append(_high_energy(pcm[seam - half : seam + half], rate_hz) / usual)
    return ratios


def _high_energy(window: Pcm, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(window * np.hanning(window.size))) ** 2
    return float(spectrum[np.fft.rfftfreq(window.size, 1 / rate_hz) >= HIGH_HZ].sum())
