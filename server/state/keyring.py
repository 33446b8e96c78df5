"""The API keys that the server accepts, and the accounts of those who hold them."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice

from structlog.contextvars import get_contextvars

from server.errors import Unauthorised
from server.settings import Settings
from server.state.accounts import Account, DayTally, KeyLimits
from server.state.auth import keys_of
from server.state.key_file import KeyDocument, KeyEntry, digest, parsed, read_keys
from server.state.usage_log import UsageLog
from streaming.background import beside
from streaming.report import TurnReport

log = logging.getLogger("cslm.keys")

_LOOK_S = 1.0
_MOST_OFFERED = 4
"""Keys in one request that are looked at."""
_IDS = ("request_id", "session_id", "call_id", "turn_id")


@dataclass(frozen=True, slots=True)
class Held:
    """A key by what is known of it, and its account."""

    hash: str
    account: Account


def keys_of_settings(settings: Settings) -> KeyDocument | None:
    """The keys that the settings name, None where they name none. Raises StartError."""
    if settings.keys_file is not None:
        return read_keys(settings.keys_file)
    return None if settings.keys is None else parsed(settings.keys.get_secret_value(), "CSLM_KEYS")


class Keyring:
    """Accounts by key. `document` None: there are no keys but `single`, the one of `CSLM_API_KEY`; without that the server is open.

    `usage`: where turns are written down. `anonymous`: the account of those who ask an open server.
    """

    def __init__(
        self,
        document: KeyDocument | None,
        single: str | None,
        usage: UsageLog | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._now = now
        self._usage = usage
        self._tally = DayTally() if usage is None else usage.tally
        self._accounts: dict[str, Held] = {}
        self._secrets_revoked = frozenset[str]()
        self.anonymous = self._account("anonymous")
        self._single = None if single is None else Held(digest(single.encode()), self._account("default"))
        self.is_open = document is None and single is None
        if document is not None:
            self.replace(document)

    def replace(self, document: KeyDocument) -> None:
        """These keys hold from now on. Who keeps its key keeps its use; sessions of the others are to end."""
        before, self._accounts = self._accounts, {}
        for entry in document.keys:
            held = before.pop(entry.name, None)
            if held is None or held.hash != entry.hash:
                if held is not None:
                    _end(held.account, "replaced")
                held = Held(entry.hash, self._account(entry.name))
            self._accounts[entry.name] = held
            minutes = entry.audio_minutes_per_day
            held.account.limits = KeyLimits(
                entry.sessions, entry.turns_per_minute, None if minutes is None else 60 * minutes
            )
            held.account.void = partial(_void, entry, self._now)
        for held in before.values():
            _end(held.account, "removed")
        self._secrets_revoked = frozenset(secret.id for secret in document.revoked_secrets)
        self.end_void()
        if self._usage is None and any(entry.audio_minutes_per_day for entry in document.keys):
            log.warning("limits of a day begin anew with each start; CSLM_USAGE_DIR keeps what was used")

    def end_void(self) -> None:
        """Have the sessions of keys that are good for nothing any more end."""
        for held in self._accounts.values():
            why = held.account.void()
            if why is None:
                held.account.ended.clear()
            elif not held.account.ended.is_set():
                held.account.ended.set()
                log.info("a key ended", extra={"key": held.account.name, "code": why.code})

    @asynccontextmanager
    async def watched(self) -> AsyncGenerator[None]:
        """Notice keys that expire while the context lasts."""
        async with beside(self._watch, "keys"):
            yield

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            self.end_void()

    @property
    def accounts(self) -> Mapping[str, Account]:
        """All accounts by the names of their keys."""
        named = {name: held.account for name, held in self._accounts.items()}
        if self._single is not None:
            named[self._single.account.name] = self._single.account
        return named or {self.anonymous.name: self.anonymous}

    def holder(self, headers: Mapping[str, str]) -> Held | None:
        """Whose key the headers of a request or a socket's handshake carry, None where it is nobody's.

        Never in the query: addresses end up in logs. `headers` must be case-insensitive, as Starlette's are.
        """
        found = None
        hashes = {each for offered in islice(keys_of(headers), _MOST_OFFERED) for each in _hashes(offered)}
        for held in self._all():
            if sum(hmac.compare_digest(each, held.hash) for each in hashes):  # all of them: the time tells nothing
                found = held
        return found

    def authorise(self, headers: Mapping[str, str]) -> Account:
        """The account of who asks. Raises Unauthorised."""
        if self.is_open:
            return self.anonymous
        held = self.holder(headers)
        if held is not None:
            return valid(held.account)
        if next(keys_of(headers), None) is None:
            raise Unauthorised("this server needs an API key: send `Authorization: Bearer KEY`", code="missing_api_key")
        raise Unauthorised("the API key is wrong")

    def sees_all(self, account: Account) -> bool:
        """It is the operator's: the key of `CSLM_API_KEY`, or, where the server is open, everybody."""
        return self.is_open or (self._single is not None and account is self._single.account)

    def held_by(self, account: Account) -> Held:
        """What is known of the key of `account`."""
        return next((held for held in self._all() if held.account is account), Held("", account))

    def named(self, name: str) -> Held | None:
        """The key of that name; of an open server, that of nobody."""
        if self.is_open:
            return Held("", self.anonymous) if name == self.anonymous.name else None
        return next((held for held in self._all() if held.account.name == name), None)

    def is_revoked(self, secret_id: str) -> bool:
        """A client secret is on the list of those that are refused."""
        return secret_id in self._secrets_revoked

    def _record(self, name: str, report: TurnReport, transport: str, outcome: str) -> None:
        if self._usage is None:
            return
        bound = get_contextvars()
        self._usage.append(
            {
                "key": name,
                "transport": transport,
                "outcome": outcome,
                **{id_: bound[id_] for id_ in _IDS if id_ in bound},
                "question_s": round(report.question_s, 3),
                "answer_s": round(report.audio_s, 3),
                "input_tokens": report.input_tokens,
                "output_tokens": report.output_tokens,
            }
        )

    def _all(self) -> Iterator[Held]:
        if self._single is not None:
            yield self._single
        yield from self._accounts.values()

    def _account(self, name: str) -> Account:
        return Account(name, tally=self._tally, record=self._record)


def valid(account: Account) -> Account:
    """`account`. Raises Unauthorised where its key is good for nothing any more."""
    if (why := account.void()) is not None:
        account.refusals[why.code] += 1
        raise why
    return account


def _end(account: Account, how: str) -> None:
    why = Unauthorised("the API key has been revoked", code="api_key_revoked")
    account.void = lambda: why
    account.ended.set()
    log.info("a key ended", extra={"key": account.name, "code": how})


def _void(entry: KeyEntry, now: Callable[[], datetime]) -> Unauthorised | None:
    match entry.state(now()):
        case "revoked":
            return Unauthorised("the API key has been revoked", code="api_key_revoked")
        case "expired":
            return Unauthorised("the API key has expired", code="api_key_expired")
    return None


def _hashes(offered: str) -> set[str]:
    """Of `offered`, as Starlette reads a header. Beyond ASCII it may come as UTF-8 or as Latin-1."""
    return {digest(offered.encode(encoding, "backslashreplace")) for encoding in ("utf-8", "latin-1")}
