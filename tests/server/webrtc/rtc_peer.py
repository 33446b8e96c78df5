"""A caller: an aiortc peer that speaks what it is given, hears the answer, and keeps the events."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from fractions import Fraction
from typing import Any

import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.codecs.base import Encoder
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.audio.frame import AudioFrame
from numpy.typing import NDArray
from openai.types.beta.realtime import RealtimeServerEvent as BetaServerEvent
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

Pcm = NDArray[np.float32]
RATE_HZ = 48_000
_FRAME = 960
GA: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
BETA: TypeAdapter[Any] = TypeAdapter(BetaServerEvent)


class Microphone(MediaStreamTrack):
    """Speaks what is queued, in real time; silence otherwise."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._waiting = np.zeros(0, np.float32)
        self._frames = 0
        self._began_s = 0.0

    def speak(self, pcm: Pcm) -> None:
        """Queue audio at 48 kHz."""
        self._waiting = np.concatenate([self._waiting, pcm])

    @property
    def silent(self) -> bool:
        """All was spoken."""
        return not self._waiting.size

    async def recv(self) -> AudioFrame:
        loop = asyncio.get_running_loop()
        if not self._frames:
            self._began_s = loop.time()
        await asyncio.sleep(self._began_s + self._frames * 0.02 - loop.time())
        pcm, self._waiting = self._waiting[:_FRAME], self._waiting[_FRAME:]
        pcm = np.pad(pcm, (0, _FRAME - pcm.size))
        frame = AudioFrame.from_ndarray((pcm * 32767).astype(np.int16).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, self._frames * _FRAME, Fraction(1, RATE_HZ)
        self._frames += 1
        return frame


class Caller:
    """One call from the caller's side. `types`: the types that what it is told must have."""

    def __init__(self, types: TypeAdapter[Any] = GA) -> None:
        self.types = types
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.microphone = Microphone()
        self.peer.addTrack(self.microphone)
        self.channel = self.peer.createDataChannel("oai-events")
        self.events: list[dict[str, Any]] = []
        self.heard: list[Pcm] = []
        self._new = asyncio.Condition()
        self._listening: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()
        self.channel.add_listener("message", self._on_event)
        self.peer.add_listener("track", self._on_track)

    def encode_with(self, encoder: Encoder) -> None:
        """Send what this encoder makes of the microphone. To be said before the call begins."""
        self.peer.getSenders()[0]._RTCRtpSender__encoder = encoder  # it makes its own where there is none

    async def offer(self) -> str:
        """The SDP to send."""
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return str(self.peer.localDescription.sdp)

    async def answered(self, sdp: str) -> None:
        """The SDP that came back."""
        await self.peer.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    def send(self, event: dict[str, Any] | str) -> None:
        """An event, or whatever else."""
        self.channel.send(event if isinstance(event, str) else json.dumps(event))

    async def until(self, found: Callable[[], Any], within_s: float = 60.0) -> Any:
        """Wait for what `found` finds in the events."""
        async with asyncio.timeout(within_s), self._new:
            while not (what := found()):
                await self._new.wait()
            return what

    async def event(self, kind: str, number: int = 0, within_s: float = 60.0) -> dict[str, Any]:
        """The event of `kind`, the first or a later one."""
        found: list[dict[str, Any]] = await self.until(
            lambda: (of := self.of(kind)) if len(self.of(kind)) > number else None, within_s
        )
        return found[number]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Events of `kind` so far."""
        return [event for event in self.events if event["type"] == kind]

    def kinds(self) -> list[str]:
        """Types of all events so far."""
        return [event["type"] for event in self.events]

    def audio(self) -> Pcm:
        """All that was heard so far, 48 kHz."""
        return np.concatenate([np.zeros(0, np.float32), *self.heard])

    def spoken_s(self, above: float = 0.02) -> float:
        """Seconds of what was heard that are not silence, by 20 ms frames."""
        return 0.02 * sum(float(np.abs(frame).max()) > above for frame in self.heard)

    def silent_s(self, above: float = 0.02) -> float:
        """Seconds of silence since the last sound."""
        loud = [number for number, frame in enumerate(self.heard) if float(np.abs(frame).max()) > above]
        return 0.02 * (len(self.heard) - 1 - loud[-1]) if loud else 0.0

    def disturb(self, *, loss: float = 0.0, jitter_s: float = 0.0, seed: int = 0) -> None:
        """Lose a share of the packets on their way to the server, and delay each by up to `jitter_s`, so that they overtake."""
        transport, chance = self.peer.getTransceivers()[0].sender.transport, random.Random(seed)
        send = transport._send_rtp

        async def late(data: bytes) -> None:
            await asyncio.sleep(chance.random() * jitter_s)
            with suppress(ConnectionError):
                await send(data)

        async def disturbed(data: bytes) -> None:
            if chance.random() >= loss:
                self._in_background(late(data))

        transport._send_rtp = disturbed  # the only place between the encoder and the network

    async def close(self) -> None:
        await self.peer.close()
        if self._listening is not None:
            self._listening.cancel()  # aiortc ends no track of a call that is not connected yet
            await asyncio.wait({self._listening})

    def _on_event(self, message: str) -> None:
        event = json.loads(message)
        self.types.validate_python(event)
        self.events.append(event)
        self._in_background(self._notify())

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _notify(self) -> None:
        async with self._new:
            self._new.notify_all()

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._listening = asyncio.get_running_loop().create_task(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        with suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                stereo = frame.to_ndarray().reshape(-1, 2).astype(np.float32) / 32768
                self.heard.append(stereo.mean(axis=1))


@asynccontextmanager
async def calling(types: TypeAdapter[Any] = GA) -> AsyncGenerator[Caller]:
    """A caller, hung up at the end."""
    caller = Caller(types)
    try:
        yield caller
    finally:
        await caller.close()
