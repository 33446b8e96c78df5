"""What a text becomes before it is read aloud."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SpokenForm:
    """A text in the words in which it is said; empty where nothing of it can be. `dropped`: what of it cannot, in order."""

    text: str
    dropped: tuple[str, ...] = ()
