"""Two hosts of a Ray cluster, each a raylet with its processes on this machine: one is killed while sessions are answered."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from clients.conversation import Conversation
from clients.realtime import SessionOptions, connect
from clients.recordings import read_recording
from clients.turns import TurnRecord
from model.bundle import find_bundle
from model.workers.worker import WorkerLost
from server.cluster.patience import Patience
from server.cluster.ranking import Wish
from server.cluster.streams import Step
from streaming.stages import Sampling
from tests.live_server import ROOT, free_port, running_server

pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements/cluster.txt")
from tests.ray_cluster import Deployed, cluster, deploy

pytestmark = [pytest.mark.e2e, pytest.mark.cluster]

QUESTIONS = [ROOT / "tests" / "data" / name for name in ("ask_sum_en.wav", "ask_france_en.wav")]
SESSIONS = 4


@pytest.fixture(scope="module")
def hosts() -> Iterator[Any]:
    with cluster(workers=2) as held:
        deploy(held.address, replicas=2, backend="transformers")
        yield held


@pytest.fixture
def joined(hosts: Any) -> Iterator[Any]:
    """Ray, with this process in the cluster."""
    import ray

    ray.init(hosts.address, log_to_driver=False, configure_logging=False)
    yield ray
    ray.shutdown()


@contextmanager
def stopped(node: Any) -> Iterator[None]:
    """None of the host's processes says anything, as if its network were cut."""
    [raylet] = node.all_processes["raylet"]
    processes = [process := psutil.Process(raylet.process.pid), *process.children(recursive=True)]
    for each in processes:
        each.suspend()
    try:
        yield
    finally:
        for each in processes:
            each.resume()


async def test_a_silent_host_costs_one_new_stream_a_wait(
    hosts: Any, joined: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number of streams is old, so it seems to have the most room. The next streams go elsewhere all the same."""
    from ray import serve

    from server.cluster import doubts
    from server.cluster.contract import facts_of
    from server.cluster.gateway import StreamCalls

    monkeypatch.setattr(doubts, "DOUBT_S", float("inf"))
    facts = facts_of(find_bundle("cslm-mini"))
    await Deployed(replicas=2).settled()
    calls = StreamCalls(serve.get_deployment_handle("Vocoder", "cslm-vocoder"), facts, step_s=5.0)
    monkeypatch.setattr(calls, "_patience", Patience(5.0, 5.0))

    async def opened() -> str | None:
        """The replica that a new stream is at; None where none has answered."""
        try:
            return (await calls.step(Step(uuid.uuid4().hex, 0, []), Wish())).replica
        except WorkerLost:
            return None

    while len({await opened() for _ in range(4)}) < 2:
        pass
    with stopped(hosts.list_all_nodes()[-1]):
        assert [await opened() for _ in range(12)].count(None) <= 1


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


def test_what_replicas_ask_for_is_known(hosts: Any, joined: Any) -> None:
    """Of the installed version of Ray."""
    from server.cluster.connection import _asking_for_gpus

    assert _asking_for_gpus() == []


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


async def _run(application: Any, name: str) -> Any:
    from ray import serve

    return await asyncio.to_thread(serve.run, application, name=name, route_prefix=None)


async def test_closing_an_answer_ends_it_where_it_is_computed(joined: Any) -> None:
    from ray import serve

    from server.cluster.contract import Facts
    from server.cluster.gateway import RemoteLanguageModel

    application: Any = serve.deployment(Endless, ray_actor_options={"num_cpus": 0}).bind()
    handle = await _run(application, "endless")
    lm = RemoteLanguageModel(handle, Facts("", "", ""), 20.0)
    async with aclosing(lm.generate([1, 2], Sampling())) as answer:
        assert await anext(answer) == [1]
        assert await handle.under_way.remote() == 1
    async with asyncio.timeout(20):
        while await handle.under_way.remote():
            await asyncio.sleep(0.05)


class Pressed:
    """A stage whose listeners wait."""

    async def record_autoscaling_stats(self) -> dict[str, float]:
        return {"pressure": 2.0}


async def test_serve_scales_a_stage_by_what_its_replicas_say(joined: Any) -> None:
    """With the policy that the deployments name, on the installed version of Ray."""
    from ray import serve

    [stage, *_] = yaml.safe_load((ROOT / "deploy" / "ray" / "gpu.yaml").read_text())["applications"]
    scaling = stage["deployments"][0]["autoscaling_config"]
    scaling |= {"min_replicas": 1, "max_replicas": 2, "upscale_delay_s": 0}
    deployed = serve.deployment(Pressed, ray_actor_options={"num_cpus": 0}, autoscaling_config=scaling)
    application: Any = deployed.bind()
    await _run(application, "pressed")

    def replicas() -> int:
        running: int = serve.status().applications["pressed"].deployments["Pressed"].replica_states.get("RUNNING", 0)
        return running

    async with asyncio.timeout(60):
        while await asyncio.to_thread(replicas) < 2:
            await asyncio.sleep(0.2)


def test_a_host_with_another_version_of_ray_is_refused(hosts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    from server.cluster.connection import _connect
    from server.cluster.contract import ClusterError

    monkeypatch.setattr(ray, "__version__", "2.1.0")
    with pytest.raises(ClusterError, match=r"Ray: 2\.1\.0") as refused:
        _connect(hosts.address)
    assert refused.value.code == "cluster_mismatch"
    assert ray._private.worker.global_worker.node is None
