"""A stand-in for the realtime server: real socket, real page files, scripted answers.

It hears speech by loudness and answers every turn the same way, so that the page can be tested without a model.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import socket
import threading
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

WEB = Path(__file__).parents[3] / "clients" / "web"
RATE_HZ = 24_000
SILENCE_MS = 500
LOUD = 0.01


@dataclass(slots=True)
class Script:
    """What the stand-in says, and what it was told. Change it while it runs."""

    transcript: str = "What is seven plus five?"
    answer: str = "Seven plus five is twelve."
    answer_s: float = 1.2
    stage_s: float = 0.06
    lag_s: float = 0.0  # how late it takes up what it is asked for
    key: str | None = None
    full: bool = False
    recorded: bool = False
    refusal: str | None = None
    shortfall: str | None = None  # code of an incomplete response
    received: list[dict[str, Any]] = field(default_factory=list)
    appended_samples: int = 0
    connections: int = 0
    protocols: list[str] = field(default_factory=list)
    sockets: set[_Session] = field(default_factory=set)
    loop: asyncio.AbstractEventLoop | None = None

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Received events of a type; audio is only counted."""
        return [event for event in self.received if event["type"] == kind]

    def hang_up(self, code: int = 1011) -> None:
        """Closes every connection."""
        assert self.loop is not None
        for session in list(self.sockets):
            asyncio.run_coroutine_threadsafe(session.socket.close(code), self.loop).result(5)


class _Session:
    def __init__(self, socket: WebSocket, script: Script) -> None:
        self.socket, self.script = socket, script
        self.samples = 0
        self.loud_at: float | None = None
        self.item: str | None = None
        self.count = 0
        self.response: asyncio.Task[None] | None = None
        self.spoken = True

    async def send(self, kind: str, **fields: Any) -> None:
        self.count += 1
        await self.socket.send_text(json.dumps({"type": kind, "event_id": f"event_{self.count}", **fields}))

    async def run(self) -> None:
        described = {
            "type": "realtime",
            "id": "sess_scripted",
            "audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": SILENCE_MS}}},
        }
        await self.send("session.created", session=described)
        await self.send("some.future.event", detail="clients ignore what they do not know")
        while True:
            event = json.loads(await self.socket.receive_text())
            if event["type"] == "input_audio_buffer.append":
                await self.hear(base64.b64decode(event["audio"]))
                continue
            self.script.received.append(event)
            await self.obey(event, described)

    async def obey(self, event: dict[str, Any], described: dict[str, Any]) -> None:
        match event["type"]:
            case "session.update":
                self.spoken = event["session"].get("output_modalities") != ["text"]
                await self.send("session.updated", session=described)
            case "conversation.item.create":
                await self.send("conversation.item.added", item=event["item"])
            case "response.create":
                await asyncio.sleep(self.script.lag_s)
                if self.script.refusal:
                    await self.send("error", error={"message": self.script.refusal, "event_id": event["event_id"]})
                else:
                    await self.respond(None, event["response"]["metadata"])
            case "response.cancel":
                await self.cancel("client_cancelled")

    async def hear(self, pcm: bytes) -> None:
        samples = array("h", pcm)
        self.samples += len(samples)
        self.script.appended_samples += len(samples)
        now_ms = self.samples * 1000 / RATE_HZ
        rms = math.sqrt(sum(sample * sample for sample in samples) / len(samples)) / 32768
        if rms > LOUD:
            self.loud_at = now_ms
            if self.item is None:
                self.item = f"item_user_{round(now_ms)}"
                await self.send("input_audio_buffer.speech_started", audio_start_ms=round(now_ms), item_id=self.item)
                await self.cancel("turn_detected")
        elif self.item and self.loud_at is not None and now_ms - self.loud_at >= SILENCE_MS:
            item, self.item = self.item, None
            await self.send("input_audio_buffer.speech_stopped", audio_end_ms=round(now_ms), item_id=item)
            await self.send("input_audio_buffer.committed", previous_item_id=None, item_id=item)
            if self.response is None or self.response.done():
                await self.respond(item)

    async def cancel(self, reason: str) -> None:
        task, self.response = self.response, None
        if task is None or task.done():
            if reason == "client_cancelled":
                error = {"code": "response_cancel_not_active", "message": "Cancellation failed: there is none"}
                await self.send("error", error=error)
            return
        task.cancel()
        await asyncio.wait([task])
        await self.send(
            "response.done",
            response={
                "id": task.get_name(),
                "status": "cancelled",
                "status_details": {"type": "cancelled", "reason": reason},
            },
        )

    async def respond(self, item: str | None, metadata: dict[str, str] | None = None) -> None:
        self.count += 1
        number = f"{self.script.connections}_{self.count}"
        response, answer = f"resp_{number}", f"item_answer_{number}"
        await self.send("response.created", response={"id": response, "status": "in_progress", "metadata": metadata})
        await self.send("response.output_item.added", response_id=response, item={"id": answer, "type": "message"})
        self.response = asyncio.create_task(self.answer(item, response, answer), name=response)

    async def answer(self, item: str | None, response: str, answer: str) -> None:
        script = self.script
        at = {"response_id": response, "item_id": answer, "output_index": 0, "content_index": 0}
        if item:
            kind = "conversation.item.input_audio_transcription"
            await asyncio.sleep(script.stage_s)
            for word in script.transcript.split(" "):
                await self.send(f"{kind}.delta", item_id=item, content_index=0, delta=word + " ")
            await self.send(f"{kind}.completed", item_id=item, content_index=0, transcript=script.transcript)
        await asyncio.sleep(2 * script.stage_s)
        words, chunks = script.answer.split(" "), list(_tone(script.answer_s if self.spoken else 0))
        text = "output_audio_transcript" if self.spoken else "output_text"
        for i in range(max(len(words), len(chunks))):
            if i < len(words):
                space = " " if i + 1 < len(words) else ""
                await self.send(f"response.{text}.delta", **at, delta=words[i] + space)
            await asyncio.sleep(script.stage_s / 2)
            if i < len(chunks):
                await self.send("response.output_audio.delta", **at, delta=base64.b64encode(chunks[i]).decode())
        if self.spoken:
            await self.send("response.output_audio.done", **at)
        done: dict[str, Any] = {"id": response, "status": "completed"}
        if script.shortfall:
            details = {"type": "incomplete", "error": {"code": script.shortfall, "message": "It fell short."}}
            done |= {"status": "incomplete", "status_details": details}
        await self.send("response.done", response=done)


