"""A caller who has used what it may use: what sessions say of it, and that they go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

from streaming.errors import RateLimited, SpeechServerError
from streaming.realtime import effects as do
from streaming.realtime import events as out
from streaming.realtime.limits import SessionLimits
from streaming.realtime.server_shapes import RateLimit
from streaming.report import TurnReport
from streaming.turn import AudioDelta
from tests.streaming.realtime.peer import Peer, silence, tone
from tests.streaming.realtime.test_machine import kinds
from tests.streaming.realtime.test_speculation import END, Session
from tests.streaming.realtime.test_translation import connect as translate
from tests.streaming.realtime.test_translation import say

__all__ = ["translate"]

Connect = Callable[..., Peer]


class Turns:
    """An allowance of a few turns."""

    def __init__(self, most: int) -> None:
        self.most, self.left = most, most

    async def until_ended(self) -> None:
        await asyncio.Event().wait()

    def refusal(self) -> SpeechServerError | None:
        return None if self.left else RateLimited("no more", retry_s=7.0)

    def take_turn(self) -> None:
        if (why := self.refusal()) is not None:
            raise why
        self.left -= 1

    @property
    def turns(self) -> RateLimit | None:
        return RateLimit(self.most, self.left, 7.0)


async def test_a_turn_beyond_it_fails_and_the_session_goes_on(connect: Connect) -> None:
    allowance = Turns(1)
    peer = connect(limits=SessionLimits(allowance=allowance))
    statuses, limits = [], []
    for _ in range(3):
        peer.type_text("Hello?")
        peer.send("response.create")
        limits.append((await peer.until("rate_limits.updated"))["rate_limits"])
        statuses.append((await peer.until("response.done"))["response"])
        if len(statuses) == 2:
            allowance.left = 1
    assert [each["status"] for each in statuses] == ["completed", "failed", "completed"]
    assert statuses[1]["status_details"]["error"]["code"] == "rate_limit_exceeded"
    assert [each[0]["remaining"] for each in limits] == [0, 0, 0]
    assert limits[0] == [{"name": "requests", "limit": 1, "remaining": 0, "reset_seconds": 7.0}]


async def test_what_is_not_covered_is_not_written_down(connect: Connect) -> None:
    peer = connect(limits=SessionLimits(allowance=Turns(1)))
    peer.send(
        "session.update", session={"type": "transcription", "audio": {"input": {"transcription": {"model": "m"}}}}
    )
    for kind in ("completed", "failed"):
        peer.say(np.concatenate([tone(500), silence(900)]))
        event = await peer.until(f"conversation.item.input_audio_transcription.{kind}")
    assert event["error"]["code"] == "rate_limit_exceeded"


def test_nothing_is_answered_in_the_dark_without_an_allowance() -> None:
    assert do.StartTurn not in kinds(Session(limits=SessionLimits(allowance=Turns(0))).paused)


def test_an_answer_in_the_dark_counts_when_it_is_shown() -> None:
    allowance = Turns(1)
    session = Session(limits=SessionLimits(allowance=allowance))
    session.says(AudioDelta(np.ones(7, np.float32)))
    assert allowance.left == 1
    assert do.ShowTurn in kinds(session.hear(END))
    assert allowance.left == 0


def test_an_answer_in_the_dark_is_discarded_where_others_used_the_allowance() -> None:
    allowance = Turns(1)
    session = Session(limits=SessionLimits(allowance=allowance))
    allowance.left = 0
    outputs = session.hear(END)
    assert do.CancelTurn in kinds(outputs) and do.ShowTurn not in kinds(outputs)
    [refused] = [each for each in outputs if isinstance(each, do.RefuseTurn)]
    session.closed(cancelled=True)
    closed = session.machine.receive(do.TurnClosed(refused.turn_id, TurnReport(), refused.why))
    [done] = [each for each in closed if isinstance(each, out.ResponseDone)]
    assert done.response.details is not None and done.response.details.error is refused.why


async def test_a_phrase_that_is_not_covered_is_not_translated(translate: Connect) -> None:
    peer = translate(limits=SessionLimits(allowance=Turns(1)))
    for _ in range(2):
        say(peer, 500)
        say(peer, 500, loud=False)
    peer.send("session.close")
    error = await peer.until("error")
    assert error["error"]["code"] == "rate_limit_exceeded"
    await peer.until("session.closed")
