"""Traces of sessions, turns and stages, as a collector gets them."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from structlog.contextvars import get_contextvars
from websockets.asyncio.client import connect

from server.settings import Settings
from tests.collector import Collector, Span, collecting
from tests.deploy.test_monitoring import BOARDS, board
from tests.e2e.test_dashboards import VARIABLES
from tests.fakes import FakeEncoder, FakeLM
from tests.prometheus import scraping
from tests.server.front import listening, recording
from tests.server.models import fake_model
from tests.server.routes.test_sessions_freed import TYPED, said

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
STEPS = ["hear", "first_token", "first_units", "first_audio"]


def traceparent(*, sampled: bool = True) -> dict[str, str]:
    return {"traceparent": f"00-{TRACE}-{PARENT}-{'01' if sampled else '00'}"}


async def ask(url: str, *questions: list[dict[str, Any]], **headers: str) -> None:
    """One session over a socket, in which each question is answered before the next one."""
    async with connect(url.replace("http", "ws") + "/v1/realtime", additional_headers=headers, proxy=None) as socket:
        for events in questions:
            for event in events:
                await socket.send(json.dumps(event))
            while json.loads(await socket.recv())["type"] != "response.done":
                pass


def children(collector: Collector, parent: Span) -> list[Span]:
    of_parent = [span for span in collector.spans if span.parent_id == parent.span_id]
    return sorted(of_parent, key=lambda span: (span.began_ns, span.ended_ns))


async def test_a_session_has_its_turns_and_they_their_stages() -> None:
    with collecting() as collector:
        async with listening(otlp_endpoint=collector.endpoint) as front:
            await ask(front.url, said("input_audio_buffer.append"), TYPED, **traceparent())
        (session,) = collector.named("session")
        assert (session.trace_id, session.parent_id) == (TRACE, PARENT)
        assert session.attributes["cslm.transport"] == "realtime"
        assert session.attributes["cslm.session_id"].startswith("sess_")
        turns = [span for span in collector.named("turn") if span.attributes["cslm.outcome"] == "completed"]
        assert len(turns) == 2
        for turn in turns:
            assert (turn.trace_id, turn.parent_id) == (TRACE, session.span_id)
            assert session.began_ns <= turn.began_ns <= turn.ended_ns <= session.ended_ns
            assert turn.attributes["cslm.session_id"] == session.attributes["cslm.session_id"]
            assert turn.attributes["cslm.turn_id"].startswith("resp_")
            assert turn.attributes["cslm.request_id"] == session.attributes["cslm.request_id"]
            stages = children(collector, turn)
            steps = [span for span in stages if span.name in STEPS]
            assert [span.name for span in steps] == STEPS
            assert all(one.ended_ns == other.began_ns for one, other in zip(steps, steps[1:], strict=False))
            cuts = [span for span in stages if span.name == "vocoder"]
            assert sum(cut.attributes["cslm.units"] for cut in cuts) == turn.attributes["cslm.output_units"] == 40
            assert all(turn.began_ns <= cut.began_ns <= cut.ended_ns <= turn.ended_ns for cut in cuts)
            (playout,) = (span for span in stages if span.name == "playout")
            assert playout.began_ns == steps[-1].ended_ns
            assert (playout.ended_ns - playout.began_ns) / 1e9 == pytest.approx(40 * 960 / 24_000, abs=0.5)
        assert collector.resource["service.name"] == "cslm-serve"


async def test_a_request_is_one_too_and_its_words_stay_here(caplog: pytest.LogCaptureFixture) -> None:
    with collecting() as collector, caplog.at_level(logging.INFO, "cslm.turn"):
        bound: list[dict[str, Any]] = []
        caplog.handler.addFilter(lambda record: bool(bound.append(get_contextvars()) or True))
        async with listening(otlp_endpoint=collector.endpoint) as front:
            answer = await front.client.post("/v1/speech", files={"file": recording()}, headers=traceparent())
            assert answer.status_code == 200
            failed = await front.client.post("/v1/speech", files={"file": b"no recording"}, headers=traceparent())
            assert failed.status_code == 400
        assert len(collector.named("request")) == 2
        (turn,) = collector.named("turn")
        assert turn.trace_id == TRACE
        assert bound[-1]["trace_id"] == TRACE and bound[-1]["span_id"] == turn.span_id
        assert "five" not in str(collector.spans)


@pytest.mark.parametrize(
    ("lm", "code", "failed"), [(FakeLM(), "invalid_value", False), (FakeLM(fail_after=0), "internal_error", True)]
)
async def test_of_an_error_only_its_code_is_told(lm: FakeLM, code: str, failed: bool) -> None:
    """Its message may quote the client."""
    voice = {"voice": "swordfish"} if code == "invalid_value" else {}
    with collecting() as collector:
        async with listening(fake_model(lm=lm), otlp_endpoint=collector.endpoint) as front:
            answer = await front.client.post("/v1/speech", data={"text": "swordfish", "stream": "file", **voice})
            assert answer.status_code >= 400
        (request,) = collector.named("request")
        assert (request.attributes.get("error.type"), request.failed, request.message) == (code, failed, "")
        assert "swordfish" not in str(collector.spans)


async def test_a_turn_that_fails_is_marked() -> None:
    model = fake_model(lm=FakeLM(fail_after=8))
    with collecting() as collector:
        async with listening(model, otlp_endpoint=collector.endpoint) as front:
            await ask(front.url, TYPED)
        (turn,) = collector.named("turn")
        assert turn.failed and turn.attributes["cslm.outcome"] == "failed"
        assert [span.name for span in children(collector, turn)] == STEPS[:2]


async def test_a_turn_that_came_to_nothing_ends_too() -> None:
    """The session is left while its answer is still to come."""
    lm = FakeLM(hang_after=4)
    with collecting() as collector:
        async with (
            listening(fake_model(lm=lm), otlp_endpoint=collector.endpoint) as front,
            connect(front.url.replace("http", "ws") + "/v1/realtime", proxy=None) as socket,
        ):
            for event in TYPED:
                await socket.send(json.dumps(event))
            while json.loads(await socket.recv())["type"] != "response.created":
                pass
        (turn,) = collector.named("turn")
        assert turn.attributes["cslm.outcome"] == "cancelled" and not turn.failed


@pytest.mark.parametrize(("share", "headers", "kept"), [(0.0, {}, 0), (0.0, traceparent(), 1), (1.0, {}, 1), (1.0, traceparent(sampled=False), 0), (1.0, {"traceparent": "00-nonsense"}, 1)])  # fmt: skip
async def test_a_client_decides_for_its_own_trace(share: float, headers: dict[str, str], kept: int) -> None:
    with collecting() as collector:
        async with listening(otlp_endpoint=collector.endpoint, trace_share=share) as front:
            assert (await front.client.post("/v1/speech", data={"text": "Hi"}, headers=headers)).status_code == 200
            accept = {"accept": "application/openmetrics-text; version=1.0.0"}
            text = (await front.client.get("/metrics", headers=accept)).text
        assert len(collector.named("turn")) == kept
        exemplars = set(re.findall(r'# \{span_id="\w+",trace_id="(\w+)"\}', text))
        assert exemplars == {span.trace_id for span in collector.spans}
        for name in ("time_to_first_audio", "turn", "stage"):
            assert bool(re.search(rf"cslm_{name}_seconds_bucket.*# {{span_id=", text)) == bool(kept)


async def test_metrics_of_old_scrapers_have_no_exemplars() -> None:
    with collecting() as collector:
        async with listening(otlp_endpoint=collector.endpoint) as front:
            await front.client.post("/v1/speech", data={"text": "Hi"})
            answer = await front.client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        assert "trace_id" not in answer.text


@pytest.mark.parametrize("status", [None, 401, 503])
async def test_a_collector_that_is_down_is_told_of_once(status: int | None, caplog: pytest.LogCaptureFixture) -> None:
    with collecting() as collector:
        collector.status = status or 200
        endpoint = collector.endpoint if status else "http://127.0.0.1:9"
        with caplog.at_level(logging.WARNING):
            async with listening(otlp_endpoint=endpoint) as front:
                for _ in range(3):
                    assert (await front.client.post("/v1/speech", data={"text": "Hi"})).status_code == 200
                    front.state.tracing._provider.force_flush()  # type: ignore[attr-defined]
        ours = [record for record in caplog.records if record.name == "cslm.traces"]
        assert [record.getMessage() for record in ours] == [
            f"traces cannot be sent to {endpoint}/v1/traces, and are dropped until they can"
        ]
        assert len([record for record in caplog.records if record.name.startswith("opentelemetry")]) == 1


async def test_a_collector_that_is_back_gets_what_comes_then(caplog: pytest.LogCaptureFixture) -> None:
    with collecting() as collector, caplog.at_level(logging.INFO, "cslm.traces"):
        collector.status = 401
        async with listening(otlp_endpoint=collector.endpoint) as front:
            await front.client.post("/v1/speech", data={"text": "Hi"})
            front.state.tracing._provider.force_flush()  # type: ignore[attr-defined]
            collector.status = 200
            await front.client.post("/v1/speech", data={"text": "Hi"})
        assert len(collector.named("turn")) == 1
        assert caplog.records[-1].getMessage() == "traces are sent again"


async def test_a_speculative_turn_is_a_turn() -> None:
    """It begins in a pause and may be discarded; whichever it is, it ends once."""
    with collecting() as collector:
        async with listening(fake_model(encoder=FakeEncoder()), otlp_endpoint=collector.endpoint) as front:
            await ask(front.url, said("input_audio_buffer.append"))
        assert len({span.attributes["cslm.turn_id"] for span in collector.named("turn")}) == len(
            collector.named("turn")
        )


@pytest.mark.parametrize("address", ["collector:4318", "ftp://collector", "http://", "/v1/traces"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="accepted: http://host:port or https://host:port"):
        Settings(otlp_endpoint=address)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.settings._is_installed", lambda module: False)
    with pytest.raises(ValidationError, match=r"needs OpenTelemetry: pip install -r requirements/otel.txt"):
        Settings(otlp_endpoint="http://localhost:4318")


def test_whoever_wants_no_traces_imports_nothing() -> None:
    program = "import sys; from server.app import create_app; from server.settings import Settings; create_app(Settings())\nprint(*[name for name in sys.modules if name.startswith(('opentelemetry', 'google.protobuf'))])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "opentelemetry" not in done.stdout


async def test_exemplars_reach_prometheus(tmp_path: Path) -> None:
    """By way of its own scrape, and of the expression of a panel."""
    (panel,) = (panel for panel in board(BOARDS[-1])["panels"] if panel["title"] == "First audio")
    (expression,) = (target["expr"] for target in panel["targets"] if target.get("exemplar"))
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)

    def found(address: str) -> set[str]:
        with scraping(address, tmp_path) as prometheus:
            prometheus.wait(f'count_over_time(up{{job="cslm"}}[1h]) >= {prometheus.scrapes() + 2}')
            now_s = time.time()
            series = prometheus.get("query_exemplars", query=expression, start=f"{now_s - 300}", end=f"{now_s + 60}")
        return {exemplar["labels"]["trace_id"] for each in series for exemplar in each["exemplars"]}

    with collecting() as collector:
        async with listening(otlp_endpoint=collector.endpoint) as front:
            await front.client.post("/v1/speech", data={"text": "Hi"}, headers=traceparent())
            assert await asyncio.to_thread(found, front.url.removeprefix("http://")) == {TRACE}
