"""What a gateway says of a cluster that it cannot use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

import server.cluster
from model.bundle import find_bundle
from server.cluster import open_cluster
from server.cluster.contract import ClusterError, Facts, check_facts, facts_of
from server.settings import Settings
from tests.live_server import free_port

FACTS = Facts("cslm-mini", "0" * 64, "1.0")
NEEDS_RAY = "Ray is not installed: pip install -r requirements/cluster.txt"


@pytest.mark.parametrize(
    "other", [replace(FACTS, profile="1" * 64), replace(FACTS, version="1.1")], ids=["profile", "version"]
)
def test_a_replica_of_another_bundle_or_version_is_refused(other: Facts) -> None:
    check_facts(FACTS, replace(FACTS))
    with pytest.raises(ClusterError) as refused:
        check_facts(FACTS, other)
    assert refused.value.code == "cluster_mismatch"


def test_the_profile_decides_what_a_bundle_is() -> None:
    facts = facts_of(find_bundle("cslm-mini"))
    assert facts.bundle == "cslm-mini"
    assert len(facts.profile) == 64


async def _refusal(settings: Settings) -> ClusterError:
    with pytest.raises(ClusterError) as refused:
        async with open_cluster(settings):
            pass
    return refused.value


async def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.cluster.importlib.util, "find_spec", lambda _: None)
    refused = await _refusal(Settings(backend="ray"))
    assert refused.code == "cluster_not_installed"
    assert "pip install -r requirements/cluster.txt" in refused.message


async def test_a_head_that_does_not_answer_is_named() -> None:
    pytest.importorskip("ray", reason=NEEDS_RAY)
    address = f"127.0.0.1:{free_port()}"
    refused = await _refusal(Settings(backend="ray", ray_address=address))
    assert refused.code == "cluster_unreachable"
    assert address in refused.message


async def test_another_version_of_ray_is_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason=NEEDS_RAY)
    from server.cluster import connection

    def refuse(**_: Any) -> None:
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.59.0\n    Python: 3.11.7\n")

    monkeypatch.setattr(connection, "_knock", lambda _: None)
    monkeypatch.setattr(connection.ray, "init", refuse)
    refused = await _refusal(Settings(backend="ray"))
    assert refused.code == "cluster_mismatch"
    assert "Ray: 2.59.0 Python: 3.11.7" in refused.message


@pytest.mark.parametrize(("alive", "told"), [(1, True), (2, False)])
def test_a_cluster_of_one_host_is_told_of(
    alive: int, told: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("ray", reason=NEEDS_RAY)
    from server.cluster import connection

    nodes = [{"Alive": number < alive} for number in range(3)]
    monkeypatch.setattr(connection.ray, "nodes", lambda: nodes)
    connection._tell_nodes()
    assert [getattr(record, "code", None) for record in caplog.records] == ["cluster_one_node"] * told


def _application(status: str = "RUNNING", message: str = "", replicas: int = 1) -> Any:
    deployment = SimpleNamespace(replica_states={"RUNNING": replicas} if replicas else {}, message=message)
    return SimpleNamespace(status=status, message="", deployments={"Stage": deployment})


def _details(gpus: Mapping[str, float]) -> Any:
    """What Serve's controller tells of deployments. `gpus`: of a replica, by application."""
    deployed = {
        name: {"deployments": {"Stage": {"deployment_config": {"ray_actor_options": {"num_gpus": number}}}}}
        for name, number in gpus.items()
    }
    return SimpleNamespace(get_serve_details=lambda: {"applications": deployed})


@pytest.mark.parametrize(
    ("lm", "gpus", "code"),
    [
        (None, 0.5, "cluster_not_deployed"),
        (_application("DEPLOYING", "scheduling", 0), 0.5, "cluster_gpu_missing"),
        (_application("DEPLOYING", "loading", 0), 0.0, "cluster_not_ready"),
        (_application("DEPLOY_FAILED", "there is no bundle 'x'", 0), 0.5, "cluster_deploy_failed"),
    ],
)
async def test_stages_that_never_come_have_a_code(
    lm: Any, gpus: float, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However short the wait, and so before Serve says what its replicas wait for."""
    pytest.importorskip("ray", reason=NEEDS_RAY)
    from server.cluster import connection

    applications = {name: _application() for name in connection.APPLICATIONS} | {"cslm-language-model": lm}
    held = {name: application for name, application in applications.items() if application is not None}
    monkeypatch.setattr(connection.serve, "status", lambda: SimpleNamespace(applications=held))
    monkeypatch.setattr(connection.ray, "cluster_resources", lambda: {"CPU": 4.0})
    asked = dict.fromkeys(connection.APPLICATIONS, 0.0) | {"cslm-language-model": gpus}
    monkeypatch.setattr(connection, "_get_global_client", lambda: _details(asked))
    with pytest.raises(ClusterError) as refused:
        await connection._wait_for_stages(0.0)
    assert refused.value.code == code
    assert "cslm-language-model" in refused.value.message
