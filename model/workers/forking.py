"""How worker processes are made: forked from a template that has imported what they need, or afresh where forking is unsafe.

The template is multiprocessing's fork server. Either way workers inherit no descriptor of the gateway.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import select
import signal
import sys
from contextlib import suppress
from multiprocessing import forkserver, util
from multiprocessing.process import BaseProcess
from typing import Any

from model.workers.link import adopt_orphans

log = logging.getLogger(__name__)

_FORK_S = 5.0
"""Longest fork of a template that has forked before. The first has to wait for its imports."""

_AGAIN_S = 1.0
_REAPED_S = 5.0
_PATIENCE_S = 1.0
_START_DESCRIPTORS = 20
_TEMPLATE = "model.workers.template"


def context() -> Any:
    """Where multiprocessing makes processes."""
    return multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")


def preload(*modules: str) -> None:
    """What the template imports. To be said before the first worker starts."""
    if sys.platform == "linux":
        multiprocessing.get_context("forkserver").set_forkserver_preload([_TEMPLATE, *modules])


class _Template:
    """The one template of this process. Workers outlive it: the gateway becomes their parent."""

    def __init__(self) -> None:
        self._begun_pid: int | None = None
        self._proven_pid: int | None = None

    @property
    def pid(self) -> int | None:
        """Its process, if there is one."""
        return getattr(getattr(forkserver, "_forkserver", None), "_forkserver_pid", None)  # nobody else knows it

    def limit_s(self, start_s: float) -> float:
        """Longest that a fork may take."""
        return min(_FORK_S, start_s) if self.pid is not None and self.pid == self._proven_pid else start_s

    def ensure(self) -> None:
        """Start it where there is none. To be called on the loop's thread: it ends with the thread that started it."""
        adopt_orphans()
        os.makedirs(util.get_temp_dir(), mode=0o700, exist_ok=True)  # who tidies temporary files may have taken it away
        forkserver.ensure_running()
        if self._begun_pid not in (None, self.pid):
            log.error("the process that workers are forked from has died; another takes its place")
        self._begun_pid = self.pid

    def proven(self) -> None:
        """It has forked."""
        self._proven_pid = self.pid

    def kill(self) -> None:
        """It hangs or cannot be reached; the next start makes another."""
        if self.pid is not None:
            log.error("the process that workers are forked from does not answer")
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


_template = _Template()


async def keep_template() -> None:
    """Replace the template whenever it ends, so that it has imported everything by the time it is needed."""
    while sys.platform == "linux":
        if _template.pid is not None:
            await _ended(_template.pid)
        try:
            _template.ensure()
        except OSError:  # no descriptors or no memory, for now
            log.exception("no process to fork workers from can be started")
            await asyncio.sleep(_AGAIN_S)


async def _ended(pid: int) -> None:
    """Wait for the end of a process, of whomever it is a child."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(handle, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


async def start(process: BaseProcess, name: str, start_s: float) -> None:
    """Start it, off the loop: the template may still be importing. Raises OSError where no process can be had."""
    if sys.platform == "linux":
        _template.ensure()
    limit_s = _template.limit_s(start_s)
    starting = asyncio.ensure_future(asyncio.to_thread(process.start))
    try:
        async with asyncio.timeout(limit_s):
            await asyncio.shield(starting)
        _template.proven()
    except TimeoutError:
        raise OSError(f"no process for the {name} within {limit_s:g} s") from None
    except (EOFError, ConnectionError, FileNotFoundError):
        _template.kill()  # it has died, or its socket was removed
        raise OSError("the process that workers are forked from cannot be reached") from None
    finally:  # what the thread hands over must not be closed under it
        if not starting.done():
            await asyncio.wait({starting}, timeout=_PATIENCE_S)
        while not starting.done():
            _template.kill()
            await asyncio.wait({starting}, timeout=_PATIENCE_S)
        if not starting.cancelled():
            starting.exception()  # told above, or nobody is left to be told


def look_for_descriptors() -> None:
    """Raises OSError where a start would run out of them half way, of which the template would end."""
    spare = list[int]()
    try:
        while len(spare) < _START_DESCRIPTORS:
            spare.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for each in spare:
            os.close(each)


def reap(process: BaseProcess, handle: int | None) -> None:
    """Wait until the kernel has taken a killed process away. Blocks. `handle`: its pidfd, where there are any."""
    if handle is not None:
        select.select([handle], [], [])
        if process.pid is not None:
            with suppress(ChildProcessError):  # its parent is the template, unless that has died before it
                os.waitpid(process.pid, os.WNOHANG)
    process.join(_REAPED_S)
    while process.is_alive():
        _template.kill()  # it should have told
        process.join(_REAPED_S)
    process.close()


preload()
