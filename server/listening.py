"""The socket that the server listens on: bound by itself, passed by systemd, or handed over by the server before it.

A socket that is handed over is the same one, with the connections that wait in it. So none is refused or reset, as happens with
two sockets of one address (`SO_REUSEPORT`): the one that is closed takes those in its queue along.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_ANSWER_S = 5.0
_READY = b"r"
_SYSTEMD_FD = 3


def listening_socket(host: str, port: int) -> socket.socket:
    """A bound TCP socket that no child inherits. Raises OSError.

    It names its protocol: asyncio turns Nagle's algorithm off (`TCP_NODELAY`) only on connections of sockets that do. With it
    on, an answer of two writes waits for the client's delayed acknowledgement, some 40 ms.
    """
    [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
    )
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def activated_socket() -> socket.socket | None:
    """The listening socket that systemd passes to this process (sd_listen_fds(3)), if it does. Raises OSError."""
    if os.environ.pop("LISTEN_PID", None) != str(os.getpid()):
        return None
    if os.environ.pop("LISTEN_FDS", None) != "1":
        raise OSError("systemd has to pass one socket: one ListenStream= in the socket unit")
    return _adopted(_SYSTEMD_FD)


@dataclass(frozen=True, slots=True)
class Predecessor:
    """A server that goes on until it is dismissed. `listener`: its listening socket, which both have."""

    listener: socket.socket
    _control: socket.socket

    def dismiss(self) -> None:
        """Connections are accepted here now. If it has gone meanwhile, all the better."""
        with suppress(OSError):
            self._control.sendall(_READY)
        self._control.close()


def predecessor(path: Path) -> Predecessor | None:
    """The server that hands its socket over at `path`, or None where none does.

    Raises OSError, also where none ever can: in a directory that does not exist, or in place of a file that is no socket.
    """
    if not path.parent.is_dir():
        raise OSError(f"there is no directory {path.parent}")
    if path.exists() and not path.is_socket():
        raise OSError("there is a file of another kind, which is left alone")
    control = socket.socket(socket.AF_UNIX)
    try:
        control.settimeout(_ANSWER_S)
        control.connect(os.fspath(path))
        _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not descriptors:
            raise OSError("the server there hands no socket over; it may be stopping")
        return Predecessor(_adopted(descriptors[0]), control)
    except (FileNotFoundError, ConnectionRefusedError):
        control.close()
        return None
    except OSError:
        control.close()
        raise


class _Moved(Exception):
    """A successor accepts connections."""


async def handed_over(listener: socket.socket, path: Path) -> None:
    """Offer `listener` at `path` to this user's other processes; return when one of them accepts its connections.

    Raises OSError where nothing can be offered there.
    """
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as control:
        inode = _bind(control, path)
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    successor, _ = await loop.sock_accept(control)
                    tasks.create_task(_hand_over(successor, listener), name="successor")
        except* _Moved:
            pass
        finally:
            _unbind(path, inode)


def _bind(control: socket.socket, path: Path) -> int:
    """Listen at `path`, in the place of whoever did before. Returns the inode."""
    mine = path.with_name(f"{path.name}.{os.getpid()}")
    mine.unlink(missing_ok=True)
    control.bind(os.fspath(mine))
    try:
        mine.chmod(0o600)
        control.listen()
        control.setblocking(False)
        inode = mine.stat().st_ino
        mine.replace(path)
    except OSError:
        mine.unlink(missing_ok=True)
        raise
    return inode


def _unbind(path: Path, inode: int) -> None:
    """Remove the file, unless it is already that of the server which took over."""
    with suppress(OSError):
        if path.stat().st_ino == inode:
            path.unlink()


async def _hand_over(successor: socket.socket, listener: socket.socket) -> None:
    """Give the socket to a successor, and wait for it to be ready. One that ends before changes nothing."""
    with successor, suppress(OSError):
        socket.send_fds(successor, [_READY], [listener.fileno()])
        if await asyncio.get_running_loop().sock_recv(successor, 1) == _READY:
            raise _Moved


def _adopted(descriptor: int) -> socket.socket:
    """A listening TCP socket that came from elsewhere. Raises OSError for anything else."""
    os.set_inheritable(descriptor, False)
    listener = socket.socket(fileno=descriptor)
    if listener.proto != socket.IPPROTO_TCP or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listener.close()
        raise OSError("what was passed is no TCP socket that listens")
    return listener
