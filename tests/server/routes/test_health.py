"""Probes, models, metrics, settings, the page and CORS."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.settings import Settings
from server.state.admission import Admission
from server.state.gate import GateRules
from server.state.metrics import Metrics
from streaming.errors import BundleError, CapacityError
from streaming.planning import PlayoutClock
from streaming.report import StageTime, TurnReport
from tests.fakes import UNITS, FakeDecoder, FakeLM
from tests.server.front import eventually, listening, make_settings, recording, serving
from tests.server.models import fake_model, opener


async def test_alive_at_once_ready_when_warm() -> None:
    warm, closed = asyncio.Event(), list[str]()
    async with serving(open_model=opener(fake_model(), warm=warm, closed=closed), wait=False) as front:
        assert (await front.client.get("/healthz")).json() == {"status": "alive"}
        answer = await front.client.get("/readyz")
        assert (answer.status_code, answer.json()["reason"]) == (503, "loading")
        warm.set()
        await front.state.serving.settled()
        answer = await front.client.get("/readyz")
        ready = {"status": "ready", "model": "fake", "backend": "scripted", "load": 0.0, "waiting": 0}
        assert (answer.status_code, answer.json()) == (200, ready)
        assert closed == []
    assert closed == ["fake"]


async def test_not_ready_while_a_stage_is_dead() -> None:
    faults: list[str] = []
    async with serving(fake_model(fault=lambda: faults[0] if faults else None)) as front:
        assert (await front.client.get("/readyz")).status_code == 200
        faults.append("language model: engine died")
        answer = await front.client.get("/readyz")
        assert (answer.status_code, answer.json()["reason"]) == (503, faults[0])
        assert (await front.client.get("/healthz")).status_code == 200
        faults.clear()
        assert (await front.client.get("/readyz")).status_code == 200


@pytest.mark.parametrize("error", [BundleError("secret: /weights is cut off"), RuntimeError("secret")])
async def test_a_model_that_cannot_be_loaded(error: Exception) -> None:
    async with serving(open_model=opener(fake_model(), error=error), wait=False) as front:
        with pytest.raises(type(error)):
            await front.state.serving.settled()
        answer = await front.client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["reason"].startswith("failed: ")
        assert "secret" not in answer.text


async def test_stopping_while_loading() -> None:
    async with serving(open_model=opener(fake_model(), warm=asyncio.Event()), wait=False) as front:
        assert (await front.client.get("/readyz")).status_code == 503


async def test_models() -> None:
    async with serving() as front:
        listing = (await front.client.get("/v1/models")).json()
        (model,) = listing["data"]
        assert (listing["object"], model["id"], model["object"], model["owned_by"]) == (
            "list",
            "fake",
            "model",
            "cslm-serve",
        )
        assert (model["languages"], model["voices"], model["sample_rate"]) == (
            ["en", "zh"],
            ["default", "other"],
            24_000,
        )
        assert (await front.client.get("/v1/models/fake")).json() == model


async def test_metrics_of_real_turns() -> None:
    async with serving() as front:
        for _ in range(2):
            assert (await front.client.post("/v1/speech", content=recording())).status_code == 200
        await front.client.post("/v1/speech", content=b"")
        answer = await front.client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        families = {family.name: family for family in text_string_to_metric_families(answer.text)}
        assert front.count("cslm_turns_total", transport="rest", outcome="completed") == 2
        assert front.count("cslm_time_to_first_audio_seconds_count", transport="rest") == 2
        for stage in ("hear", "first_token", "first_units", "first_audio"):
            assert front.count("cslm_stage_seconds_count", stage=stage) == 2
        assert front.count("cslm_units_total", direction="output") == 2 * len(UNITS)
        assert front.count("cslm_units_total", direction="input") >= 2
        assert front.count("cslm_audio_seconds_total") == pytest.approx(2 * len(UNITS) * 960 / 24_000)
        assert front.count("cslm_errors_total", code="audio_empty") == 1
        assert front.count("cslm_active_sessions", transport="rest") == 0
        assert front.count("cslm_ready") == 1
        assert 0 < front.count("cslm_load", stage="language_model") < 1
        assert (front.count("cslm_session_limit"), front.count("cslm_waiting_sessions")) == (16, 0)
        assert front.count("cslm_max_sessions") == make_settings().max_sessions
        (build,) = families["cslm_build_info"].samples
        assert (build.labels["model"], build.labels["backend"]) == ("fake", "scripted")
        assert {"cslm_dropped_ids", "cslm_underruns", "cslm_build_info"} <= set(families)


async def test_active_sessions_are_seen_while_they_last() -> None:
    lm = FakeLM(hang_after=0)
    async with serving(fake_model(lm=lm)) as front:
        asking = asyncio.create_task(front.client.post("/v1/speech", content=recording()))
        await eventually(lambda: lm.active)
        assert front.count("cslm_active_sessions", transport="rest") == 1
        asking.cancel()
        await asyncio.wait({asking})
        assert front.count("cslm_active_sessions", transport="rest") == 0


def test_what_alerts_look_at_is_there_before_it_happens() -> None:
    """Prometheus sees no growth in a series that begins at 1."""
    registry = Metrics().registry
    for name, labels in (
        ("cslm_turns_total", {"transport": "webrtc", "outcome": "failed"}),
        ("cslm_errors_total", {"code": "engine_unavailable"}),
        ("cslm_time_to_first_audio_seconds_count", {"transport": "realtime"}),
        ("cslm_stage_seconds_count", {"stage": "vocoder"}),
        ("cslm_tokens_total", {"direction": "output"}),
    ):
        assert registry.get_sample_value(name, labels) == 0, name


def test_metrics_of_two_servers_are_apart() -> None:
    one, two = Metrics(), Metrics()
    one.error("x")
    assert two.registry.get_sample_value("cslm_errors_total", {"code": "x"}) is None


def test_metrics_count_from_the_end_of_the_question() -> None:
    """A live turn hears while the user speaks; only what comes after counts."""
    metrics = Metrics()
    report = TurnReport(
        heard_s=5.1, first_token_s=5.2, first_units_s=5.4, first_audio_s=5.5, done_s=7.0, dropped_ids=3, cuts=[StageTime("vocoder", 5.1, 5.5)],
        playout=PlayoutClock(underruns=2, gap_s=0.3),
    )  # fmt: skip
    metrics.observe_turn(report, "realtime", "completed", heard_s=5.0)

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    assert value("cslm_time_to_first_audio_seconds_sum", transport="realtime") == pytest.approx(0.5)
    assert value("cslm_turn_seconds_sum", transport="realtime") == pytest.approx(2.0)
    assert value("cslm_stage_seconds_sum", stage="hear") == pytest.approx(0.1)
    assert value("cslm_stage_seconds_sum", stage="first_units") == pytest.approx(0.2)
    assert value("cslm_stage_seconds_sum", stage="vocoder") == pytest.approx(0.4)
    assert value("cslm_dropped_ids_total") == 3
    assert value("cslm_underruns_total") == 2
    metrics.observe_turn(TurnReport(), "realtime", "cancelled")
    assert value("cslm_time_to_first_audio_seconds_count", transport="realtime") == 1


async def test_admission_gives_every_slot_back() -> None:
    seen: list[tuple[str, int]] = []
    admission = Admission(GateRules(2), lambda transport, by: seen.append((transport, by)))
    async with admission.slot("rest"), admission.slot("realtime"):
        with pytest.raises(CapacityError):
            async with admission.slot("rest"):
                pytest.fail("entered a full house")
    with pytest.raises(ZeroDivisionError):
        async with admission.slot("rest"):
            raise ZeroDivisionError
    assert admission.active == 0
    assert seen == [("rest", 1), ("realtime", 1), ("realtime", -1), ("rest", -1), ("rest", 1), ("rest", -1)]


async def test_cors_only_if_set() -> None:
    headers = {"origin": "https://a.example", "access-control-request-method": "POST"}
    async with serving() as front:
        assert "access-control-allow-origin" not in (await front.client.get("/healthz", headers=headers)).headers
    async with serving(cors_origins="https://a.example, https://b.example") as front:
        answer = await front.client.options("/v1/speech", headers=headers)
        assert answer.headers["access-control-allow-origin"] == "https://a.example"
        other = await front.client.get("/healthz", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


async def test_the_page_is_at_the_root_if_there_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "clients" / "web").mkdir(parents=True)
    (tmp_path / "clients" / "__init__.py").touch()
    monkeypatch.setattr("server.app.web_directory", lambda: None)
    async with serving() as front:
        assert (await front.client.get("/")).status_code == 404
    (tmp_path / "clients" / "web" / "index.html").write_text("<title>talk</title>")
    monkeypatch.setattr("server.app.web_directory", lambda: tmp_path / "clients" / "web")
    async with serving() as front:
        assert "<title>talk" in (await front.client.get("/")).text
        assert (await front.client.get("/v1/speech")).status_code == 405
        assert (await front.client.post("/")).status_code == 405
        assert (await front.client.get("/../__init__.py")).status_code == 404


def test_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSLM_PORT", "9000")
    monkeypatch.setenv("CSLM_API_KEY", "")
    monkeypatch.setenv("CSLM_CORS_ORIGINS", "https://a.example,https://b.example")
    settings = Settings(host="0.0.0.0")
    assert (settings.host, settings.port, settings.api_key) == ("0.0.0.0", 9000, None)
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1
    with pytest.raises(ValueError, match="lm_url"):
        make_settings(backend="vllm_http")


async def test_underruns_of_a_slow_voice_are_counted() -> None:
    decoder = FakeDecoder(per_unit=24, delay_s=0.02)
    async with serving(fake_model(decoder=decoder, lm=FakeLM(delay_s=0.002))) as front:
        await front.client.post("/v1/speech", content=recording())
        assert front.count("cslm_underruns_total") >= 1


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/v1/models", "/v1/models/fake", "/v1/realtime"])
async def test_head_is_get_without_the_body(path: str) -> None:
    async with listening() as front:
        got, headed = await front.client.get(path), await front.client.head(path)
        assert (headed.status_code, headed.content) == (got.status_code, b"")
        assert headed.headers["content-type"] == got.headers["content-type"]
        if path != "/metrics":
            assert headed.headers["content-length"] == str(len(got.content))
        assert (await front.client.head("/v1/speech")).status_code == 405
