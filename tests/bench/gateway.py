"""What one second of a realtime session costs the gateway, in processor time; two checkouts side by side.

    git worktree add --detach ../before COMMIT
    python -m tests.bench.gateway --before ../before

The model is null: its encoder, decoder and language model compute nothing, so that what is left is the gateway's own work.
Sessions take a microphone in frames of 20 ms and answer a question every four seconds with 1.6 s of audio. A socket is an ASGI
connection of the whole application, a call is a `Call` between a track and a playout; neither has a network, so that libraries for
WebSocket frames, Opus and DTLS, which are the same in both, are not in the figures. Audio comes as fast as it is taken. Each
checkout runs in processes of its own, in turn with the other.

The echo guard is off. It compares what is said with what is being played, and here the next question comes before the last answer
has been played: the guard would compare all the time, which it does not in a conversation.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

CYCLE_S, SPEECH_S, FRAME_S = 4.0, 1.0, 0.02
SESSIONS = {1: 25, 50: 1}
"""How many at once, and how many questions each is asked."""
TRANSPORTS = ("socket", "call")
ROUNDS = 7


def main() -> None:
    """Measure and write; with `--work`, be one of the processes that are measured."""
    if sys.argv[1:2] == ["--work"]:
        sys.path[0] = os.getcwd()  # the checkout, not this script's directory
        transport, sessions, questions = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
        print(json.dumps(asyncio.run(worked(transport, sessions, questions))))
        return
    from tests.bench.results import arguments, origin, table, write

    parser = arguments(__doc__)
    parser.add_argument("--before", type=Path, required=True, help="a checkout to compare with")
    options = parser.parse_args()
    here = Path(__file__).parents[2]
    record: dict[str, Any] = {"origin": origin(), "before": commit(options.before), "ms_per_s": {}}
    rows = []
    for transport in TRANSPORTS:
        for sessions in SESSIONS:
            costs: dict[str, list[float]] = {"before": [], "after": []}
            for _ in range(ROUNDS):
                for name, checkout in (("before", options.before), ("after", here)):
                    costs[name].append(cost_ms(checkout, transport, sessions, SESSIONS[sessions]))
            record["ms_per_s"][f"{transport} {sessions}"] = costs
            before, after = min(costs["before"]), min(costs["after"])
            rows.append((transport, sessions, f"{before:.1f}", f"{after:.1f}", f"{after / before:.2f}"))
    heads = ("transport", "sessions", "before, ms", "after, ms", "after ÷ before")
    note = f"Processor time for each second of a session, the least of {ROUNDS} runs: others on the machine only add. Before: commit {record['before']}."
    write(options.out, "gateway", record, f"{note}\n\n{table(heads, rows)}")


def commit(checkout: Path) -> str:
    """Its commit, short."""
    said = subprocess.run(["git", "rev-parse", "--short=10", "HEAD"], cwd=checkout, capture_output=True, text=True)
    return said.stdout.strip()


def cost_ms(checkout: Path, transport: str, sessions: int, questions: int, **settings: str) -> float:
    """Milliseconds of processor time for a second of a session. `settings`: more variables of the environment."""
    command = [sys.executable, str(Path(__file__).resolve()), "--work", transport, str(sessions), str(questions)]
    done = subprocess.run(
        command,
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "CSLM_ECHO_GUARD": "0", **settings},
    )
    record = json.loads(done.stdout.splitlines()[-1])
    return 1000 * float(record["cpu_s"]) / float(record["session_s"])


# One of the processes that are measured


async def worked(transport: str, sessions: int, questions: int) -> dict[str, float]:
    """Processor time of all sessions from their first frame to the end of their last answer."""
    session = {"socket": over_socket, "call": over_call}[transport]
    async with application() as app:
        await session(app, 1)  # what is imported and made once
        gc.collect()
        gc.freeze()  # what a full collection costs depends on all that was imported, and when it comes on chance
        began_s = time.process_time()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(sessions):
                tasks.create_task(session(app, questions))
        return {"cpu_s": time.process_time() - began_s, "session_s": sessions * questions * CYCLE_S}


class NullEncoder:
    """Hears nothing."""

    async def encode(self, audio: AsyncIterator[Any]) -> AsyncGenerator[list[int]]:
        async for piece in audio:
            if (tell := getattr(piece, "tell", None)) is not None:  # a peek, in checkouts that have them
                tell([1, 2, 3])
        yield [1, 2, 3]


class NullDecoder:
    """Silence, 40 ms a unit."""

    sample_rate = 24_000

    async def synthesize(self, cuts: AsyncIterator[Any]) -> AsyncGenerator[Any]:
        async for cut in cuts:
            yield np.full(960 * len(cut.units), 0.1, np.float32)


def null_model() -> Any:
    """The served model of whichever checkout this is."""
    from tests.fakes import FakeLM

    try:
        from tests.server.models import fake_model
    except ImportError:
        from tests.fakes import fake_model  # type: ignore[attr-defined, no-redef]
    return fake_model(encoder=NullEncoder(), decoder=NullDecoder(), lm=FakeLM(per_step=8))


@asynccontextmanager
async def application() -> AsyncGenerator[Any]:
    """The server's application, warm."""
    from server.app import create_app
    from server.settings import Settings

    @asynccontextmanager
    async def open_model(settings: Any) -> AsyncGenerator[Any]:
        yield null_model()

    app = create_app(Settings(api_key=None, max_sessions=128), open_model)  # half of them are let in at once
    async with app.router.lifespan_context(app):
        state = app.state.shared if hasattr(app.state, "shared") else app.state.gateway
        await state.serving.settled()
        yield app


