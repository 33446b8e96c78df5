"""The real server for end-to-end tests: the command, the default bundle, real weights."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[1]
START_S = 240.0
STOP_S = 30.0


@contextmanager
def serving(log: Path) -> Iterator[str]:
    """Base URL of `cslm serve`, warm. It is stopped the way an operator does, and has to stop cleanly."""
    port = free_port()
    with running_server(log, port) as process:
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGTERM)
        status = process.wait(STOP_S)
        assert status in (0, -signal.SIGTERM), f"the server stopped with {status}:\n{_tail(log)}"


@contextmanager
def running_server(
    log: Path, port: int, *options: str, within: Sequence[str] = (), **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    """`cslm serve` with `options` and `CSLM_…` variables, warm, in a process group of its own; killed with all its processes if it
    still runs at the end. `within`: what the command begins with."""
    command = [
        *within,
        sys.executable,
        "-m",
        "server.cli",
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        *options,
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CSLM_")}
    environment |= {f"CSLM_{name.upper()}": value for name, value in settings.items()}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}", process, log)
        yield process
    finally:
        if process.poll() is None:
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Nobody is asked: the server, its engine and its vocoder, which are processes of their own, are gone."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"the server ended with {process.returncode}:\n{_tail(log)}", pytrace=False)
        try:
            if httpx.get(f"{url}/readyz", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.25)
    pytest.fail(f"the server was not ready after {START_S:g} s:\n{_tail(log)}", pytrace=False)


def _tail(log: Path, lines: int = 40) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
