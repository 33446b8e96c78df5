"""Media of a WebRTC call, through aiortc: the answer as a paced Opus track, the microphone as pieces of audio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from fractions import Fraction
from typing import cast

import av
import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from numpy.typing import NDArray

from streaming.audio import AudioFrame, Downmix, float_to_pcm16
from streaming.playout import Arrivals, PlayoutQueue, Progress

PLAYOUT_HZ = 24_000
FRAME_S = 0.02
_FRAME = round(PLAYOUT_HZ * FRAME_S)
_RESYNC_S = 0.2
_LOOK_S = 0.1
"""How often it is asked whether audio is late."""


class AnswerTrack(MediaStreamTrack):
    """Plays a `PlayoutQueue` in real time, 20 ms at a time; `on_progress` hears what each frame begins and ends."""

    kind = "audio"

    def __init__(self, playout: PlayoutQueue, on_progress: Callable[[Progress], None]) -> None:
        super().__init__()
        self._playout = playout
        self._on_progress = on_progress
        self._due_s: float | None = None
        self._frames = 0

    async def recv(self) -> av.AudioFrame:
        """The next frame when it is due. After a stall the clock goes on from now, without catching up in a burst."""
        if self.readyState != "live":
            raise MediaStreamError
        now_s = asyncio.get_running_loop().time()
        if self._due_s is None or now_s - self._due_s > _RESYNC_S:
            self._due_s = now_s
        await asyncio.sleep(self._due_s - now_s)
        self._due_s += FRAME_S
        pcm, progress = self._playout.take(_FRAME)
        for each in progress:
            self._on_progress(each)
        frame = av.AudioFrame.from_ndarray(
            np.frombuffer(float_to_pcm16(pcm), "<i2").reshape(1, -1), format="s16", layout="mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = PLAYOUT_HZ, self._frames * _FRAME, Fraction(1, PLAYOUT_HZ)
        self._frames += 1
        return frame


async def heard(track: MediaStreamTrack) -> AsyncGenerator[AudioFrame]:
    """The microphone at the rate of the track, until that ends. Losses and delays become silence."""
    try:
        frame = cast(av.AudioFrame, await track.recv())
        source_hz = frame.sample_rate
        arrivals, downmix, now = Arrivals(source_hz), Downmix(), asyncio.get_running_loop().time
        while True:
            yield AudioFrame(arrivals.arrived(_number(frame), downmix.push(_channels(frame)), now()), source_hz)
            while (late := await _next(track)) is None:
                yield AudioFrame(arrivals.late(now()), source_hz)
            frame = late
    except MediaStreamError:
        return


async def _next(track: MediaStreamTrack) -> av.AudioFrame | None:
    """The next frame, or None if it is not there yet."""
    try:
        async with asyncio.timeout(_LOOK_S):
            return cast(av.AudioFrame, await track.recv())
    except TimeoutError:
        return None


def _number(frame: av.AudioFrame) -> int:
    """Number of the frame's first sample on its sender's clock."""
    assert frame.pts is not None
    assert frame.time_base is not None
    return round(frame.pts * frame.time_base * frame.sample_rate)


def _channels(frame: av.AudioFrame) -> NDArray[np.float32]:
    samples = frame.to_ndarray().reshape(-1, frame.layout.nb_channels).T
    return samples.astype(np.float32) / np.float32(32768)
