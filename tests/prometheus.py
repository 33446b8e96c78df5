"""A real Prometheus with the rules of `deploy/prometheus`, and the tools that judge them."""

from __future__ import annotations

import functools
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.live_server import free_port

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "deploy" / "prometheus"
PATIENCE_S = 60.0


@functools.cache
def tool(name: str) -> str:
    """Path of prometheus, promtool or amtool. Skips the test where there is none, which continuous integration must not be."""
    found = subprocess.run(
        ["sh", str(ROOT / "deploy" / "find-prometheus.sh")], capture_output=True, text=True, check=False
    )
    if found.returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(found.stderr.strip())
    return str(Path(found.stdout.strip(), name))


class Prometheus:
    """Its HTTP interface."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url)

    def get(self, path: str, **parameters: str) -> Any:
        """`data` of an answer that says success."""
        answer = self._client.get(f"/api/v1/{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query."""
        return self.get("query", query=expression)["result"]

    def wait(self, expression: str) -> None:
        """Until the query finds something."""
        end = time.monotonic() + PATIENCE_S
        while not self._reached(expression):
            assert time.monotonic() < end, f"Prometheus never found {expression}"
            time.sleep(0.2)

    def _reached(self, expression: str) -> bool:
        try:
            return bool(self.query(expression))
        except httpx.TransportError:
            return False  # it is still starting

    def scrapes(self) -> int:
        """How often it has asked until now."""
        found = self.query('count_over_time(up{job="cslm"}[1h])')
        return int(found[0]["value"][1]) if found else 0


@contextmanager
def scraping(target: str, directory: Path) -> Iterator[Prometheus]:
    """Prometheus as it is configured here, but that it asks `target` (host and port), and every second."""
    config = yaml.safe_load((CONFIG / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    config["rule_files"] = [str(CONFIG / name) for name in config["rule_files"]]
    del config["alerting"]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    command = [tool("prometheus"), f"--config.file={directory / 'prometheus.yml'}"]
    command += [f"--storage.tsdb.path={directory / 'data'}", f"--web.listen-address={address}"]
    command += ["--enable-feature=exemplar-storage"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        prometheus = Prometheus(f"http://{address}")
        prometheus.wait('up{job="cslm"} == 1')
        yield prometheus
    finally:
        prometheus._client.close()
        process.terminate()
        process.wait(30)
