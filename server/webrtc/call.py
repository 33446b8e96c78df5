"""One WebRTC call: a realtime session whose events go over a data channel and whose audio goes as Opus, both ways.

Here the server plays the audio, so it knows what was heard: an interruption empties what is still to be played and cuts the
conversation to the rest, without the client's help.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiortc import RTCConfiguration, RTCDataChannel, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack

from server.errors import ServerStopping
from server.state.recording import CallTape
from server.state.sessions import decoded
from server.webrtc.tracks import FRAME_S, PLAYOUT_HZ, AnswerTrack, heard
from streaming.audio import Resampler
from streaming.errors import InvalidRequest
from streaming.playout import PlayoutQueue, Progress
from streaming.realtime.conversation import new_id
from streaming.realtime.effects import Machine, Unreadable
from streaming.realtime.events import (
    Ending,
    Failed,
    InputSpeechStarted,
    OutputAudioDelta,
    OutputAudioDone,
    OutputCleared,
    OutputStarted,
    OutputStopped,
    ResponseCreated,
    ResponseDone,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
)
from streaming.realtime.ga import Dialect
from streaming.realtime.limits import Stop
from streaming.realtime.messages import Append, ClientMessage, ItemTruncate, OutputClear
from streaming.realtime.session import Session
from streaming.task_groups import TaskGroup

log = logging.getLogger("cslm.calls")

CONNECT_S = 30.0
"""A peer that has not connected by then does not come."""
_WAITING_S = 120.0
_QUEUED = 512
_UNOPENED = 64
_APART = 64
_UNREAD_BYTES = 8 * 1024 * 1024
_GOODBYE_S = 0.2


class PeerGone(Exception):
    """The call is over: hung up, lost, or never connected."""


class Call:
    """A call from its offer to its end. `answer` first, then `run`; `hang_up` ends it."""

    def __init__(self, ice_servers: list[RTCIceServer], dialect: Dialect) -> None:
        self.id = new_id("rtc")
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=ice_servers))
        self._playout = PlayoutQueue(PLAYOUT_HZ)
        self._inbox: asyncio.Queue[str | bytes | ClientMessage] = asyncio.Queue(_QUEUED)
        self._channel: RTCDataChannel | None = None
        self._unopened: deque[str] = deque(maxlen=_UNOPENED)
        self._microphone: asyncio.Future[MediaStreamTrack] = asyncio.get_running_loop().create_future()
        self._connected, self._over = asyncio.Event(), asyncio.Event()
        self.dialect = dialect
        self._speech: dict[str, Resampler] = {}  # by response under way
        self._apart: deque[str] = deque(maxlen=_APART)  # responses whose items are not in the conversation
        self._interrupts = False
        self.tape: CallTape | None = None
        self._peer.add_listener("track", self._on_track)
        self._peer.add_listener("datachannel", self._on_channel)
        self._peer.add_listener("connectionstatechange", self._on_state)

    @property
    def connected(self) -> bool:
        """The caller has connected, or hung up."""
        return self._connected.is_set()

    async def answer(self, offer: str) -> str:
        """The SDP that answers the SDP `offer`. Raises InvalidRequest (`invalid_sdp`)."""
        try:
            await self._peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            kinds = [transceiver.kind for transceiver in self._peer.getTransceivers()]
            if "audio" in kinds and "video" not in kinds:
                self._peer.addTrack(AnswerTrack(self._playout, self._on_progress))
            answer = await self._peer.createAnswer()
        except Exception as failure:  # aiortc raises whatever the offer breaks
            raise InvalidRequest(
                "the offer is not SDP that can be answered", code="invalid_sdp", param="sdp"
            ) from failure
        if "audio" not in kinds or "video" in kinds:
            raise InvalidRequest(
                "a call has audio, both ways or one, and a data channel; no video", code="invalid_sdp", param="sdp"
            )
        await self._peer.setLocalDescription(answer)
        return str(self._peer.localDescription.sdp)

    async def run(self, session: Session) -> None:
        """Hold the session until either side hangs up. When the server stops, the caller hears the answer under way to its end."""
        try:
            async with TaskGroup() as tasks:
                tasks.create_task(self._until_over(), name="call")
                tasks.create_task(self._listen(), name="microphone")
                await session.run(self._received(session.machine), self.send)
                if session.stop.asked.is_set():
                    await self._say_goodbye(session.stop)
                raise PeerGone
        except* PeerGone:
            pass

    async def _say_goodbye(self, stop: Stop) -> None:
        while self._playout.waiting_s and not stop.over.is_set():  # noqa: ASYNC110 - it is played by the clock
            await asyncio.sleep(FRAME_S)
        self._tell(Failed(ServerStopping("the server is stopping; call again")))
        await asyncio.sleep(_GOODBYE_S)  # a data channel that is closed drops what it has not sent

    def hang_up(self) -> None:
        """End the call, also one that is not connected yet."""
        self._connected.set()
        self._over.set()

    async def close(self) -> None:
        """Leave the connection."""
        await self._peer.close()

    async def _until_over(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._connected.wait()
        except TimeoutError:
            log.info("%s: nobody connected", self.id)
            raise PeerGone from None
        await self._over.wait()
        raise PeerGone

    # What comes in

    def _on_state(self) -> None:
        state = self._peer.connectionState
        if state == "connected":
            self._connected.set()
        elif state in ("failed", "closed"):
            self.hang_up()

    def _on_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio" and not self._microphone.done():
            self._microphone.set_result(track)

    def _on_channel(self, channel: RTCDataChannel) -> None:
        if self._channel is not None:
            return
        self._channel = channel
        channel.add_listener("message", self._put)
        while self._unopened:
            self._write(self._unopened.popleft())

    def _put(self, message: str | bytes | ClientMessage) -> None:
        try:
            self._inbox.put_nowait(message)
        except asyncio.QueueFull:
            log.warning("%s: the peer sends faster than it is answered", self.id)
            self.hang_up()

    async def _listen(self) -> None:
        """The microphone. What comes while the session is far behind is lost, as it would be on the way."""
        async with aclosing(heard(await self._microphone)) as frames:
            async for audio in frames:
                if audio.pcm.size and self._inbox.qsize() < _QUEUED // 2:
                    if self.tape is not None:
                        self.tape.heard(audio)
                    self._inbox.put_nowait(Append(audio=audio))

    async def _received(self, machine: Machine) -> AsyncGenerator[ClientMessage | Unreadable]:
        """What the session gets: the client's events and the microphone. What is to be cleared is the call's business."""
        while True:
            message = await self._inbox.get()
            event: ClientMessage | Unreadable
            if isinstance(message, str | bytes):
                if self.tape is not None:
                    self.tape.received(message)
                event = await decoded(self.dialect, message, machine.audio_in)
            else:
                event = message
            if isinstance(event, OutputClear):
                self._clear()
            else:
                yield event

    # What goes out

    async def send(self, event: ServerEvent) -> None:
        """An event of the session: audio to the track, all else to the data channel."""
        if isinstance(event, OutputAudioDelta):
            if self.tape is not None:
                self.tape.said(event)
            await self._play(event)
            return
        if isinstance(event, Ending):  # no client has said that it knows our own events
            return
        self._tell(event)
        match event:
            case SessionCreated(session) | SessionUpdated(session):
                detection = session.settings["audio"]["input"]["turn_detection"]
                self._interrupts = bool(detection and detection["interrupt_response"])
            case ResponseCreated(response) if response.conversation_id is None:
                self._apart.append(response.id)
            case InputSpeechStarted() if self._interrupts:
                self._clear()
            case OutputAudioDone(response_id=response_id, item_id=item_id) if response_id in self._speech:
                self._playout.push(response_id, item_id, self._speech.pop(response_id).flush())
            case ResponseDone(response):
                self._playout.complete(response.id)

    async def _play(self, event: OutputAudioDelta) -> None:
        audio = event.audio
        resampler = self._speech.setdefault(event.response_id, Resampler(audio.rate_hz, PLAYOUT_HZ))
        self._playout.push(event.response_id, event.item_id, resampler.push(audio.pcm))
        await asyncio.sleep(max(0.0, self._playout.waiting_s - _WAITING_S))

    def _clear(self) -> None:
        """Play nothing more; the conversation keeps what was played."""
        for cleared in self._playout.clear():
            self._tell(OutputCleared(cleared.response_id))
            if cleared.response_id not in self._apart:
                if self.tape is not None:
                    self.tape.truncated(cleared.item_id, cleared.played_ms)
                self._put(ItemTruncate(item_id=cleared.item_id, content_index=0, audio_end_ms=cleared.played_ms))

    def _on_progress(self, progress: Progress) -> None:
        kind = OutputStarted if progress.kind == "started" else OutputStopped
        self._tell(kind(progress.response_id))

    def _tell(self, event: ServerEvent) -> None:
        if self.tape is not None:
            self.tape.said(event)
        for message in self.dialect.encode(event):
            self._write(message)

    def _write(self, message: str) -> None:
        channel = self._channel
        if channel is None:
            self._unopened.append(message)
        elif channel.readyState == "open":
            if channel.bufferedAmount > _UNREAD_BYTES:
                log.warning("%s: the peer does not read its events", self.id)
                self.hang_up()
                return
            channel.send(message)
