"""The record of turns: one JSON object a line, one file for each day of UTC, appended to and never changed.

A line is handed to the kernel before the turn is over for its client, so a server that is killed loses none; it is on the disk a
second later. A line that was cut off, by a full disk or by a machine that lost power, is passed over when the day is read again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import threading
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from server.errors import StartError
from server.state.accounts import DayTally
from streaming.background import beside

log = logging.getLogger("cslm.usage")

_NAME = re.compile(r"usage-(\d{4}-\d{2}-\d{2})\.jsonl")
_SYNC_S = 1.0
_MOST_WAITING = 10_000
"""Lines that wait for a disk that takes none."""


def _utc() -> datetime:
    return datetime.now(UTC)


class UsageLog:
    """The record in one directory, which no other server may use meanwhile.

    `keep_days`: older files are removed; 0 keeps all. `wait`: a server that uses the directory will leave; until then lines wait.
    `tally`: use of the day by key, also under an earlier server. Raises StartError (`usage_log_in_use`, `usage_log_unusable`).
    """

    def __init__(
        self, directory: Path, *, keep_days: int = 0, wait: bool = False, now: Callable[[], datetime] = _utc
    ) -> None:
        self.tally = DayTally(now)
        self._directory = directory
        self._keep_days = keep_days
        self._now = now
        self._waiting: deque[bytes] = deque()
        self._past: deque[int] = deque()  # files of days that are over, to be brought to the disk and closed
        self._syncing = threading.Lock()
        self._ours = self._dirty = self.failing = False
        self._whole = True  # the file ends with a whole line
        self._lock = FileLock(directory / ".lock", timeout=0, mode=0o600, thread_local=False)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._ours = self._locked()
            if not self._ours and not wait:
                raise StartError(
                    f"{directory} is the usage log of another server that runs; each server needs its own (CSLM_USAGE_DIR)",
                    code="usage_log_in_use",
                )
            self._day = now().date()
            self._file = self._opened()
            self._count(*self._read(self._day))
        except OSError as failure:
            self._lock.release()
            raise StartError(
                f"{failure.filename or directory} cannot be used for the usage log: {failure.strerror}",
                code="usage_log_unusable",
            ) from None
        self._remove_old()

    def _locked(self) -> bool:
        """The directory is ours, now if not before."""
        if not self._lock.is_locked:
            with suppress(Timeout):
                self._lock.acquire()
        return self._lock.is_locked

    @asynccontextmanager
    async def kept(self) -> AsyncGenerator[None]:
        """Bring lines to the disk while the context lasts; at its end close the record."""
        try:
            async with beside(self._keep, "usage-log"):
                yield
        finally:
            await asyncio.to_thread(self.close)

    def append(self, entry: dict[str, Any]) -> None:
        """Write `entry`, with the time. Where the disk takes none it waits, and the oldest that wait go to the server's log."""
        at = self._now()
        line = json.dumps({"at": at.isoformat(timespec="milliseconds"), **entry}, ensure_ascii=False) + "\n"
        self._waiting.append(line.encode())
        if len(self._waiting) > _MOST_WAITING:
            log.error("usage could not be recorded", extra=json.loads(self._waiting.popleft()))
        if not self._ours:
            return
        try:
            if at.date() != self._day or os.fstat(self._file).st_nlink == 0:  # somebody has removed it
                self._turn_over(at.date())
            self._write()
        except OSError as failure:
            if not self.failing:
                log.error("the usage log cannot be written: usage_log_failed: %s", failure.strerror)
            self.failing = True
        else:
            self.failing = False

    def close(self) -> None:
        """Bring all to the disk, and let another server have the directory."""
        with suppress(OSError):
            if self._locked():
                self._write()
        self._sync()
        for line in self._waiting:
            log.error("usage could not be recorded", extra=json.loads(line))
        os.close(self._file)
        self._lock.release()

    def _write(self) -> None:
        while self._waiting:
            line = self._waiting[0] if self._whole else b"\n" + self._waiting[0]
            self._whole = False
            written = os.write(self._file, line)
            if written < len(line) - 1:
                continue  # what was cut off is passed over by readers; the next attempt tells why
            self._whole, self._dirty = written == len(line), True  # without its line break alone, it is read
            self._waiting.popleft()

    def _turn_over(self, day: date) -> None:
        before, self._day = (self._file, self._day), day
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            whole = _ends_whole(self._path(day))
            self._file = self._opened()
        except OSError:
            self._day = before[1]
            raise
        self._past.append(before[0])
        self._whole = whole

    def _sync(self) -> None:
        """Bring all to the disk, and be done with the days before. Blocks for as long as the disk likes."""
        with self._syncing:
            with suppress(OSError):
                os.fsync(self._file)
            if not self._past:
                return
            while self._past:
                past = self._past.popleft()
                with suppress(OSError):
                    os.fsync(past)
                os.close(past)
            self._remove_old()

    async def _take_over(self) -> None:
        """The server before has left: its last lines count, too."""
        with suppress(OSError):
            day = self._now().date()
            found = await asyncio.to_thread(self._read, day)
            if self._now().date() != day:
                return  # the next attempt reads the other day
            before, self._day = self._file, day
            self._file = self._opened()
            os.close(before)
            self._count(*found)
            self._ours = True
            self._write()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_SYNC_S)
            if not self._ours and self._locked():
                await self._take_over()
            if self._dirty or self._past:
                self._dirty = False
                await asyncio.to_thread(self._sync)

    def _opened(self) -> int:
        return os.open(self._path(self._day), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o640)

    def _path(self, day: date) -> Path:
        return self._directory / f"usage-{day.isoformat()}.jsonl"

    def _read(self, day: date) -> tuple[Mapping[str, float], bool]:
        """What each key used by the file of `day`, and whether that ends with a whole line. Tells of lines that cannot be read."""
        path, damaged, used = self._path(day), list[int](), defaultdict[str, float](float)
        line = b"\n"
        with suppress(FileNotFoundError), path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line == b"\n":
                    continue
                try:
                    key, seconds = _use(line)
                except (ValueError, KeyError, TypeError, RecursionError):
                    damaged.append(number)
                else:
                    used[key] += seconds
        if damaged:
            log.warning(
                "usage_log_damaged: %s: %d lines were passed over, the first is line %d", path, len(damaged), damaged[0]
            )
        return used, line.endswith(b"\n")

    def _count(self, used: Mapping[str, float], whole: bool) -> None:
        """What was read of this day's file, and what waits, is what was used today."""
        self.tally.clear()
        self._whole = whole
        for key, seconds in (*used.items(), *map(_use, self._waiting)):
            self.tally.add(key, seconds)

    def _remove_old(self) -> None:
        if not self._keep_days:
            return
        first = self._day - timedelta(days=self._keep_days)
        for path in self._directory.iterdir():
            found = _NAME.fullmatch(path.name)
            if found and found[1] < first.isoformat():
                with suppress(OSError):
                    path.unlink()


def _ends_whole(path: Path) -> bool:
    """What is written next begins a line. A day's file may be there already, where the clock was set back."""
    with suppress(FileNotFoundError), path.open("rb") as lines:
        if lines.seek(0, os.SEEK_END):
            lines.seek(-1, os.SEEK_END)
            return lines.read() == b"\n"
    return True


def _use(line: bytes) -> tuple[str, float]:
    """A key, and the seconds of a turn. Raises ValueError, KeyError, TypeError or RecursionError for what is no record of one."""
    entry = json.loads(line)
    return str(entry["key"]), _seconds(entry["question_s"]) + _seconds(entry["answer_s"])


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= 86_400:
        raise ValueError(value)
    return value
