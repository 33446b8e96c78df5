"""Recordings of conversations, in a directory: off unless the operator names one, and told to clients where it is on.

Sessions put messages on a `Tape` and never wait. One thread writes (`server.state.shelf`).
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from server.state.metrics import Fate
from server.state.shelf import Part, Shelf
from server.version import package_version
from streaming.audio import AudioFrame, Resampler, WireFormat
from streaming.realtime.beta import Beta
from streaming.realtime.effects import Unreadable
from streaming.realtime.events import ServerEvent
from streaming.realtime.ga import Dialect
from streaming.realtime.messages import ClientMessage
from streaming.recording import Head, Message, Sender, Spoken, end_line
from streaming.task_groups import TaskGroup

log = logging.getLogger("cslm.recordings")

T = TypeVar("T")

_EVERY_S = 0.5
_SWEEP_S = 600.0
_GOODBYE_S = 5.0
"""Longest time that a stopping server writes."""
_MOST_WAITING = 32 * 1024 * 1024
"""Characters of one session that the disk may be behind."""


class Tape:
    """Messages of one session, until they are written. Any thread may put some on it."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.lost = self.over = False
        self._lock = threading.Lock()
        self._began_s = time.monotonic()
        self._messages = 0
        self._waiting: list[Callable[[], str]] = [head.line]  # lines, made when they are written
        self._behind = 0

    def take(self, sender: Sender, message: str | bytes) -> None:
        """A message as it is on the line."""
        text = message if isinstance(message, str) else message.decode("utf-8", "replace")
        self.put(sender, len(text), lambda: text)

    def put(self, sender: Sender, characters: int, text: Callable[[], str]) -> None:
        """A message whose `text` is made when it is written. Where the disk is far behind, the recording is given up."""
        with self._lock:  # the order of the lines is that of their times
            if self.lost or self.over:
                return
            self._behind += characters
            if self._behind > _MOST_WAITING:
                self.lost, self._waiting = True, []
                return
            self._messages += 1
            at_s = self._lasted_s()
            self._waiting.append(lambda: Message(at_s, sender, text()).line())

    def end(self) -> None:
        """The session is over."""
        with self._lock:
            if not (self.lost or self.over):
                self._waiting.append(partial(end_line, self._lasted_s(), self._messages))
            self.over = True

    def give_up(self) -> None:
        """Nothing of it will be kept."""
        with self._lock:
            self.lost, self._waiting = True, []

    def waiting(self) -> bytes:
        """What is to be written next. For the thread that writes."""
        with self._lock:
            lines, self._waiting, self._behind = self._waiting, [], 0
        return "".join(line() for line in lines).encode("utf-8", "replace")

    def _lasted_s(self) -> float:
        return time.monotonic() - self._began_s


class Taped:
    """A dialect of which every message is recorded."""

    def __init__(self, dialect: Dialect, tape: Tape) -> None:
        self._dialect = dialect
        self._tape = tape

    def decode(self, message: str | bytes, audio: WireFormat) -> ClientMessage | Unreadable:
        """See `Dialect`."""
        self._tape.take("client", message)
        return self._dialect.decode(message, audio)

    def encode(self, event: ServerEvent) -> list[str]:
        """See `Dialect`."""
        messages = self._dialect.encode(event)
        for message in messages:
            self._tape.take("server", message)
        return messages


class CallTape:
    """Records a call as if it had been held over a socket.

    `dialect`: one of its own, which sees the audio, too; `audio_in`: the format that the client's audio would have there.
    """

    def __init__(self, tape: Tape, dialect: Dialect, audio_in: Callable[[], WireFormat]) -> None:
        self._tape = tape
        self._dialect = dialect
        self._audio_in = audio_in
        self._resampler: Resampler | None = None

    def heard(self, audio: AudioFrame) -> None:
        """Next audio of the caller's microphone."""
        wire = self._audio_in()
        if self._resampler is None or self._resampler.to_hz != wire.rate_hz:
            self._resampler = Resampler(audio.rate_hz, wire.rate_hz)
        data = base64.b64encode(wire.encode(self._resampler.push(audio.pcm))).decode()
        self._tape.take("client", json.dumps({"type": "input_audio_buffer.append", "audio": data}))

    def received(self, message: str | bytes) -> None:
        """A message of the caller."""
        self._tape.take("client", message)

    def truncated(self, item_id: str, audio_end_ms: int) -> None:
        """The caller heard no more of an item, as a client would say it."""
        event = {"item_id": item_id, "content_index": 0, "audio_end_ms": audio_end_ms}
        self._tape.take("client", json.dumps({"type": "conversation.item.truncate", **event}))

    def said(self, event: ServerEvent) -> None:
        """An event of the session."""
        for message in self._dialect.encode(event):
            self._tape.take("server", message)


