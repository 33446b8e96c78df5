"""How worker processes are made: forked from a template that has imported what they need, or afresh where forking is unsafe.

The template is multiprocessing's fork server; a spare takes its place when it dies. Workers inherit no descriptor of the gateway.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
from contextlib import ExitStack, suppress
from multiprocessing import forkserver, util
from multiprocessing.process import BaseProcess
from typing import Any

from model.workers.link import adopt_orphans, has_ended
from model.workers.spare import Spare

log = logging.getLogger(__name__)

_FORK_S = 5.0
"""Longest fork of a template that has forked before. The first has to wait for its imports."""

_AGAIN_S = 1.0
_REAPED_S = 5.0
_PATIENCE_S = 1.0
_START_DESCRIPTORS = 20
_TEMPLATE = "model.workers.template"
_SPARE_S = 120.0
"""Longest wait for a template that still imports, on behalf of a spare."""

_SERVER: Any = getattr(forkserver, "_forkserver", None)
"""What multiprocessing knows of its fork server: nobody else knows it."""


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
        self._spare: Spare | None = None
        self._former: Spare | None = None
        self._forks_spare = False

    @property
    def pid(self) -> int | None:
        """Its process, if there is one."""
        return getattr(_SERVER, "_forkserver_pid", None)

    def limit_s(self, start_s: float) -> float:
        """Longest that a fork may take."""
        return min(_FORK_S, start_s) if self.pid is not None and self.pid == self._proven_pid else start_s

    def ensure(self) -> None:
        """Start it where there is none. To be called on the loop's thread: it ends with the thread that started it."""
        adopt_orphans()
        os.makedirs(util.get_temp_dir(), mode=0o700, exist_ok=True)  # who tidies temporary files may have taken it away
        if self._spare is not None and self._spare.lives and self.pid and os.waitpid(self.pid, os.WNOHANG)[0]:
            self._promote(self._spare)
        forkserver.ensure_running()
        if self._begun_pid not in (None, self.pid):
            log.error("the process that workers are forked from has died; another takes its place")
        self._begun_pid = self.pid

    def _promote(self, spare: Spare) -> None:
        spare.take_over(_SERVER)
        if self._former is not None:
            self._former.close()
        self._former, self._spare = spare, None
        self._proven_pid = spare.pid

    async def keep_spare(self) -> int | None:
        """Have the template fork a spare where there is none that lives. Returns its process, or None where another task does that.

        Raises OSError where no process can be had.
        """
        if self._forks_spare:
            return None
        if self._spare is not None:
            if self._spare.lives:
                return self._spare.pid
            self._spare.close()
        self._spare, self._forks_spare = None, True
        try:
            look_for_descriptors()
            spare = Spare(context())
            try:
                await start(spare.process, "spare template", _SPARE_S)
                spare.started()
                self._spare = spare
            finally:
                if self._spare is None:
                    spare.close()
        finally:
            self._forks_spare = False
        return spare.pid

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
    """Replace the template and its spare whenever one ends, so that one has imported everything by the time it is needed."""
    while sys.platform == "linux":
        try:
            _template.ensure()
            spare = await _template.keep_spare()
        except OSError:  # no descriptors or no memory, for now
            log.exception("no process to fork workers from can be started")
            spare = None
        if spare is None or _template.pid is None:
            await asyncio.sleep(_AGAIN_S)
        else:
            await _one_ended(_template.pid, spare)


async def _one_ended(*pids: int) -> None:
    """Wait for the end of one of these processes, of whomever it is a child."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    with ExitStack() as handles:
        for pid in pids:
            try:
                handle = os.pidfd_open(pid)
            except ProcessLookupError:
                return
            handles.callback(os.close, handle)
            loop.add_reader(handle, ended.set)
            handles.callback(loop.remove_reader, handle)
        await ended.wait()


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
        has_ended(handle, wait=True)
        if process.pid is not None:
            with suppress(ChildProcessError):  # its parent is the template, unless that has died before it
                os.waitpid(process.pid, os.WNOHANG)
    process.join(_REAPED_S)
    while process.is_alive():
        _template.kill()  # it should have told
        process.join(_REAPED_S)
    process.close()


preload()
