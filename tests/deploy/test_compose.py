"""The compose files say what the README promises: GPU by default, CPU by override, ready means warm, scraped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


class _Loader(yaml.SafeLoader):
    """Knows compose's own tags."""


_Loader.add_constructor("!reset", lambda loader, node: "reset")


def load(name: str) -> dict[str, Any]:
    return yaml.load((ROOT / name).read_text(encoding="utf-8"), Loader=_Loader)


BASE = load("docker-compose.yml")
SERVICES: dict[str, dict[str, Any]] = BASE["services"]
CPU: dict[str, dict[str, Any]] = load("deploy/compose.cpu.yml")["services"]
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")


def test_the_large_model_on_a_gpu_is_the_default() -> None:
    server = SERVICES["server"]
    (device,) = server["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert server["build"]["args"]["VARIANT"] == "gpu"
    assert server["environment"]["CSLM_BUNDLE"] == "${CSLM_BUNDLE:-cslm-8b}"


def test_the_override_needs_no_gpu_and_no_download() -> None:
    for name in ("pull", "server"):
        assert CPU[name]["build"]["args"]["VARIANT"] == "cpu"
        assert CPU[name]["environment"]["CSLM_BUNDLE"] == "${CSLM_BUNDLE:-cslm-mini}"
    assert CPU["server"]["deploy"]["resources"]["reservations"]["devices"] == "reset"


def test_what_is_pulled_is_what_is_served() -> None:
    for services in (SERVICES, CPU):
        assert services["pull"]["environment"]["CSLM_BUNDLE"] == services["server"]["environment"]["CSLM_BUNDLE"]
    assert SERVICES["server"]["depends_on"]["pull"] == {"condition": "service_completed_successfully"}
    assert "bundles:/bundles" in SERVICES["pull"]["volumes"]
    assert "bundles:/bundles:ro" in SERVICES["server"]["volumes"]
    assert "CSLM_BUNDLES=/bundles" in DOCKERFILE


def test_healthy_means_that_the_model_is_warm() -> None:
    assert "HEALTHCHECK" in DOCKERFILE and "/readyz" in DOCKERFILE
    assert "healthcheck" not in SERVICES["server"]  # so that the image's holds


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_has_little_to_do_harm_with(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert set(service.get("cap_add", [])) <= {"NET_BIND_SERVICE"}
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"memory", "pids"} <= set(service["deploy"]["resources"]["limits"])
    assert name == "server" or name == "pull" or "healthcheck" in service


def test_secrets_are_files_and_none_is_a_file_that_nothing_reads() -> None:
    assert {name: secret["file"] for name, secret in BASE["secrets"].items()} == {
        "api_key": "${CSLM_API_KEY_FILE:-/dev/null}",
        "hf_token": "${HF_TOKEN_FILE:-/dev/null}",
    }
    assert SERVICES["server"]["environment"]["CSLM_API_KEY_FILE"] == "${CSLM_API_KEY_FILE:+/run/secrets/api_key}"
    assert SERVICES["pull"]["environment"]["CSLM_API_KEY_FILE"] == ""  # the path in .env is one of the host
    assert SERVICES["pull"]["secrets"] == ["hf_token"] and SERVICES["server"]["secrets"] == ["api_key"]


def test_files_that_are_mounted_exist() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.replace("${ALERTMANAGER_CONFIG:-./deploy/alertmanager.yml}", "./deploy/alertmanager.yml")
            source = source.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in BASE["volumes"], source


def test_prometheus_scrapes_the_server_and_knows_the_rules() -> None:
    config = load("deploy/prometheus/prometheus.yml")
    (job,) = config["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["server:8080"]}]
    assert config["rule_files"] == ["rules.yml"]
    assert "./deploy/prometheus:/etc/prometheus:ro" in SERVICES["prometheus"]["volumes"]


def test_nothing_is_published_beyond_this_machine_unless_asked() -> None:
    for service in SERVICES.values():
        assert all(":-127.0.0.1:" in port for port in service.get("ports", []))


def test_every_setting_passed_on_is_one_that_the_server_reads() -> None:
    from server.settings import Settings

    passed = SERVICES["server"]["environment"]
    known = {f"CSLM_{name.upper()}" for name in Settings.model_fields}
    assert set(passed) <= known


@pytest.mark.parametrize("line", ["USER 10001", "ARG VARIANT=gpu", "ARG PYTHON_IMAGE=python:3.11-slim-bookworm"])
def test_the_image(line: str) -> None:
    assert line in DOCKERFILE.splitlines()


def test_a_change_of_the_code_leaves_the_layer_of_the_dependencies() -> None:
    final = DOCKERFILE.split("FROM ")[-1]
    assert final.index("COPY --from=dependencies /opt/venv") < final.index("from=project")
    dependencies = DOCKERFILE.split("FROM ")[1]
    assert "deploy/install.py --venv" in dependencies and "COPY server/" not in dependencies


def test_the_build_context_holds_all_that_is_copied() -> None:
    allowed = (ROOT / "deploy/Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    for line in (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert {f"!{source.rstrip('/')}", f"!{source.split('/')[0]}"} & set(allowed), source
