"""The recordings of tests/data/recordings, and asking one over HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt

from clients.realtime import ReplyLanguage

RECORDINGS = Path(__file__).parents[1] / "data" / "recordings"


@dataclass(frozen=True, slots=True)
class Asked:
    """One entry of the manifest. `said`: what the recording says; `answers`: right ones, none where nothing is asked."""

    file: str
    source: str
    voice: str
    language: str
    reply_language: ReplyLanguage
    said: str
    answers: tuple[str, ...]

    @property
    def path(self) -> Path:
        """The recording."""
        return RECORDINGS / self.file


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer: float32 [T] at `rate_hz`, and the server's own `timings` and `usage`."""

    transcript: str
    text: str
    pcm: npt.NDArray[np.float32]
    rate_hz: int
    timings: dict[str, float | None]
    usage: dict[str, float]


def manifest(limit: int | None = None) -> list[Asked]:
    """All recordings, or the first `limit`."""
    entries = json.loads((RECORDINGS / "manifest.json").read_text(encoding="utf-8"))
    return [Asked(**entry | {"answers": tuple(entry["answers"])}) for entry in entries][:limit]


def ask(client: httpx.Client, asked: Asked, **options: str) -> Reply:
    """POST a recording to /v1/speech. Raises RuntimeError with what the server said where it fails."""
    query = {"stream": "events", "response_format": "pcm", "reply_language": asked.reply_language, **options}
    body = asked.path.read_bytes()
    with client.stream(
        "POST", "/v1/speech", params=query, content=body, headers={"content-type": "audio/flac"}
    ) as response:
        if response.status_code != 200:
            raise RuntimeError(f"{asked.file}: HTTP {response.status_code}: {response.read().decode()[:300]}")
        return _reply(list(_events(response)))


def connect(url: str) -> httpx.Client:
    """A client of the server at `url`, http or ws."""
    return httpx.Client(base_url=url.replace("ws://", "http://").replace("wss://", "https://"), timeout=180)


def served(client: httpx.Client) -> dict[str, Any]:
    """Which model runs there, and on what backend."""
    ready: dict[str, Any] = client.get("/readyz").raise_for_status().json()
    return {"model": ready["model"], "backend": ready["backend"]}


def _events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line[6:])


def _reply(events: list[dict[str, Any]]) -> Reply:
    last = {event["type"]: event for event in events}
    if "done" not in last:
        raise RuntimeError(f"the answer broke off: {last.get('error', events[-1:])}")
    audio = b"".join(base64.b64decode(event["delta"]) for event in events if event["type"] == "audio.delta")
    return Reply(
        last["done"]["transcript"],
        last["done"]["text"],
        np.frombuffer(audio, "<i2").astype(np.float32) / np.float32(32768),
        last["turn"]["audio"]["sample_rate"],
        last["timings"]["timings"],
        last["usage"]["usage"],
    )
