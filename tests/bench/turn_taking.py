"""How soon an answer is heard after the last sound, and which pauses inside a sentence break it in two.

    python -m tests.bench.turn_taking --url http://127.0.0.1:8080

Every recording is opened at quiet places of its middle, and a pause of 200 to 900 ms is put in, filled with the recording's own
background. It is spoken in real time over the socket with an open microphone, each time once with speculative turns and once without,
in a session of its own. A sentence is broken where its beginning was committed and stayed a message of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clients.realtime import RealtimeSession, append_event
from clients.realtime import connect as connect_socket
from clients.recordings import FRAME_S, background, looped, quiet_places, read_recording, speech_end
from streaming.audio import float_to_pcm16, pcm16_to_float
from streaming.stages import Pcm
from tests.bench.questions import Asked, connect, manifest, served
from tests.bench.results import arguments, ms, origin, summary, table, write

PAUSES_MS = tuple(range(200, 1000, 100))
_HZ = 24_000
_FRAME = round(_HZ * FRAME_S)
_AFTER_S = 3.0
_LATE_S = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """A recording with a pause in it: float32 [T] at 24 kHz, from its first sound to its last. `resumes_s`: end of the pause."""

    file: str
    pause_ms: int
    resumes_s: float
    pcm: Pcm
    background: Pcm


@dataclass(slots=True)
class Heard:
    """What the client saw of one sentence; seconds since its first sound."""

    speech_s: float
    committed: dict[str, float] = field(default_factory=dict[str, float])
    deleted: set[str] = field(default_factory=set[str])
    audio_s: list[float] = field(default_factory=list[float])

    @property
    def early(self) -> list[str]:
        """Messages that were committed before the last sound."""
        return [item for item, at_s in self.committed.items() if at_s < self.speech_s]

    @property
    def answered(self) -> bool:
        """There was audio of an answer to all of it."""
        return bool(self.committed) and any(at_s >= max(self.committed.values()) for at_s in self.audio_s)

    @property
    def first_audio_s(self) -> float | None:
        """From the last sound to the first audio of the answer to all of it."""
        last_s = max(self.committed.values(), default=0.0)
        after = [at_s for at_s in self.audio_s if at_s >= max(last_s, self.speech_s)]
        return after[0] - self.speech_s if after and last_s >= self.speech_s else None


def main() -> None:
    """Measure and write."""
    parser = arguments(__doc__, server=True)
    parser.add_argument("--every", type=int, default=1, help="speak one sentence of so many")
    options = parser.parse_args()
    asked = manifest()
    sentences = list(opened(asked))[:: options.every]
    with connect(options.url) as client:
        record: dict[str, Any] = {"origin": origin(), "served": served(client), "sentences": len(sentences)}
    record["voices"] = sorted({voice(each) for each in asked})
    record["modes"] = asyncio.run(speak_all(options.url, sentences))
    write(options.out, "turn_taking", record, report(record))


def voice(asked: Asked) -> str:
    """Who speaks. Of people it is not said: the numbered recordings are of one, and so are those with one prefix."""
    if asked.voice != "human":
        return asked.voice
    name = asked.file.split("-")[2].removesuffix(".flac")
    return "numbered" if name.isdigit() else name[:4]


def opened(recordings: Sequence[Asked], *, every_length: bool = False) -> Iterator[Spoken]:
    """Each recording with a pause at its quietest place, and with another at the next quiet one: of the next length, or of each."""
    lengths = itertools.cycle(PAUSES_MS)
    for asked in recordings:
        pcm = pcm16_to_float(read_recording(asked.path).pcm)
        pcm = pcm[: speech_end(np.frombuffer(float_to_pcm16(pcm), np.int16), _FRAME) * _FRAME]
        quiet = background(pcm)
        for at in quiet_places(pcm, 2):
            for pause_ms in PAUSES_MS if every_length else (next(lengths),):
                pause = looped(quiet, pause_ms * _HZ // 1000)
                resumes_s = (at + pause.size) / _HZ
                yield Spoken(asked.file, pause_ms, resumes_s, np.concatenate([pcm[:at], pause, pcm[at:]]), quiet)


async def speak_all(url: str, sentences: Sequence[Spoken]) -> dict[str, dict[str, Any]]:
    """All sentences, in both modes alternately."""
    heard: dict[bool, list[Heard]] = {True: [], False: []}
    for sentence in sentences:
        for speculative in (True, False):
            heard[speculative].append(await speak(url, sentence, speculative=speculative))
    return {("speculative" if mode else "plain"): counted(sentences, each) for mode, each in heard.items()}


async def speak(url: str, sentence: Spoken, *, speculative: bool) -> Heard:
    """One sentence in a session of its own."""
    address = url.replace("http://", "ws://").replace("https://", "wss://")
    heard = Heard(sentence.pcm.size / _HZ)
    async with connect_socket(address) as session:
        settings = {"type": "realtime", "speculative_turns": speculative}
        await session.send({"type": "session.update", "session": settings})
        listening = asyncio.create_task(listen(session, heard, time.monotonic()))
        silence = looped(sentence.background, round(_AFTER_S * _HZ))
        try:
            await microphone(session, np.concatenate([sentence.pcm, silence]))
            await late_answer(heard)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    return heard


async def microphone(session: RealtimeSession, pcm: Pcm) -> None:
    """Send `pcm` in real time: each frame when its last sample was spoken."""
    began_s = time.monotonic()
    for number, start in enumerate(range(0, pcm.size, _FRAME), start=1):
        await asyncio.sleep(max(0.0, began_s + number * FRAME_S - time.monotonic()))
        await session.send(append_event(float_to_pcm16(pcm[start : start + _FRAME])))


async def late_answer(heard: Heard) -> None:
    """What has not come by now may still come: on a busy machine that is no missing answer."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LATE_S):
            while not heard.answered:
                await asyncio.sleep(FRAME_S)


