"""The process that decodes recordings of strangers: a loop around `decode`, without torch, network or secrets, and confined.

What a file claims, such as forty million samples in five kilobytes, makes FFmpeg take the memory and the time. Here they end this
process or fail in it, and the gateway stays as it is.

On standard input and output, again and again: the lengths of two parts (`HEAD`), JSON, bytes. A question has `declared`, `max_s`
and the recording; its answer an empty object and float32 samples at 16 kHz, or an error's `kind`, `message`, `code` and `param`.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from server.media.decode import Declared, decode, identify
from streaming.errors import SpeechServerError

HEAD = struct.Struct(">II")
MEMORY_BYTES = 512 << 20
"""Beyond what the process has when it starts. A recording of 25 MiB and ten minutes of its samples need half of it."""
_NICE = 5
_FILES = 16


def main() -> None:
    """Answer questions until there are no more."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they are for the gateway, which ends this process itself
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints does not speak in our place
    _confine()
    while (question := read(questions)) is not None:
        for part in packed(*_answered(*question)):
            answers.write(part)
        answers.flush()


def read(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """The next JSON object with its bytes; None at the end, also where that cuts them off."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    sizes = HEAD.unpack(head)
    text, data = (stream.read(size) for size in sizes)
    return (json.loads(text), data) if (len(text), len(data)) == sizes else None


def packed(fields: dict[str, Any], data: bytes) -> tuple[bytes, bytes]:
    """What `read` reads."""
    text = json.dumps(fields).encode()
    return HEAD.pack(len(text), len(data)) + text, data


def _answered(question: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    max_s: float = question["max_s"]
    _allow_cpu(max_s)
    try:
        pcm = decode(data, identify(data, Declared(**question["declared"])), max_s=max_s)
    except SpeechServerError as error:
        return {"kind": type(error).__name__, "message": error.message, "code": error.code, "param": error.param}, b""
    except MemoryError:
        return {"kind": "MemoryError"}, b""
    return {}, pcm.tobytes()


def _confine() -> None:
    """Little memory, no files written, few opened, no core left, and the gateway's work comes first."""
    limits = {resource.RLIMIT_FSIZE: 0, resource.RLIMIT_NOFILE: _FILES, resource.RLIMIT_CORE: 0}
    with suppress(OSError):  # where there is no /proc, memory is not limited
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limits[resource.RLIMIT_AS] = pages * resource.getpagesize() + MEMORY_BYTES
    for kind, most in limits.items():
        resource.setrlimit(kind, (most, most))
    os.nice(_NICE)


def _allow_cpu(max_s: float) -> None:
    """Seconds of processor for one recording: many times what an honest one needs. Beyond them the kernel ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime + 10 + max_s / 10)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


if __name__ == "__main__":
    main()
