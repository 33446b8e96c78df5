"""A Ray cluster on this machine: a head and workers, each a raylet with processes of its own, and the stages deployed in it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import yaml

from tests.live_server import ROOT

CPU = ROOT / "deploy" / "ray" / "cpu.yaml"
_STORE_BYTES = 100 << 20
_ANSWER_S, _SETTLED_S = 3.0, 180.0
_Told = TypeVar("_Told")


@contextmanager
def cluster(workers: int) -> Iterator[Any]:
    """`ray.cluster_utils.Cluster` with an empty head and `workers` nodes for stages; all ended afterwards."""
    from ray.cluster_utils import Cluster

    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "RAY_worker_niceness": "0",  # in place of 15, which would have replicas wait for gateways and callers
    }
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": _STORE_BYTES}
    held = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(workers):
            held.add_node(num_cpus=1, object_store_memory=_STORE_BYTES)
        yield held
    finally:
        held.shutdown()


def deploy(address: str, *, replicas: int = 1, **settings: Any) -> None:
    """Deploy `deploy/ray/cpu.yaml` from a process of its own. `settings`: of all stages, beside those of the file."""
    config = yaml.safe_load(CPU.read_text())
    for application in config["applications"]:
        application["args"] |= settings
        application["deployments"][0]["num_replicas"] = replicas
    command = [sys.executable, "-m", "tests.ray_cluster", address, yaml.safe_dump(config)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)


class Deployed:
    """What the head says of the cluster. It is asked on a thread, because it may not answer; then nothing is whole."""

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas
        self._asked: dict[str, asyncio.Future[Any]] = {}

    @classmethod
    @contextmanager
    def watched(cls, address: str, replicas: int, **options: Any) -> Iterator[Self]:
        """From this process. `replicas`: how many each stage has when all is well; `options`: of `ray.init`."""
        import ray

        ray.init(address, namespace="cslm", log_to_driver=False, configure_logging=False, **options)
        try:
            yield cls(replicas)
        finally:
            ray.shutdown()

    async def whole(self) -> bool:
        """Every stage has its replicas, and none comes or goes."""
        return await self._ask(self._whole, otherwise=False)

    async def settled(self) -> None:
        """Wait until it is whole. Raises TimeoutError."""
        async with asyncio.timeout(_SETTLED_S):
            while not await self.whole():
                await asyncio.sleep(0.25)

    async def alive(self) -> frozenset[str]:
        """Addresses of nodes that the head has not given up."""
        return await self._ask(self._alive, otherwise=frozenset())

    def _alive(self) -> frozenset[str]:
        import ray

        return frozenset(node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"])

    def _whole(self) -> bool:
        from ray import serve

        applications = serve.status().applications
        states = [dict(one.replica_states) for each in applications.values() for one in each.deployments.values()]
        return len(states) == 3 and all(each == {"RUNNING": self._replicas} for each in states)

    async def _ask(self, question: Callable[[], _Told], otherwise: _Told) -> _Told:
        """`otherwise` where there is no answer. One thread for each question, which is not asked again before it is answered."""
        name = question.__name__
        if name not in self._asked:
            self._asked[name] = asyncio.ensure_future(asyncio.to_thread(question))
        asked = self._asked[name]
        try:
            told: _Told = await asyncio.wait_for(asyncio.shield(asked), _ANSWER_S)
        except Exception:
            told = otherwise
        if asked.done():
            del self._asked[name]
        return told


def _deploy(address: str, config: Mapping[str, Any]) -> None:
    import ray
    from ray import serve
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ServeDeploySchema

    ray.init(address=address, log_to_driver=False)
    serve.start(proxy_location="Disabled")
    _get_global_client().deploy_apps(ServeDeploySchema.model_validate(config))


if __name__ == "__main__":
    _deploy(sys.argv[1], yaml.safe_load(sys.argv[2]))
