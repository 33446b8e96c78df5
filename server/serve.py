"""The server's process: startup, hand-over and shutdown."""

from __future__ import annotations

import asyncio
import gc
import logging
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
from server.errors import ServerStopping, StartError
from server.http import tls
from server.http.connections import Connection, ConnectionLimits
from server.http.error_responses import error_response
from server.listening import Predecessor, activated_socket, handed_over, listening_socket, predecessor
from server.state.admission import Admission
from server.state.loading import open_model
from server.state.peers import as_seen
from streaming.errors import SpeechServerError

if TYPE_CHECKING:
    from types import FrameType

    from fastapi import FastAPI

    from server.http.dependencies import AppState
    from server.settings import Settings

log = logging.getLogger("cslm.serve")

_GOODBYE_S = 2
"""For connections to close after answers have ended, or were ended."""


_SEE_OFF_S = 2.0
"""For requests that are on their way when another server takes over."""

_DESCRIPTORS = 65_536


async def serve(settings: Settings) -> int:
    """Serve until a signal. Returns the exit status: 1 if it cannot listen, or cannot load the model."""
    _take_descriptors()
    sweep_leftovers()
    try:
        before = predecessor(settings.handover) if settings.handover else None
    except OSError as error:
        typer.echo(f"cslm: cannot use {settings.handover} (CSLM_HANDOVER): {error.strerror or error}", err=True)
        return 1
    try:
        listener = before.listener if before else activated_socket() or listening_socket(settings.host, settings.port)
    except OSError as error:
        place = f"{settings.host} port {settings.port}"
        why = error.strerror or error
        typer.echo(f"cslm: cannot listen on {place}: {why}; choose another with CSLM_HOST and CSLM_PORT", err=True)
        return 1
    try:
        application = create_app(settings, open_cluster if settings.backend == "ray" else open_model)
        server = Server(transport_config(application, settings), application.state.shared)
    except StartError as error:
        listener.close()
        typer.echo(f"cslm: {error.message} ({error.code})", err=True)
        return 1
    if hasattr(signal, "SIGHUP"):
        # A terminal that closes ends no conversation, and no process that is started from here.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    typer.echo(f"cslm: loading {settings.bundle} …")
    attending = asyncio.create_task(_attend(server, settings, listener, before), name="attend")
    try:
        await server.serve(sockets=[] if before else [listener])
    finally:
        listener.close()
        attending.cancel()
        await asyncio.wait({attending})
    return 0 if attending.cancelled() or attending.result() else 1


class Server(uvicorn.Server):
    """uvicorn's server, but who is being answered when it stops hears the answer to its end."""

    def __init__(self, config: uvicorn.Config, state: AppState) -> None:
        super().__init__(config)
        self.state = state
        self._draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal stops the server in good order. A second Ctrl-C does not wait for anybody."""
        super().handle_exit(sig, frame)
        if self.force_exit and self._draining is not None:
            self._draining.get_loop().call_soon_threadsafe(self._draining.cancel)

    async def accept(self, listener: socket.socket) -> None:
        """Take the connections of another socket, too."""

        new_connection = partial(
            cast(Any, self.config.http_protocol_class),
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        loop = asyncio.get_running_loop()
        self.servers.append(
            await loop.create_server(new_connection, sock=listener, ssl=self.config.ssl, backlog=self.config.backlog)
        )

    def move(self) -> None:
        """Stop, because another server accepts the connections of this address now."""
        self.state.admission.moved = True
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no connections, drain, then stop as uvicorn does."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        if self.state.admission.moved:
            await self._see_off()
        drain = self.state.admission.drain(self.state.settings.shutdown_s)
        self._draining = asyncio.create_task(drain, name="drain")
        await asyncio.wait({self._draining})
        await super().shutdown(sockets)

    async def _see_off(self) -> None:
        """Answer once more who has connected; the next connection goes to the other server."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + _SEE_OFF_S
        while self._unused() and loop.time() < end_s:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.02)
        for connection in self._unused():
            connection.shutdown()

    def _unused(self) -> list[Connection]:
        return [each for each in self.server_state.connections if isinstance(each, Connection) and each.unused]


def last_words(application: ASGIApp, admission: Admission) -> ASGIApp:
    """What uvicorn would cancel and answer with plain text, when stopping takes too long, is answered as every other error.

    Where another server goes on, an answer is the last of its connection.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noticed(message: Message) -> None:
            nonlocal started
            if not started and admission.moved and message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
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
    """How uvicorn carries the application. Raises StartError."""
    proxies = as_seen(settings.trusted_proxies)
    limits = ConnectionLimits(
        settings.max_connections, settings.max_connections_per_address, settings.header_timeout_s, proxies
    )
    config = uvicorn.Config(
        last_words(application, application.state.shared.admission),
        http=cast(Any, partial(Connection, limits=limits)),
        log_config=None,
        log_level="debug" if settings.log_level == "debug" else "warning",
        access_log=settings.log_level == "debug",
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=_GOODBYE_S,
        ws_per_message_deflate=False,  # audio hardly shrinks, and a small message may grow a thousandfold
        ws_max_size=_REFUSED_UNREAD * settings.max_message_bytes,
        ws_ping_timeout=max(20.0, settings.max_turn_s),  # a pong may wait behind speech that waits for a turn to end
        proxy_headers=bool(proxies),  # else whoever connects could name any address as its own
        forwarded_allow_ips=list(proxies),
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )
    if settings.tls_certificate is not None and settings.tls_key is not None:
        tls.keep(config, application.state.shared.reloading, settings.tls_certificate, settings.tls_key)
    return config


async def _attend(server: Server, settings: Settings, listener: socket.socket, before: Predecessor | None) -> bool:
    """Say when the model is warm, and where; take over from the server before and hand over to the next.

    False if the model will never be warm: the server is stopped then.
    """
    try:
        model = await server.state.serving.settled()
    except Exception as failure:
        reason = "see the log above"
        if isinstance(failure, SpeechServerError):
            reason = f"{failure.message} ({failure.code})"
        typer.echo(f"cslm: the model could not be loaded: {reason}", err=True)
        server.should_exit = True
        return False
    _spare_what_stays()
    if hasattr(signal, "SIGHUP"):
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, server.state.reloading.soon)
    if before is not None:
        await server.accept(listener)
        before.dismiss()
    typer.echo(f"cslm: {model.name} ({model.backend}) is ready at {_address(settings, listener)}")
    if settings.handover is not None:
        try:
            await handed_over(listener, settings.handover)
        except OSError as error:
            log.error("nothing can be handed over at %s: %s", settings.handover, error)
            return True
        typer.echo("cslm: another server has taken over")
        server.move()
    return True


def _spare_what_stays() -> None:
    """Have no garbage collection walk through what was loaded and stays: a full one would hold the loop up for long."""
    gc.collect()
    gc.freeze()


def _address(settings: Settings, listener: socket.socket) -> str:
    host, scheme = settings.host, "http" if settings.tls_certificate is None else "https"
    shown = "localhost" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{listener.getsockname()[1]}/"
