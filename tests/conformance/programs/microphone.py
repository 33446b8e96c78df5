"""What the Python programs of the suite share: the recordings that they speak, at what pace, and how loud an answer is.

Only the standard library, because each runs in the environment of its client.
"""

from __future__ import annotations

import array
import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

RATE_HZ = 24_000
FRAME_S = 0.02
FRAME_BYTES = int(RATE_HZ * FRAME_S) * 2


@dataclass(frozen=True, slots=True)
class Task:
    """What to say, PCM16 mono at 24 kHz or text, and at which address (`host:port`) to hold which conversation."""

    addresses: dict[str, str]
    sum: bytes
    capital: bytes
    typed: str
    long: str

    def wants(self, scenario: Callable[..., object]) -> bool:
        """Whether there is an address for it."""
        return scenario.__name__ in self.addresses

    @property
    def aloud(self) -> bytes:
        """A question and then an open microphone in a silent room, for as long as any turn detection may wait."""
        return self.sum + self.pause * 8

    @property
    def interruption(self) -> bytes:
        """The question without the silence before it."""
        return self.sum[RATE_HZ // 5 * 2 :] + self.pause

    @property
    def pause(self) -> bytes:
        """A second of an open microphone in a silent room."""
        return bytes(RATE_HZ * 2)

    @classmethod
    def read(cls, path: str) -> Self:
        """From the JSON file that the suite wrote; recordings are files beside it."""
        told = json.loads(Path(path).read_text(encoding="utf-8"))
        pcm = {name: Path(path).with_name(told[name]).read_bytes() for name in ("sum", "capital")}
        return cls(addresses=told["addresses"], typed=told["typed"], long=told["long"], **pcm)


def frames(pcm: bytes) -> Iterator[bytes]:
    """20 ms each; the last may be shorter."""
    for at in range(0, len(pcm), FRAME_BYTES):
        yield pcm[at : at + FRAME_BYTES]


async def pace(pieces: Iterator[bytes], *, real_time: bool) -> AsyncIterator[bytes]:
    """The pieces as a microphone gives them, one every 20 ms, or as fast as they are taken."""
    began_s = time.monotonic()
    for at, piece in enumerate(pieces):
        if real_time:
            await asyncio.sleep(max(0.0, began_s + at * FRAME_S - time.monotonic()))
        yield piece


def loudness(pcm: bytes) -> dict[str, Any]:
    """Length and peak (of 32768) of an answer's audio."""
    samples = array.array("h", pcm)
    return {"audio_ms": len(samples) * 1000 // RATE_HZ, "peak": max((abs(sample) for sample in samples), default=0)}
