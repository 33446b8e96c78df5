"""A server around fake stages, in process (`serving`) or on a real socket (`listening`)."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import soundfile
from numpy.typing import NDArray

from server.app import create_app
from server.http.dependencies import AppState
from server.listening import listening_socket
from server.media.decoding import Decode, decode_here
from server.serve import Server, transport_config
from server.settings import Settings
from server.state.loading import ServedModel
from server.state.serving import OpenModel
from tests.server.models import fake_model, opener


@dataclass
class Front:
    """A client and what it talks to."""

    client: httpx.AsyncClient
    state: AppState
    url: str = ""
    server: Server | None = None

    def count(self, name: str, **labels: str) -> float:
        """A sample of the metrics; 0 where there is none yet."""
        return self.state.metrics.registry.get_sample_value(name, labels) or 0.0


def make_settings(**values: Any) -> Settings:
    """Settings of a test: nothing from the environment matters but what is given."""
    return Settings(**{"api_key": None, **values})


@asynccontextmanager
async def serving(
    model: ServedModel | None = None,
    *,
    open_model: OpenModel | None = None,
    wait: bool = True,
    decoder: Callable[[], Decode] = lambda: decode_here,
    **settings: Any,
) -> AsyncGenerator[Front]:
    """The application in this process, with decoders in it unless `decoder` makes others. Whole answers only: the transport collects them."""
    app = create_app(make_settings(**settings), open_model or opener(model or fake_model()), decoder)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        if wait:
            await app.state.shared.serving.settled()
        yield Front(client, app.state.shared)


@asynccontextmanager
async def listening(
    model: ServedModel | None = None, *, decoder: Callable[[], Decode] = lambda: decode_here, **settings: Any
) -> AsyncGenerator[Front]:
    """The application on a socket of its own, for answers as they come and clients that go."""
    chosen = make_settings(**settings)
    app = create_app(chosen, opener(model or fake_model()), decoder)
    config = transport_config(app, chosen)
    config.load()
    server = Server(config, app.state.shared)
    server.lifespan = config.lifespan_class(config)
    listener = listening_socket("127.0.0.1", 0)
    await server.startup(sockets=[listener])
    running = asyncio.create_task(server.main_loop())
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        async with httpx.AsyncClient(base_url=url, timeout=10) as client:
            await app.state.shared.serving.settled()
            yield Front(client, app.state.shared, url, server)
    finally:
        server.should_exit = True
        await running
        if not app.state.shared.admission.stop.asked.is_set():
            await app.state.shared.admission.drain(0)  # a test does not wait for what it has left hanging
        await server.shutdown(sockets=[listener])


async def eventually(condition: Any) -> None:
    """Wait until `condition()` holds; a test that waits in vain fails."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


def tone(seconds: float = 1.0, rate: int = 16_000, channels: int = 1, peak: float = 0.5) -> NDArray[np.float32]:
    """A sine of 300 Hz, [T] or [T, channels]: what the fake voice activity takes for speech."""
    mono = peak * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate)) / rate)
    return (mono if channels == 1 else np.repeat(mono[:, None], channels, axis=1)).astype(np.float32)


def recording(
    samples: NDArray[np.float32] | None = None, rate: int = 16_000, kind: str = "WAV", subtype: str | None = None
) -> bytes:
    """A file as libsndfile writes it."""
    out = io.BytesIO()
    soundfile.write(out, tone(rate=rate) if samples is None else samples, rate, format=kind, subtype=subtype)
    return out.getvalue()


def events_of(body: str) -> list[dict[str, Any]]:
    """Server-sent events, in order; the event's name and its data's type must agree."""
    import json

    events = []
    for block in filter(None, body.split("\n\n")):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    return events
