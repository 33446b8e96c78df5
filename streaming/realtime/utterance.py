"""The units of one utterance, while it is spoken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial

from streaming.errors import SpeechServerError
from streaming.stages import Pcm, Peek, SpeechEncoder

log = logging.getLogger(__name__)

_QUEUED_PIECES = 64


class UtteranceEncoding:
    """One utterance of the user, from its first sample: audio goes in as it comes, units come out as they are final.

    `run` is the one task behind it, unless it is filled by another's `peek`. Units are kept, so that a question can be answered
    more than once. `samples`: its length at 16 kHz, as far as whoever listens has got.
    """

    def __init__(self) -> None:
        self._audio: asyncio.Queue[Pcm | Peek | None] = asyncio.Queue()  # bounded by those who wait for `room`
        self._room = asyncio.Event()
        self._room.set()
        self._units: list[int] = []
        self._peeks: list[UtteranceEncoding] = []
        self._changed = asyncio.Event()
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

    def push(self, pcm: Pcm) -> None:
        """Next audio at 16 kHz. After a failure it is dropped."""
        if not self._ended:
            self._put(pcm)

    def peek(self, seen: UtteranceEncoding) -> None:
        """Make `seen` what this would be if it ended here, unless that is under way. It may go on."""
        if seen.ended or seen in self._peeks:
            return
        if self._ended:
            seen._end(self._units, self._failure)
        else:
            self._peeks.append(seen)
            self._put(Peek(partial(self._peeked, seen)))

    def close(self) -> None:
        """The utterance is complete."""
        if not self._ended:
            self._audio.put_nowait(None)

    async def room(self) -> None:
        """Wait while the encoder is behind."""
        await self._room.wait()

    async def run(self, encoder: SpeechEncoder) -> None:
        """Encode until closed. A failure of the encoder is kept for whoever asks for the units."""
        failure = None
        try:
            async with aclosing(encoder.encode(self._pieces())) as pieces:
                async for units in pieces:
                    self._units += units
                    self._tell()
        except SpeechServerError as error:
            failure = error
        except Exception:
            log.exception("encoder failed")
            failure = SpeechServerError("the encoder failed inside the server")
        finally:
            for seen in self._peeks:  # none, unless it failed
                seen._end(self._units, failure)
            self._end([], failure)

    async def units(self) -> AsyncIterator[list[int]]:
        """All units from the first on, waiting for those to come. Raises what the encoder raised."""
        read = 0
        while True:
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
        """Wait for the end of the utterance, or of the encoder."""
        while not self._ended:
            await self._changed.wait()

    async def at_least(self, count: int) -> tuple[list[int], bool]:
        """The units so far, once there are `count` or all of them, and whether those are all."""
        while len(self._units) < count and not self._ended:
            await self._changed.wait()
        return list(self._units), self._ended

    def _put(self, piece: Pcm | Peek) -> None:
        self._audio.put_nowait(piece)
        if self._audio.qsize() >= _QUEUED_PIECES:
            self._room.clear()

    async def _pieces(self) -> AsyncIterator[Pcm | Peek]:
        while (piece := await self._audio.get()) is not None:
            if self._audio.qsize() < _QUEUED_PIECES:
                self._room.set()
            yield piece

    def _peeked(self, seen: UtteranceEncoding, tail: list[int]) -> None:
        self._peeks.remove(seen)
        seen._end([*self._units, *tail])

    def _end(self, units: list[int], failure: SpeechServerError | None = None) -> None:
        self._units += units
        self._ended, self._failure = True, failure
        self._room.set()
        self._tell()

    def _tell(self) -> None:
        """Wake all who wait; who waits from now on waits for the next time."""
        self._changed.set()
        self._changed = asyncio.Event()
