"""Client secrets: short-lived, signed keys for browsers that open realtime sessions and nothing else.

A client secret carries its expiry, the settings of its sessions and the name of the API key that made it, signed. So every server
with the same signing key accepts it, and none stores it. Its holder can read the settings, as `session.created` shows them anyway.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from server.errors import Unauthorised
from streaming.errors import TooLarge

PREFIX = "ek_"
_MOST_CHARACTERS = 6000
"""It travels in a header, of which servers and proxies take about 8 KB."""
_FORGET_AT = 10_000
"""So many secrets are counted before those that have expired are forgotten."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What a client secret says. `key`: name of the key that made it; `bound`: a mark of that very key."""

    id: str
    key: str
    bound: str
    expires_at: int
    session: dict[str, Any]


class SecretSigner:
    """Makes and reads client secrets, and counts their uses. Without a signing key they are good for this process only.

    `uses`: sessions that one may open at this server; 0: any number.
    """

    def __init__(self, signing_key: str | None, uses: int = 0) -> None:
        self._key = secrets.token_bytes(32) if signing_key is None else signing_key.encode()
        self._serializer = URLSafeSerializer(
            self._key,
            salt="client secret",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )
        self._most = uses
        self._used: dict[str, tuple[int, int]] = {}

    def make(self, session: dict[str, Any], expires_at: int, *, key: str, key_hash: str) -> str:
        """A secret for sessions that begin with the settings `session`. `expires_at`: Unix time; `key`: the name of who makes it.

        Raises TooLarge.
        """
        content = {
            "id": secrets.token_urlsafe(9),
            "key": key,
            "bound": self.mark(key_hash),
            "expires_at": expires_at,
            "session": session,
        }
        value = f"{PREFIX}{self._serializer.dumps(content)}"
        if len(value) > _MOST_CHARACTERS:
            raise TooLarge(
                f"the session settings make a key of {len(value)} characters; accepted: up to {_MOST_CHARACTERS}. "
                "Send long instructions with session.update",
                param="session",
            )
        return value

    def read(self, value: str) -> Secret:
        """What a secret says. Raises Unauthorised for one that is not ours, or no longer good."""
        try:
            secret = Secret(**self._serializer.loads(value.removeprefix(PREFIX)))
        except (BadData, TypeError):
            raise Unauthorised("the client secret is damaged, or from another server") from None
        if secret.expires_at <= time.time():
            raise Unauthorised("the client secret has expired; ask for another", code="client_secret_expired")
        return secret

    def mark(self, key_hash: str) -> str:
        """A mark of a key, from which only who has the signing key can tell anything about it."""
        return hmac.digest(self._key, key_hash.encode(), "sha256").hex()[:24]

    def check_use(self, secret: Secret | None) -> None:
        """Raises Unauthorised where the secret, if it is one, has opened as many sessions as it may."""
        if secret is not None and self._most and self._used.get(secret.id, (0, 0))[0] >= self._most:
            raise Unauthorised(
                f"the client secret has opened {self._most} sessions, as many as it may; ask for another",
                code="client_secret_used_up",
            )

    @contextmanager
    def use(self, secret: Secret | None) -> Iterator[Callable[[], None]]:
        """A session is to be opened with the secret, if it is one. Yields what is called once it is open: only then it has counted.

        Until then the use is kept for it. Raises as `check_use` does.
        """
        self.check_use(secret)
        if secret is None or not self._most:
            yield lambda: None
            return
        unused = [secret]
        self._count(secret, 1)
        try:
            yield unused.clear
        finally:
            for each in unused:
                self._count(each, -1)

    def _count(self, secret: Secret, by: int) -> None:
        if len(self._used) >= _FORGET_AT:
            now = time.time()
            self._used = {id_: used for id_, used in self._used.items() if used[1] > now}
        self._used[secret.id] = self._used.get(secret.id, (0, 0))[0] + by, secret.expires_at


def secret_id(value: str) -> tuple[str, int]:
    """Id and expiry that a client secret claims; its signature is not checked. Raises ValueError for what is none."""
    if not value.startswith(PREFIX):
        raise ValueError("a client secret begins with ek_")
    try:
        _, content = URLSafeSerializer("", salt="client secret").loads_unsafe(value.removeprefix(PREFIX))
        return str(content["id"]), int(content["expires_at"])
    except (TypeError, KeyError, ValueError):
        raise ValueError("this is no client secret, or a damaged one") from None