class Recorder:
    """The recordings of one server, in `directory`; None: there are none.

    `most_bytes`: of more the oldest are removed; `most_age_s`: older ones are. `count` hears what became of each.
    Raises Unwritable.
    """

    def __init__(
        self, directory: Path | None, most_bytes: int, most_age_s: float, count: Callable[[Fate], None]
    ) -> None:
        self._shelf = None if directory is None else Shelf(directory, most_bytes, most_age_s)
        self._count = count
        self._disk = ThreadPoolExecutor(1, "recordings")
        self._tasks: TaskGroup | None = None
        self._tapes: set[Tape] = set()
        self._failing = False

    @property
    def on(self) -> bool:
        """There are recordings."""
        return self._tasks is not None

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """Sessions can be recorded while the context lasts."""
        if self._shelf is None:
            yield
            return
        try:
            async with asyncio.timeout(None) as limit, TaskGroup() as self._tasks:
                sweeping = self._tasks.create_task(self._sweep(self._shelf), name="recordings")
                yield
                sweeping.cancel()
                for tape in self._tapes:
                    tape.end()
                limit.reschedule(asyncio.get_running_loop().time() + _GOODBYE_S)
        except TimeoutError:
            log.warning("the disk is too slow for the last recordings; they are lost")
        finally:
            self._tasks = None
            self._disk.shutdown(wait=False, cancel_futures=True)

    @contextmanager
    def session(
        self,
        session_id: str,
        model: str,
        transport: str,
        dialect: Dialect,
        path: str,
        begun_with: Mapping[str, Any] | None,
    ) -> Generator[Tape | None]:
        """Where a session is recorded to while the context lasts; None: it is not.

        `path`: where it is held; `begun_with`: settings that no message of the client says.
        """
        spoken: Spoken = "beta" if isinstance(dialect, Beta) else "ga"
        with self._taped(session_id, model, transport, path, spoken) as tape:
            if begun_with and tape is not None:
                tape.take("client", json.dumps({"type": "session.update", "session": begun_with}))
            yield tape

    def request(self, request_id: str, model: str, path: str) -> AbstractContextManager[Tape | None]:
        """The same for a request over HTTP."""
        return self._taped(request_id, model, "rest", path, "http")

    @contextmanager
    def _taped(self, id_: str, model: str, transport: str, path: str, spoken: Spoken) -> Generator[Tape | None]:
        if self._tasks is None or self._shelf is None:
            yield None
            return
        started_at = datetime.now(UTC).isoformat()
        tape = Tape(Head(id_, started_at, package_version(), model, transport, path, spoken))
        self._tapes.add(tape)
        self._tasks.create_task(self._write(self._shelf, tape), name="recording")
        try:
            yield tape
        finally:
            tape.end()

    async def _write(self, shelf: Shelf, tape: Tape) -> None:
        fate: Fate = "lost"
        part: Part | None = None
        try:
            part = await self._on_disk(shelf.begin, tape.head)
            while not (tape.over or tape.lost):
                await asyncio.sleep(_EVERY_S)
                await self._on_disk(part.write, tape.waiting)
            if not tape.lost:
                await self._on_disk(part.keep, tape.waiting)
                fate = "kept"
            self._tell(None if fate == "kept" else "the disk is too slow")
        except OSError as error:
            self._tell(error.strerror or str(error))
        except Exception:
            log.exception("a recording failed")  # it takes no session along
        finally:
            tape.give_up()
            self._tapes.discard(tape)
            self._count(fate)
            if part is not None and fate == "lost":
                self._disk.submit(part.discard)

    async def _on_disk(self, work: Callable[..., T], *values: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work, *values)

    def _tell(self, trouble: str | None) -> None:
        """Say once that sessions cannot be recorded, and once that they can again."""
        if trouble and not self._failing:
            log.warning("a recording is lost: %s", trouble, extra={"code": "recording_lost"})
        elif self._failing and not trouble:
            log.info("sessions are recorded again")
        self._failing = trouble is not None

    async def _sweep(self, shelf: Shelf) -> None:
        while True:
            try:
                await self._on_disk(shelf.tidy)
            except OSError as error:
                self._tell(error.strerror or str(error))
            await asyncio.sleep(_SWEEP_S)


UNRECORDED = Recorder(None, 0, 0.0, lambda fate: None)
