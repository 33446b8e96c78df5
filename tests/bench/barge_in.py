"""How soon an answer falls silent when the user speaks.

    python -m tests.bench.barge_in --url http://127.0.0.1:8080 --turns 60

An open microphone sends 20 ms frames in real time: silence, and from the moment at which the first audio of an answer arrives, a recording that
begins with speech. Afterwards the frames that were sent are played to the server's own turn detection again, which says with
which frame it must have noticed. Times are the client's: *noticed* from the first interrupting sample to that frame, which is voice
activity's part; *silent* from that frame to the last audio that arrived, 0 where none came after it; *closed* to response.done. Turns
whose answer was complete before the server noticed say nothing about it and are counted apart.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from clients.recordings import FRAME_BYTES, FRAME_S, read_recording, speech_end
from model.bundle import find_bundle
from model.turn_detection.vad import load_voice_activity
from streaming.audio import AudioFrame, WireFormat
from streaming.endpointing import SpeechStarted
from streaming.realtime.config import AudioInput
from streaming.realtime.input_buffer import InputBuffer
from streaming.realtime.limits import SessionLimits
from streaming.stages import Stages
from tests.bench.end_of_turn import NoUnits
from tests.bench.questions import connect as connect_http
from tests.bench.questions import manifest, served
from tests.bench.results import arguments, ms, origin, summary, table, write

SILENCE = bytes(FRAME_BYTES)
QUESTIONS = (
    "Please count from one to twelve.",
    "What is the longest river in China?",
    "Count from twenty to thirty.",
    "请从一数到十二。",
)


@dataclass(slots=True)
class Trial:
    """One interrupted answer; monotonic seconds. `sent`: frames and when each left; `began`: index of the first with speech."""

    sent: list[tuple[bytes, float]] = field(default_factory=list[tuple[bytes, float]])
    began: int | None = None
    last_audio_s: float = 0.0
    done_s: float = 0.0
    status: str = ""


def main() -> None:
    """Measure and write."""
    parser = arguments(__doc__, server=True)
    parser.add_argument("--turns", type=int, default=60)
    options = parser.parse_args()
    with connect_http(options.url) as client:
        record: dict[str, Any] = {"origin": origin(), "served": served(client), "turns": options.turns}
    trials = asyncio.run(interrupt_all(options.url.replace("http", "ws", 1), options.turns))
    record |= measured(trials)
    write(options.out, "barge_in", record, report(record))


def interruptions() -> list[list[bytes]]:
    """Frames of the recordings, from the first with speech on."""
    found = []
    for asked in manifest():
        pcm = read_recording(asked.path).pcm
        samples = np.frombuffer(pcm, np.int16)
        silent = samples.size // (FRAME_BYTES // 2) + 1 - speech_end(samples[::-1], FRAME_BYTES // 2)
        frames = [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm) - FRAME_BYTES + 1, FRAME_BYTES)]
        found.append(frames[max(0, silent) :])
    return found


async def interrupt_all(url: str, turns: int) -> list[Trial]:
    """One session a trial."""
    speech = itertools.cycle(interruptions())
    return [
        await interrupt(url, question, next(speech)) for question, _ in zip(itertools.cycle(QUESTIONS), range(turns))
    ]


async def interrupt(url: str, question: str, speech: list[bytes]) -> Trial:
    """Ask, and speak as soon as the answer is heard."""
    trial, heard = Trial(), asyncio.Event()
    async with connect(f"{url}/v1/realtime", max_size=None) as socket:
        content = [{"type": "input_text", "text": question}]
        item = {"type": "message", "role": "user", "content": content}
        await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
        async with asyncio.TaskGroup() as tasks:
            microphone = tasks.create_task(speak(socket, trial, speech, heard))
            await asyncio.sleep(0.5)
            await socket.send(json.dumps({"type": "response.create"}))
            async with asyncio.timeout(60):
                async for message in socket:
                    event = json.loads(message)
                    if event["type"] == "response.output_audio.delta":
                        trial.last_audio_s = time.monotonic()
                        heard.set()
                    elif event["type"] == "response.done":
                        trial.done_s, trial.status = time.monotonic(), event["response"]["status"]
                        break
            await asyncio.sleep(0.3)  # nothing may come any more; and the replay needs the frame that was noticed
            microphone.cancel()
    return trial


async def speak(socket: ClientConnection, trial: Trial, speech: list[bytes], heard: asyncio.Event) -> None:
    """An open microphone."""
    frames = iter(speech)
    due_s = time.monotonic()
    while True:
        frame = SILENCE
        if heard.is_set():
            if trial.began is None:
                trial.began = len(trial.sent)
            frame = next(frames, SILENCE)
        audio = base64.b64encode(frame).decode()
        await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
        trial.sent.append((frame, time.monotonic()))
        due_s += FRAME_S
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))


def measured(trials: list[Trial]) -> dict[str, Any]:
    """The times of the trials that were interrupted in time."""
    activity = load_voice_activity(find_bundle("cslm-mini").voice_activity)
    stages = Stages(NoUnits(), None, None, None, activity)  # type: ignore[arg-type]
    noticed, silent, closed, whole = [], [], [], []
    for trial in trials:
        frame = noticed_with(stages, trial)
        if trial.status != "cancelled" or trial.began is None or frame is None:
            continue
        began_s, frame_s = trial.sent[trial.began][1], trial.sent[frame][1]
        noticed.append(frame_s - began_s)
        silent.append(max(0.0, trial.last_audio_s - frame_s))
        closed.append(trial.done_s - frame_s)
        whole.append(max(0.0, trial.last_audio_s - began_s))
    return {
        "interrupted": len(silent),
        "statuses": {status: sum(trial.status == status for trial in trials) for status in {t.status for t in trials}},
        "audio_after_noticed": sum(wait > 0 for wait in silent),
        "noticed_s": summary(noticed),
        "silent_s": summary(silent),
        "closed_s": summary(closed),
        "whole_s": summary(whole),
    }


def noticed_with(stages: Stages, trial: Trial) -> int | None:
    """Index of the frame with which turn detection notices speech."""
    buffer, wire = InputBuffer(stages, SessionLimits(), AudioInput(), emit=lambda output: None), WireFormat()
    for at, (frame, _) in enumerate(trial.sent):
        events = buffer.feed(AudioFrame(wire.decode(frame), wire.rate_hz))
        if any(isinstance(event, SpeechStarted) for event in events):
            return at
    return None


def report(record: dict[str, Any]) -> str:
    """One table."""
    rows = [
        (what, *(ms(record[name][key]) for key in ("mean", "p50", "p95", "p99", "max")))
        for what, name in (
            ("first interrupting sample → noticed (voice activity's part)", "noticed_s"),
            ("noticed → last audio", "silent_s"),
            ("noticed → response.done", "closed_s"),
            ("first interrupting sample → last audio", "whole_s"),
        )
    ]
    others = {status: count for status, count in record["statuses"].items() if status != "cancelled"}
    left = ", ".join(f"{count} {status}" for status, count in others.items()) or "none"
    return (
        f"{record['interrupted']} of {record['turns']} answers were interrupted while they were made (not: {left}). "
        f"For {record['audio_after_noticed']} of them, audio arrived after speech was noticed.\n\n"
        + table(("ms", "mean", "p50", "p95", "p99", "max"), rows)
    )


if __name__ == "__main__":
    main()
