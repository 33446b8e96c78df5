"""What a kept connection costs: `/healthz` again and again, and events over a socket, with asyncio's loop and with uvloop.

    python -m tests.bench.event_loop

Scripted stages, so that only the gateway is measured; server and client are processes of their own. The rows without
`TCP_NODELAY` listen as uvicorn's own `bind_socket` does. uvloop comes with vLLM; the server does not use it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil  # type: ignore[import-untyped]
import uvloop
from websockets.sync.client import connect

from server.app import create_app
from server.serve import Server, listening_socket, transport_config
from server.settings import Settings
from tests.bench.results import ROOT, arguments, origin, table, write
from tests.live_server import free_port
from tests.server.models import fake_model, opener

WARM, TIMES = 50, 1000
VARIANTS = (("asyncio", False), ("asyncio", True), ("uvloop", False), ("uvloop", True))
_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"


def main() -> None:
    """Measure and write; with `--serve`, be the server."""
    parser = arguments(__doc__)
    parser.add_argument("--serve", nargs=3, metavar=("LOOP", "NODELAY", "PORT"), help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured, in turn")
    options = parser.parse_args()
    if options.serve:
        loop, nodelay, port = options.serve
        be_server(loop, nodelay=nodelay == "True", port=int(port))
        return
    record: dict[str, Any] = {"origin": origin(), "rounds": options.rounds, "requests": TIMES}
    found = [row for _ in range(options.rounds) for row in (measured(*variant) for variant in VARIANTS)]
    record["rows"] = [medians([row for row in found if (row["loop"], row["nodelay"]) == each]) for each in VARIANTS]
    write(options.out, "event_loop", record, report(record))


def be_server(loop: str, *, nodelay: bool, port: int) -> None:
    """Serve scripted stages until killed."""
    listener = listening_socket("127.0.0.1", port) if nodelay else socket.create_server(("127.0.0.1", port))
    settings = Settings(api_key=None, log_level="error")
    app = create_app(settings, opener(fake_model()))
    server = Server(transport_config(app, settings), app.state.shared)
    factory = uvloop.new_event_loop if loop == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(server.serve(sockets=[listener]))


def measured(loop: str, nodelay: bool) -> dict[str, Any]:
    """One run of one variant: milliseconds, and the server's CPU time for each."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.event_loop", "--serve", loop, str(nodelay), str(port)]
    server = subprocess.Popen(command, cwd=ROOT)
    try:
        with connection(port) as kept:
            http = times(lambda: request(kept), server.pid)
        with connect(f"ws://127.0.0.1:{port}/v1/realtime") as kept:
            kept.recv()
            events = times(lambda: event(kept), server.pid)
    finally:
        server.kill()
        server.wait()
    return {"loop": loop, "nodelay": nodelay, "http": http, "events": events}


def connection(port: int) -> socket.socket:
    """A connection, as soon as somebody listens."""
    for _ in range(600):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise TimeoutError("the server does not come up")


def request(kept: socket.socket) -> None:
    """Ask once, read all of the answer."""
    kept.sendall(_REQUEST)
    answer = b""
    while not answer.endswith(b"}"):
        if not (piece := kept.recv(65536)):
            raise EOFError("the server closed the connection")
        answer += piece


def event(kept: Any) -> None:
    """An event that is answered by one."""
    kept.send(json.dumps({"type": "input_audio_buffer.clear"}))
    kept.recv()


def times(ask: Callable[[], None], pid: int) -> dict[str, float]:
    """Percentiles over `TIMES` askings in ms, and the server's CPU time for one."""
    for _ in range(WARM):
        ask()
    taken, before = list[float](), psutil.Process(pid).cpu_times()
    for _ in range(TIMES):
        began_s = time.perf_counter()
        ask()
        taken.append(1000 * (time.perf_counter() - began_s))
    after = psutil.Process(pid).cpu_times()
    taken.sort()
    cpu_ms = 1000 * (after.user + after.system - before.user - before.system) / TIMES
    return {"p50_ms": taken[TIMES // 2], "p99_ms": taken[int(0.99 * TIMES)], "cpu_ms": cpu_ms}


def medians(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the rounds of one variant, each figure's median."""
    out = {"loop": rows[0]["loop"], "nodelay": rows[0]["nodelay"]}
    for what in ("http", "events"):
        out[what] = {name: statistics.median(row[what][name] for row in rows) for name in rows[0][what]}
    return out


def report(record: dict[str, Any]) -> str:
    """A line a variant."""
    head = ["loop", "TCP_NODELAY", "/healthz p50, ms", "p99", "server's CPU", "event p50, ms", "p99", "server's CPU"]
    lines = [
        [row["loop"], "on" if row["nodelay"] else "off"]
        + [f"{row[what][name]:.2f}" for what in ("http", "events") for name in ("p50_ms", "p99_ms", "cpu_ms")]
        for row in record["rows"]
    ]
    return table(head, lines)


if __name__ == "__main__":
    main()
