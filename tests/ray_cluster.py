"""A Ray cluster on this machine: a head and workers, each a raylet with processes of its own, and the stages deployed in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import yaml

from tests.live_server import ROOT

CPU = ROOT / "deploy" / "ray" / "cpu.yaml"
_STORE_BYTES = 100 << 20


@contextmanager
def cluster(workers: int) -> Iterator[Any]:
    """`ray.cluster_utils.Cluster` with an empty head and `workers` nodes for stages; all ended afterwards."""
    from ray.cluster_utils import Cluster

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
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
