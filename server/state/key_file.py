"""API keys at rest: their names, hashes and limits, in a JSON document. No key stands in it.

A key has 256 random bits, so one round of SHA-256 is enough: there is nothing to guess, and no need to make guessing slow.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from filelock import FileLock
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from server.errors import StartError
from server.files import read_regular

KEY_PREFIX = "sk-cslm-"
MOST_KEYS = 256
"""Each is a label of metrics."""
MOST_REVOKED = 10_000
"""Client secrets on the list of those that are refused."""
RESERVED = ("default", "anonymous")
"""Names in logs and metrics of the key that `CSLM_API_KEY` holds, and of those who need none."""


def _name(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", value) is None:
        raise PydanticCustomError(
            "name", "a name has 1 to 40 letters, digits and '.', '_', '-', and begins with a letter or digit"
        )
    return value


def _date(value: datetime) -> datetime:
    try:
        value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("date", "a date lies in the years 1 to 9999 of UTC") from None
    return value


Name = Annotated[str, AfterValidator(_name)]
Date = Annotated[AwareDatetime, AfterValidator(_date)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KeyEntry(_Shape):
    """One key. A limit that is None does not limit. `expires`, `revoked`: it is good for nothing from then on."""

    name: Name
    hash: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    created: Date | None = None
    expires: Date | None = None
    revoked: Date | None = None
    sessions: int | None = Field(None, ge=1, le=100_000, description="at once")
    turns_per_minute: int | None = Field(None, ge=1, le=100_000)
    audio_minutes_per_day: float | None = Field(None, gt=0, le=100_000_000, description="questions and answers")

    def state(self, at: datetime) -> Literal["good", "expired", "revoked"]:
        """What it is good for at a time."""
        if self.revoked is not None and self.revoked <= at:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= at else "good"


class RevokedSecret(_Shape):
    """A client secret that is refused; after `expires` it is refused anyway."""

    id: str = Field(pattern=r"^[0-9A-Za-z_-]{1,64}$")
    expires: Date


class KeyDocument(_Shape):
    """All keys of a server."""

    keys: tuple[KeyEntry, ...] = Field((), max_length=MOST_KEYS)
    revoked_secrets: tuple[RevokedSecret, ...] = Field((), max_length=MOST_REVOKED)

    @model_validator(mode="after")
    def _each_once(self) -> KeyDocument:
        for what in ("name", "hash"):
            seen = set[str]()
            for number, entry in enumerate(self.keys):
                if getattr(entry, what) in seen:
                    raise ValueError(f"keys.{number} has the {what} of another key")
                seen.add(getattr(entry, what))
            if what == "name" and (taken := seen.intersection(RESERVED)):
                raise ValueError(f"no key may be named {', '.join(sorted(taken))}")
        return self

    def named(self, name: str) -> KeyEntry | None:
        """The key of that name."""
        return next((entry for entry in self.keys if entry.name == name), None)

    def with_key(self, entry: KeyEntry) -> KeyDocument:
        """The document with `entry`, in place of one of that name. Raises ValidationError."""
        others = [each for each in self.keys if each.name != entry.name]
        return KeyDocument(keys=(*others, entry), revoked_secrets=self.revoked_secrets)

    def with_revoked(self, secret: RevokedSecret, at: datetime) -> KeyDocument:
        """The document with `secret` on the list, and without those that have expired. Raises StartError where the list is full."""
        others = [each for each in self.revoked_secrets if each.expires > at and each.id != secret.id]
        if len(others) >= MOST_REVOKED:
            raise StartError(
                f"the file lists {MOST_REVOKED} revoked client secrets that have not expired, as many as it may; revoke their key",
                code="keys_full",
            )
        return KeyDocument(keys=self.keys, revoked_secrets=(*others, secret))


def digest(key: bytes) -> str:
    """What stands in the file in place of `key`."""
    return f"sha256:{hashlib.sha256(key).hexdigest()}"


def new_key() -> str:
    """A key with 256 random bits."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def parsed(text: str | bytes, where: str) -> KeyDocument:
    """The document in `text`. Raises StartError (`keys_invalid`), which names the fault and quotes nothing of the document."""
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        document = KeyDocument.model_validate_json(text)
        twice = list[str]()
        json.loads(text, object_pairs_hook=lambda members: twice.extend(_repeated(members)))
    except ValidationError as failure:
        first = failure.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the document"
        raise StartError(f"{where}: {place}: {first['msg']}", code="keys_invalid") from None
    except UnicodeDecodeError:
        raise StartError(f"{where}: the document: it is no text in UTF-8", code="keys_invalid") from None
    if twice:  # the last would hold: a second `revoked` could take back the first
        raise StartError(f"{where}: an object has the member {twice[0]} twice", code="keys_invalid")
    return document


def _repeated(members: list[tuple[str, object]]) -> list[str]:
    """Names of members that an object has more than once; all are of the documented shape."""
    return [name for name, times in Counter(name for name, _ in members).items() if times > 1]


def read_keys(path: Path) -> KeyDocument:
    """The document in a file. Raises StartError (`keys_missing`, `keys_invalid`)."""
    try:
        return parsed(read_regular(path), str(path))
    except FileNotFoundError:
        raise StartError(f"{path} does not exist; `cslm keys new NAME` makes it", code="keys_missing") from None
    except OSError as failure:
        raise StartError(f"{path} cannot be read: {failure.strerror}", code="keys_missing") from None


@contextmanager
def changing(path: Path) -> Iterator[list[KeyDocument]]:
    """The document of `path` in a list, to be replaced there; it is written at the end, whole or not at all.

    Who changes it at the same time waits. Raises StartError, also where what stands in the list could not be read back.
    """
    path = Path(os.path.realpath(path))
    try:
        if path.is_symlink():
            raise StartError(f"{path} is a symbolic link that leads back to itself", code="keys_unwritable")
        if not path.parent.is_dir():
            raise StartError(f"{path.parent} is no directory", code="keys_unwritable")
        with FileLock(path.with_name(f".{path.name}.lock"), mode=0o600):
            held = [read_keys(path) if path.exists() else KeyDocument()]
            yield held
            _write(path, held[0])
    except OSError as failure:
        raise StartError(f"{path} cannot be written: {failure.strerror}", code="keys_unwritable") from None


def _write(path: Path, document: KeyDocument) -> None:
    text = json.dumps(document.model_dump(mode="json", exclude_none=True), indent=2) + "\n"
    parsed(text, f"{path} would be damaged")
    before = path.stat() if path.exists() else None
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as out:
        try:
            out.write(text)
            out.flush()
            os.fchmod(out.fileno(), 0o600 if before is None else before.st_mode & 0o777)
            if before is not None:
                with suppress(PermissionError):  # root may; else the file is of who changes it
                    os.fchown(out.fileno(), before.st_uid, before.st_gid)
            os.fsync(out.fileno())
            os.replace(out.name, path)
        except BaseException:
            os.unlink(out.name)
            raise


def now() -> datetime:
    """The time, in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)
