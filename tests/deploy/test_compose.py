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


def test_a_gpu_is_reserved_by_default() -> None:
    server = load("docker-compose.yml")["services"]["server"]
    (device,) = server["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert server["build"]["args"]["VARIANT"] == "gpu"


def test_the_override_needs_no_gpu() -> None:
    server = load("deploy/compose.cpu.yml")["services"]["server"]
    assert server["deploy"]["resources"]["reservations"]["devices"] == "reset"
    assert server["build"]["args"]["VARIANT"] == "cpu"


def test_healthy_means_that_the_model_is_warm() -> None:
    assert "/readyz" in " ".join(load("docker-compose.yml")["services"]["server"]["healthcheck"]["test"])
    assert "/readyz" in (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")


def test_prometheus_scrapes_the_server() -> None:
    (job,) = load("deploy/prometheus.yml")["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["server:8080"]}]
    assert (
        "./deploy/prometheus.yml:/etc/prometheus/prometheus.yml:ro"
        in (load("docker-compose.yml")["services"]["prometheus"]["volumes"])
    )


def test_nothing_is_published_beyond_this_machine_unless_asked() -> None:
    for service in load("docker-compose.yml")["services"].values():
        assert all(":-127.0.0.1:" in port for port in service["ports"])


def test_every_setting_passed_on_is_one_that_the_server_reads() -> None:
    from server.settings import Settings

    passed = load("docker-compose.yml")["services"]["server"]["environment"]
    known = {f"CSLM_{name.upper()}" for name in Settings.model_fields}
    assert set(passed) <= known


@pytest.mark.parametrize("line", ["USER cslm", "ARG VARIANT=gpu"])
def test_the_image(line: str) -> None:
    assert line in (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8").splitlines()


def test_dependencies_come_before_the_code() -> None:
    text = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
    assert text.index("deploy/install.py --venv") < text.index("COPY pyproject.toml") < text.index("COPY server/")


def test_the_build_context_holds_all_that_is_copied() -> None:
    allowed = (ROOT / "deploy/Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    for line in (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert {f"!{source.rstrip('/')}", f"!{source.split('/')[0]}"} & set(allowed), source
