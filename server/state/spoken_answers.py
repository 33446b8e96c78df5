"""Texts of spoken answers, to which clients refer by id in a later request."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping


class SpokenAnswers(Mapping[str, str]):
    """Text by audio id. An answer is kept for an hour; of more than `most` the oldest are forgotten first."""

    LIFE_S = 3600

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self._texts: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def remember(self, audio_id: str, text: str) -> None:
        """Keep `text` for an hour."""
        self._texts[audio_id] = text, time.monotonic() + self.LIFE_S
        while len(self._texts) > self._most:
            self._texts.popitem(last=False)

    def __getitem__(self, audio_id: str) -> str:
        text, until_s = self._texts[audio_id]
        if time.monotonic() > until_s:
            del self._texts[audio_id]
            raise KeyError(audio_id)
        return text

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)
