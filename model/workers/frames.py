"""Messages over a stream socket: a pickle behind its length. Both ends are processes of this server."""

from __future__ import annotations

import pickle
import struct
from typing import Any

_LENGTH = struct.Struct("!Q")


def packed(message: Any) -> bytes:
    """`message` as it travels."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


class Frames:
    """Bytes to messages. Any split of the bytes gives the same messages."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """The messages that `data` completes."""
        self._pending += data
        messages = list[Any]()
        while len(self._pending) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._pending)[0]
            if len(self._pending) < end:
                break
            messages.append(pickle.loads(self._pending[_LENGTH.size : end]))
            del self._pending[:end]
        return messages
