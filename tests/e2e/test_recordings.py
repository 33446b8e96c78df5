"""A real server records a real conversation, is killed, and another one is asked the same."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clients.conversation import Conversation
from clients.realtime import ServerVad, SessionOptions, connect
from clients.recordings import read_recording
from server.cli import app
from streaming.recording import read_session
from tests.live_server import ROOT, free_port, running_server

pytestmark = pytest.mark.e2e

QUESTION = "ask_sum_en"
"""Alone: a second one, spoken at its recorded time, would interrupt a server that is slower now."""


async def converse(url: str) -> None:
    """One spoken question, in real time."""
    async with connect(url) as session:

        async def script(conversation: Conversation) -> None:
            await conversation.configure(SessionOptions(ServerVad()))
            turn = await conversation.ask_aloud(read_recording(ROOT / "tests" / "data" / f"{QUESTION}.wav"))
            assert turn.answered

        await Conversation(session, timeout_s=120).hold(script)


def complete(directory: Path) -> list[Path]:
    return sorted(directory.glob("[!.]*.jsonl.gz"))


def until_complete(directory: Path, count: int) -> None:
    end = time.monotonic() + 60
    while len(complete(directory)) < count:
        assert time.monotonic() < end, list(directory.iterdir())
        time.sleep(0.1)


def test_a_recording_is_asked_again(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running_server(tmp_path / "first.log", port, record_dir=str(kept)) as process:
        asyncio.run(converse(url))
        until_complete(kept, 1)
        asyncio.run(left_open(url, process.pid))
    assert len(complete(kept)) == 1
    assert [path for path in kept.iterdir() if path.name.startswith(".")], "the kill has left a part"

    (path,) = complete(kept)
    recorded = read_session(path)
    assert recorded.head.model == "cslm-mini"
    with running_server(tmp_path / "second.log", port, record_dir=str(kept)):
        assert not [path for path in kept.iterdir() if path.name.startswith(".")], "it is swept"
        said = CliRunner().invoke(app, ["replay", str(path), "--server", url])
        print(said.output)
        done = CliRunner().invoke(app, ["replay", str(path), "--server", url, "--json"])
        document = json.loads(done.output)
        assert [answer["status"] for answer in document["now"]["answers"]] == ["completed"]
        assert [answer["status"] for answer in document["recorded"]["answers"]] == ["completed"]
        assert document["now"]["heard"] == document["recorded"]["heard"], "cslm-mini does not sample"
        until_complete(kept, 3)


async def left_open(url: str, server: int) -> None:
    """A session that is under way when the server is killed."""
    async with connect(url) as session:
        await session.append(bytes(48_000))
        await asyncio.sleep(1.5)
        os.killpg(server, 9)
