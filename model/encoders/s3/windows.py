"""Recordings longer than the tokenizer was trained on: windows of 30 s that overlap by 4 s, joined in the middle of the overlap.

As in the package `s3tokenizer`. Differs: the package also starts a window inside one that already reached the end, and then
drops frames that no window keeps. Here no frame is lost.
"""

from __future__ import annotations

from collections.abc import Sequence

WINDOW, OVERLAP = 3000, 400  # spectrogram frames, 10 ms


def windows(mel_frames: int) -> list[tuple[int, int]]:
    """Start and end of each window; one if all fits into it."""
    spans = [(0, min(WINDOW, mel_frames))]
    while spans[-1][1] < mel_frames:
        start = spans[-1][0] + WINDOW - OVERLAP
        spans.append((start, min(start + WINDOW, mel_frames)))
    return spans


def joined(parts: Sequence[Sequence[int]], mel_frames_per_code: int) -> list[int]:
    """The windows' codes as one row: of each overlap, the first half from the earlier window and the second from the later."""
    half = OVERLAP // 2 // mel_frames_per_code
    codes: list[int] = []
    for number, part in enumerate(parts):
        codes += part[half if number else 0 : -half if number < len(parts) - 1 else None]
    return codes


def merged(codes: Sequence[int]) -> list[int]:
    """Consecutive repeats merged, as the language model was trained."""
    return [code for place, code in enumerate(codes) if place == 0 or code != codes[place - 1]]