async def listen(session: RealtimeSession, heard: Heard, began_s: float) -> None:
    """Note what matters."""
    async for event in session:
        now_s = time.monotonic() - began_s
        match event.type:
            case "input_audio_buffer.committed":
                heard.committed[event.item_id] = now_s
            case "conversation.item.deleted":
                heard.deleted.add(event.item_id)
            case "response.output_audio.delta":
                heard.audio_s.append(now_s)


def counted(sentences: Sequence[Spoken], heard: Sequence[Heard]) -> dict[str, Any]:
    """Of all sentences: those that were broken, also by length of the pause; and the waits of the others."""
    broken = [bool(set(each.early) - each.deleted) for each in heard]
    by_pause = {
        pause: [is_broken for each, is_broken in zip(sentences, broken, strict=True) if each.pause_ms == pause]
        for pause in PAUSES_MS
    }
    return {
        "first_audio_s": summary([each.first_audio_s for each in heard if each.first_audio_s is not None]),
        "without_answer": sum(not each.answered for each in heard),
        "broken": sum(broken),
        "joined": sum(bool(set(each.early) & each.deleted) for each in heard),
        "heard_too_early": sum(any(at_s < each.speech_s for at_s in each.audio_s) for each in heard),
        "broken_by_pause": {str(pause): f"{sum(each)} of {len(each)}" for pause, each in by_pause.items()},
    }


def report(record: dict[str, Any]) -> str:
    """The modes side by side."""
    rows, pauses = [], []
    for mode, values in record["modes"].items():
        wait = values["first_audio_s"]
        times = [ms(wait[name]) if wait["n"] else "–" for name in ("p50", "p95", "max")]
        counts = [str(values[name]) for name in ("broken", "joined", "heard_too_early", "without_answer")]
        rows.append((mode, str(wait["n"]), *times, *counts))
        pauses.append((mode, *values["broken_by_pause"].values()))
    heads = ("turns", "n", "last sound → first audio, ms: p50", "p95", "max", "broken in two", "joined again",
             "answer heard before the end", "without an answer")  # fmt: skip
    return (
        f"{record['sentences']} sentences of {len(record['voices'])} voices, each with one pause.\n\n{table(heads, rows)}\n\n"
        f"Broken in two, by the length of the pause:\n\n{table(('turns', *(f'{p} ms' for p in PAUSES_MS)), pauses)}"
    )


if __name__ == "__main__":
    main()
