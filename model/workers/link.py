"""The worker's end: its messages, and the signs of life that it gives while it works."""

from __future__ import annotations

import ctypes
import fcntl
import logging
import os
import queue
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from model.workers.frames import Frames, packed
from streaming.errors import SpeechServerError

log = logging.getLogger(__name__)

BEAT_S = 0.2
"""Between two signs of life."""

_LOOK_BEATS = 5
"""Beats between two looks at the process's own memory and descriptors."""


@dataclass(frozen=True, slots=True)
class Beat:
    """The process lives. `busy_s`: how long its main thread has been at one step; `gauges`: what it measures of itself;
    `thread`: the system's id of the one that says so.
    """

    busy_s: float
    gauges: dict[str, float]
    thread: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker has loaded what it needs. `facts`: what the gateway must know of it."""

    facts: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker cannot be of use and ends."""

    error: SpeechServerError


class Link:
    """Messages from and to the gateway. The work is done on the main thread; one thread reads, another gives signs of life.

    `gauges`: what the work measures of itself, sent with each sign of life.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._sending = threading.Lock()
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()  # its bound is the gateway's: see the senders
        self._busy_since_s: float | None = time.monotonic()
        self.gauges: dict[str, float] = {}
        for work in (self._read, self._beat):
            threading.Thread(target=work, name=work.__name__, daemon=True).start()

    def receive(self, *, wait: bool = True) -> Any:
        """The next message; without `wait`, None where there is none. The step before is over with this call."""
        self._busy_since_s = None
        try:
            return self._inbox.get(block=wait)
        except queue.Empty:
            return None
        finally:
            self._busy_since_s = time.monotonic()

    def send(self, message: Any) -> None:
        """To the gateway. Waits while that does not read."""
        data = packed(message)
        with self._sending:
            self._socket.sendall(data)

    def _read(self) -> None:
        frames = Frames()
        try:
            while data := self._socket.recv(1 << 16):
                for message in frames.feed(data):
                    self._inbox.put(message)
        except OSError:
            pass
        end_group()  # the gateway has closed the link, or has gone

    def _beat(self) -> None:
        beats = 0
        while True:
            since_s = self._busy_since_s
            busy_s = 0.0 if since_s is None else time.monotonic() - since_s
            if beats % _LOOK_BEATS == 0:
                self.gauges |= own_gauges()
            try:
                self.send(Beat(busy_s, dict(self.gauges), threading.get_native_id()))
            except OSError:
                return
            beats += 1
            time.sleep(BEAT_S)


Main = Callable[..., None]
"""What a worker does: `main(link, *arguments)`, a function of a module, for it is found by its name."""


def work(sock: socket.socket, lifeline: Connection, name: str, main: Main, arguments: tuple[Any, ...]) -> None:
    """All of a worker process. It leads a process group of its own, with whatever it starts, and ends with the gateway.

    `lifeline`: a pipe that ends with the gateway.
    """
    begin_process(name, lifeline)
    _keep_freed_memory()
    link = Link(sock)
    try:
        main(link, *arguments)
    except BrokenPipeError:
        end_group()
    except SpeechServerError as error:
        link.send(Failed(error))
    except Exception:
        log.exception("a worker failed")
        link.send(Failed(SpeechServerError("see the log")))


def begin_process(name: str, lifeline: Connection) -> None:
    """Make this process the leader of a group that ends with the gateway, and show it as `name`. `lifeline`: see `work`."""
    os.setpgid(0, 0)
    _die_with(lifeline)
    _show_name(name)
    leave_stopping_to_parent()


def has_ended(handle: int, *, wait: bool = False) -> bool:
    """Whether the process of a pidfd has ended. `wait`: block until it has.

    Not by `select`, which takes no descriptor above 1,023: a gateway with many sockets has higher ones.
    """
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(None if wait else 0))


def is_ready_to_run(pid: int, thread: int) -> bool:
    """Whether a thread of a process has a processor or waits for one, or for the disk: it is slow, and does not hang.

    False for one that is stopped, sleeps or has ended, and where the kernel does not tell (not Linux).
    """
    try:
        stat = Path(f"/proc/{pid}/task/{thread}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(") ")[2][:1] in ("R", "D")


def own_gauges() -> dict[str, float]:
    """Memory and descriptors of this process, where the kernel tells them."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return {
            "resident_bytes": pages * os.sysconf("SC_PAGE_SIZE"),
            "open_fds": len(os.listdir("/proc/self/fd")),
        }
    except OSError:
        return {}


def leave_stopping_to_parent() -> None:
    """Signals that stop a terminal's or a service's processes all at once are for the gateway: it ends its workers itself."""
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    # Unlike SIG_IGN, a function is not inherited by a program that is started from here: SIGTERM still ends that.
    signal.signal(signal.SIGTERM, lambda number, frame: None)


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends (Linux)."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Have this process be the parent of what a child of it leaves behind (Linux)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _die_with(lifeline: Connection) -> None:
    """Have the kernel kill this process group when the other end of a pipe is closed (Linux; elsewhere the closed link does).

    A worker that is stopped or hangs cannot look at it. The end of its parent would not do: that is the template.
    """
    if sys.platform == "linux":
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgid(0))
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _show_name(name: str) -> None:
    """In `ps` and `top`, by its first 15 characters."""
    _prctl(_PR_SET_NAME, name.replace(" ", "-").encode())


def _keep_freed_memory() -> None:
    """Have the next step use the memory of the last (glibc; elsewhere nothing changes).

    By default glibc gives large blocks back to the kernel as a step frees its activations. The next step then has every page
    cleared and mapped anew.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT_BYTES)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_KEPT_BYTES = 32 << 20
"""Of one block: the most that glibc accepts."""

_MOST_KEPT_BYTES = 64 << 20
"""Free at the end of the heap."""

_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 15, 36


def _prctl(option: int, value: int | bytes) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


def end_group() -> None:
    """End this process, and with it whatever it has started."""
    os.killpg(os.getpgid(0), signal.SIGKILL)
