"""What a second of a session costs this gateway and Pipecat's, in processor time, with null stages behind both.

    python -m venv pipecat && pipecat/bin/pip install 'pipecat-ai[websocket]==1.14.0' uvicorn
    python -m tests.bench.other_gateway --pipecat pipecat/bin/python

Both servers are processes of their own on this machine, and the same client talks to one after the other: so many WebSockets at
once, a microphone in frames of 20 ms in real time, a question every four seconds, 1.6 s of audio as the answer. The stages compute
nothing, so what is left is the gateway's own work. This one runs as it is served: turn detection, the protocol's events, JSON and
base64, and the echo guard. Pipecat runs without what it could leave out (see `tests/bench/pipecat_gateway.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from websockets.asyncio.client import connect

from server.app import create_app
from server.serve import Server, listening_socket, transport_config
from server.settings import Settings
from tests.bench.event_loop import connection
from tests.bench.gateway import CYCLE_S, FRAME_S, frames, null_model
from tests.bench.results import ROOT, arguments, origin, table, write
from tests.live_server import free_port
from tests.server.models import opener

OURS, THEIRS = "this gateway", "Pipecat"
PATHS = {OURS: "/v1/realtime", THEIRS: "/ws"}
SESSIONS = (1, 10)


def main() -> None:
    """Measure and write; with `--serve`, be this gateway."""
    parser = arguments(__doc__)
    parser.add_argument("--pipecat", type=Path, help="a Python that has pipecat-ai[websocket]")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured, in turn")
    parser.add_argument("--questions", type=int, default=3, help="how many each session asks")
    parser.add_argument("--serve", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        settings = Settings(api_key=None, log_level="error")
        app = create_app(settings, opener(null_model()))
        server = Server(transport_config(app, settings), app.state.shared)
        asyncio.run(server.serve(sockets=[listening_socket("127.0.0.1", options.serve)]))
        return
    if options.pipecat is None:
        parser.error("--pipecat is needed: a Python that has pipecat-ai[websocket]")
    commands = {
        OURS: [sys.executable, "-m", "tests.bench.other_gateway", "--serve"],
        THEIRS: [str(options.pipecat), "tests/bench/pipecat_gateway.py"],
    }
    record: dict[str, Any] = {"origin": origin(), "runs": []}
    for sessions in SESSIONS:
        for _ in range(options.rounds):
            for name, command in commands.items():
                record["runs"].append(measured(name, command, sessions, options.questions))
    write(options.out, "other_gateway", record, report(record))


def measured(name: str, command: list[str], sessions: int, questions: int) -> dict[str, Any]:
    """Processor milliseconds for a second of a session, and the audio that each session was answered with."""
    port = free_port()
    with _server([*command, str(port)]) as server:
        connection(port).close()
        return asyncio.run(_talk(name, port, server.pid, sessions, questions)) | {"gateway": name, "sessions": sessions}


async def _talk(name: str, port: int, pid: int, sessions: int, questions: int) -> dict[str, float]:
    """The first question is asked before the clock runs: what is imported and made once is no cost of a session."""
    address = f"ws://127.0.0.1:{port}{PATHS[name]}"
    messages = [_message(name, frame) for frame in frames(24_000)]
    async with asyncio.TaskGroup() as tasks:
        sockets = [await connect(address, compression=None) for _ in range(sessions)]
        heard = [Heard() for _ in sockets]
        readers = [tasks.create_task(_read(name, socket, each)) for socket, each in zip(sockets, heard, strict=True)]
        await _speak_all(sockets, messages, 1)
        for each in heard:
            each.audio_s = 0.0
        cpu_s, began_s = _cpu_s(pid), time.monotonic()
        await _speak_all(sockets, messages, questions)
        cpu_s, took_s = _cpu_s(pid) - cpu_s, time.monotonic() - began_s
        for task in readers:
            task.cancel()
        for socket in sockets:
            socket.transport.abort()
    audio_s = min(each.audio_s for each in heard) / questions
    return {"ms_per_s": 1000 * cpu_s / took_s / sessions, "audio_s": audio_s, "late": took_s / questions / CYCLE_S}


class Heard:
    """How much audio came."""

    audio_s = 0.0


def _message(name: str, frame: Any) -> str | bytes:
    pcm: bytes = (32767 * frame).astype("<i2").tobytes()
    if name == THEIRS:
        return pcm
    return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()})


async def _read(name: str, socket: Any, heard: Heard) -> None:
    async for message in socket:
        if name == THEIRS:
            heard.audio_s += len(message) / 48_000
        elif '"response.output_audio.delta"' in message[:200]:
            heard.audio_s += len(base64.b64decode(json.loads(message)["delta"])) / 48_000


async def _speak_all(sockets: list[Any], messages: list[str | bytes], questions: int) -> None:
    async with asyncio.TaskGroup() as speakers:
        for number, socket in enumerate(sockets):
            speakers.create_task(_speak(socket, messages * questions, number * FRAME_S / len(sockets)))


async def _speak(socket: Any, messages: list[str | bytes], offset_s: float) -> None:
    due_s = time.monotonic() + offset_s
    for message in messages:
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        await socket.send(message)
        due_s += FRAME_S


@contextmanager
def _server(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {"CSLM_MAX_WAITING": "64", "CSLM_MAX_WAITING_PER_PEER": "64"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _cpu_s(pid: int) -> float:
    """Of the server and its processes so far."""
    server = psutil.Process(pid)
    return float(sum(sum(each.cpu_times()[:2]) for each in (server, *server.children(recursive=True))))


def report(record: dict[str, Any]) -> str:
    """The least of the rounds: others on the machine only add."""
    rows = []
    for sessions in SESSIONS:
        found = {name: [run for run in record["runs"] if (run["gateway"], run["sessions"]) == (name, sessions)] for name in PATHS}  # fmt: skip
        least = {name: min(run["ms_per_s"] for run in runs) for name, runs in found.items()}
        audio = (f"{statistics.median(run['audio_s'] for run in found[name]):.2f}" for name in PATHS)
        rows.append((sessions, f"{least[OURS]:.1f}", f"{least[THEIRS]:.1f}", f"{least[THEIRS] / least[OURS]:.1f}", *audio))  # fmt: skip
    heads = ("sessions", f"{OURS}, ms", f"{THEIRS}, ms", f"{THEIRS} ÷ {OURS}", f"audio of an answer, s: {OURS}", THEIRS)
    return "Processor time of the server for each second of a session in real time, the least of the runs.\n\n" + table(
        heads, rows
    )


if __name__ == "__main__":
    main()
