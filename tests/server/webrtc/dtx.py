"""Opus with discontinuous transmission, as browsers send it when asked to (`usedtx=1`): libopus itself, for FFmpeg does not pass it on."""

from __future__ import annotations

import ctypes
import ctypes.util
from pathlib import Path

import av
import pytest
from aiortc.codecs.base import Encoder
from av.frame import Frame
from av.packet import Packet

_RATE_HZ, _MOST_BYTES = 48_000, 1500
_VOIP, _SET_DTX = 2048, 4016
_UNSENT_BYTES = 2
"""A packet so short says that nothing has to be sent (RFC 7587 section 3.1.3)."""


def library() -> ctypes.CDLL:
    """The libopus that came with PyAV, or the system's. Skips the test where there is none."""
    bundled = sorted((Path(av.__file__).parents[1] / "av.libs").glob("libopus*"))
    name = str(bundled[0]) if bundled else ctypes.util.find_library("opus")
    return ctypes.CDLL(name) if name else pytest.skip("there is no libopus")


class DtxOpus(Encoder):
    """Mono. `unsent`: frames of silence that were left out."""

    def __init__(self) -> None:
        self._library, self.unsent = library(), 0
        self._library.opus_encoder_create.restype = ctypes.c_void_p
        self._library.opus_encoder_ctl.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
        self._library.opus_encode.argtypes = [
            ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int32
        ]  # fmt: skip
        failure = ctypes.c_int()
        self._encoder = self._library.opus_encoder_create(_RATE_HZ, 1, _VOIP, ctypes.byref(failure))
        assert not failure.value
        assert self._library.opus_encoder_ctl(self._encoder, _SET_DTX, 1) == 0

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        """A packet, or none."""
        assert isinstance(frame, av.AudioFrame)
        packet = ctypes.create_string_buffer(_MOST_BYTES)
        pcm16 = frame.to_ndarray().tobytes()
        size = self._library.opus_encode(self._encoder, pcm16, frame.samples, packet, _MOST_BYTES)
        assert size > 0
        if size <= _UNSENT_BYTES:
            self.unsent += 1
            return [], 0
        assert frame.pts is not None
        return [packet.raw[:size]], frame.pts

    def pack(self, packet: Packet) -> tuple[list[bytes], int]:
        raise NotImplementedError
