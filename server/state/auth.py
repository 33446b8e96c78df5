"""Where the API key is in a request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

SUBPROTOCOL_PREFIX = "openai-insecure-api-key."
"""Browsers cannot set headers on a WebSocket; OpenAI's browser clients offer the key as a subprotocol of this name."""


def keys_of(headers: Mapping[str, str]) -> Iterator[str]:
    """The keys that a request or a handshake offers."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        yield key.strip()
    for offer in headers.get("sec-websocket-protocol", "").split(","):
        if offer.strip().startswith(SUBPROTOCOL_PREFIX):
            yield offer.strip().removeprefix(SUBPROTOCOL_PREFIX)
