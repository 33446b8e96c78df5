"""A small realtime server that follows a script instead of a model: what clients are tested against.

Voice activity is counted in frames: anything but zeros is speech, ten frames of zeros end it. Nothing waits for time.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal, get_args

from openai.types.realtime import RealtimeClientEvent
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

RATE_HZ = 24_000
SILENT_FRAMES_TO_STOP = 10

_CLIENT_MODELS = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(get_args(RealtimeClientEvent)[0])
}

Twist = Literal["no_audio", "no_audio_end", "late_audio", "half_text", "foreign", "same_id"]
"""What is wrong with an answer that is said to be complete."""

Ending = Literal["completed", "failed", "incomplete", "dropped", "silent", "refused"]


@dataclass
class Script:
    """What the server does. `endings`: how its responses end, in turn, the last for all that follow. `deaf`: it reads nothing."""

    transcript: str = "what is two plus three"
    answer: tuple[str, ...] = ("Two plus three", " is five.")
    delta_s: float = 0.5
    longest_s: float = 1e9
    endings: tuple[Ending, ...] = ("completed",)
    refuse_update: bool = False
    refuse_commit: bool = False
    refuse_connection: HTTPStatus | None = None
    first_message: str | None = None
    deaf: bool = False
    twist: Twist | None = None
    extra_messages: tuple[str, ...] = ()


@dataclass
class FakeServer:
    """The server's end: what it was sent, and where it listens."""

    script: Script
    url: str = ""
    received: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    connections: int = 0
    refusals: int = 0
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def types(self) -> list[str]:
        """Types of the events received, audio left out."""
        return [event["type"] for event in self.received if event["type"] != "input_audio_buffer.append"]

    def audio(self) -> bytes:
        """All audio received."""
        appended = (event for event in self.received if event["type"] == "input_audio_buffer.append")
        return b"".join(base64.b64decode(event["audio"]) for event in appended)

    def messages(self) -> list[tuple[str, str]]:
        """Role and text of the messages that clients created."""
        items = (event["item"] for event in self.received if event["type"] == "conversation.item.create")
        return [(item["role"], item["content"][0]["text"]) for item in items]

    async def serve(self, socket: ServerConnection) -> None:
        """One connection."""
        self.connections += 1
        if socket.request is not None:
            self.headers.append(dict(socket.request.headers))
        with suppress(ConnectionClosed):
            await _Session(self, socket).run()

    def refuse(self, socket: ServerConnection, request: Request) -> Response | None:
        """The handshake."""
        status = self.script.refuse_connection
        if status is None:
            return None
        self.refusals += 1
        body = json.dumps({"error": {"type": "x", "code": "invalid_api_key", "message": "a wrong key", "param": None}})
        return socket.respond(status, body)


