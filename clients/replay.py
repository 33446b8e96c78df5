"""`cslm replay`: feed a recorded conversation to a server again, with its timings, and say what differs."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from clients.errors import ClientError, UnreadableRecording, first_cause
from clients.realtime import DEFAULT_URL, open_session_socket, realtime_url
from clients.replay_audio import write_conversation
from clients.replay_http import http_outcome, requested
from clients.replay_report import MICROPHONE, Outcome, differences, outcome_of, timings
from clients.talk import INTERRUPTED_EXIT, report_error
from streaming.errors import SpeechServerError
from streaming.recording import Message, RecordedSession, read_session

DIFFERS_EXIT = 1
_OPEN_S = 10.0
_QUIET_S = 2.0
"""A server that has answered all and says nothing for so long says nothing more."""
_BETA = {"OpenAI-Beta": "realtime=v1"}
_ONE_FOR_ONE = {
    "session.created", "input_audio_buffer.speech_started", "input_audio_buffer.committed", "conversation.item.added",
    "conversation.item.created", "response.created", "response.output_item.added",
}  # fmt: skip
"""Server events that bring new ids, one for each that was recorded."""
_OF_CALLS = "output_audio_buffer.clear"
"""What a client may say in a call only; its server said the rest itself."""


class Ids:
    """Ids that the recorded server gave, and what the one of today calls the same."""

    def __init__(self, recorded: RecordedSession) -> None:
        self._recorded: defaultdict[str, deque[list[str]]] = defaultdict(deque)
        self._given: set[str] = set()
        self._today: dict[str, str] = {}
        told: set[str] = set()
        for message in recorded.messages:
            event = message.event
            if message.sender == "client":
                told |= set(_ids(event))  # it chose some itself
            elif (kind := str(event.get("type"))) in _ONE_FOR_ONE:
                self._recorded[kind].append(ids := list(_ids(event)))
                self._given |= set(ids) - told

    def came(self, event: dict[str, Any]) -> None:
        """The server of today says `event`."""
        if waiting := self._recorded.get(str(event.get("type"))):
            for recorded, today in zip(waiting.popleft(), _ids(event), strict=False):
                self._today.setdefault(recorded, today)

    def known(self, event: dict[str, Any]) -> bool:
        """All ids in the recorded client event `event` have a name today."""
        return all(each in self._today for each in _ids(event) if each in self._given)

    def give_up(self, event: dict[str, Any]) -> None:
        """Ids in `event` that have no name today will never have one."""
        self._given -= set(_ids(event))

    def today(self, value: Any) -> Any:
        """The recorded `value` with ids of today."""
        if isinstance(value, dict):
            return {name: self.today(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.today(each) for each in value]
        return self._today.get(value, value) if isinstance(value, str) else value


def _ids(value: Any) -> Iterator[str]:
    """Ids in an event, in the order in which they stand there."""
    if isinstance(value, list):
        for each in value:
            yield from _ids(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if isinstance(each, str) and (name == "id" or (name.endswith("_id") and name != "event_id")):
                yield each
            else:
                yield from _ids(each)


class Replay:
    """One recording, and what a server says to it. `said`: all messages of today, like those of the recording."""

    def __init__(self, recorded: RecordedSession, speed: float, patience_s: float) -> None:
        self._recorded = recorded
        self._speed, self._patience_s = speed, patience_s
        self._ids = Ids(recorded)
        self._told = Counter(str(message.event.get("type")) for message in recorded.sent_by("server"))
        self._came, self._came_of = asyncio.Event(), Counter[str]()
        self._began_s = 0.0
        self.said: list[Message] = []

    async def run(self, socket: ClientConnection) -> list[Message]:
        """Hold the session until all is said and answered, or the server ends it."""
        self._began_s = time.monotonic()
        try:
            async with asyncio.TaskGroup() as tasks:
                reader = tasks.create_task(self._read(socket))
                tasks.create_task(self._speak(socket, reader))
        except* ConnectionClosed:
            pass
        return self.said

    async def _read(self, socket: ClientConnection) -> None:
        async for text in socket:
            message = self._noted("server", str(text))
            event = message.event
            self._ids.came(event)
            self._came_of[str(event.get("type"))] += 1
            self._came.set()

    async def _speak(self, socket: ClientConnection, reader: asyncio.Task[None]) -> None:
        done = 0
        for message in self._recorded.messages:
            event = message.event
            done += event.get("type") == "response.done"
            if message.sender == "server":
                continue
            if event.get("type") == _OF_CALLS and self._recorded.head.transport == "webrtc":
                continue
            await asyncio.sleep(message.at_s / self._speed - self._elapsed_s())
            if event.get("type") not in MICROPHONE:  # audio keeps its times
                await self._until(partial(self._as_far, event, done))
                self._ids.give_up(event)
            text = json.dumps(self._ids.today(event)) if event else message.text
            self._noted("client", text)
            await socket.send(text)
        await asyncio.sleep(self._recorded.duration_s / self._speed - self._elapsed_s())
        await self._until(self._answered)
        await self._until(self._all_told, _QUIET_S)
        await socket.close()
        await reader

    async def _until(self, condition: Callable[[], bool], patience_s: float | None = None) -> None:
        """Wait for the server, as long as it says something."""
        while not condition():
            self._came.clear()
            try:
                async with asyncio.timeout(patience_s or self._patience_s):
                    await self._came.wait()
            except TimeoutError:
                return

    def _as_far(self, event: dict[str, Any], done: int) -> bool:
        """All that `event` is about is there, and `done` responses are over."""
        return self._ids.known(event) and self._done() >= done

    def _answered(self) -> bool:
        """No response is under way or still to come."""
        return self._done() >= max(self._came_of["response.created"], self._told["response.done"])

    def _all_told(self) -> bool:
        """Every kind of event has come as often as then, but for those of which there may be more or fewer."""
        return all(self._came_of[kind] >= told for kind, told in self._told.items() if not kind.endswith(".delta"))

    def _done(self) -> int:
        return self._came_of["response.done"]

    def _noted(self, sender: Any, text: str) -> Message:
        self.said.append(Message(self._elapsed_s(), sender, text))
        return self.said[-1]

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began_s


async def replayed(
    recorded: RecordedSession, url: str, api_key: str | None, model: str | None, speed: float, patience_s: float
) -> list[Message]:
    """The messages of the session that `recorded` makes with the server at `url`. Raises ServerUnreachable, ConnectionRejected."""
    place = urlsplit(realtime_url(url))
    address = realtime_url(f"{place.scheme}://{place.netloc}{recorded.head.path}", model)
    headers = _BETA if recorded.head.dialect == "beta" else {}
    async with await open_session_socket(address, api_key, _OPEN_S, headers) as socket:
        return await Replay(recorded, speed, patience_s).run(socket)


def described(path: Path, recorded: RecordedSession, then: Outcome, now: Outcome) -> Iterator[str]:
    """What there is to tell of a replay, line by line."""
    head = recorded.head
    yield f"recorded {path.name}: {head.started_at[:19]} UTC, {recorded.duration_s:.1f} s, {head.model}, server {head.server}"
    for number, waits in enumerate(timings(then, now), 1):
        shown = ["no audio" if wait is None else f"{1000 * wait:.0f} ms" for wait in waits]
        yield f"answer {number}: first audio after {shown[0]} recorded, {shown[1]} now"
    found = differences(then, now)
    yield from found or ["nothing else differs"]


def replay(
    recording: Annotated[Path, typer.Argument(help="A file from the server's directory of recordings.")],
    server: Annotated[str, typer.Option("--server", "--url", help="The server to feed it to.")] = DEFAULT_URL,
    api_key: Annotated[str | None, typer.Option(envvar="CSLM_API_KEY", help="Key of the server.")] = None,
    model: Annotated[str | None, typer.Option(help="Model to ask.", show_default="the server's")] = None,
    speed: Annotated[float, typer.Option(min=0.1, max=100, help="2 sends everything in half the time.")] = 1.0,
    patience: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for a server that says nothing.")] = 30.0,
    audio: Annotated[
        Path | None,
        typer.Option(help="Write both sides to a sound file, and ask no server: left client, right server."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Feed a recorded conversation or request to a server again, with its timings, and say what differs.

    A model that samples says other words each time: differences in text need not be faults.
    Exit status: 0 the same, 1 something differs, 2 no whole recording, 3 no session.
    """
    try:
        recorded = _read(recording)
        over_http = recorded.head.dialect == "http"
        if audio is not None and over_http:
            raise UnreadableRecording("a request over HTTP is no conversation: --audio is for sessions and calls")
        if audio is not None:
            typer.echo(f"written {audio}: {write_conversation(recorded, audio):.1f} s")
            return
        if over_http:
            said = asyncio.run(requested(recorded, server, api_key, patience))
        else:
            said = asyncio.run(replayed(recorded, server, api_key, model, speed, patience))
        came_to = http_outcome if over_http else outcome_of
        then, now = came_to(recorded.messages), came_to(said)
    except ClientError as error:
        raise typer.Exit(report_error(error)) from error
    except ExceptionGroup as group:
        raise first_cause(group) from group
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED_EXIT) from None
    found = differences(then, now)
    if as_json:
        sides = {"recorded": asdict(then), "now": asdict(now)}
        typer.echo(json.dumps({"recording": asdict(recorded.head), "differences": found, **sides}, ensure_ascii=False))
    else:
        typer.echo("\n".join(described(recording, recorded, then, now)))
    if found:
        raise typer.Exit(DIFFERS_EXIT)


def _read(path: Path) -> RecordedSession:
    try:
        return read_session(path)
    except SpeechServerError as error:
        raise UnreadableRecording(error.message, code=error.code) from error
