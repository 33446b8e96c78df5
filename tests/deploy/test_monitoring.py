"""Alert rules, dashboards and runbooks fit each other and the metrics there are. tests/e2e/test_dashboards.py asks a real server."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from server.app import create_app
from tests.prometheus import CONFIG, ROOT, tool
from tests.server.front import make_settings
from tests.server.state.test_vitals import ENGINE

GRAFANA = ROOT / "deploy" / "grafana"
BOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
RUNBOOKS = ROOT / "docs" / "runbooks"
OF_PROMETHEUS = {"up", "scrape_duration_seconds", "ALERTS"}


def board(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def alerts() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load((CONFIG / "rules.yml").read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def expressions() -> list[str]:
    targets = [t["expr"] for path in BOARDS for panel in board(path)["panels"] for t in panel.get("targets", [])]
    return targets + [rule["expr"] for rule in alerts().values()]


@pytest.mark.parametrize(
    "command",
    [
        ["promtool", "check", "config", CONFIG / "prometheus.yml"],
        ["promtool", "check", "rules", "--lint-fatal", CONFIG / "rules.yml"],
        ["promtool", "test", "rules", CONFIG / "rules_test.yml"],
        ["amtool", "check-config", ROOT / "deploy" / "alertmanager.yml"],
    ],
    ids=lambda command: " ".join(map(str, command[:3])).split("/")[0].strip(),
)
def test_prometheus_own_tools_find_nothing_wrong(command: list[str]) -> None:
    done = subprocess.run([tool(command[0]), *command[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried() -> None:
    tests = yaml.safe_load((CONFIG / "rules_test.yml").read_text(encoding="utf-8"))["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == set(alerts())


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    pages = {rule["annotations"]["runbook_url"] for rule in alerts().values()}
    assert len(pages) == len(alerts())
    assert pages == {path.relative_to(ROOT).as_posix() for path in RUNBOOKS.glob("*.md") if path.name != "README.md"}
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    for name, rule in alerts().items():
        page = ROOT / rule["annotations"]["runbook_url"]
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {name}\n")
        assert [line for line in text.splitlines() if line.startswith("## ")] == [
            "## What it means",
            "## What to look at",
            "## What to do",
        ]
        assert f"[{name}]({page.name})" in index


def test_only_metrics_that_there_are_get_asked_for() -> None:
    known, metrics = set(OF_PROMETHEUS), create_app(make_settings()).state.shared.metrics
    metrics.vitals.workers = lambda: (ENGINE,)
    for metric in metrics.registry.collect():
        known |= {metric.name, *(sample.name for sample in metric.samples)}
    # "cslm_…" also begins the names of alerts and dashboards, but never behind a letter
    asked = {name for text in expressions() for name in re.findall(r"\b(?:cslm_\w+|up\b|ALERTS|scrape_\w+)", text)}
    assert asked <= known, asked - known


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_whole(path: Path) -> None:
    document = board(path)
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text(encoding="utf-8"))[
        "datasources"
    ]
    panels = document["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"], panel["title"]
            assert {t["datasource"]["uid"] for t in panel["targets"]} == {source["uid"]}
    variables = {variable["name"] for variable in document["templating"]["list"]}
    used = set(re.findall(r"\$(\w+)", json.dumps([p.get("targets") for p in panels])))
    assert {name for name in used if not name.startswith("__")} == variables


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_grafana_knows_every_field(path: Path) -> None:
    register_default_plugins()
    document = board(path)
    known = json.loads(JSONEncoder().encode(Dashboard.from_json(document)))
    assert lost(document, known) == []


def lost(document: Any, known: Any, place: str = "") -> list[str]:
    """Where `document` says something that `known` does not."""
    if isinstance(document, dict) and isinstance(known, dict):
        return [each for key in document for each in lost(document[key], known.get(key), f"{place}/{key}")]
    if isinstance(document, list) and isinstance(known, list) and len(document) == len(known):
        pairs = enumerate(zip(document, known, strict=True))
        return [each for index, (one, other) in pairs for each in lost(one, other, f"{place}/{index}")]
    return [] if document == known else [place]


def test_exemplars_lead_to_their_traces() -> None:
    """By the label that the metrics give them, at an address that compose sets."""
    text = (GRAFANA / "provisioning/datasources/prometheus.yml").read_text(encoding="utf-8")
    (source,) = yaml.safe_load(text)["datasources"]
    (link,) = source["jsonData"]["exemplarTraceIdDestinations"]
    assert link["name"] == "trace_id"
    (variable,) = re.findall(r"(?<!\$)\$\{(\w+)\}", link["url"])
    compose = yaml.load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"), yaml.BaseLoader)
    assert variable in compose["services"]["grafana"]["environment"]
    exemplars = [
        t for path in BOARDS for panel in board(path)["panels"] for t in panel.get("targets", []) if t.get("exemplar")
    ]
    assert len(exemplars) == 3 and all("_bucket{" in target["expr"] for target in exemplars)


def test_dashboards_lead_to_each_other() -> None:
    places = {f"/d/{board(path)['uid']}" for path in BOARDS}
    assert {link["url"] for path in BOARDS for link in board(path)["links"]} == places
