"""Two hosts of a Ray cluster, each a raylet with its processes on this machine: one is killed while sessions are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.conversation import Conversation
from clients.realtime import SessionOptions, connect
from clients.recordings import read_recording
from clients.turns import TurnRecord
from tests.live_server import ROOT, free_port, running_server

pytest.importorskip("ray", reason="Ray is not installed: pip install 'cslm-serve[cluster]'")
from tests.ray_cluster import cluster, deploy

pytestmark = [pytest.mark.e2e, pytest.mark.cluster]

QUESTIONS = [ROOT / "tests" / "data" / name for name in ("ask_sum_en.wav", "ask_france_en.wav")]
SESSIONS = 4


@pytest.fixture(scope="module")
def hosts() -> Iterator[Any]:
    with cluster(workers=2) as held:
        deploy(held.address, replicas=2, backend="transformers")
        yield held


async def test_no_session_and_no_turn_is_lost_with_a_host(hosts: Any, tmp_path: Path) -> None:
    """The host goes once the first session hears its second answer, when the others are asking or hearing theirs."""
    port, turns, going = free_port(), list[TurnRecord](), asyncio.Event()
    recordings = [read_recording(path) for path in QUESTIONS]

    def observe(event: Any, _: TurnRecord) -> None:
        if event.type == "response.output_audio.delta" and len(turns) >= SESSIONS:
            going.set()

    async def caller(number: int) -> None:
        async def script(conversation: Conversation) -> None:
            await conversation.configure(SessionOptions(turn_detection=None, reply_language="en"))
            for turn in range(3):
                turns.append(await conversation.ask_at_once(recordings[(number + turn) % 2]))

        async with connect(f"http://127.0.0.1:{port}") as session:
            await Conversation(session, observe=observe).hold(script)

    async def kill_a_host() -> None:
        await going.wait()
        await asyncio.to_thread(hosts.remove_node, hosts.list_all_nodes()[-1], allow_graceful=False)

    with running_server(tmp_path / "gateway.log", port, backend="ray", ray_address=hosts.address):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(kill_a_host())
            for number in range(SESSIONS):
                tasks.create_task(caller(number))
    assert len(turns) == 3 * SESSIONS
    assert all(turn.answered and turn.transcript and turn.text and turn.audio_s > 0 for turn in turns)
    assert not [error for turn in turns for error in turn.errors]
