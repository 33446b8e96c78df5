"""The sources of a bundle's files (`sources.json`), and the record of what was fetched (`bundle.lock.json`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from streaming.errors import BundleError

SOURCES, LOCK = "sources.json", "bundle.lock.json"


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceFile(_Frozen):
    """`path`: in the repository, may be a pattern; `to`: directory in the bundle; `sha256`: where it is known beforehand.

    `mistaken`: checksums of files that are easily taken for this one, and what they are.
    """

    path: str
    to: str
    optional: bool = False
    sha256: str | None = None
    mistaken: dict[str, str] = {}


class Repository(_Frozen):
    """`revision`: branch, tag or commit to ask for the first time; the commit that was got is in the lock from then on."""

    repo: str
    revision: str
    licence: str
    files: tuple[SourceFile, ...]

    def chosen(self, available: Iterator[str]) -> dict[str, SourceFile]:
        """Which of the paths that the repository has are wanted, and as what. Raises BundleError for one it lacks."""
        paths = sorted(path for path in available if "/" not in path)
        found: dict[str, SourceFile] = {}
        for file in self.files:
            matching = [path for path in paths if fnmatch(path, file.path)]
            if not matching and not file.optional:
                raise BundleError(f"{self.repo} has no {file.path}", code="bundle_file_missing", param=file.path)
            found |= dict.fromkeys(matching, file)
        return found


class Sources(_Frozen):
    """A bundle's `sources.json`. `embedded`: files that other embedded bundles have."""

    format_version: int
    repositories: tuple[Repository, ...]
    embedded: tuple[SourceFile, ...] = ()


def load_sources(directory: Path) -> Sources | None:
    """None where the bundle holds its own weights. Raises BundleError."""
    path = directory / SOURCES
    if not path.is_file():
        return None
    try:
        return Sources.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BundleError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


@dataclass(slots=True)
class Lock:
    """`commits`: of each complete repository, None where its files came from a directory; `begun`: of those under way.

    `files`: SHA-256 and bytes of each.
    """

    commits: dict[str, str | None] = field(default_factory=dict[str, str | None])
    files: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    begun: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def load(cls, directory: Path) -> Lock | None:
        """The lock in `directory`, None if it has none. Raises BundleError."""
        path = directory / LOCK
        if not path.is_file():
            return None
        try:
            raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            files = {name: (file["sha256"], file["bytes"]) for name, file in raw["files"].items()}
            return cls(raw["commits"], files, raw.get("begun", {}))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(
                f"{path} cannot be read: {error!r}; delete it, and `cslm pull` writes it again"
            ) from error

    def save(self, directory: Path) -> None:
        """Write it, so that one who looks never sees half of it."""
        files = {name: {"sha256": sha256, "bytes": size} for name, (sha256, size) in sorted(self.files.items())}
        part = directory / f"{LOCK}.part"
        content = {"commits": self.commits, "files": files} | ({"begun": self.begun} if self.begun else {})
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        part.replace(directory / LOCK)

    def is_complete(self, sources: Sources, directory: Path) -> bool:
        """Whether all that `sources` asks for was got, and is in `directory` in its length."""
        wanted = [f"{file.to}/{file.path}" for repo in sources.repositories for file in repo.files if not file.optional]
        return (
            all(repository.repo in self.commits for repository in sources.repositories)
            and all(any(fnmatch(name, pattern) for name in self.files) for pattern in wanted)
            and all(self.has(name, directory) for name in self.files)
        )

    def has(self, name: str, directory: Path) -> bool:
        """Whether this file was got, and is in `directory` in its length."""
        path = directory / name
        return name in self.files and path.is_file() and path.stat().st_size == self.files[name][1]

    def verify(self, directory: Path, *, contents: bool) -> str:
        """That every file is there in its length, and with `contents` has its checksum. Raises BundleError."""
        for name, (sha256, size) in self.files.items():
            path = directory / name
            if not path.is_file():
                raise BundleError(f"{path} is missing; `cslm pull` fetches it", code="bundle_file_missing", param=name)
            found = path.stat().st_size
            if found != size:
                raise BundleError(
                    f"{path} has {found} bytes, but {size} were pulled: it is truncated or of another "
                    "revision; delete it and pull again",
                    code="bundle_file_truncated",
                    param=name,
                )
            if contents and sha256_of(path) != sha256:
                raise BundleError(
                    f"{path} is not the file that was pulled: its SHA-256 differs from the one in {LOCK}; delete it and "
                    "pull again, or `cslm pull --update` to accept what the source has now",
                    code="bundle_file_changed",
                    param=name,
                )
        total = sum(size for _, size in self.files.values())
        how = "checksums" if contents else "lengths"
        return f"{how} of {len(self.files)} files, {total / 1e9:.2f} GB, are those that were pulled"


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_hash(path: Path) -> str:
    """The first twelve digits of it: enough to tell files apart."""
    return sha256_of(path)[:12]
