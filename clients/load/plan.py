"""What callers do: how many come, when, and what each says."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from clients.realtime import DEFAULT_URL, ReplyLanguage
from clients.recordings import Recording

Arrivals = Literal["poisson", "fixed"]

HEARD_S = (0.3, 2.0)
"""How much of an answer is heard at least and at most before the caller speaks into it."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Times in seconds, shares from 0 to 1.

    `callers`: so many at once, each calling again when its session ended. None: sessions arrive on their own,
    `rate_hz` a second and `max_sessions` at once; further arrivals are skipped and counted, never delayed.
    `duration_s`: how long sessions begin; `drain_s`: how long they may go on after that.

    `turns`: questions of a session. `think_s`: mean silence between an answer and the next question, which is drawn
    evenly from half of it to one and a half. `barge_ins`: share of the answers that the next question interrupts.
    `pauses`: share of the questions with a pause inside the sentence. `commit`: callers end their turns themselves.
    """

    callers: int | None = None
    rate_hz: float = 0.2
    duration_s: float = 60.0
    url: str = DEFAULT_URL
    headers: tuple[tuple[str, str], ...] = ()
    arrivals: Arrivals = "poisson"
    turns: int = 1
    max_sessions: int = 1000
    commit: bool = False
    think_s: float = 1.0
    barge_ins: float = 0.0
    pauses: float = 0.0
    buffer_s: float = 0.0
    timeout_s: float = 30.0
    drain_s: float = 60.0
    silence_ms: int | None = None
    reply_language: ReplyLanguage | None = None
    model: str | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """One turn of a caller. `hear_s`: how much of the answer is heard before the next question interrupts it."""

    recording: Recording
    think_s: float
    hear_s: float | None = None


def arrival_times(plan: LoadPlan) -> Iterator[float]:
    """Seconds from the start at which sessions arrive: the same for the same seed."""
    rng = random.Random(plan.seed)
    at_s = 0.0
    while True:
        at_s += rng.expovariate(plan.rate_hz) if plan.arrivals == "poisson" else 1 / plan.rate_hz
        if at_s > plan.duration_s:
            return
        yield at_s


def questions(plan: LoadPlan, recordings: Sequence[Recording], number: int) -> list[Question]:
    """What session `number` asks: the same for the same seed. The last answer is heard to its end."""
    rng = random.Random(f"{plan.seed}/{number}")
    asked = []
    for turn in range(plan.turns):
        recording = rng.choice(recordings)
        if rng.random() < plan.pauses:
            recording = recording.opened
        barge_in = rng.random() < plan.barge_ins and turn < plan.turns - 1
        asked.append(
            Question(
                recording,
                think_s=plan.think_s * rng.uniform(0.5, 1.5),
                hear_s=rng.uniform(*HEARD_S) if barge_in else None,
            )
        )
    return asked
