"""The directory of recordings: never more than there may be, and nothing in it that is half written.

A recording is a locked file with a temporary name until it is complete and on the disk. One whose lock is free was left by a
server that was killed. All of it waits for the disk, and is for one thread.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from server.errors import StartError
from streaming.recording import SUFFIX, Head

_PART = ".part"
_LEVEL, _GZIP = 1, 31
"""Little compression, which takes back what base64 adds, in gzip's format."""


class Unwritable(StartError):
    """The directory of recordings cannot be used."""

    code = "recordings_unwritable"


class Shelf:
    """The directory. Used by one thread; other servers may use it, too."""

    def __init__(self, directory: Path, most_bytes: int, most_age_s: float) -> None:
        self.directory = directory
        self._most_bytes, self._most_age_s = most_bytes, most_age_s
        self._bytes = 0
        try:
            self._make()
            if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise Unwritable(f"cannot record to {directory}: {error.strerror or error}") from error

    def _make(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def begin(self, head: Head) -> Part:
        """A recording begins. A directory that somebody has removed is made again."""
        self._make()
        self.tidy()
        moment = head.started_at.replace(":", "").replace("-", "").partition(".")[0]
        return Part(self, self.directory / f"{moment}-{head.session_id}{SUFFIX}")

    def grow(self, by: int) -> None:
        """A recording takes `by` bytes more. Raises OSError where there is no room for them."""
        if self._bytes + by > self._most_bytes:
            self.tidy(by)
        self._bytes += by

    def tidy(self, room: int = 0) -> None:
        """Remove what a killed server left, what is too old, and the oldest where there is no room for `room` bytes more.

        Raises OSError, and leaves the complete ones, where those under way leave no room.
        """
        kept: list[tuple[float, int, Path]] = []
        under_way = 0
        for path in self.directory.iterdir():
            with suppress(FileNotFoundError):
                state = path.stat()
                size, changed_s = state.st_size, state.st_mtime
                if not stat.S_ISREG(state.st_mode):
                    continue  # somebody else's
                if path.name.endswith(SUFFIX + _PART):
                    under_way += 0 if _left_behind(path) else size
                elif not path.name.endswith(SUFFIX):
                    continue
                elif time.time() - changed_s > self._most_age_s:
                    path.unlink()
                else:
                    kept.append((changed_s, size, path))
        if under_way + room > self._most_bytes:
            raise OSError(errno.ENOSPC, f"the recordings under way have {under_way} bytes, the most there may be")
        self._bytes = under_way + sum(size for _, size, _ in kept)
        for _, size, path in sorted(kept):
            if self._bytes + room <= self._most_bytes:
                return
            path.unlink(missing_ok=True)
            self._bytes -= size


def _left_behind(path: Path) -> bool:
    """Nobody writes this part any more: it is removed."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        path.unlink()
    return True


class Part:
    """A recording that is not complete. Raises OSError."""

    def __init__(self, shelf: Shelf, final: Path) -> None:
        self._shelf, self._final = shelf, final
        self._path = final.with_name(f".{final.name}{_PART}")
        self._file = self._opened()
        self._pack = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)

    def _opened(self) -> IO[bytes]:
        """The file, locked. One that another server's sweep removed before it was is made anew."""
        while True:
            file = open(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")  # noqa: SIM115
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                return file
            file.close()

    def write(self, more: Callable[[], bytes]) -> None:
        """What `more` gives."""
        self._append(self._pack.compress(more()))

    def keep(self, rest: Callable[[], bytes]) -> None:
        """Its end. It has its own name only when it is on the disk."""
        self._append(self._pack.compress(rest()) + self._pack.flush())
        os.fsync(self._file.fileno())
        self._path.rename(self._final)
        self._file.close()
        directory = os.open(self._shelf.directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def discard(self) -> None:
        """It is of no use."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._file.close()

    def _append(self, packed: bytes) -> None:
        self._shelf.grow(len(packed))
        self._file.write(packed)
        self._file.flush()
