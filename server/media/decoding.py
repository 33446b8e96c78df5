"""Decodes recordings of strangers in processes of their own, and looks for speech in them on threads of their own.

Long recordings have a lane apart: whoever sends ten minutes does not hold up a question of three seconds.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import numpy as np

from server.media import decode as inside
from server.media.decode import Declared
from server.media.decoder_process import packed, read
from streaming.errors import InvalidRequest, SpeechServerError, UnsupportedMedia
from streaming.stages import Pcm

log = logging.getLogger("cslm.decoding")

LONG_S = 60.0
_SHORT_LANES = 2
_ERRORS: dict[str, type[SpeechServerError]] = {"UnsupportedMedia": UnsupportedMedia}
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")

P = ParamSpec("P")
T = TypeVar("T")


class Decode(Protocol):
    """A recording to PCM: see `server.media.decode`. Blocks."""

    def __call__(self, data: bytes, declared: Declared, *, max_s: float) -> Pcm:
        """Float32 mono [T] at 16 kHz. Raises InvalidRequest."""
        ...


def decode_here(data: bytes, declared: Declared, *, max_s: float) -> Pcm:
    """Decode in this process: for recordings that are trusted."""
    return inside.decode(data, inside.identify(data, declared), max_s=max_s)


class DecoderProcess:
    """A decoder in a process of its own, which starts when it is first needed, and again after it was lost."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, data: bytes, declared: Declared, *, max_s: float) -> Pcm:
        """See `Decode`. `audio_too_complex`: the recording took more memory or time than one may."""
        process = self.start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            for part in packed({"declared": asdict(declared), "max_s": max_s}, data):
                process.stdin.write(part)
            process.stdin.flush()
            answer = read(process.stdout)
        except (OSError, ValueError):
            answer = None
        if answer is None:
            log.warning("a recording ended the process that decoded it, with status %s", self.close())
            raise _too_complex()
        fields, samples = answer
        if not fields:
            return np.frombuffer(samples, np.float32)
        kind = fields.pop("kind")
        if kind == "MemoryError":
            raise _too_complex()
        raise _ERRORS.get(kind, InvalidRequest)(**fields)

    def start(self) -> subprocess.Popen[bytes]:
        """The process, running."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "server.media.decoder_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
                | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        return self._process

    def kill(self) -> None:
        """End the process, whatever it does. Any thread may call it."""
        if (process := self._process) is not None:
            process.kill()

    def close(self) -> int | None:
        """End the process and wait until it is gone. Returns its status, if there was one."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.kill()
        with suppress(OSError), process:  # what was still to be written is lost
            pass
        return process.returncode


def _too_complex() -> InvalidRequest:
    return InvalidRequest(
        "the recording takes more memory or time to decode than the server allows",
        code="audio_too_complex",
        param="file",
    )


class _Lane:
    """One thread with its decoder: one recording at a time."""

    def __init__(self, decode: Decode) -> None:
        self.decode = decode
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="decoding")

    def end(self) -> None:
        """End what the decoder does now."""
        if isinstance(self.decode, DecoderProcess):
            self.decode.kill()

    def close(self) -> None:
        self.end()
        self.thread.shutdown()
        if isinstance(self.decode, DecoderProcess):
            self.decode.close()


class Decoding:
    """The lanes of one server. `new_decoder` makes the decoder of each; `limit_s`: longest that a recording may take in all."""

    def __init__(self, limit_s: float, new_decoder: Callable[[], Decode] = DecoderProcess) -> None:
        self._limit_s = limit_s
        self._lanes = [_Lane(new_decoder()) for _ in range(_SHORT_LANES + 1)]
        self._idle: dict[bool, asyncio.LifoQueue[_Lane]] = {True: asyncio.LifoQueue(), False: asyncio.LifoQueue()}
        for number, lane in enumerate(self._lanes):
            self._idle[number == _SHORT_LANES].put_nowait(lane)

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """Recordings may be decoded while the context lasts. The first decoder starts at once."""
        lane = self._lanes[0]
        if isinstance(lane.decode, DecoderProcess):
            lane.thread.submit(lane.decode.start)
        try:
            yield
        finally:
            for lane in self._lanes:
                await asyncio.to_thread(lane.close)

    async def run(
        self, max_s: float, work: Callable[Concatenate[Decode, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`work` on a thread, with a decoder, for recordings of up to `max_s`. Waits for a lane.

        Raises what `work` does, and InvalidRequest (`audio_too_complex`). Cancelling ends the decoder's process.
        """
        idle = self._idle[max_s > LONG_S]
        lane = await idle.get()
        running = asyncio.get_running_loop().run_in_executor(lane.thread, lambda: work(lane.decode, *args, **kwargs))

        def free(done: asyncio.Future[T]) -> None:
            idle.put_nowait(lane)
            if not done.cancelled():
                done.exception()  # told below, or nobody is left to be told

        running.add_done_callback(free)
        try:
            async with asyncio.timeout(self._limit_s) as limit:
                return await asyncio.shield(running)
        except TimeoutError:
            if limit.expired():
                raise _too_complex() from None
            raise
        finally:
            if not running.done():  # else another may have the lane
                lane.end()
