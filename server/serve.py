"""The server's process: its listening socket, startup and shutdown."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import typer
import uvicorn

from server.app import create_app
from server.http.connections import Connection
from streaming.errors import SpeechServerError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from server.settings import Settings
    from server.state.serving import Serving


async def serve(settings: Settings) -> int:
    """Serve until a signal. Returns the exit status: 1 when the address or the model cannot be had."""
    try:
        listener = listening_socket(settings.host, settings.port)
    except OSError as error:
        reason = error.strerror or error
        typer.echo(f"cslm: cannot listen on {settings.host} port {settings.port}: {reason}", err=True)
        return 1
    application = create_app(settings)
    server = uvicorn.Server(transport_config(application, settings))
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


def transport_config(application: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn carries the application."""
    return uvicorn.Config(
        application,
        http=Connection,
        log_config=None,
        log_level="debug" if settings.log_level == "debug" else "warning",
        access_log=settings.log_level == "debug",
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=int(settings.shutdown_s),
        ws_max_size=settings.max_message_bytes,
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
    typer.echo(f"cslm: {model.name} ({model.backend}) is ready at {address}")
    return True


def _address(host: str, listener: socket.socket) -> str:
    shown = "localhost" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}/"
