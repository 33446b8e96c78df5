"""Takes the pictures of the Grafana dashboards without Grafana: `python docs/images/dashboards.py [SECONDS]`.

`cslm load` calls a real server for so long (240), a real Prometheus watches it, and every query of every panel of
`deploy/grafana/dashboards` is asked of that. A page lays out the answers as the dashboards say; Chromium takes its picture. Layout,
titles, units, legends and thresholds are those of the dashboards; the drawing is not Grafana's, and the pictures say so.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(ROOT := Path(__file__).parents[2]))

import httpx

from tests.chromium import open_page
from tests.live_server import free_port, running_server
from tests.prometheus import Prometheus, scraping

HERE = Path(__file__).parent
STEP_S = 2
VARIABLES = {"$__rate_interval": "30s", "$__range": "5m", "$instance": ".*", "$transport": ".*"}
KEYS = ("anna", "ben")
QUESTIONS = [ROOT / "tests" / "data" / f"ask_{name}.wav" for name in ("sum_en", "france_en", "sum_zh")]
WIDTH = 1500


def main(load_s: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        made = [cslm("keys", "new", key, "--file", scratch / "keys.json", "--turns-per-minute", 40) for key in KEYS]
        keys = [done.stdout.strip() for done in made]
        port = free_port()
        settings = {"keys_file": str(scratch / "keys.json"), "record_dir": str(scratch / "recordings")}
        with (
            running_server(scratch / "server.log", port, **settings),
            scraping(f"127.0.0.1:{port}", scratch) as prometheus,
        ):
            began_s = time.time()
            load(f"http://127.0.0.1:{port}", keys, load_s)
            for board in sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")):
                dashboard = json.loads(board.read_text(encoding="utf-8"))
                answers = answered(prometheus, dashboard, began_s, time.time())
                take(scratch / f"{board.stem}.html", dashboard, answers, HERE / f"dashboard-{board.stem}.png")


def cslm(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A command of ours, which must succeed."""
    command = [sys.executable, "-m", "server.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True)


def load(url: str, keys: list[str], load_s: float) -> None:
    """Callers of one key, beside them requests of the other: more and more, and some that are refused."""
    one, other = keys
    for callers in (1, 2, 4):
        options = ["--callers", callers, "--duration", load_s / 3, "--turns", 3, "--barge-ins", 0.2, "--url", url]
        command = [sys.executable, "-m", "server.cli", "load", *map(str, [*QUESTIONS, *options]), "--api-key", one]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as calling:
            while calling.poll() is None:
                ask(url, other)
                time.sleep(1.5)


def ask(url: str, key: str) -> None:
    question = (ROOT / "tests" / "data" / "ask_sum_en.wav").read_bytes()
    body = question if time.time() % 10 > 1.5 else b"no recording"
    httpx.post(f"{url}/v1/speech", content=body, headers={"Authorization": f"Bearer {key}"}, timeout=60)


def answered(prometheus: Prometheus, dashboard: dict[str, Any], begin_s: float, end_s: float) -> dict[str, Any]:
    """What Prometheus answers to the queries of each panel, by the panel's id: a matrix, or of a table the newest values."""
    found = {}
    for panel in dashboard["panels"]:
        found[panel["id"]] = [
            prometheus.query(expression(target))
            if panel["type"] == "table"
            else prometheus.get(
                "query_range", query=expression(target), start=str(begin_s), end=str(end_s), step=str(STEP_S)
            )["result"]
            for target in panel.get("targets", [])
        ]
    return found


def expression(target: dict[str, Any]) -> str:
    """As Grafana would send it."""
    text: str = target["expr"]
    for name, value in VARIABLES.items():
        text = text.replace(name, value)
    return text


def take(page: Path, dashboard: dict[str, Any], answers: dict[str, Any], picture: Path) -> None:
    web = ROOT / "clients" / "load" / "web"
    places = {
        "/*UPLOT_CSS*/": (web / "uPlot.min.css").read_text(encoding="utf-8"),
        "/*UPLOT*/": (web / "uPlot.iife.min.js").read_text(encoding="utf-8"),
        "{/*DATA*/}": json.dumps({"dashboard": dashboard, "answers": answers}).replace("<", "\\u003c"),
    }
    text = (HERE / "dashboards.html").read_text(encoding="utf-8")
    for place, content in places.items():
        text = text.replace(place, content)
    page.write_text(text, encoding="utf-8")
    with open_page(page.as_uri(), width=WIDTH, height=900) as shown:
        shown.screenshot(path=picture, full_page=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if sys.argv[1:] else 240.0)
