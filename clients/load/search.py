"""The highest load that meets an objective: which loads to try, in which order."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Search:
    """Doubles the load until it is too much, then halves the distance, down to a sixteenth of the load or 1.

    `first` ≤ `most`: the load to begin with, and the highest. `highest`: the most that met the objective so far, 0 for
    none. What was too much is not tried again, nor is anything above it.
    """

    first: int
    most: int
    highest: int = 0
    too_much: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.most:
            raise ValueError(f"the search from {self.first} to {self.most} has no load to try")

    def next(self) -> int | None:
        """The load to try now; None where the search is over."""
        if self.too_much is None:
            if not self.highest:
                return self.first
            return min(2 * self.highest, self.most) if self.highest < self.most else None
        if self.too_much - self.highest <= max(1, self.highest // 16):
            return None
        return (self.highest + self.too_much) // 2

    def tried(self, load: int, *, met: bool) -> None:
        """What came of it."""
        if met:
            self.highest = max(self.highest, load)
        else:
            self.too_much = load if self.too_much is None else min(self.too_much, load)
