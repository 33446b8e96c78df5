"""The server's process: its listening socket, startup and shutdown."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import socket
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import typer
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model.workers.leftovers import sweep_leftovers
from server.app import create_app
from server.cluster import open_cluster
from server.errors import ServerStopping
from server.http.connections import Connection, ConnectionLimits
from server.http.error_responses import error_response
from server.state.loading import open_model
from streaming.errors import SpeechServerError

if TYPE_CHECKING:
    from types import FrameType

    from fastapi import FastAPI

    from server.http.dependencies import AppState
    from server.settings import Settings
    from server.state.serving import Serving


_GOODBYE_S = 2
"""For connections to close after answers have ended, or were ended."""


_DESCRIPTORS = 65_536


async def serve(settings: Settings) -> int:
    """Serve until a signal. Returns the exit status: 1 when the address or the model cannot be had."""
    _take_descriptors()
    sweep_leftovers()
    try:
        listener = listening_socket(settings.host, settings.port)
    except OSError as error:
        reason = error.strerror or error
        typer.echo(f"cslm: cannot listen on {settings.host} port {settings.port}: {reason}", err=True)
        return 1
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal that closes takes no conversation along
    application = create_app(settings, open_cluster if settings.backend == "ray" else open_model)
    server = Server(transport_config(application, settings), application.state.shared)
    typer.echo(f"cslm: loading {settings.bundle} …")
    announcing = asyncio.create_task(
        _announce(server, application.state.shared.serving, _address(settings.host, listener)), name="announce"
    )
    try:
        await server.serve(sockets=[listener])
    finally:
        announcing.cancel()
        await asyncio.wait({announcing})
    return 0 if announcing.cancelled() or announcing.result() else 1


class Server(uvicorn.Server):
    """uvicorn's server, but who is being answered when it stops hears the answer to its end."""

    def __init__(self, config: uvicorn.Config, state: AppState) -> None:
        super().__init__(config)
        self._state = state
        self._draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal stops the server in good order. A second Ctrl-C does not wait for anybody."""
        super().handle_exit(sig, frame)
        if self.force_exit and self._draining is not None:
            self._draining.get_loop().call_soon_threadsafe(self._draining.cancel)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse new connections, drain, then stop as uvicorn does."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        drain = self._state.admission.drain(self._state.settings.shutdown_s)
        self._draining = asyncio.create_task(drain, name="drain")
        await asyncio.wait({self._draining})
        await super().shutdown(sockets)


def last_words(application: ASGIApp) -> ASGIApp:
    """What uvicorn would cancel and answer with plain text, when stopping takes too long, is answered as every other error."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noticed(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await application(scope, receive, noticed)
        except asyncio.CancelledError:
            if started or scope["type"] != "http":
                raise
            await error_response(ServerStopping("the server stops and could not wait"))(scope, receive, send)

    return answer


_REFUSED_UNREAD = 4
"""A WebSocket message of so many times the size that is taken ends the connection; a smaller one is refused by an event."""


def _take_descriptors() -> None:
    """As many files and sockets as the system lets this process have: the default of 1,024 is soon used up."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, _DESCRIPTORS) if hard >= 0 else _DESCRIPTORS, hard))


def transport_config(application: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn carries the application."""
    limits = ConnectionLimits(settings.max_connections, settings.max_connections_per_address, settings.header_timeout_s)
    return uvicorn.Config(
        last_words(application),
        http=cast(Any, partial(Connection, limits=limits)),
        log_config=None,
        log_level="debug" if settings.log_level == "debug" else "warning",
        access_log=settings.log_level == "debug",
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=_GOODBYE_S,
        ws_per_message_deflate=False,  # audio hardly shrinks, and a small message may grow a thousandfold
        ws_max_size=_REFUSED_UNREAD * settings.max_message_bytes,
        ws_ping_timeout=max(20.0, settings.max_turn_s),  # a pong may wait behind speech that waits for a turn to end
    )


def listening_socket(host: str, port: int) -> socket.socket:
    """A bound TCP socket that no child inherits. Raises OSError.

    It names its protocol: asyncio turns Nagle's algorithm off (`TCP_NODELAY`) only on connections of sockets that do. With it
    on, an answer of two writes waits for the client's delayed acknowledgement, some 40 ms.
    """
    [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
    )
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


async def _announce(server: uvicorn.Server, serving: Serving, address: str) -> bool:
    """Say when the model is warm, and where; or stop the server because it never will be."""
    try:
        model = await serving.settled()
    except Exception as failure:
        reason = failure.message if isinstance(failure, SpeechServerError) else "see the log above"
        typer.echo(f"cslm: the model could not be loaded: {reason}", err=True)
        server.should_exit = True
        return False
    _spare_what_stays()
    typer.echo(f"cslm: {model.name} ({model.backend}) is ready at {address}")
    return True


def _spare_what_stays() -> None:
    """Have no garbage collection walk through what was loaded and stays: a full one would hold the loop up for long."""
    gc.collect()
    gc.freeze()


def _address(host: str, listener: socket.socket) -> str:
    shown = "localhost" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}/"
