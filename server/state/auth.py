"""Authentication of /v1/*: by the server's key, if it has one."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping

from server.errors import Unauthorised
from server.settings import Settings

SUBPROTOCOL_PREFIX = "openai-insecure-api-key."
"""Browsers cannot set headers on a WebSocket; OpenAI's browser clients offer the key as a subprotocol of this name."""


def authorise(settings: Settings, headers: Mapping[str, str]) -> None:
    """Raises Unauthorised unless the headers of a request or a socket's handshake carry the server's key.

    Never in the query: addresses end up in logs. `headers` must be case-insensitive, as Starlette's are.
    """
    if settings.api_key is None:
        return
    offered = list(keys_of(headers))
    if not offered:
        raise Unauthorised("this server needs an API key: send `Authorization: Bearer KEY`", code="missing_api_key")
    if not any(is_key(settings, key) for key in offered):
        raise Unauthorised("the API key is wrong")


def is_key(settings: Settings, offered: str) -> bool:
    """Whether `offered`, as Starlette reads a header, is the server's key. Beyond ASCII it may come as UTF-8 or as Latin-1."""
    if settings.api_key is None:
        return False
    wanted = settings.api_key.get_secret_value().encode()
    read_as_latin = offered.encode("latin-1", "backslashreplace")
    return hmac.compare_digest(offered.encode(), wanted) or hmac.compare_digest(read_as_latin, wanted)


def keys_of(headers: Mapping[str, str]) -> Iterator[str]:
    """The keys that a request or a handshake offers."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        yield key.strip()
    for offer in headers.get("sec-websocket-protocol", "").split(","):
        if offer.strip().startswith(SUBPROTOCOL_PREFIX):
            yield offer.strip().removeprefix(SUBPROTOCOL_PREFIX)
