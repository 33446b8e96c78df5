"""Who may ask from inside a browser: the check of `Origin` and `Host`, and the headers that keep answers where they belong.

A page of any site can open a WebSocket to a local server, send it a `text/plain` POST, or have its own name resolve to the
server's address (DNS rebinding). A browser tells on it: in `Origin`, which no page can forge, and in `Host`.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from server.errors import Forbidden
from server.http.error_responses import error_response
from server.settings import Settings

_HEADERS = {"x-content-type-options": "nosniff", "content-security-policy": "frame-ancestors 'none'"}
_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".svc", ".home.arpa")
"""Names that nobody can register (RFC 6761, 6762, 8375; ICANN keeps `internal` free)."""


class Origins:
    """ASGI middleware. `count` gets the code of every refusal.

    A request with an `Origin` must come from this server's own pages or from one of `cors_origins`. Its `Host` must be one of
    `allowed_hosts`, or a name that no stranger can own: an address, a name without a dot, or one that is reserved for private
    use. Where none are set and a key protects the server, any will do.
    """

    def __init__(self, app: ASGIApp, settings: Settings, count: Callable[[str], None]) -> None:
        self._app = app
        self._origins = frozenset(settings.cors_origins)
        self._hosts = tuple(host.lower() for host in settings.allowed_hosts)
        self._any_host = "*" in self._hosts or (not self._hosts and settings.has_keys)
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check(Headers(scope=scope), preflight=scope.get("method") == "OPTIONS")
        except Forbidden as error:
            self._count(error.code)
            if scope["type"] == "websocket":
                await WebSocket(scope, receive, send_guarded).send_denial_response(error_response(error))
            else:
                await error_response(error)(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)

    def _check(self, headers: Headers, *, preflight: bool) -> None:
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        if host and not self._knows(_name(host)):
            raise Forbidden(
                f"this server does not answer to the name {host[:60]!r}; set CSLM_ALLOWED_HOSTS to allow it",
                code="host_not_allowed",
                param="Host",
            )
        if origin is None or preflight or not self._origins.isdisjoint((origin, "*")):
            return
        forwarded = headers.get("x-forwarded-host", "").lower()  # a page cannot set it without a preflight
        if _place(origin.lower()) not in {host, forwarded} - {""}:
            raise Forbidden(
                f"pages of {origin[:60]!r} may not use this server; set CSLM_CORS_ORIGINS to allow them",
                code="origin_not_allowed",
                param="Origin",
            )

    def _knows(self, name: str) -> bool:
        if self._any_host or name in self._hosts:
            return True
        if any(host.startswith("*.") and name.endswith(host[1:]) for host in self._hosts):
            return True
        return "." not in name or name.endswith(_PRIVATE_SUFFIXES) or _is_address(name)


def _name(host: str) -> str:
    """`host` without a port, brackets and the root's dot."""
    name = host.rpartition("]")[0][1:] if host.startswith("[") else host.partition(":")[0]
    return name.removesuffix(".")


def _place(origin: str) -> str:
    """Name and port of an origin; "" where that is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:  # brackets without an address
        return ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
