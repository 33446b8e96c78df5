"""A spare template: forked from the template, it has imported all that that has, and costs only the memory that it changes.

It serves from the beginning as multiprocessing's fork server does; nobody asks it for anything before it is needed.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
from contextlib import suppress
from multiprocessing import Pipe, forkserver, util
from multiprocessing.connection import Connection
from typing import Any

from model.workers.link import begin_process, has_ended


class Spare:
    """One process, seen from the gateway. `process` is to be started, then `started` to be called; `close` ends it."""

    def __init__(self, context: Any) -> None:
        self._address = os.path.join(util.get_temp_dir(), f"template-{secrets.token_hex(4)}")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._address)
        os.chmod(self._address, 0o600)
        self._listener.listen()
        self._in_use, self._alive = Pipe(duplex=False)
        self._lifeline, self._held = Pipe(duplex=False)
        self._handle: int | None = None
        self.process = context.Process(
            target=serve, args=(self._listener, self._in_use, self._lifeline), name="template"
        )
        self._at_exit = util.Finalize(None, self._kill, exitpriority=10)  # before children are waited for

    def started(self) -> None:
        """It runs."""
        for each in (self._listener, self._in_use, self._lifeline):
            each.close()
        with suppress(ProcessLookupError):
            self._handle = os.pidfd_open(self.process.pid)

    @property
    def pid(self) -> int:
        """Its process."""
        return int(self.process.pid or 0)

    @property
    def lives(self) -> bool:
        """Whether it could serve. multiprocessing cannot say: it asks the template, which may have died."""
        return self._handle is not None and not has_ended(self._handle)

    def take_over(self, server: Any) -> None:
        """Have `server`, the object that multiprocessing asks for processes, ask this one. The one that it asked is dead."""
        os.close(server._forkserver_alive_fd)
        server._forkserver_address = self._address
        server._forkserver_alive_fd = os.dup(self._alive.fileno())
        server._forkserver_authkey = None  # since Python 3.14; who may not read the address cannot connect
        server._forkserver_pid = self.pid
        self._alive.close()
        self._let_go()

    def close(self) -> None:
        """End it, if it lives, and let go of all that it had."""
        self._at_exit.cancel()
        self._kill()
        for each in (self._listener, self._in_use, self._alive, self._lifeline, self._held):
            each.close()
        self._let_go()
        with suppress(FileNotFoundError):
            os.unlink(self._address)

    def _let_go(self) -> None:
        """Nobody asks whether it lives any more."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _kill(self) -> None:
        if self.lives:
            os.kill(self.pid, signal.SIGKILL)


def serve(listener: socket.socket, in_use: Connection, lifeline: Connection) -> None:
    """All of a spare: fork workers for who connects to `listener`. `lifeline`: a pipe that ends with the gateway."""
    begin_process("template", lifeline)
    os.register_at_fork(after_in_child=lifeline.close)
    forkserver.main(listener.detach(), in_use.fileno(), [])
