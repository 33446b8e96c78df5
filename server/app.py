"""The ASGI application: every route around one model."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from pydantic import SecretStr
from starlette.types import Receive, Scope, Send

from server.http import docs_page, error_responses, openapi
from server.http.dependencies import AppState
from server.http.origins import Origins
from server.http.presence import Presence
from server.http.rate_limits import HEADERS as RATE_LIMIT_HEADERS
from server.http.rate_limits import RateLimits
from server.http.recordings import Recordings
from server.http.request_ids import RequestIds
from server.media.decoding import Decode, DecoderProcess, Decoding
from server.routes import health, models, sessions
from server.routes.audio import text_to_speech, transcriptions
from server.routes.chat import route as chat
from server.routes.realtime import beta_sessions, calls, client_secrets, sockets
from server.routes.speech import route as speech
from server.settings import Settings
from server.state import loading
from server.state.admission import Admission
from server.state.gate import GateRules
from server.state.key_metrics import KeyMetrics
from server.state.keyring import Keyring, keys_of_settings
from server.state.live import LiveSession, LiveSessions
from server.state.metrics import Metrics
from server.state.parking import Parking
from server.state.recording import Recorder
from server.state.reloading import Reloading
from server.state.secret_signing import SecretSigner
from server.state.serving import OpenModel, Serving
from server.state.spoken_answers import SpokenAnswers
from server.state.tracing import NO_TRACES, Tracing
from server.state.usage_log import UsageLog
from server.version import package_version
from server.webrtc.registry import CallRegistry
from streaming.load import Load

_EXPOSED_HEADERS = (
    "x-request-id", "x-turn-id", "x-model", "x-audio-format", "x-audio-sample-rate", "x-dropped-text", "x-recorded", "retry-after",
    "location", *RATE_LIMIT_HEADERS,
)  # fmt: skip

_DAY_S = 86_400.0

_ROUTES = (
    health, models, sessions, speech, transcriptions, text_to_speech, chat, client_secrets, beta_sessions, calls, sockets,
)  # fmt: skip


def create_app(
    settings: Settings, open_model: OpenModel = loading.open_model, new_decoder: Callable[[], Decode] = DecoderProcess
) -> FastAPI:
    """The server as an ASGI application. `open_model` loads the model, in the background; `new_decoder`: see `Decoding`.

    Raises StartError for files that the settings name and that cannot be used.
    """
    state, usage = _parts(settings, new_decoder)
    app = FastAPI(
        title="cslm-serve",
        version=package_version(),
        lifespan=lambda _: _running(state, usage, open_model),
        docs_url=None,
        redoc_url=None,
    )
    app.state.shared = state
    error_responses.install(app, state.metrics.error)
    openapi.install(app)
    docs_page.install(app)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=_EXPOSED_HEADERS,
        )
    app.add_middleware(Recordings, recorder=state.recorder)
    app.add_middleware(Presence, most_bytes=settings.max_body_bytes)
    app.add_middleware(Origins, settings=settings, count=state.metrics.error)
    if settings.otlp_endpoint is not None:
        from server.http.trace_context import TraceContext

        app.add_middleware(TraceContext)
    app.add_middleware(RateLimits)
    app.add_middleware(RequestIds)
    for module in _ROUTES:
        app.include_router(module.router)
    _answer_head(app)
    web = web_directory()
    if web is not None:
        _serve_page(app, web)
    return app


def _parts(settings: Settings, new_decoder: Callable[[], Decode]) -> tuple[AppState, UsageLog | None]:
    reloading = Reloading()
    if settings.keys_file is not None:  # before they are read: a change from now on is noticed
        read = partial(keys_of_settings, settings)
        reloading.add("keys", [settings.keys_file], read, lambda document: keys.replace(document))
    document = keys_of_settings(settings)
    usage = _usage_log(settings)
    keys = Keyring(document, _secret(settings.api_key), usage)
    metrics = Metrics()
    metrics.build(version=package_version(), model=settings.bundle, backend=settings.backend)
    metrics.slots(settings.max_sessions)
    metrics.registry.register(KeyMetrics(keys, usage, reloading))
    load = Load()
    rules = GateRules(settings.max_sessions, settings.max_waiting, settings.max_waiting_per_peer)
    admission = Admission(rules, metrics.session, load=load.value, patience_s=settings.max_wait_s)
    traces = _tracing(settings)
    recorder = Recorder(settings.record_dir, settings.record_bytes, settings.record_days * _DAY_S, metrics.recording)
    live = LiveSessions()
    state = AppState(
        settings=settings,
        metrics=metrics,
        tracing=traces,
        recorder=recorder,
        load=load,
        admission=admission,
        serving=Serving(load),
        keys=keys,
        account=keys.anonymous,
        live=live,
        here=LiveSession("", keys.anonymous, "rest"),
        secrets=SecretSigner(_secret(settings.signing_key or settings.api_key), settings.client_secret_uses),
        spoken=SpokenAnswers(),
        calls=CallRegistry(settings, admission, metrics, live, traces, recorder),
        decoding=Decoding(settings.max_turn_s, new_decoder),
        reloading=reloading,
        parking=Parking[Any](settings.max_parked, settings.resume_s, metrics),
    )
    return state, usage


@asynccontextmanager
async def _running(state: AppState, usage: UsageLog | None, open_model: OpenModel) -> AsyncGenerator[None]:
    """All that goes on in the background, while the context lasts."""
    async with (
        usage.kept() if usage is not None else nullcontext(),
        state.reloading.running(),
        state.keys.watched(),
        state.metrics.vitals.watched(),
        state.tracing.opened(),
        state.recorder.opened(),
        state.decoding.opened(),
        state.serving.opened(open_model, state.settings),
        state.calls.opened(),
    ):
        yield


def _usage_log(settings: Settings) -> UsageLog | None:
    if settings.usage_dir is None:
        return None
    return UsageLog(settings.usage_dir, keep_days=settings.usage_days, wait=settings.handover is not None)


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()


def _tracing(settings: Settings) -> Tracing:
    """Only with an address to send to is OpenTelemetry imported."""
    if settings.otlp_endpoint is None:
        return NO_TRACES
    from server.state.otel import OpenTelemetry

    return OpenTelemetry(settings.otlp_endpoint, settings.trace_share)


def _answer_head(app: FastAPI) -> None:
    """HEAD wherever GET is; FastAPI does not add it. The body is left out below, by uvicorn."""
    for route in list(app.routes):
        if isinstance(route, APIRoute) and route.methods == {"GET"}:
            app.add_api_route(route.path, route.endpoint, methods=["HEAD"], include_in_schema=False)


def web_directory() -> Path | None:
    """Where the page is, if the clients are installed."""
    clients = importlib.util.find_spec("clients")
    places = (clients.submodule_search_locations or []) if clients else []
    return next((Path(place) / "web" for place in places if (Path(place) / "web" / "index.html").is_file()), None)


def _serve_page(app: FastAPI, web: Path) -> None:
    """The page at `/`, as the router's last resort: a mount would answer for routes that exist with another method."""
    page, not_found = StaticFiles(directory=web, html=True), app.router.not_found

    async def page_or_not_found(scope: Scope, receive: Receive, send: Send) -> None:
        is_page = scope["type"] == "http" and not scope["path"].startswith("/v1/")
        await (page if is_page else not_found)(scope, receive, send)

    app.router.default = page_or_not_found