def frames(rate_hz: int) -> list[Any]:
    """A question and the silence after it."""
    speech = 0.4 * np.sin(np.arange(round(SPEECH_S * rate_hz)) * 0.1)
    pcm = np.concatenate([speech, np.zeros(round((CYCLE_S - SPEECH_S) * rate_hz))]).astype(np.float32)
    return list(pcm.reshape(-1, round(FRAME_S * rate_hz)))


class Answers:
    """Counts the answers that are done."""

    def __init__(self) -> None:
        self._done = 0
        self._news = asyncio.Event()

    def read(self, message: str) -> None:
        """A server event, as text."""
        if '"response.done"' in message[:120]:
            self._done += 1
            self._news.set()

    async def until(self, count: int) -> None:
        """Wait for the answer of this number."""
        async with asyncio.timeout(300):
            while self._done < count:
                self._news.clear()
                await self._news.wait()

    def check(self, count: int) -> None:
        """Raises where there are fewer than `count`."""
        if self._done < count:
            raise SystemExit(f"{self._done} of {count} questions were answered")


async def over_socket(app: Any, questions: int) -> None:
    """One ASGI connection."""
    answers = Answers()
    pcm16 = [(32767 * frame).astype("<i2").tobytes() for frame in frames(24_000)]
    append = [
        json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(data).decode()}) for data in pcm16
    ]

    async def messages() -> AsyncGenerator[dict[str, Any]]:
        yield {"type": "websocket.connect"}
        for question in range(questions):
            for text in append:
                await asyncio.sleep(0)
                yield {"type": "websocket.receive", "text": text}
            await answers.until(question + 1)
        yield {"type": "websocket.disconnect", "code": 1000}

    received: asyncio.Queue[dict[str, Any]] = asyncio.Queue(1)

    async def speak() -> None:
        async for message in messages():
            await received.put(message)

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            answers.read(message["text"])

    scope = {
        "type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "ws", "path": "/v1/realtime",
        "raw_path": b"/v1/realtime", "query_string": b"", "root_path": "", "headers": [(b"host", b"test")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "subprotocols": [], "state": {},
        "extensions": {"websocket.http.response": {}},
    }  # fmt: skip
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(speak())
        await app(scope, received.get, send)
    answers.check(questions)


class Channel:
    """A data channel to nobody."""

    readyState, bufferedAmount = "open", 0

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def send(self, message: str) -> None:
        self._answers.read(message)


async def over_call(app: Any, questions: int) -> None:
    """One call between a microphone and a loudspeaker."""
    import av
    from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

    answers, spoken = Answers(), frames(48_000)
    call, running = begun(app)

    class Microphone(MediaStreamTrack):
        kind = "audio"
        sent = 0

        async def recv(self) -> Any:
            await asyncio.sleep(0)
            while call._inbox.qsize() > 4:
                await asyncio.sleep(0)
            question, at = divmod(self.sent, len(spoken))
            if not at:
                await answers.until(question)
            if question == questions:
                call.hang_up()
                raise MediaStreamError
            call._playout.take(480)
            samples = (32767 * spoken[at]).astype(np.int16).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, self.sent * 960, Fraction(1, 48_000)
            self.sent += 1
            return frame

    call._channel = Channel(answers)
    call._connected.set()
    call._microphone.set_result(Microphone())
    await running
    answers.check(questions)


def begun(app: Any) -> tuple[Any, Any]:
    """A call and the work of it, of whichever checkout this is."""
    try:
        from server.state.live import LiveSession
        from server.state.sessions import realtime_session, session_limits, session_model
        from server.webrtc.call import Call
        from streaming.realtime.ga import Ga
        from streaming.realtime.machine import RealtimeMachine

        state, call = app.state.shared, Call([], Ga())
        model = state.serving.model()
        machine = RealtimeMachine(session_model(model), session_limits(state.settings, model, state.account))
        live = LiveSession(machine.id, state.account, "webrtc", machine)
        session = realtime_session(state.settings, state.metrics, model, machine, live, state.admission.stop)
        return call, call.run(session)
    except ImportError:
        from server.call import Call  # type: ignore[import-not-found, no-redef]
        from server.realtime_sessions import (  # type: ignore[import-not-found]
            session_limits,
            session_model,
            session_observer,
        )

        from streaming.realtime.session import RealtimeSession  # type: ignore[attr-defined]

        gateway, call = app.state.gateway, Call([])
        model = gateway.serving.model()
        limits, observer = session_limits(gateway, model), session_observer(gateway, "webrtc")
        session = RealtimeSession(session_model(model), call.send, limits=limits, observer=observer)
        return call, call.run(session)


if __name__ == "__main__":
    main()
