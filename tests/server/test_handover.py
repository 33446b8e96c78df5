"""A server takes over from another one at the same address: real processes' sockets, in process."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from server.listening import activated_socket, handed_over, listening_socket, predecessor


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("h") / "handover"  # short: an address of a Unix socket has 107 bytes


async def offering(listener: socket.socket, path: Path) -> asyncio.Task[None]:
    before = inode(path)
    task = asyncio.create_task(handed_over(listener, path))
    while inode(path) in (None, before):
        await asyncio.sleep(0)
    return task


def inode(path: Path) -> int | None:
    return path.stat().st_ino if path.exists() else None


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_the_successor_has_the_same_socket_and_the_connections_that_wait_in_it(path: Path) -> None:
    listener = listening_socket("127.0.0.1", 0)
    listener.listen()
    task = await offering(listener, path)
    assert mode(path) == 0o600, "nobody else can take over"
    before = await asyncio.to_thread(predecessor, path)
    assert before is not None
    with socket.create_connection(listener.getsockname()) as waiting:
        listener.close()
        with before.listener as taken:
            assert not taken.get_inheritable()
            connection, address = await asyncio.to_thread(taken.accept)
            assert address == waiting.getsockname()
            connection.close()
        assert not task.done()
        before.dismiss()
        await task
    assert inode(path) is None


async def test_a_successor_that_gives_up_changes_nothing(path: Path) -> None:
    with listening_socket("127.0.0.1", 0) as listener:
        listener.listen()
        task = await offering(listener, path)
        for _ in range(2):
            before = await asyncio.to_thread(predecessor, path)
            assert before is not None
            before.listener.close()
            before._control.close()
        await asyncio.sleep(0.05)
        assert not task.done()
        first, second = [await asyncio.to_thread(predecessor, path) for _ in range(2)]
        assert first is not None and second is not None
        second.dismiss()
        await task
        first.dismiss()
        first.listener.close()
        second.listener.close()


async def test_the_path_is_the_successors_when_it_offers_before_the_server_before_has_left(path: Path) -> None:
    with listening_socket("127.0.0.1", 0) as listener:
        listener.listen()
        first = await offering(listener, path)
        second = await offering(listener, path)
        first.cancel()
        await asyncio.wait({first})
        before = await asyncio.to_thread(predecessor, path)
        assert before is not None
        before.dismiss()
        before.listener.close()
        await second


def test_nobody_is_there(path: Path) -> None:
    assert predecessor(path) is None
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(path))
    assert predecessor(path) is None, "a file that a killed server left"


async def test_a_server_that_is_stopping_hands_nothing_over(path: Path) -> None:
    listener = listening_socket("127.0.0.1", 0)
    listener.listen()
    task = await offering(listener, path)
    listener.close()
    with pytest.raises(OSError, match="may be stopping"):
        await asyncio.to_thread(predecessor, path)
    task.cancel()
    await asyncio.wait({task})


async def test_only_a_listening_tcp_socket_is_taken(path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        task = await offering(listener, path)
        with pytest.raises(OSError, match="no TCP socket that listens"):
            await asyncio.to_thread(predecessor, path)
        task.cancel()
        await asyncio.wait({task})


def test_a_socket_of_systemd() -> None:
    with listening_socket("127.0.0.1", 0) as listener:
        listener.listen()
        code = "from server.listening import activated_socket as a; s = a(); print(s and s.getsockname()[1], a())"
        script = f"exec 3<&{listener.fileno()}; export LISTEN_PID=$$ LISTEN_FDS=1; exec {sys.executable} -c '{code}'"
        said = subprocess.run(
            ["bash", "-c", script], pass_fds=[listener.fileno()], capture_output=True, check=True, text=True
        )
        assert said.stdout.split() == [str(listener.getsockname()[1]), "None"]


def test_sockets_for_another_process_or_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert activated_socket() is None
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "2")
    with pytest.raises(OSError, match="one socket"):
        activated_socket()
