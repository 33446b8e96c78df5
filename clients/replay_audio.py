"""A recorded conversation as sound: the client on the left, the server on the right, on one time line."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from clients.errors import UnreadableRecording, UnwritableOutput
from clients.realtime import RATE_HZ
from clients.recordings import check_format, check_writable
from clients.replay_report import AUDIO_DELTAS, MICROPHONE, value
from streaming.audio import AudioFrame, WireFormat, float_to_pcm16, resampled
from streaming.recording import RecordedSession

_TOGETHER_S = 0.5
"""What comes so little later than it would be played follows what came before it without a gap."""
_LONGEST_S = 4 * 3600.0
_BETA = {
    "pcm16": WireFormat(),
    "g711_ulaw": WireFormat("audio/pcmu", 8000),
    "g711_alaw": WireFormat("audio/pcma", 8000),
}


class _Channel:
    """One side: audio in the order and at the times in which it came."""

    def __init__(self) -> None:
        self.wire = WireFormat()
        self._pieces: list[tuple[int, NDArray[np.int16]]] = []
        self._end = 0

    def take(self, at_s: float, data: object) -> None:
        """Base64 in the format of the wire; what is none was no audio to the server either."""
        try:
            pcm = self.wire.decode(base64.b64decode(str(data), validate=True))
        except Exception:
            return
        at = round(at_s * RATE_HZ)
        start = at if at > self._end + _TOGETHER_S * RATE_HZ else self._end
        samples = np.frombuffer(float_to_pcm16(resampled(AudioFrame(pcm, self.wire.rate_hz), RATE_HZ)), "<i2")
        self._pieces.append((start, samples))
        self._end = start + samples.size

    def stop(self, at_s: float) -> None:
        """What is still to be played then is not."""
        self._end = min(self._end, round(at_s * RATE_HZ))
        self._pieces = [(start, samples[: max(0, self._end - start)]) for start, samples in self._pieces]

    def fill(self, into: NDArray[np.int16]) -> None:
        """Write all of it."""
        for start, samples in self._pieces:
            into[start : start + samples.size] = samples

    @property
    def samples(self) -> int:
        """Its length."""
        return max((start + piece.size for start, piece in self._pieces), default=0)


def write_conversation(recorded: RecordedSession, path: Path) -> float:
    """Write both sides to a sound file in the format of its suffix. Returns its length in seconds.

    Raises UnreadableRecording, UnwritableOutput.
    """
    check_writable(path)
    check_format(path)
    if recorded.duration_s > _LONGEST_S:
        raise UnreadableRecording(f"the session has {recorded.duration_s:g} s; accepted: up to {_LONGEST_S:g} s")
    client, server = _Channel(), _Channel()
    for message in recorded.messages:
        event = message.event
        kind = event.get("type")
        if message.sender == "client" and kind in MICROPHONE:
            client.take(message.at_s, event.get("audio"))
        elif message.sender == "server" and kind in AUDIO_DELTAS:
            server.take(message.at_s, event.get("delta"))
        elif kind == "response.done" and value(event, "response", "status") == "cancelled":
            server.stop(message.at_s)
        elif kind in ("session.created", "session.updated") and message.sender == "server":
            client.wire = _wire(event, "input") or client.wire
            server.wire = _wire(event, "output") or server.wire
    both = np.zeros((2, max(client.samples, server.samples)), np.int16)
    client.fill(both[0])
    server.fill(both[1])
    try:
        soundfile.write(path, both.T, RATE_HZ)
    except (soundfile.SoundFileError, OSError, TypeError, ValueError) as error:
        raise UnwritableOutput(f"cannot write {path}: {error}") from error
    return both.shape[1] / RATE_HZ


def _wire(event: dict[str, Any], side: str) -> WireFormat | None:
    """The format of one side's audio in a session, as either dialect tells it."""
    kind, rate = (value(event, "session", "audio", side, "format", name) for name in ("type", "rate"))
    if kind == "audio/pcm":
        return WireFormat(kind, rate if isinstance(rate, int) and 4000 <= rate <= 192_000 else RATE_HZ)
    if kind in ("audio/pcmu", "audio/pcma"):
        return WireFormat(kind, 8000)
    return _BETA.get(str(value(event, "session", f"{side}_audio_format")))
