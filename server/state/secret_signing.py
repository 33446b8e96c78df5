"""Keys for browsers: short-lived, good for realtime sessions alone, and signed.

A client secret carries when it ends and the settings of its sessions, signed with the server's API key: every gateway that has
the key knows it, and none has to remember it. It cannot be revoked; it ends soon. Its holder can read the settings, as
`session.created` shows them anyway.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

from server.errors import Unauthorised
from streaming.errors import TooLarge

PREFIX = "ek_"
_MOST_CHARACTERS = 6000
"""It travels in a header, of which servers and proxies take about 8 KB."""


@dataclass(frozen=True, slots=True)
class SecretSigner:
    """Makes and reads client secrets. Without an API key they are good for this process only."""

    api_key: str | None
    _fallback: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def make(self, session: dict[str, Any], expires_at: int) -> str:
        """A secret for sessions that begin with the settings `session`. Raises TooLarge."""
        content = json.dumps({"expires_at": expires_at, "session": session}, separators=(",", ":"))
        packed = zlib.compress(content.encode(), 9)
        value = f"{PREFIX}{_written(packed)}.{_written(self._signature(packed))}"
        if len(value) > _MOST_CHARACTERS:
            raise TooLarge(
                f"the session of a client secret makes a key of {len(value)} characters; accepted: {_MOST_CHARACTERS}; "
                "send long instructions with session.update",
                param="session",
            )
        return value

    def read(self, value: str) -> dict[str, Any]:
        """The settings in a secret. Raises Unauthorised for one that is not ours, or no longer good."""
        try:
            packed, signature = (urlsafe_b64decode(part + "==") for part in value.removeprefix(PREFIX).split("."))
        except ValueError:
            raise Unauthorised("the client secret is damaged") from None
        if not hmac.compare_digest(self._signature(packed), signature):
            raise Unauthorised("the client secret is not of this server")
        content = json.loads(zlib.decompress(packed))
        if content["expires_at"] <= time.time():
            raise Unauthorised("the client secret has expired; ask for another", code="client_secret_expired")
        session: dict[str, Any] = content["session"]
        return session

    def _signature(self, packed: bytes) -> bytes:
        key = (
            self._fallback
            if self.api_key is None
            else hashlib.sha256(b"client secret " + self.api_key.encode()).digest()
        )
        return hmac.digest(key, packed, "sha256")


def _written(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
