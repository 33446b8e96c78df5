"""Stock clients in conversation with the real server: how each is started, and what comes of it.

A client is one program under `programs/` or `javascript/`. It is told what to say and where, holds the conversations that
it has an address for one after the other, each over a connection of its own, and prints what its library showed it of each as one
line of JSON. Meanwhile a relay keeps what goes over the wire.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.recordings import read_recording
from tests.conformance.relay import Wire, relay

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT / "tests" / "data" / "recordings"
INSTALLER = ROOT / "deploy" / "install_clients.py"
PYTHON = ROOT / "build" / "clients" / "bin" / "python"
HERE = Path(__file__).parent
PATIENCE_S = 300.0

SCENARIOS = ("defaults", "server_vad", "manual", "text", "barge_in", "error", "memory", "queued")
TOOLS = "tools"
"""The conversation for a server whose model calls tools."""

QUESTIONS = {"sum": "en-en-sums-16.flac", "capital": "en-en-capitals-53.flac"}
TYPED = "What is two plus three?"
LONG = "Count from one to eleven."
"""Answered by many seconds of speech, so that there is time to interrupt."""


@dataclass(frozen=True, slots=True)
class Client:
    """A stock client: its environment, as deploy/install_clients.py names it, and its program."""

    environment: str
    program: Path

    @property
    def command(self) -> list[str]:
        """What runs it."""
        return [str(PYTHON) if self.environment == "python" else "node", str(self.program)]

    def is_installed(self) -> bool:
        """Whether its environment is there and up to date."""
        check = [sys.executable, str(INSTALLER), "--check", self.environment]
        return subprocess.run(check, check=False).returncode == 0


CLIENTS = {
    "openai": Client("python", HERE / "programs" / "openai_sdk.py"),
    "openai-agents": Client("javascript", HERE / "javascript" / "openai_agents.mjs"),
    "pipecat": Client("python", HERE / "programs" / "pipecat_pipeline.py"),
    "livekit": Client("python", HERE / "programs" / "livekit_realtime.py"),
}


@dataclass(frozen=True, slots=True)
class Held:
    """Conversations that a client held: what it saw and what went over the wire, by scenario; and how it ended."""

    saw: dict[str, dict[str, Any]]
    wires: dict[str, Wire]
    status: int | None
    complaints: str


async def hold(client: Client, server: str, folder: Path, scenarios: Sequence[str] = SCENARIOS) -> Held:
    """Run the client against `server` (`host:port`), for PATIENCE_S at most; what it needs and prints goes to `folder`."""
    out, complaints = folder / "out.jsonl", folder / "complaints.txt"
    async with AsyncExitStack() as stack:
        wires = {
            name: await stack.enter_async_context(relay(f"ws://{server}", full=name == "queued")) for name in scenarios
        }
        process = await asyncio.create_subprocess_exec(
            *client.command,
            str(_write_task(folder, wires)),
            stdout=stack.enter_context(out.open("wb")),
            stderr=stack.enter_context(complaints.open("wb")),
            env=_environment(),
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
    lines = [json.loads(line) for line in out.read_text().splitlines() if line.startswith('{"scenario"')]
    return Held({line.pop("scenario"): line for line in lines}, wires, process.returncode, complaints.read_text())


def _environment() -> dict[str, str]:
    """Nothing of ours to import, and nobody's account at OpenAI."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONPATH", "OPENAI_"))}


def _write_task(folder: Path, wires: dict[str, Wire]) -> Path:
    for name, file in QUESTIONS.items():
        (folder / f"{name}.pcm").write_bytes(read_recording(RECORDINGS / file).pcm)
    told = {name: f"{name}.pcm" for name in QUESTIONS} | {"typed": TYPED, "long": LONG}
    task = folder / "task.json"
    task.write_text(json.dumps(told | {"addresses": {name: wire.address for name, wire in wires.items()}}))
    return task
