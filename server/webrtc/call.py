"""One WebRTC call: a realtime session whose events go over a data channel and whose audio goes as Opus, both ways.

Here the server plays the audio, so it knows what was heard: an interruption empties what is still to be played and cuts the
conversation to the rest, without the client's help.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from aiortc import RTCConfiguration, RTCDataChannel, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack

from server.webrtc.tracks import PLAYOUT_HZ, AnswerTrack, heard
from streaming.audio import Resampler, WireFormat
from streaming.errors import InvalidRequest
from streaming.playout import Playout, Progress
from streaming.realtime.conversation import new_id
from streaming.realtime.messages import json_object
from streaming.realtime.outbox import Event
from streaming.realtime.session import RealtimeSession
from streaming.realtime.shapes import ClientEventError
from streaming.stages import Pcm

log = logging.getLogger("cslm.calls")

CONNECT_S = 30.0
"""A peer that has not connected by then does not come."""
_WAITING_S = 120.0
_QUEUED = 512
_UNOPENED = 64
_APART = 64
_UNREAD_BYTES = 8 * 1024 * 1024


class PeerGone(Exception):
    """The call is over: hung up, lost, or never connected."""


class Call:
    """A call from its offer to its end. `answer` first, then `run`; `hang_up` ends it."""

    def __init__(self, ice_servers: list[RTCIceServer]) -> None:
        self.id = new_id("rtc")
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=ice_servers))
        self._playout = Playout(PLAYOUT_HZ)
        self._inbox: asyncio.Queue[str | bytes | Pcm] = asyncio.Queue(_QUEUED)
        self._channel: RTCDataChannel | None = None
        self._unopened: deque[Event] = deque(maxlen=_UNOPENED)
        self._microphone: asyncio.Future[MediaStreamTrack] = asyncio.get_running_loop().create_future()
        self._connected, self._over = asyncio.Event(), asyncio.Event()
        self._wire_in = WireFormat()
        self._spoken: dict[str, tuple[WireFormat, Resampler]] = {}  # by response under way: the format is its own
        self._apart: deque[str] = deque(maxlen=_APART)  # responses whose items are not in the conversation
        self._interrupts = False
        self._peer.add_listener("track", self._on_track)
        self._peer.add_listener("datachannel", self._on_channel)
        self._peer.add_listener("connectionstatechange", self._on_state)

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

    async def run(self, session: RealtimeSession) -> None:
        """Hold the session until either side hangs up."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._until_over(), name="call")
                tasks.create_task(self._listen(), name="microphone")
                await session.run(self._received())
                raise PeerGone
        except* PeerGone:
            pass

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
        channel.add_listener("message", self._on_message)
        while self._unopened:
            self._tell(self._unopened.popleft())

    def _on_message(self, message: str | bytes) -> None:
        try:
            self._inbox.put_nowait(message)
        except asyncio.QueueFull:
            log.warning("%s: the peer sends faster than it is answered", self.id)
            self.hang_up()

    async def _listen(self) -> None:
        """The microphone. What comes while the session is far behind is lost, as it would be on the way."""
        async with aclosing(heard(await self._microphone, PLAYOUT_HZ)) as pieces:
            async for pcm in pieces:
                if pcm.size and self._inbox.qsize() < _QUEUED // 2:
                    self._inbox.put_nowait(pcm)

    async def _received(self) -> AsyncIterator[str | bytes]:
        """What the session gets: the client's events, and the microphone as the events that a socket's client would send."""
        resampler, rate_hz = Resampler(PLAYOUT_HZ, PLAYOUT_HZ), PLAYOUT_HZ
        while True:
            message = await self._inbox.get()
            if isinstance(message, str | bytes):
                if not self._is_clear(message):
                    yield message
                continue
            if self._wire_in.rate_hz != rate_hz:
                rate_hz = self._wire_in.rate_hz
                resampler = Resampler(PLAYOUT_HZ, rate_hz)
            audio = base64.b64encode(self._wire_in.encode(resampler.push(message))).decode()
            if audio:
                yield json.dumps({"type": "input_audio_buffer.append", "audio": audio})

    def _is_clear(self, message: str | bytes) -> bool:
        """`output_audio_buffer.clear` is for the call, not for the session."""
        if isinstance(message, bytes) or "output_audio_buffer.clear" not in message:
            return False
        try:
            event = json_object(message)
        except ClientEventError:  # which the session says to the client
            return False
        if event.get("type") != "output_audio_buffer.clear":
            return False
        self._clear()
        return True

    # What goes out

    async def send(self, event: Event) -> None:
        """An event of the session: audio to the track, all else to the data channel."""
        kind = event["type"]
        if kind == "response.output_audio.delta":
            await self._play(event)
            return
        self._tell(event)
        match kind:
            case "session.created" | "session.updated":
                self._follow(event["session"])
            case "response.created":
                self._begin(event["response"])
            case "input_audio_buffer.speech_started" if self._interrupts:
                self._clear()
            case "response.done":
                self._spoken.pop(event["response"]["id"], None)
                self._playout.complete(event["response"]["id"])

    def _begin(self, response: dict[str, Any]) -> None:
        wire = _wire(response["audio"]["output"]["format"])
        self._spoken[response["id"]] = wire, Resampler(wire.rate_hz, PLAYOUT_HZ)
        if response["conversation_id"] is None:
            self._apart.append(response["id"])

    async def _play(self, event: Event) -> None:
        wire, resampler = self._spoken[event["response_id"]]
        pcm = resampler.push(wire.decode(base64.b64decode(event["delta"])))
        self._playout.push(event["response_id"], event["item_id"], pcm)
        await asyncio.sleep(max(0.0, self._playout.waiting_s - _WAITING_S))

    def _follow(self, session: dict[str, Any]) -> None:
        """Know what the session hears and does when it is interrupted."""
        self._wire_in = _wire(session["audio"]["input"]["format"])
        detection = session["audio"]["input"]["turn_detection"]
        self._interrupts = bool(detection and detection["interrupt_response"])

    def _clear(self) -> None:
        """Play nothing more; the conversation keeps what was played."""
        for cleared in self._playout.clear():
            self._tell_of_output("cleared", cleared.response_id)
            if cleared.response_id in self._apart:
                continue
            truncate = {
                "type": "conversation.item.truncate",
                "item_id": cleared.item_id,
                "content_index": 0,
                "audio_end_ms": cleared.played_ms,
            }
            self._on_message(json.dumps(truncate))

    def _on_progress(self, progress: Progress) -> None:
        self._tell_of_output(progress.kind, progress.response_id)

    def _tell_of_output(self, what: str, response_id: str) -> None:
        self._tell({"event_id": new_id("event"), "type": f"output_audio_buffer.{what}", "response_id": response_id})

    def _tell(self, event: Event) -> None:
        channel = self._channel
        if channel is None:
            self._unopened.append(event)
        elif channel.readyState == "open":
            if channel.bufferedAmount > _UNREAD_BYTES:
                log.warning("%s: the peer does not read its events", self.id)
                self.hang_up()
                return
            channel.send(json.dumps(event, ensure_ascii=False))


def _wire(shape: dict[str, Any]) -> WireFormat:
    return WireFormat(shape["type"], 24_000 if shape["type"] == "audio/pcm" else 8_000)
