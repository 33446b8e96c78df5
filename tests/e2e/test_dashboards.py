"""Every query of every dashboard and rule, asked of a real Prometheus that scrapes a real server."""

from __future__ import annotations

import json
from math import isnan
from pathlib import Path

import httpx
import pytest

from tests.prometheus import ROOT, Prometheus, scraping

pytestmark = pytest.mark.e2e

VARIABLES = {"$__rate_interval": "1m", "$__range": "5m", "$instance": ".*", "$transport": ".*"}
ONLY_IN_TROUBLE = ("ALERTS",)  # no series, no alert


def queries() -> list[tuple[str, str]]:
    """Panel and expression, as Grafana would send it."""
    found = []
    for path in sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", []):
                expression = target["expr"]
                for name, value in VARIABLES.items():
                    expression = expression.replace(name, value)
                found.append((f"{path.stem}: {panel['title']}", expression))
    return found


def ask(server: str, recording: bytes) -> int:
    return httpx.post(f"{server}/v1/speech", files={"file": recording}, timeout=120).status_code


def wait_for_scrapes(prometheus: Prometheus, number: int) -> None:
    prometheus.wait(f'count_over_time(up{{job="cslm"}}[1h]) >= {prometheus.scrapes() + number}')


def test_every_panel_and_rule_gets_an_answer(live_server: str, tmp_path: Path) -> None:
    with scraping(live_server.removeprefix("http://"), tmp_path) as prometheus:
        question = (ROOT / "tests" / "data" / "ask_sum_en.wav").read_bytes()
        for _ in range(2):  # what is first seen as 1 has not grown: an error's code appears with its first error
            assert ask(live_server, question) == 200
            assert ask(live_server, b"no recording") == 400
            wait_for_scrapes(prometheus, 2)

        empty = []
        for panel, expression in queries():
            values = [float(series["value"][1]) for series in prometheus.query(expression)]
            if not expression.startswith(ONLY_IN_TROUBLE) and all(isnan(value) for value in values):
                empty.append(f"{panel}: {expression}")
        assert not empty, "\n".join(empty)

        rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        assert rules and {(rule["name"], rule.get("lastError")) for rule in rules} == {
            (rule["name"], None) for rule in rules
        }
