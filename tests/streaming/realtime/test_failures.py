"""Stages that fail, clients that vanish, sessions beside each other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from streaming.errors import EngineUnavailable
from streaming.stages import Pcm, UnitCut
from tests.fakes import (
    SPEECH_END,
    SPEECH_START,
    UNIT_BASE,
    FakeDecoder,
    FakeEncoder,
    FakeLM,
    FakePrompts,
    FakeVoiceActivity,
    answer_ids,
)
from tests.streaming.realtime.dialogue import HEARD, QUESTION, ask, error_of, goes_on, half_an_answer, manual
from tests.streaming.realtime.peer import Peer, silence, tone

Connect = Callable[..., Peer]


@pytest.mark.parametrize(
    "stages",
    [
        lambda failure: {"encoder": FakeEncoder(error=failure)},
        lambda failure: {"lm": FakeLM(fail_after=3, error=failure)},
        lambda failure: {"lm": FakeLM(fail_after=60, error=failure)},
        lambda failure: {"decoder": FakeDecoder(fail_after=0, error=failure)},
        lambda failure: {"decoder": FakeDecoder(fail_after=6, error=failure)},
    ],
    ids=["encoder", "lm at once", "lm later", "decoder at once", "decoder later"],
)
@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (EngineUnavailable, "engine_unavailable"),
        (RuntimeError, "internal_error"),
    ],
)
async def test_a_stage_fails(
    connect: Connect, stages: Callable[[Exception], dict[str, Any]], failure: type[Exception], code: str
) -> None:
    public = failure is EngineUnavailable
    peer = await manual(connect(**stages(failure("try again" if public else "secret: /weights exploded"))))
    peer.say(QUESTION)
    peer.send("input_audio_buffer.commit")
    for _ in range(2):
        peer.send("response.create")
        response = (await peer.until("response.done"))["response"]
        assert response["status"] == "failed"
        assert response["status_details"]["error"]["code"] == code
    assert "secret" not in json.dumps(peer.events)
    assert [outcome for _, outcome in peer.turns] == ["failed", "failed"]
    assert [error.code for error in peer.errors] == [code, code]


async def test_after_a_failure_the_session_goes_on(connect: Connect) -> None:
    lm = FakeLM(fail_after=3, error=EngineUnavailable("try again"))
    peer = connect(lm=lm)
    await ask(peer)
    await peer.until("response.done")
    lm.fail_after = None
    await goes_on(peer)


async def test_voice_activity_fails(connect: Connect) -> None:
    class Broken(FakeVoiceActivity):
        def probability(self, window: Pcm) -> float:
            raise RuntimeError("secret: onnx exploded")

    peer = connect(voice_activity=Broken)
    peer.say(tone(100))
    assert await error_of(peer) == ("internal_error", None)
    assert "secret" not in json.dumps(peer.events)
    await goes_on(peer)


async def test_an_encoder_that_fails_while_audio_comes(connect: Connect) -> None:
    class Dying(FakeEncoder):
        async def encode(self, audio: AsyncIterator[Pcm]) -> AsyncGenerator[list[int]]:
            async for _ in audio:
                raise EngineUnavailable("the encoder died")
            yield []

    peer = await manual(connect(encoder=Dying()))
    peer.say(tone(5000), piece=240)
    peer.send("input_audio_buffer.commit")
    peer.send("response.create")
    assert (await peer.until("response.done"))["response"]["status"] == "failed"


async def test_the_model_refuses_the_question(connect: Connect) -> None:
    peer = connect(prompts=FakePrompts(max_prompt_tokens=5))
    await ask(peer)
    details = (await peer.until("response.done"))["response"]["status_details"]
    assert details["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("hang", ["listening", "encoder", "lm", "speaking"])
async def test_a_client_that_vanishes_leaves_nothing_behind(connect: Connect, hang: str) -> None:
    encoder, decoder = FakeEncoder(hang=hang == "encoder"), FakeDecoder()
    lm = FakeLM(hang_after=0) if hang == "lm" else half_an_answer()
    peer = connect(encoder=encoder, lm=lm, decoder=decoder)
    peer.say(QUESTION)
    if hang != "listening":
        peer.say(silence(700))
        await peer.until("response.created")
    await peer.settled()
    await peer.hang_up()
    assert (lm.active, decoder.active) == (0, 0)
    assert encoder.calls == encoder.closed == 1
    assert len(asyncio.all_tasks()) == 1


async def test_a_transport_that_breaks_ends_the_session(connect: Connect) -> None:
    class Broken(FakeDecoder):
        async def synthesize(self, cuts: AsyncIterator[UnitCut]) -> AsyncGenerator[Pcm]:
            peer.running.cancel()
            async for pcm in super().synthesize(cuts):
                yield pcm

    lm, decoder = FakeLM(), Broken()
    peer = connect(lm=lm, decoder=decoder)
    peer.type_text("Hello?")
    peer.send("response.create")
    with pytest.raises(asyncio.CancelledError):
        await peer.running
    assert (lm.active, decoder.active) == (0, 0)
    peer.running = asyncio.create_task(asyncio.sleep(0))


async def test_sessions_never_mix(connect: Connect) -> None:
    """Each question has a loudness of its own; the model says back which it heard and speaks as many units."""

    def echo(prompt: list[int]) -> list[int]:
        loudest = max(prompt[prompt.index(SPEECH_START) + 1 : prompt.index(SPEECH_END)]) - UNIT_BASE
        return answer_ids(f"Q{loudest}", (f"A{loudest}.", [loudest, 49] * 20))

    stages = {"encoder": FakeEncoder(), "lm": FakeLM(echo), "decoder": FakeDecoder(), "prompts": FakePrompts()}
    peers = [connect(**stages) for _ in range(4)]
    levels = [0.21, 0.41, 0.61, 0.81]
    for _ in range(2):
        for peer, level in zip(peers, levels, strict=True):
            peer.say(np.full(24 * 400, level, np.float32))
            peer.say(silence(700))
    for peer, level in zip(peers, levels, strict=True):
        unit = int(level * 50)
        await peer.until("response.done")
        await peer.until("response.done")
        heard = {event["transcript"] for event in peer.all(f"{HEARD}.completed")}
        assert heard <= {f"Q{unit}"}
        finished = [e["response"] for e in peer.all("response.done") if e["response"]["status"] == "completed"]
        assert finished
        said = {response["output"][0]["content"][0]["transcript"] for response in finished}
        assert said == {f"A{unit}."}
    histories = stages["prompts"].histories
    assert all(len({exchange.question for exchange in history}) <= 1 for history in histories)
    ids = [{event["event_id"] for event in peer.events} for peer in peers]
    assert len(set.union(*ids)) == sum(map(len, ids))
