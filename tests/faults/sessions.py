"""Live sessions: each asks its own question again and again, listens to the answer, and compares it with the first one.

Answers are greedy and their speech is the same however it is cut: whatever goes under a turn, every word and every sample
must be there. A turn that fails, or says anything else, is lost.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from streaming.planning import PlayoutClock

QUESTIONS = (
    "What is two plus three?",
    "What is the capital of France?",
    "What colour is snow?",
    "Count from one to ten.",
    "Which day comes after Monday?",
    "What is the longest river in China?",
    "Do you know a joke?",
    "给我讲讲狗。",
)
RATE_HZ = 24_000
PCM16_TOLERANCE = 8
"""Steps of 16 bits between two ways of computing one sample."""

TURN_S = 90.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What a session heard. `gap_s`: longest silence for who plays without a buffer; `began_s`, `ended_s`: monotonic.

    Turns that were judged keep no `pcm`: a long run would fill the memory with them.
    """

    text: str
    pcm: np.ndarray
    failure: str | None
    gap_s: float
    began_s: float
    ended_s: float


@dataclass(slots=True)
class Talker:
    """One session. `first`: its undisturbed answer; `lost`: turns that were not like it; `gone`: why its socket closed.

    `question`: typed, or spoken (PCM16 at `RATE_HZ`); `rest`: between two turns, as a share of the answer's length.
    """

    question: str | bytes
    rest: float = 0.5
    turns: list[Turn] = field(default_factory=list[Turn])
    first: Turn | None = None
    lost: list[str] = field(default_factory=list[str])
    gone: str | None = None
    speaking: bool = False

    async def talk(self, url: str, asked: asyncio.Event) -> None:
        """Ask until cancelled. `asked`: set when the first answer is complete."""
        try:
            async with connect(f"{url.replace('http', 'ws')}/v1/realtime", max_size=None) as socket:
                while True:
                    turn = await self._turn(socket)
                    self._judge(turn)
                    self.turns.append(replace(turn, pcm=turn.pcm[:0].copy()))
                    asked.set()
                    await asyncio.sleep(0.3 + self.rest * turn.pcm.size / RATE_HZ)
        except (WebSocketException, OSError) as failure:
            self.gone = f"{type(failure).__name__}: {failure}"
        finally:
            asked.set()

    def _judge(self, turn: Turn) -> None:
        if turn.failure is not None:
            self.lost.append(turn.failure)
        elif self.first is None:
            self.first = turn
        elif turn.text != self.first.text:
            self.lost.append(f"said {turn.text!r}, before {self.first.text!r}")
        elif turn.pcm.size != self.first.pcm.size:
            self.lost.append(f"{turn.pcm.size} samples, before {self.first.pcm.size}")
        elif np.abs(turn.pcm.astype(np.int32) - self.first.pcm).max(initial=0) > PCM16_TOLERANCE:
            self.lost.append("other samples than before")

    def _content(self) -> dict[str, str]:
        if isinstance(self.question, str):
            return {"type": "input_text", "text": self.question}
        return {"type": "input_audio", "audio": base64.b64encode(self.question).decode()}

    async def _turn(self, socket: ClientConnection) -> Turn:
        text, pieces, playout, worst_s = "", list[bytes](), PlayoutClock(), 0.0
        item = {"type": "message", "role": "user", "content": [self._content()]}
        began_s = time.monotonic()
        await socket.send(
            json.dumps({"type": "response.create", "response": {"conversation": "none", "input": [item]}})
        )
        failure: str | None = None
        try:
            async with asyncio.timeout(TURN_S):
                while (event := json.loads(await socket.recv()))["type"] != "response.done":
                    if event["type"] == "response.output_audio.delta":
                        self.speaking = True
                        pieces.append(base64.b64decode(event["delta"]))
                        before_s = playout.gap_s
                        playout.sent(len(pieces[-1]) / 2 / RATE_HZ, time.monotonic())
                        worst_s = max(worst_s, playout.gap_s - before_s)
                    elif event["type"] == "response.output_audio_transcript.delta":
                        text += event["delta"]
                    elif event["type"] == "error":
                        failure = event["error"]["code"]
                failure = failure or _failure(event["response"])
        except TimeoutError:
            failure = f"nothing for {TURN_S:g} s"
        finally:
            self.speaking = False
        return Turn(text, np.frombuffer(b"".join(pieces), "<i2"), failure, worst_s, began_s, time.monotonic())


def _failure(response: dict[str, Any]) -> str | None:
    return None if response["status"] == "completed" else json.dumps(response.get("status_details"))


@asynccontextmanager
async def talking(
    url: str, sessions: int, rest: float = 0.5, questions: Sequence[str | bytes] = QUESTIONS
) -> AsyncGenerator[list[Talker]]:
    """So many sessions, each of which has heard its first answer. `rest` and `questions`: see `Talker`."""
    talkers = [Talker(questions[number % len(questions)], rest) for number in range(sessions)]
    heard = [asyncio.Event() for _ in talkers]
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(talker.talk(url, first)) for talker, first in zip(talkers, heard, strict=True)]
        try:
            for first in heard:
                await first.wait()
            yield talkers
        finally:
            for each in running:
                each.cancel()