def _tone(length_s: float, chunk_s: float = 0.1) -> Iterator[bytes]:
    t = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
    pcm = (0.2 * np.sin(2 * np.pi * 330 * t) * 32767).astype("<i2").tobytes()
    step = round(chunk_s * RATE_HZ) * 2
    return (pcm[i : i + step] for i in range(0, len(pcm), step))


def app_of(script: Script) -> FastAPI:
    app = FastAPI()

    @app.get("/v1/models")
    async def models(request: Request) -> Any:
        if script.key and request.headers.get("authorization") != f"Bearer {script.key}":
            return JSONResponse({"error": {"code": "missing_api_key"}}, 401)
        return {
            "data": [{"id": "cslm-mini", "voices": ["anna"], "languages": ["en", "zh"], "recorded": script.recorded}]
        }

    @app.get("/v1/realtime")
    async def why_not(request: Request) -> Any:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if script.key and key != script.key:
            return JSONResponse({"error": {"code": "invalid_api_key" if key else "missing_api_key"}}, 401)
        return JSONResponse({"error": {"code": "at_capacity"}}, 503) if script.full else JSONResponse({}, 426)

    @app.websocket("/v1/realtime")
    async def realtime(socket: WebSocket) -> None:
        script.connections += 1
        script.loop = asyncio.get_running_loop()
        script.protocols = socket.headers.get("sec-websocket-protocol", "").replace(" ", "").split(",")
        if script.full or (script.key and f"openai-insecure-api-key.{script.key}" not in script.protocols):
            await socket.close(1008)
            return
        await socket.accept(subprotocol="realtime")
        session = _Session(socket, script)
        script.sockets.add(session)
        try:
            await session.run()
        except WebSocketDisconnect:
            pass
        finally:
            script.sockets.discard(session)
            if session.response:
                session.response.cancel()

    app.mount("/", StaticFiles(directory=WEB, html=True))
    return app


@contextmanager
def serving(script: Script) -> Iterator[str]:
    """The stand-in, running in a thread; yields its base URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app_of(script), log_config=None, log_level="warning", ws="websockets-sansio")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


if __name__ == "__main__":
    import time

    with serving(Script(answer_s=4.0)) as url:
        print(url)
        time.sleep(3600)
