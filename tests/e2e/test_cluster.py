"""Two hosts of a Ray cluster, each a raylet with its processes on this machine: one is killed while sessions are answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from clients.conversation import Conversation
from clients.realtime import SessionOptions, connect
from clients.recordings import read_recording
from clients.turns import TurnRecord
from streaming.stages import Sampling
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


class Endless:
    """A language model that writes until somebody closes it."""

    def __init__(self) -> None:
        self.writing = 0

    async def generate(self, *_: Any) -> AsyncGenerator[list[int]]:
        self.writing += 1
        try:
            while True:
                yield [1]
                await asyncio.sleep(0.01)
        finally:
            self.writing -= 1

    async def under_way(self) -> int:
        return self.writing


async def test_closing_an_answer_ends_it_where_it_is_computed(hosts: Any) -> None:
    import ray
    from ray import serve

    from server.cluster.contract import Facts
    from server.cluster.gateway import RemoteLanguageModel

    await asyncio.to_thread(ray.init, hosts.address, log_to_driver=False, configure_logging=False)
    try:
        application: Any = serve.deployment(Endless, ray_actor_options={"num_cpus": 0}).bind()
        handle = await asyncio.to_thread(serve.run, application, name="endless", route_prefix=None)
        lm = RemoteLanguageModel(handle, Facts("", "", ""), 20.0)
        async with aclosing(lm.generate([1, 2], Sampling())) as answer:
            assert await anext(answer) == [1]
            assert await handle.under_way.remote() == 1
        async with asyncio.timeout(20):
            while await handle.under_way.remote():
                await asyncio.sleep(0.05)
    finally:
        await asyncio.to_thread(ray.shutdown)
