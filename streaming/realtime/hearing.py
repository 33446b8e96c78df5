"""Speech being encoded while it is spoken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing

from streaming.errors import SpeechServerError
from streaming.stages import Pcm, SpeechEncoder

log = logging.getLogger(__name__)

_QUEUED_PIECES = 64


class Hearing:
    """One question of the user, from its first sample: audio goes in as it comes, units come out as they are final.

    `run` is the one task behind it. Units are kept, so that a question can be answered more than once.
    """

    def __init__(self, encoder: SpeechEncoder) -> None:
        self._encoder = encoder
        self._audio: asyncio.Queue[Pcm | None] = asyncio.Queue(_QUEUED_PIECES)
        self._units: list[int] = []
        self._changed = asyncio.Condition()
        self._ended = False
        self._failure: SpeechServerError | None = None
        self.samples = 0

    @property
    def ended(self) -> bool:
        """There will be no more units."""
        return self._ended

    @property
    def so_far(self) -> tuple[int, ...]:
        """The units until now."""
        return tuple(self._units)

    async def feed(self, pcm: Pcm) -> None:
        """Next audio at 16 kHz. Waits while the encoder is behind; after a failure audio is dropped."""
        self.samples += pcm.size
        if not self._ended:
            await self._audio.put(pcm)

    async def close(self) -> None:
        """The question is complete."""
        if not self._ended:
            await self._audio.put(None)

    async def run(self) -> None:
        """Encode until closed. A failure of the encoder is kept for whoever asks for the units."""
        try:
            async with aclosing(self._encoder.encode(self._pieces())) as pieces:
                async for units in pieces:
                    await self._publish(units)
        except SpeechServerError as failure:
            self._failure = failure
        except Exception:
            log.exception("encoder failed")
            self._failure = SpeechServerError("the encoder failed inside the server")
        finally:
            self._ended = True
            while not self._audio.empty():
                self._audio.get_nowait()
        await self._publish([])

    async def units(self) -> AsyncIterator[list[int]]:
        """All units from the first on, waiting for those to come. Raises what the encoder raised."""
        read = 0
        while True:
            async with self._changed:
                while read == len(self._units) and not self._ended:
                    await self._changed.wait()
                fresh, read = self._units[read:], len(self._units)
                ended = self._ended
            if fresh:
                yield fresh
            if ended:
                if self._failure is not None:
                    raise self._failure
                return

    async def complete(self) -> None:
        """Wait for the end of the question, or of the encoder."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._ended)

    async def at_least(self, count: int) -> tuple[list[int], bool]:
        """The units so far, once there are `count` or all of them, and whether those are all."""
        async with self._changed:
            while len(self._units) < count and not self._ended:
                await self._changed.wait()
            return list(self._units), self._ended

    async def _pieces(self) -> AsyncIterator[Pcm]:
        while (pcm := await self._audio.get()) is not None:
            yield pcm

    async def _publish(self, units: list[int]) -> None:
        async with self._changed:
            self._units += units
            self._changed.notify_all()
