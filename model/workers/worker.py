"""One worker process, seen from the gateway: started, watched, ended."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe, util
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from model.workers import forking
from model.workers.frames import Frames, packed
from model.workers.link import Beat, Failed, Main, Ready, is_ready_to_run, work
from streaming.errors import EngineUnavailable, SpeechServerError

log = logging.getLogger(__name__)

CHECK_S = 0.25
"""How long nothing may come before silence is counted; a beat is due sooner."""

_STARVED_SHARE = 0.25
"""What a silence counts while the worker would give a sign of life if it had a processor: a busy machine is no hang."""

_LOADING = 15
"""Times that a worker may be silent longer while it loads: reading and compiling may keep the interpreter for themselves."""

Reason = Literal["died", "hung", "stuck", "failed"]
"""Why a worker went: its process ended; it gave no sign of life; one step took too long; it could not start."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`start_s`: until it is ready; `hang_s`: without a sign of life; `step_s`: for one step of its work."""

    start_s: float
    hang_s: float = 1.0
    step_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker process does: `main(link, *arguments)`."""

    main: Main
    arguments: tuple[Any, ...]


class WorkerLost(EngineUnavailable):
    """The process went under the work; what it knew is gone. The work itself may be done again."""


class Worker:
    """One process. `live` is its life; `on_ready`, `on_message` and `on_lost` hear of it, on the event loop.

    `facts`: what it said when it became ready; `gauges`: what it measured of itself last; `failure`: why it could not start;
    `served_s`: how long it was ready, once it has gone.
    """

    def __init__(
        self,
        name: str,
        job: Job,
        limits: Limits,
        *,
        on_ready: Callable[[Worker], None],
        on_message: Callable[[Worker, Any], None],
        on_lost: Callable[[Worker, Reason], None],
    ) -> None:
        self.name = name
        self._job = job
        self._limits = limits
        self._on_ready, self._on_message, self._on_lost = on_ready, on_message, on_lost
        self._writer: asyncio.StreamWriter | None = None
        self._silences = 0.0
        self._beating = 0  # the thread that gives signs of life
        self.ready = self.lost = False
        self._ready_s = self.served_s = 0.0
        self.facts: dict[str, Any] = {}
        self.gauges: dict[str, float] = {}
        self.pid = 0
        self.failure: SpeechServerError | None = None

    @property
    def silent(self) -> bool:
        """It has given no sign of life for longer than a slow moment explains."""
        return self._silences * CHECK_S >= self._limits.hang_s / 3

    def send(self, message: Any) -> None:
        """To the process. What it cannot take is lost with it."""
        if self._writer is not None and not self.lost:
            self._writer.write(packed(message))

    async def live(self) -> None:
        """From the start of the process until it is gone for certain. Cancelling this ends it.

        Raises OSError where no process can be had.
        """
        forking.look_for_descriptors()
        ours, theirs = socket.socketpair()
        lifeline, held = Pipe(duplex=False)
        process = forking.context().Process(
            target=work,
            args=(theirs, lifeline, self.name, self._job.main, self._job.arguments),
            name=self.name,
        )
        at_exit = util.Finalize(None, _kill, args=(process,), exitpriority=10)  # before children are waited for
        handle: int | None = None
        try:
            await forking.start(process, self.name, self._limits.start_s)
            self.pid = process.pid or 0
            handle = _handle(self.pid)
            theirs.close()
            lifeline.close()
            reader, self._writer = await asyncio.open_connection(sock=ours)
            reason = await self._until_lost(reader)
            log.error("%s (process %d) %s", self.name, self.pid, _SAID[reason])
            self._lose(reason)
        finally:
            self.lost = True
            for each in (ours, theirs, lifeline):
                each.close()
            if self._writer is not None:
                self._writer.transport.abort()
            try:
                if process.pid is not None:
                    await _ended(process, handle)
            finally:
                held.close()
                at_exit.cancel()

    async def _until_lost(self, reader: asyncio.StreamReader) -> Reason:
        loop = asyncio.get_running_loop()
        frames, began_s = Frames(), loop.time()
        while True:
            try:
                async with asyncio.timeout(CHECK_S):
                    data = await reader.read(1 << 20)
            except TimeoutError:
                # counted once, and taken back, where it was this process that stood still: what came is read next
                self._silences += _STARVED_SHARE if is_ready_to_run(self.pid, self._beating) else 1
                if self._silences * CHECK_S >= self._limits.hang_s * (1 if self.ready else _LOADING):
                    return "hung"
            except ConnectionError:
                return "died"
            else:
                if not data:
                    return "died" if self.ready or self.failure is None else "failed"
                self._silences = 0
                for message in frames.feed(data):
                    if self._take(message):
                        return "stuck"
            if not self.ready and loop.time() - began_s > self._limits.start_s:
                return "stuck"

    def _take(self, message: Any) -> bool:
        """Returns whether a step takes too long."""
        match message:
            case Beat():
                self.gauges, self._beating = message.gauges, message.thread
                return self.ready and message.busy_s > self._limits.step_s
            case Ready():
                self.ready, self.facts, self._ready_s = True, message.facts, asyncio.get_running_loop().time()
                self._on_ready(self)
            case Failed():
                self.failure = message.error
                log.error("%s: %s", self.name, self.failure.message)
            case _:
                self._on_message(self, message)
        return False

    def _lose(self, reason: Reason) -> None:
        self.lost = True
        if self.ready:
            self.served_s = asyncio.get_running_loop().time() - self._ready_s
        self._on_lost(self, reason)


_SAID: dict[Reason, str] = {
    "died": "died",
    "hung": "gave no sign of life",
    "stuck": "took too long",
    "failed": "cannot start",
}


def _handle(pid: int) -> int | None:
    """A descriptor that tells when the process has ended, whoever is its parent then; None where there are none (not Linux)."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:  # ended already
        return None


async def _ended(process: BaseProcess, handle: int | None) -> None:
    """Kill it, and wait until the kernel has taken it away; a cancellation waits for that."""
    _kill(process)
    gone = asyncio.ensure_future(asyncio.to_thread(forking.reap, process, handle))
    try:
        await asyncio.shield(gone)
    except asyncio.CancelledError:
        await asyncio.wait({gone})
        raise
    finally:
        if handle is not None:
            os.close(handle)


def _kill(process: BaseProcess) -> None:
    """The process, and whatever it has started. To be called at once: a number that is free may be another's soon."""
    if process.pid is None:
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()  # it may not lead its group yet