class _Session:
    def __init__(self, server: FakeServer, socket: ServerConnection) -> None:
        self._server = server
        self._script = server.script
        self._socket = socket
        self._ids = server.ids
        self._vad = True
        self._speaking = False
        self._silent_frames = 0
        self._samples = 0
        self._buffered = 0
        self._question = ""

    async def run(self) -> None:
        if self._script.first_message is not None:
            await self._socket.send(self._script.first_message)
            return
        await self._send("session.created", session=_SESSION)
        for message in self._script.extra_messages:
            await self._socket.send(message)
        if self._script.deaf:
            await self._socket.wait_closed()
        async for sent in self._socket:
            event = json.loads(sent)
            _CLIENT_MODELS[event["type"]].model_validate(event)
            self._server.received.append(event)
            await getattr(self, "_" + event["type"].replace(".", "_"))(event)

    async def _send(self, kind: str, **fields: Any) -> None:
        await self._socket.send(json.dumps({"type": kind, "event_id": f"event_{next(self._ids)}", **fields}))

    async def _error(self, code: str, event: dict[str, Any]) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": f"refused: {code}", "param": None}
        await self._send("error", error=error | {"event_id": event.get("event_id")})

    async def _session_update(self, event: dict[str, Any]) -> None:
        if self._script.refuse_update:
            await self._error("invalid_value", event)
            return
        self._vad = event["session"]["audio"]["input"]["turn_detection"] is not None
        await self._send("session.updated", session=_SESSION | event["session"])

    async def _input_audio_buffer_append(self, event: dict[str, Any]) -> None:
        pcm = base64.b64decode(event["audio"])
        if self._buffered + len(pcm) // 2 > self._script.longest_s * RATE_HZ:
            await self._error("audio_too_long", event)
            return
        self._samples += len(pcm) // 2
        self._buffered += len(pcm) // 2
        if self._vad:
            await (self._on_speech() if any(pcm) else self._on_silence())

    async def _on_speech(self) -> None:
        self._silent_frames = 0
        if not self._speaking:
            self._speaking = True
            self._question = f"item_{next(self._ids)}"
            at_ms = self._samples * 1000 // RATE_HZ
            await self._send("input_audio_buffer.speech_started", audio_start_ms=at_ms, item_id=self._question)

    async def _on_silence(self) -> None:
        self._silent_frames += 1
        if self._speaking and self._silent_frames == SILENT_FRAMES_TO_STOP:
            self._speaking = False
            at_ms = self._samples * 1000 // RATE_HZ
            await self._send("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=self._question)
            await self._commit()
            await self._respond()

    async def _input_audio_buffer_commit(self, event: dict[str, Any]) -> None:
        if self._script.refuse_commit or not self._buffered:
            await self._error("input_audio_buffer_commit_empty", event)
            return
        self._question = f"item_{next(self._ids)}"
        await self._commit()

    async def _commit(self) -> None:
        self._buffered = 0
        await self._send("input_audio_buffer.committed", item_id=self._question, previous_item_id=None)
        await self._add({"type": "input_audio", "transcript": None})

    async def _conversation_item_create(self, event: dict[str, Any]) -> None:
        item = event["item"]
        self._question = item.get("id") or f"item_{next(self._ids)}"
        await self._add(item["content"][0], item["role"])

    async def _conversation_item_truncate(self, event: dict[str, Any]) -> None:
        await self._error("item_truncate_invalid_item_id", event)

    async def _add(self, content: dict[str, Any], role: str = "user") -> None:
        item = {"id": self._question, "type": "message", "role": role, "status": "completed", "content": [content]}
        await self._send("conversation.item.added", item=item, previous_item_id=None)
        await self._send("conversation.item.done", item=item, previous_item_id=None)

    async def _response_create(self, event: dict[str, Any]) -> None:
        await self._respond()

    async def _respond(self) -> None:
        endings = self._script.endings
        ending = endings[0]
        self._script.endings = endings[1:] or endings
        if ending == "silent":
            return
        if ending == "refused":
            await self._error("engine_unavailable", {})
            return
        response = "resp" if self._script.twist == "same_id" else f"resp_{next(self._ids)}"
        await self._send("response.created", response=_response(response, "in_progress"))
        await self._speak(response)
        if ending == "dropped":
            self._socket.transport.abort()
            return
        await self._send("response.done", response=_response(response, ending))
        if self._script.twist == "late_audio":
            place = {"response_id": response, "item_id": "item", "output_index": 0, "content_index": 0}
            await self._send("response.output_audio.delta", **place, delta="AAA=")

    async def _speak(self, response: str) -> None:
        item = f"item_{next(self._ids)}"
        answer = {"id": item, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        await self._send("conversation.item.added", item=answer, previous_item_id=self._question)
        heard = {"item_id": self._question, "content_index": 0}
        transcription = "conversation.item.input_audio_transcription"
        await self._send(f"{transcription}.delta", **heard, delta=self._script.transcript)
        usage = {"type": "duration", "seconds": 1.0}
        await self._send(f"{transcription}.completed", **heard, transcript=self._script.transcript, usage=usage)
        twist = self._script.twist
        place = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        audio = base64.b64encode(b"\x01\x02" * int(self._script.delta_s * RATE_HZ)).decode()
        for text in self._script.answer:
            await self._send("response.output_audio_transcript.delta", **place, delta=text)
            if twist != "no_audio":
                await self._send("response.output_audio.delta", **place, delta=audio)
            if twist == "half_text":
                break
        if twist == "foreign":
            await self._send("response.output_audio.delta", **place | {"response_id": "resp_other"}, delta=audio)
        if twist != "no_audio_end":
            await self._send("response.output_audio.done", **place)
        await self._send("response.output_audio_transcript.done", **place, transcript="".join(self._script.answer))


_SESSION = {"type": "realtime", "model": "fake", "output_modalities": ["audio"]}


def _response(name: str, status: str) -> dict[str, Any]:
    error = {"type": "server_error", "code": "engine_unavailable", "message": "a stage is being restarted"}
    details = {"type": status, "error": error} if status == "failed" else None
    return {"id": name, "object": "realtime.response", "status": status, "status_details": details, "output": []}


@asynccontextmanager
async def fake_server(script: Script | None = None) -> AsyncIterator[FakeServer]:
    """A server in this event loop."""
    fake = FakeServer(script or Script())
    async with serve(fake.serve, "127.0.0.1", 0, process_request=fake.refuse, max_size=2**23) as server:
        fake.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield fake


@contextmanager
def fake_server_in_thread(script: Script | None = None) -> Iterator[FakeServer]:
    """A server for commands that run an event loop of their own."""
    ready, stop, found = threading.Event(), asyncio.Event(), list[FakeServer]()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        async with fake_server(script) as fake:
            found.append(fake)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        assert ready.wait(10)
        yield found[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
