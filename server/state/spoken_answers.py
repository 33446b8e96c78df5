"""Texts of spoken answers, to which clients refer by id in a later request."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Hashable


class SpokenAnswers:
    """Text by owner and audio id. An answer is kept for an hour; of more than `most` the oldest are forgotten first."""

    LIFE_S = 3600

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self._texts: OrderedDict[tuple[Hashable, str], tuple[str, float]] = OrderedDict()

    def remember(self, owner: Hashable, audio_id: str, text: str) -> None:
        """Keep `text` for an hour, for `owner` alone."""
        self._texts[owner, audio_id] = text, time.monotonic() + self.LIFE_S
        while len(self._texts) > self._most:
            self._texts.popitem(last=False)

    def find(self, owner: Hashable, audio_id: str) -> str | None:
        """The text, or None where `owner` has no such answer, or no longer."""
        text, until_s = self._texts.get((owner, audio_id), ("", 0.0))
        return text if time.monotonic() <= until_s else None
