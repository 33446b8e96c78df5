"""What many open sockets cost one that talks: its added latency, and the memory of each.

    python -m tests.bench.crowd --sockets 1000

The server is a process of its own with scripted stages: the gateway alone. A socket sends an event and waits for the event that
answers it, alone and then among the others. The others are realtime sessions: of ten, seven are idle, two send 20 ms of silence a
second, and one sends 20 ms of silence every 200 ms, as a microphone behind a bad connection does. They are opened by processes
of their own. Memory is the growth of the server's proportional set.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psutil  # type: ignore[import-untyped]
from websockets.asyncio.client import connect as connect_async
from websockets.sync.client import connect

from server.app import create_app
from server.serve import Server, listening_socket, transport_config
from server.settings import Settings
from tests.bench.event_loop import connection
from tests.bench.results import ROOT, arguments, origin, summary, table, write
from tests.live_server import free_port
from tests.server.models import fake_model, opener

PROBES, WARM = 1500, 100
PROBE_EVERY_S = 0.02
SLOW_S = (None,) * 7 + (1.0, 1.0, 0.2)
"""How often each of ten sockets sends a frame; None: never."""
_FRAME = json.dumps({"type": "input_audio_buffer.append", "audio": "AAAA" * 320})
_PROBE = json.dumps({"type": "input_audio_buffer.clear"})


def main() -> None:
    """Measure and write; with `--serve` be the server, with `--crowd` be sockets."""
    parser = arguments(__doc__)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--serve", type=int, metavar="PORT", help=argparse.SUPPRESS)
    parser.add_argument("--crowd", type=int, nargs=2, metavar=("PORT", "SOCKETS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        be_server(options.serve, options.sockets)
    elif options.crowd:
        asyncio.run(be_crowd(*options.crowd))
    else:
        record = {"origin": origin(), "sockets": options.sockets} | measured(options.sockets)
        write(options.out, "crowd", record, report(record))


def be_server(port: int, sockets: int) -> None:
    """Serve scripted stages until killed."""
    settings = Settings(
        api_key=None,
        log_level="error",
        max_sessions=sockets + 8,
        max_waiting=sockets,  # the server lets in twice as many every few seconds
        max_waiting_per_peer=sockets,
        max_wait_s=600,
        max_connections=sockets + 64,
        max_connections_per_address=sockets + 64,
    )
    app = create_app(settings, opener(fake_model()))
    server = Server(transport_config(app, settings), app.state.shared)
    asyncio.run(server.serve(sockets=[listening_socket("127.0.0.1", port)]))


async def be_crowd(port: int, sockets: int) -> None:
    """Open sockets and say so; then send what each sends until stdin closes. Says how many are still open at the end."""
    opened = await asyncio.gather(*(_opened(port) for _ in range(sockets)))
    async with asyncio.TaskGroup() as tasks:
        for number, socket in enumerate(opened):
            tasks.create_task(_read(socket))
            if (every_s := SLOW_S[number % len(SLOW_S)]) is not None:
                tasks.create_task(_send(socket, every_s))
        print(json.dumps({"opened": sockets}), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        print(json.dumps({"open": sum(socket.close_code is None for socket in opened)}), flush=True)
        for socket in opened:
            socket.transport.abort()


async def _opened(port: int) -> Any:
    socket = await connect_async(f"ws://127.0.0.1:{port}/v1/realtime", compression=None, open_timeout=None)
    while json.loads(await socket.recv())["type"] != "session.created":  # it may be told first where it waits
        pass
    return socket


async def _read(socket: Any) -> None:
    async for _ in socket:
        pass


async def _send(socket: Any, every_s: float) -> None:
    while socket.close_code is None:
        await socket.send(_FRAME)
        await asyncio.sleep(every_s)


def measured(sockets: int) -> dict[str, Any]:
    """Latencies alone and in the crowd, in turn; memory before and after."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * sockets)), hard))
    port = free_port()
    me = [sys.executable, "-m", "tests.bench.crowd", "--sockets", str(sockets)]
    with ExitStack() as running:
        server = running.enter_context(_process([*me, "--serve", str(port)]))
        connection(port).close()
        alone = probes(port)
        before = memory_kb(server.pid)
        crowd = running.enter_context(_process([*me, "--crowd", str(port), str(sockets)]))
        assert crowd.stdout is not None and crowd.stdin is not None
        json.loads(crowd.stdout.readline())
        cpu_s, began_s = cpu(server.pid), time.monotonic()
        among = probes(port)
        cpu_share = (cpu(server.pid) - cpu_s) / (time.monotonic() - began_s)
        after = memory_kb(server.pid)
        crowd.stdin.close()
        still_open = json.loads(crowd.stdout.readline())["open"]
    return {
        "alone_s": summary(alone),
        "among_s": summary(among),
        "kb_a_session": (after - before) / sockets,
        "still_open": still_open,
        "server_cores": cpu_share,
    }


@contextmanager
def _process(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def probes(port: int) -> list[float]:
    """Seconds there and back of each event, one every 20 ms."""
    taken = []
    with connect(f"ws://127.0.0.1:{port}/v1/realtime", compression=None) as socket:
        socket.recv()
        for number in range(WARM + PROBES):
            began_s = time.perf_counter()
            socket.send(_PROBE)
            socket.recv()
            took_s = time.perf_counter() - began_s
            if number >= WARM:
                taken.append(took_s)
                time.sleep(max(0.0, PROBE_EVERY_S - took_s))
    return taken


def memory_kb(pid: int) -> float:
    """Proportional set of the server and its processes."""
    server = psutil.Process(pid)
    return float(sum(each.memory_full_info().pss for each in (server, *server.children(recursive=True)))) / 1000


def cpu(pid: int) -> float:
    """Processor seconds of the server so far."""
    return float(sum(psutil.Process(pid).cpu_times()[:2]))


def report(record: dict[str, Any]) -> str:
    """A line alone, a line in the crowd."""
    alone, among = record["alone_s"], record["among_s"]
    names = ("p50", "p95", "p99", "max")
    rows = [
        ("alone", *(f"{1000 * alone[name]:.2f}" for name in names)),
        (f"among {record['sockets']}", *(f"{1000 * among[name]:.2f}" for name in names)),
        ("added", *(f"{1000 * (among[name] - alone[name]):.2f}" for name in names)),
    ]
    return (
        f"{record['still_open']} of {record['sockets']} sockets stayed open. {record['kb_a_session']:.0f} kB a session. "
        f"The server used {record['server_cores']:.2f} cores.\n\n" + table(("event there and back, ms", *names), rows)
    )


if __name__ == "__main__":
    main()
