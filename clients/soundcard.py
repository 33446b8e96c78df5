"""A microphone and a loudspeaker at once, through `sounddevice` (the optional extra `mic`)."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from clients.errors import SoundCardMissing
from clients.playback import Heard, Playout
from clients.realtime import RATE_HZ, SAMPLE_BYTES
from clients.recordings import FRAME_BYTES

_MICROPHONE_FRAMES = 100
_LOUDSPEAKER_SAMPLES = 600 * RATE_HZ


class Loudspeaker:
    """Audio that waits to be played: filled by the event loop, drained by the sound card's thread.

    Heard is what the sound card took: it plays that out even when the next thing it gets is silence.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._playout = Playout()

    def play(self, item_id: str, pcm: bytes) -> None:
        """Play after what waits. Ten minutes may wait; what would be more is not heard."""
        samples = len(pcm) // SAMPLE_BYTES
        with self._lock:
            if self._playout.waiting + samples <= _LOUDSPEAKER_SAMPLES:
                self._waiting.append(pcm)
                self._playout.received(item_id, samples)

    def ended(self, item_id: str) -> None:
        """No more audio of this item will come."""
        with self._lock:
            self._playout.ended(item_id)

    def pull(self, size: int) -> bytes:
        """The next `size` bytes for the sound card, filled up with silence."""
        pieces, missing = [], size
        with self._lock:
            while missing and self._waiting:
                pcm = self._waiting.popleft()
                piece, rest = pcm[:missing], pcm[missing:]
                if rest:
                    self._waiting.appendleft(rest)
                missing -= len(piece)
                pieces.append(piece)
            self._playout.played((size - missing) // SAMPLE_BYTES)
        return b"".join(pieces) + bytes(missing)

    def stop(self) -> list[Heard]:
        """Fall silent. Returns the items that were not heard to their end."""
        with self._lock:
            self._waiting.clear()
            return self._playout.interrupt()


class SoundCard(Protocol):
    """Full duplex audio: PCM16 mono at 24 kHz both ways."""

    @property
    def loudspeaker(self) -> Loudspeaker:
        """What is being played."""
        ...

    def frames(self) -> AsyncIterator[bytes]:
        """20 ms frames of the microphone, without end."""
        ...


class _DefaultSoundCard:
    def __init__(self) -> None:
        self.loudspeaker = Loudspeaker()
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[bytes] = asyncio.Queue(_MICROPHONE_FRAMES)

    async def frames(self) -> AsyncIterator[bytes]:
        while True:
            yield await self._heard.get()

    def on_microphone(self, frame: Any, *_: Any) -> None:
        self._loop.call_soon_threadsafe(self._keep, bytes(frame))

    def on_loudspeaker(self, out: Any, *_: Any) -> None:
        out[:] = self.loudspeaker.pull(len(out))

    def _keep(self, frame: bytes) -> None:
        if self._heard.full():
            self._heard.get_nowait()
        self._heard.put_nowait(frame)


@contextmanager
def open_sound_card() -> Iterator[SoundCard]:
    """The machine's default devices. Raises SoundCardMissing with what to do about it."""
    try:
        import sounddevice
    except ImportError as error:
        raise SoundCardMissing("--mic needs the library `sounddevice`: pip install -r requirements/mic.txt") from error
    except OSError as error:
        raise SoundCardMissing("--mic needs PortAudio: apt install libportaudio2") from error
    card = _DefaultSoundCard()
    shape: dict[str, Any] = {"samplerate": RATE_HZ, "channels": 1, "dtype": "int16"}
    shape["blocksize"] = FRAME_BYTES // SAMPLE_BYTES
    try:
        microphone = sounddevice.RawInputStream(callback=card.on_microphone, **shape)
        loudspeaker = sounddevice.RawOutputStream(callback=card.on_loudspeaker, **shape)
        with microphone, loudspeaker:
            yield card
    except sounddevice.PortAudioError as error:
        raise SoundCardMissing(f"no microphone or loudspeaker can be opened: {error}") from error
