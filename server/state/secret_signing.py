"""Client secrets: short-lived, signed keys for browsers that open realtime sessions and nothing else.

A client secret carries its expiry and the settings of its sessions, signed with the server's API key. So every server with that key
accepts it, and none stores it. It cannot be revoked. Its holder can read the settings, as `session.created` shows them anyway.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from server.errors import Unauthorised
from streaming.errors import TooLarge

PREFIX = "ek_"
_MOST_CHARACTERS = 6000
"""It travels in a header, of which servers and proxies take about 8 KB."""


class SecretSigner:
    """Makes and reads client secrets. Without an API key they are good for this process only."""

    def __init__(self, api_key: str | None) -> None:
        self._serializer = URLSafeSerializer(
            secrets.token_bytes(32) if api_key is None else api_key,
            salt="client secret",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )

    def make(self, session: dict[str, Any], expires_at: int) -> str:
        """A secret for sessions that begin with the settings `session`. `expires_at`: Unix time. Raises TooLarge."""
        value = f"{PREFIX}{self._serializer.dumps({'expires_at': expires_at, 'session': session})}"
        if len(value) > _MOST_CHARACTERS:
            raise TooLarge(
                f"the session settings make a key of {len(value)} characters; accepted: up to {_MOST_CHARACTERS}. "
                "Send long instructions with session.update",
                param="session",
            )
        return value

    def read(self, value: str) -> dict[str, Any]:
        """The settings in a secret. Raises Unauthorised for one that is not ours, or no longer good."""
        try:
            content = self._serializer.loads(value.removeprefix(PREFIX))
        except BadData:
            raise Unauthorised("the client secret is damaged, or from another server") from None
        if content["expires_at"] <= time.time():
            raise Unauthorised("the client secret has expired; ask for another", code="client_secret_expired")
        session: dict[str, Any] = content["session"]
        return session
