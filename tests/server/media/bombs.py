"""Files that claim more than they hold."""

from __future__ import annotations

import struct


def _box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def claims_samples(samples: int) -> bytes:
    """An mp4 of a few hundred bytes whose tables claim `samples` samples of equal size: FFmpeg makes an index of them."""
    entry = _box(b"mp4a", bytes(6), b"\0\1", bytes(8), struct.pack(">HHIHHI", 1, 16, 0, 0, 0, 16_000 << 16)[:12])
    table = _box(
        b"stbl",
        _box(b"stsd", bytes(4), struct.pack(">I", 1), entry),
        _box(b"stts", bytes(4), struct.pack(">III", 1, samples, 0)),
        _box(b"stsc", bytes(4), struct.pack(">IIII", 1, 1, samples, 1)),
        _box(b"stsz", bytes(4), struct.pack(">II", 1, samples)),
        _box(b"stco", bytes(4), struct.pack(">II", 1, 100)),
    )
    media = _box(
        b"mdia",
        _box(b"mdhd", bytes(12), struct.pack(">II", 16_000, 0), bytes(4)),
        _box(b"hdlr", bytes(8), b"soun", bytes(13)),
        _box(b"minf", _box(b"smhd", bytes(8)), table),
    )
    return _box(b"ftyp", b"M4A ", bytes(4)) + _box(b"moov", _box(b"trak", media)) + _box(b"mdat", bytes(16))
