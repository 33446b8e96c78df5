"""Items as clients send them, made into items of a conversation."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from streaming.audio import MODEL_RATE_HZ, Resampler, WireFormat
from streaming.errors import InvalidRequest
from streaming.realtime import messages as msg
from streaming.realtime.conversation import Item
from streaming.realtime.hearing import Hearing
from streaming.realtime.limits import SessionLimits
from streaming.stages import Pcm, SpeechEncoder

MAX_RECORDINGS = 8
"""Recordings of a session that may be on their way through the encoder."""

_PIECE_SAMPLES = MODEL_RATE_HZ // 2  # what the encoder does in one go, while live speech waits


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording in an item, 16 kHz, and who will hear it."""

    pcm: Pcm
    hearing: Hearing


class Recordings:
    """Recordings of items on their way through the encoder, which live speech shares: in pieces, and not too many at once."""

    def __init__(self) -> None:
        self._encoding: set[asyncio.Task[None]] = set()
        self.tasks: asyncio.TaskGroup | None = None

    def check_room(self, recordings: Sequence[Recording]) -> None:
        """Raises InvalidRequest (`too_many_recordings`) where these cannot be encoded, too."""
        if recordings and len(self._encoding) + len(recordings) > MAX_RECORDINGS:
            raise InvalidRequest(
                f"{len(self._encoding)} recordings of items are being encoded, and {len(recordings)} more would exceed "
                f"{MAX_RECORDINGS}; send fewer at once, or wait",
                code="too_many_recordings",
            )

    def encode(self, recordings: Sequence[Recording]) -> None:
        """Begin to encode them."""
        assert self.tasks is not None, "the session is not running"
        for recording in recordings:
            task = self.tasks.create_task(_encode(recording), name="encoder")
            self._encoding.add(task)
            task.add_done_callback(self._encoding.discard)


def item_of(
    shape: msg.ClientItem,
    param: str,
    encoder: SpeechEncoder,
    wire: WireFormat,
    limits: SessionLimits,
    recordings: list[Recording],
) -> Item:
    """The item; a recording in it, in the format `wire`, joins `recordings`, to be encoded. `param`: where `shape` came from.

    Raises InvalidRequest.
    """
    item = Item(shape.role)
    if shape.id is not None:
        item.id = shape.id
    if not isinstance(shape, msg.UserItem):
        said = (part.transcript if isinstance(part, msg.OutputAudio) else part.text for part in shape.content)
        item.text = "\n".join(said)
        return item
    item.typed = tuple(None if isinstance(part, msg.InputAudio) else part.text for part in shape.content)
    for at, part in enumerate(shape.content):
        if isinstance(part, msg.InputAudio):
            pcm = _recording(part, wire, limits, f"{param}.content.{at}.audio")
            item.spoken, item.text = True, part.transcript or ""
            item.hearing = Hearing(encoder)
            recordings.append(Recording(pcm, item.hearing))
    return item


def _recording(part: msg.InputAudio, wire: WireFormat, limits: SessionLimits, param: str) -> Pcm:
    data = wire.decode(from_base64(part.audio, param))
    pcm = Resampler(wire.rate_hz, MODEL_RATE_HZ).push(data, final=True)
    shortest, longest = (round(s * MODEL_RATE_HZ) for s in (limits.min_question_s, limits.max_question_s))
    if not shortest <= pcm.size <= longest:
        raise InvalidRequest(
            f"the recording has {pcm.size / MODEL_RATE_HZ:.2f} s; accepted: {limits.min_question_s:g} "
            f"to {limits.max_question_s:g} s",
            code="audio_too_short" if pcm.size < shortest else "audio_too_long",
            param=param,
        )
    return pcm


async def _encode(recording: Recording) -> None:
    pcm, hearing = recording.pcm, recording.hearing
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hearing.run())
        for start in range(0, pcm.size, _PIECE_SAMPLES):
            await hearing.feed(pcm[start : start + _PIECE_SAMPLES])
        await hearing.close()


def from_base64(text: str, param: str) -> bytes:
    """Bytes of a base64 string. Raises InvalidRequest (`invalid_audio`)."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("audio is not valid base64", code="invalid_audio", param=param) from None
