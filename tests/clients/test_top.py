"""`cslm top`: what it makes of the metrics of a real gateway, and of answers that are something else."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner
from websockets.asyncio.client import connect

from clients.errors import ForeignMetrics, ServerUnreachable
from clients.metrics_view import SessionView, Snapshot, sessions_of, view
from clients.top import Metrics, _watch, metrics_url
from clients.top_screen import drawn
from server.cli import app
from tests.server.front import Front, listening, recording
from tests.server.models import fake_model
from tests.server.state.test_vitals import ENGINE, VOCODER


@asynccontextmanager
async def busy() -> AsyncGenerator[Front]:
    """A server that has answered one question and refused one recording, with an engine and a vocoder that is being restarted."""
    model = replace(fake_model(), workers=lambda: (ENGINE, VOCODER))
    async with listening(model) as front:
        await front.client.post("/v1/speech", content=recording())
        await front.client.post("/v1/speech", content=b"no recording")
        yield front


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["top", *arguments])


def screen(shown: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=160, force_terminal=False).print(shown)
    return out.getvalue()


async def test_it_shows_what_the_server_counts() -> None:
    async with busy() as front:
        done = await asyncio.to_thread(run, "--server", front.url, "--json")
        text = (await asyncio.to_thread(run, "--server", front.url, "--once")).output
    assert done.exit_code == 0, done.output
    document = json.loads(done.output)
    assert (document["model"], document["backend"], document["ready"]) == ("fake", "scripted", True)
    assert document["server"] == f"{front.url}/metrics"
    assert document["turns_minute"]["completed"] > 0 == document["turns_minute"]["failed"]
    assert list(document["errors_minute"]) == ["audio_unreadable"]
    assert set(document["sessions"]) == {"rest", "realtime", "webrtc"}
    assert document["free"] == document["limit"] > 0
    assert 0 < document["first_audio_p50_s"] <= document["first_audio_p95_s"]
    assert all(stage["mean_s"] is not None for stage in document["stages"].values())
    assert document["engine"] == {"running": 4, "waiting": 1} and document["kv_cache"] == 0.25
    assert document["workers_up"] == {"language_model": True, "vocoder": False}
    assert document["restarts"]["language_model"] == 2
    assert document["descriptors"]["vocoder"] == 17 and document["memory_bytes"]["gateway"] > 0
    for words in (
        "fake",
        "ready",
        "first audio, p95",
        "engine, cache",
        "down · 0 replaced",
        "audio_unreadable",
        "17 fds",
    ):
        assert words in text


async def test_between_two_looks_only_what_came_then_counts() -> None:
    async with busy() as front:
        with Metrics(front.url) as metrics:
            first = await asyncio.to_thread(metrics.look)
            second = await asyncio.to_thread(metrics.look)
            await front.client.post("/v1/speech", content=recording())
            third = await asyncio.to_thread(metrics.look)
    idle, asked = view(second, first), view(third, second)
    assert (idle.turns_minute["completed"], idle.first_audio_p50_s, idle.stages["hear"].mean_s) == (0, None, None)
    assert asked.over_s is not None
    assert asked.turns_minute["completed"] == pytest.approx(60 / asked.over_s)
    assert asked.errors_minute == {}
    assert "–" in screen(drawn(idle, front.url)) and "over" in screen(drawn(asked, front.url))


HEAD = 'cslm_build_info{model="m",version="1",backend="b"} 1\n'


def look(at_s: float, text: str) -> Snapshot:
    return Snapshot.of(HEAD + text, at_s)


def test_a_server_that_began_anew_counts_from_its_start() -> None:
    before = look(100.0, 'cslm_turns_total{outcome="completed"} 50\ncslm_turns_created{outcome="completed"} 40\n')
    after = look(110.0, 'cslm_turns_total{outcome="completed"} 4\ncslm_turns_created{outcome="completed"} 105\n')
    now = view(after, before)
    assert now.over_s is None
    assert now.turns_minute["completed"] == pytest.approx(4 / (5 / 60))


def test_quantiles_are_those_of_prometheus() -> None:
    """Of `histogram_quantile`, which is linear within a bucket."""
    buckets = {"0.1": 2, "0.2": 6, "0.5": 9, "+Inf": 10}
    snapshot = look(1.0, "".join(f'x_bucket{{le="{le}"}} {count}\n' for le, count in buckets.items()))
    assert snapshot.quantile(0.5, "x") == pytest.approx(0.175)
    assert snapshot.quantile(0.9, "x") == pytest.approx(0.5)
    assert snapshot.quantile(0.99, "x") == 0.5  # beyond the last bucket: its lower end
    assert snapshot.quantile(0.1, "x") == pytest.approx(0.05)
    assert look(1.0, 'x_bucket{le="+Inf"} 0\n').quantile(0.5, "x") is None
    assert look(1.0, "").quantile(0.5, "y") is None


def test_no_room_is_free_while_a_stage_is_full() -> None:
    counts = 'cslm_max_sessions 32\ncslm_session_limit 16\ncslm_active_sessions{transport="rest"} 3\n'
    assert view(look(1.0, counts + 'cslm_load{stage="vocoder"} 0.4\n')).free == 13
    assert view(look(1.0, counts + 'cslm_load{stage="vocoder"} 1.0\n')).free == 0


def test_an_older_server_that_lacks_some_is_shown_all_the_same() -> None:
    assert screen(drawn(view(look(1.0, "")), "http://old", lost="no answer"))


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that answers everything with that."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "code", "says"),
    [
        (200, b"up 1\nprocess_open_fds 7\n", "foreign_metrics", "no cslm_build_info"),
        (200, b"", "foreign_metrics", "no cslm_build_info"),
        (200, b"<!doctype html><title>Hello</title>", "foreign_metrics", "format of Prometheus"),
        (200, b'cslm_build_info{version="1} 1\n', "foreign_metrics", "format of Prometheus"),
        (200, b"\xff\xfe\x00", "foreign_metrics", "is no text"),
        (404, b"not found", "foreign_metrics", "HTTP 404"),
        (502, b"", "foreign_metrics", "HTTP 502"),
        (401, b"", "invalid_api_key", "--api-key"),
        (403, b"", "invalid_api_key", "--api-key"),
    ],
)
def test_what_answers_may_be_something_else(status: int, body: bytes, code: str, says: str) -> None:
    with answering(status, body) as url:
        for options in (["--once"], ["--json"], []):
            done = run("--server", url, *options)
            assert done.exit_code == 3
            assert code in done.output and says in done.output


def test_a_server_that_sends_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.top._MOST_BYTES", 1000)
    with (
        answering(200, b"x" * 100_000) as url,
        Metrics(url) as metrics,
        pytest.raises(ForeignMetrics, match="more than"),
    ):
        metrics.look()


def test_a_server_that_stops_answering_is_waited_for() -> None:
    looks: list[Snapshot | BaseException] = [
        ServerUnreachable("nothing answers"),
        look(2.0, "cslm_ready 1\n"),
        KeyboardInterrupt(),
    ]

    class Scripted(Metrics):
        def look(self) -> Snapshot:
            nxt = looks.pop(0)
            if isinstance(nxt, BaseException):
                raise nxt
            return nxt

        def sessions(self) -> list[SessionView] | None:
            return None

    out = io.StringIO()
    with Scripted("http://here") as metrics, pytest.raises(KeyboardInterrupt):
        _watch(metrics, look(1.0, ""), 0.0, Console(file=out, width=160, height=40, force_terminal=True))
    shown = out.getvalue()
    assert shown.index("not ready") < shown.index("nothing answers") < shown.rindex("ready")
    assert not looks


ROW = {"id": "sess_1", "key": "anna", "transport": "realtime", "state": "away", "language": None}
FIGURES = {"buffered_s": 1.25, "age_s": 93, "turns": 4}


async def test_what_is_under_way_is_listed_for_who_has_the_key() -> None:
    async with listening(fake_model(), api_key="secret") as front:
        with_key = ("--api-key", "secret")
        headers = {"Authorization": "Bearer secret"}
        async with connect(f"{front.url.replace('http', 'ws')}/v1/realtime", additional_headers=headers) as socket:
            session = json.loads(await socket.recv())["session"]["id"]
            shown = json.loads((await asyncio.to_thread(run, "--server", front.url, "--json", *with_key)).output)
            drawn_ = (await asyncio.to_thread(run, "--server", front.url, "--once", *with_key)).output
            hidden = json.loads((await asyncio.to_thread(run, "--server", front.url, "--json")).output)
    (row,) = shown["under_way"]
    assert (row["id"], row["key"], row["state"], row["language"]) == (session, "default", "idle", "auto")
    assert session in drawn_ and hidden["under_way"] is None


def test_of_very_many_only_the_oldest_are_drawn() -> None:
    rows = [{**ROW, **FIGURES, "id": f"sess_{number:02d}", "age_s": number} for number in range(30)]
    shown = screen(drawn(view(look(1.0, "")), "here", sessions_of(json.dumps({"data": rows}).encode())))
    assert "the oldest 20 of 30" in shown and "sess_29" in shown and "sess_10" in shown and "sess_09" not in shown


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"data": [{}]}', json.dumps({"data": [{**ROW, "age_s": "old"}]})])
def test_something_else_than_sessions(answer: str) -> None:
    with pytest.raises(ForeignMetrics):
        sessions_of(answer.encode())


def test_nobody_there() -> None:
    done = run("--server", "http://127.0.0.1:9", "--once")
    assert done.exit_code == 3 and "server_unreachable" in done.output


@pytest.mark.parametrize("address", ["ftp://host", "http://", "host:notaport", "http://[::1", "", "http://host:0"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ServerUnreachable, match="is not a server address"):
        metrics_url(address)


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("host:8080", "http://host:8080/metrics"),
        ("ws://host/v1/realtime", "http://host/metrics"),
        ("https://host/", "https://host/metrics"),
        ("http://host/cslm/metrics", "http://host/cslm/metrics"),
        ("http://[::1]:80", "http://[::1]:80/metrics"),
    ],
)
def test_addresses_in_all_ways(address: str, url: str) -> None:
    assert metrics_url(address) == url
