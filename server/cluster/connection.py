"""A gateway's connection to a Ray cluster in which the stages are deployed."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Self

import grpc
import ray
from ray import serve
from ray._private import services
from ray.exceptions import RayError
from ray.serve.context import _get_global_client
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from server.cluster.contract import ClusterError
from streaming.background import beside

log = logging.getLogger(__name__)

APPLICATIONS = {"cslm-encoder": "Encoder", "cslm-language-model": "LanguageModel", "cslm-vocoder": "Vocoder"}
"""Application and deployment of each stage, as in `deploy/ray/*.yaml`."""

_CONNECT_S, _POLL_S, _WATCH_S = 5.0, 1.0, 5.0


class Cluster:
    """A cluster whose stages are up. Ray's own calls wait for other hosts, so each is made on a thread."""

    def __init__(self) -> None:
        handles = [serve.get_deployment_handle(name, app) for app, name in APPLICATIONS.items()]
        self.encoder: DeploymentHandle[Any] = handles[0]
        self.language_model: DeploymentHandle[Any] = handles[1]
        self.vocoder: DeploymentHandle[Any] = handles[2]
        self._fault: str | None = None

    def fault(self) -> str | None:
        """Which stage has no replica, or that the head does not answer; None while all is well."""
        return self._fault

    @classmethod
    @asynccontextmanager
    async def connected(cls, address: str, start_s: float) -> AsyncGenerator[Self]:
        """Connect, and wait at most `start_s` for the stages. Raises ClusterError."""
        await asyncio.to_thread(_connect, address)
        try:
            await _wait_for_stages(start_s)
            await asyncio.to_thread(_tell_nodes)
            cluster = cls()
            async with beside(cluster._watch, "cluster-watch"):
                yield cluster
        finally:
            await asyncio.to_thread(ray.shutdown)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_S)
            try:
                missing = await asyncio.to_thread(_missing)
            except (RayError, RayServeException, TimeoutError):
                log.warning("Ray's head does not answer", extra={"code": "cluster_unreachable"})
                continue  # replicas answer all the same
            if missing != self._fault and missing is not None:
                log.warning("the cluster: %s", missing)
            self._fault = missing


def _connect(address: str) -> None:
    """Raises ClusterError (`cluster_unreachable`, `cluster_mismatch`)."""
    try:
        _knock(address)
        ray.init(address=address, namespace="cslm", log_to_driver=False, configure_logging=False)
    except (OSError, RuntimeError, ValueError, AssertionError, RayError) as failure:
        log.debug("ray.init failed", exc_info=failure)
        ray.shutdown()  # it keeps what it has begun
        if str(failure).startswith("Version mismatch"):
            told = " ".join(str(failure).partition(": ")[2].split())
            raise ClusterError(
                f"the cluster has another version of Ray or Python than this host: {told}; install one version on all hosts",
                code="cluster_mismatch",
            ) from None
        raise ClusterError(
            f"no Ray cluster at {address!r} ({_first_line(failure)}); run `ray start --address=HEAD:6379 --num-cpus=0` on "
            "this host first, and set CSLM_RAY_ADDRESS to HEAD:6379 or auto",
            code="cluster_unreachable",
        ) from None


def _knock(address: str) -> None:
    """Raises OSError where no head answers at `address`, or for `auto` at the one that Ray finds on this host.

    `ray.init` waits as long for one as this process may live without, which is a day.
    """
    found = services.canonicalize_bootstrap_address(address) if address == "auto" else address
    if not found:
        return
    host, _, port = found.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
    if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
        return  # only Ray has what its head would ask for
    with grpc.insecure_channel(found) as channel:
        try:
            grpc.channel_ready_future(channel).result(_CONNECT_S)
        except grpc.FutureTimeoutError:
            raise TimeoutError(
                f"what listens there did not answer within {_CONNECT_S:g} s as Ray's head does"
            ) from None


async def _wait_for_stages(start_s: float) -> None:
    """Raises ClusterError once it is certain that they do not come, or after `start_s`."""
    end_s, told = time.monotonic() + start_s, None
    while (missing := await asyncio.to_thread(_missing)) is not None:
        if time.monotonic() > end_s:
            raise await asyncio.to_thread(_never_ready, missing)
        if missing != told:
            log.info("waiting for the cluster: %s", missing)
            told = missing
        await asyncio.sleep(_POLL_S)


def _missing() -> str | None:
    """Stages that cannot be asked, and why; None where there are none. Raises ClusterError where one will never be."""
    applications, said = serve.status().applications, list[str]()
    absent = [name for name in APPLICATIONS if name not in applications]
    if absent:
        return f"not deployed: {', '.join(absent)}"
    for name in APPLICATIONS:
        told = applications[name]
        if told.status == "DEPLOY_FAILED":
            raise ClusterError(f"{name} could not be deployed: {_last_line(told)}", code="cluster_deploy_failed")
        replicas = [one.replica_states.get("RUNNING", 0) for one in told.deployments.values()]
        if not replicas or not all(replicas):
            said.append(f"{name} has no replica: {_last_line(told) or told.status.value}")
    return "; ".join(said) or None


def _never_ready(missing: str) -> ClusterError:
    if missing.startswith("not deployed"):
        return ClusterError(
            f"{missing}; run `serve deploy deploy/ray/gpu.yaml`, or cpu.yaml where there is no GPU",
            code="cluster_not_deployed",
        )
    if not ray.cluster_resources().get("GPU") and (asking := _asking_for_gpus()):
        return ClusterError(
            f"{', '.join(asking)} need GPUs, and the cluster has none; add a host with a GPU, or deploy with num_gpus 0",
            code="cluster_gpu_missing",
        )
    return ClusterError(missing, code="cluster_not_ready")


def _asking_for_gpus() -> list[str]:
    """Applications of which a replica takes GPUs. Serve's status tells of that only after half a minute without them."""
    applications = _get_global_client().get_serve_details()["applications"]
    return [
        name
        for name in APPLICATIONS
        for told in applications[name]["deployments"].values()
        if (told["deployment_config"].get("ray_actor_options") or {}).get("num_gpus")
    ]


def _tell_nodes() -> None:
    """One host alone gains nothing from a cluster."""
    if sum(node["Alive"] for node in ray.nodes()) < 2:
        log.warning("the cluster has one host: if it goes, all goes", extra={"code": "cluster_one_node"})


def _last_line(application: Any) -> str:
    messages = [application.message, *(one.message for one in application.deployments.values())]
    return " ".join(" ".join(message.split()) for message in messages if message)[-600:]


def _first_line(failure: BaseException) -> str:
    return (str(failure).strip().splitlines() or [type(failure).__name__])[0][:200]
