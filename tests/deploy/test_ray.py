"""What is deployed on Ray: the files agree with each other, with what they name, and with Ray's own schema where it is installed."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
RAY = ROOT / "deploy" / "ray"
CONFIGS = ("cpu", "gpu")


def config(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((RAY / f"{name}.yaml").read_text())
    return read


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_names_what_exists(name: str) -> None:
    source = ast.parse((ROOT / "server" / "cluster" / "deployments.py").read_text())
    builders = {node.name for node in source.body if isinstance(node, ast.FunctionDef)}
    connection = (ROOT / "server" / "cluster" / "connection.py").read_text()
    for application in config(name)["applications"]:
        module, _, builder = application["import_path"].partition(":")
        assert module == "server.cluster.deployments"
        assert builder in builders
        [deployment] = application["deployments"]
        assert f'"{application["name"]}": "{deployment["name"]}"' in connection
        assert application["route_prefix"] is None, "no audio through Serve's proxy"
        assert set(application["args"]) <= set(Settings.model_fields)
        Settings(**application["args"])


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_is_what_serve_accepts(name: str) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements/cluster.txt")
    from ray.serve.schema import ServeDeploySchema

    ServeDeploySchema.model_validate(config(name))


def test_stages_of_a_host_fit_on_its_gpu() -> None:
    shares = [
        deployment["ray_actor_options"]["num_gpus"]
        for application in config("gpu")["applications"]
        for deployment in application["deployments"]
    ]
    assert sum(shares) <= 1.0


def test_kuberay_deploys_the_same_stages() -> None:
    service, *_ = yaml.safe_load_all((RAY / "rayservice.yaml").read_text())
    assert yaml.safe_load(service["spec"]["serveConfigV2"])["applications"] == config("gpu")["applications"]
    pinned = (ROOT / "requirements" / "cluster.txt").read_text()
    assert f"ray=={service['spec']['rayClusterConfig']['rayVersion']}\n" in pinned


def test_what_stands_beside_kuberay_is_valid() -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for document in list(yaml.safe_load_all((RAY / "rayservice.yaml").read_text()))[1:]:
        kubernetes_validate.validate(document, "1.37", strict=True)
