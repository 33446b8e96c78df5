"""Early units: commits units of an unfinished speech, for bidirectional encoders.

Such an encoder may change any frame until the speech is over. A frame is committed when it no longer changes from pass to pass, and
is never taken back. If the whole speech contradicts a committed frame, the frame stands and is counted. `Trust` reports when that
happens too often.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StabilityRule:
    """A frame is committed after `repeats` partial passes in a row that agree on it, `edge_frames` or more from the end.

    `every_s`: sound between two passes. `most_wrong`: share of committed frames that the whole speech may contradict before no more
    are committed. The defaults were measured on an encoder with learnt attention (tests/bench/stability.py).
    """

    repeats: int = 2
    edge_frames: int = 25
    every_s: float = 0.5
    most_wrong: float = 0.02


class CommittedPrefix:
    """The frames of one speech that are committed, pass by pass.

    `frames`: those committed so far; `revised`: how many of them the whole speech contradicts.
    """

    def __init__(self, rule: StabilityRule) -> None:
        self._rule = rule
        self._seen: list[int] = []
        self._agreed: list[int] = []
        self.frames: list[int] = []
        self.revised = 0

    def update(self, codes: Sequence[int]) -> list[int]:
        """`codes`: frames of all that was heard so far. Returns the frames that are committed now, behind those before."""
        agreed = [1] * len(codes)
        for place, (code, before) in enumerate(zip(codes, self._seen, strict=False)):
            if code == before:
                agreed[place] = self._agreed[place] + 1
        self._seen, self._agreed = list(codes), agreed
        begin = end = len(self.frames)
        while end < len(codes) - self._rule.edge_frames and agreed[end] >= self._rule.repeats:
            end += 1
        fresh = self._seen[begin:end]
        self.frames += fresh
        return fresh

    def settle(self, codes: Sequence[int]) -> list[int]:
        """`codes`: the frames of the whole speech. Returns those behind the committed ones, and counts what was wrong."""
        known = len(self.frames)
        wrong = sum(code != committed for code, committed in zip(codes, self.frames, strict=False))
        self.revised = wrong + max(0, known - len(codes))
        return list(codes[known:])


class Trust:
    """Whether frames may be committed, by what became of those before, of all speeches.

    `wrong`: the share that was contradicted, of the last `MEMORY_FRAMES` above all; 1 before anything was seen, so that an encoder
    is first watched and then believed.
    """

    MEMORY_FRAMES = 500

    def __init__(self, rule: StabilityRule) -> None:
        self._most_wrong = rule.most_wrong
        self.wrong = 1.0

    @property
    def holds(self) -> bool:
        """Commit what is stable."""
        return self.wrong <= self._most_wrong

    def judge(self, prefix: CommittedPrefix) -> None:
        """Learn from a speech that was settled."""
        if frames := len(prefix.frames):
            kept = math.exp(-frames / self.MEMORY_FRAMES)
            self.wrong = kept * self.wrong + (1 - kept) * prefix.revised / frames


@dataclass(slots=True)
class EarlyCounts:
    """What was done with unfinished speeches since the start.

    `partial_passes` were done, `refused` for want of time, `failed`. Of frames `committed` early, `committed_wrong` were
    contradicted by the whole speech; of those `watched`, which would have been committed had that been wanted or trusted,
    `watched_wrong`.
    `wrong_of_late`: see `Trust.wrong`.
    """

    partial_passes: int = 0
    refused: int = 0
    failed: int = 0
    committed: int = 0
    committed_wrong: int = 0
    watched: int = 0
    watched_wrong: int = 0
    wrong_of_late: float = 1.0

    def add(self, prefix: CommittedPrefix, *, committed: bool) -> None:
        """A speech was settled."""
        if committed:
            self.committed += len(prefix.frames)
            self.committed_wrong += prefix.revised
        else:
            self.watched += len(prefix.frames)
            self.watched_wrong += prefix.revised
