"""The server is killed in the middle of an answer and started again: the same conversation goes on."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from clients.conversation import Conversation
from clients.errors import Disconnected
from clients.realtime import SessionOptions
from clients.reconnect import Backoff, ConnectionLost, ConnectionRestored, stay_connected
from clients.recordings import read_recording
from clients.turns import TurnRecord
from tests.live_server import ROOT, START_S, free_port, kill, running_server

pytestmark = pytest.mark.e2e

DATA = ROOT / "tests" / "data"


async def test_a_conversation_outlives_its_server(tmp_path: Path) -> None:
    port, seen, turns = free_port(), list[Any](), list[TurnRecord]()
    first, second = read_recording(DATA / "ask_sum_en.wav"), read_recording(DATA / "ask_france_en.wav")
    processes: list[subprocess.Popen[bytes]] = []
    dying = False

    def observe(event: Any, _: TurnRecord) -> None:
        seen.append(event)
        if dying and event.type == "response.output_audio.delta" and processes[0].poll() is None:
            kill(processes[0])

    async def script(conversation: Conversation) -> None:
        nonlocal dying
        await conversation.configure(SessionOptions(turn_detection=None, reply_language="en"))
        turns.append(await conversation.ask_at_once(first))
        dying = True
        with pytest.raises(Disconnected):
            await conversation.ask_at_once(second)
        processes.append(await asyncio.to_thread(servers.enter_context, running_server(tmp_path / "2.log", port)))
        turns.append(await conversation.ask_at_once(second))

    with ExitStack() as servers:
        waits = {"resume_s": "1"}  # it is certain soon that the answer is lost
        processes.append(servers.enter_context(running_server(tmp_path / "1.log", port, **waits)))
        patient = Backoff(patience_s=START_S)
        async with stay_connected(f"http://127.0.0.1:{port}", backoff=patient) as session:
            before = session.created.session.id
            await Conversation(session, observe=observe).hold(script)
            assert session.created.session.id != before
    assert [turn.answered for turn in turns] == [True, True]
    assert all(turn.transcript and turn.text and turn.audio_s > 0 for turn in turns)
    losses, [restored] = (
        [event for event in seen if isinstance(event, kind)] for kind in (ConnectionLost, ConnectionRestored)
    )
    assert [lost.resumable for lost in losses] == [True, False]
    assert all(lost.reason for lost in losses)
    assert not restored.resumed
    assert restored.messages >= 3, "the first turn, and the second question"
    assert not [event for event in seen if event.type == "error"]
