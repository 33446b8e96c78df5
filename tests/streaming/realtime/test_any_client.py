"""Whatever a client sends, in any order and at any pace: no crash, and the protocol's order holds (see `peer.Protocol`)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from streaming.audio import WireFormat
from streaming.errors import EngineUnavailable
from streaming.realtime.session import RealtimeSession, SessionLimits, SessionModel
from tests.fakes import FakeDecoder, FakeEncoder, FakeLM, fake_stages
from tests.streaming.realtime.peer import Peer, tone

Step = Callable[[Peer], Any]
LIMITS = SessionLimits(max_question_s=1.5, max_items=6)
PIECES = {
    (kind, level): base64.b64encode(WireFormat(kind).encode(tone(160, level=level))).decode()
    for kind in ("audio/pcm", "audio/pcmu", "audio/pcma")
    for level in (0.0, 0.5)
}


def sends(kind: str, **fields: Any) -> Step:
    return lambda peer: peer.send(kind, **fields)


def appends(kind: Any, level: float) -> Step:
    return sends("input_audio_buffer.append", audio=PIECES[kind, level])


def updates(**session: Any) -> Step:
    return lambda peer: peer.update(**session)


def about_item(kind: str, which: int, **fields: Any) -> Step:
    """An event about one of the items seen so far, or about none."""

    def step(peer: Peer) -> None:
        seen = [*peer.protocol.items, *(event["item_id"] for event in peer.events if "item_id" in event), "item_none"]
        peer.send(kind, item_id=seen[which % len(seen)], **fields)

    return step


def creates(role: str, kind: str, which: int, item_id: str | None) -> Step:
    def step(peer: Peer) -> None:
        previous = [None, "root", *peer.protocol.items][which % (2 + len(peer.protocol.items))]
        content = [{"type": kind, "text": "Hello?"}]
        item = {"type": "message", "role": role, "content": content} | ({"id": item_id} if item_id else {})
        peer.send("conversation.item.create", item=item, previous_item_id=previous)

    return step


def takes_the_id_of_the_question(peer: Peer) -> None:
    for event in peer.all("input_audio_buffer.speech_started")[-1:]:
        peer.type_text("Me!", id=event["item_id"])


def waits(rounds: int) -> Step:
    return lambda peer: peer.settled(rounds)


vad = {"type": "server_vad", "silence_duration_ms": 200, "prefix_padding_ms": 100}
which = st.integers(0, 40)
step: st.SearchStrategy[Step] = st.one_of(
    st.builds(appends, st.sampled_from(["audio/pcm", "audio/pcmu", "audio/pcma"]), st.sampled_from([0.0, 0.5])),
    st.builds(appends, st.just("audio/pcm"), st.sampled_from([0.0, 0.5])),
    st.sampled_from(
        [
            sends("input_audio_buffer.commit"),
            sends("input_audio_buffer.clear"),
            sends("input_audio_buffer.append", audio="AAA"),
            sends("response.create"),
            sends("response.create"),
            sends("response.create", response={"output_modalities": ["text"], "metadata": {"a": "b"}}),
            sends("response.create", response={"audio": {"output": {"format": {"type": "audio/pcmu"}}}}),
            sends("response.cancel"),
            sends("response.cancel", response_id="resp_none"),
            sends("no.such.event"),
            updates(audio={"input": {"turn_detection": None}}),
            updates(audio={"input": {"turn_detection": vad}}),
            updates(audio={"input": {"turn_detection": vad | {"interrupt_response": False}}}),
            updates(audio={"input": {"turn_detection": vad | {"create_response": False}}}),
            updates(audio={"input": {"transcription": None}}),
            updates(audio={"input": {"format": {"type": "audio/pcmu"}}, "output": {"format": {"type": "audio/pcma"}}}),
            updates(audio={"output": {"voice": "nobody"}}),
            updates(instructions="Be brief.", reply_language="zh", output_modalities=["text"], max_output_tokens=20),
            takes_the_id_of_the_question,
            lambda peer: peer.raw(b"\x00"),
            lambda peer: peer.raw("{"),
        ]
    ),
    st.builds(
        creates,
        st.sampled_from(["user", "user", "assistant", "system"]),
        st.sampled_from(["input_text", "input_text", "output_text"]),
        which,
        st.sampled_from([None, None, "mine"]),
    ),
    st.builds(about_item, st.sampled_from(["conversation.item.delete", "conversation.item.retrieve"]), which),
    st.builds(
        about_item,
        st.just("conversation.item.truncate"),
        which,
        content_index=st.just(0),
        audio_end_ms=st.sampled_from([0, 100, 10**12]),
    ),
    st.sampled_from([0, 1, 2, 5, 30, 150]).map(waits),
)

lms = st.sampled_from(
    [
        FakeLM,
        lambda: FakeLM(per_step=100),
        lambda: FakeLM(hang_after=5),
        lambda: FakeLM(hang_after=60),
        lambda: FakeLM(fail_after=60),
        lambda: FakeLM(fail_after=3, error=EngineUnavailable("try again")),
    ]
)
decoders = st.sampled_from([FakeDecoder, FakeDecoder, lambda: FakeDecoder(fail_after=6)])
encoders = st.sampled_from([FakeEncoder, FakeEncoder, lambda: FakeEncoder(error=EngineUnavailable("try again"))])


@settings(max_examples=80, phases=[Phase.generate])  # a failing example of many steps shrinks for minutes
@given(st.lists(step, min_size=15, max_size=60), lms, encoders, decoders, st.integers(0, 6))
def test_any_client(
    steps: list[Step],
    lm_of: Callable[[], FakeLM],
    encoder_of: Callable[[], FakeEncoder],
    decoder_of: Callable[[], FakeDecoder],
    slowness: int,
) -> None:
    async def run() -> None:
        lm, encoder, decoder = lm_of(), encoder_of(), decoder_of()
        model = SessionModel("fake", ("default", "other"), fake_stages(lm=lm, encoder=encoder, decoder=decoder))
        peer = Peer(lambda send, observer: RealtimeSession(model, send, limits=LIMITS, observer=observer))
        peer.slowness = slowness
        for each in steps:
            waiting = each(peer)
            if waiting is not None:
                await waiting
            peer.check()
        peer.send("input_audio_buffer.clear")
        await peer.until("input_audio_buffer.cleared")
        peer.send("response.cancel")
        peer.send("no.such.event", event_id="last")
        while (await peer.until("error"))["error"]["event_id"] != "last":
            pass
        assert not peer.protocol.open
        assert all(peer.protocol.items.values())
        committed = {event["item_id"] for event in peer.all("input_audio_buffer.committed")}
        assert committed <= peer.protocol.added
        assert len(peer.turns) <= len(peer.protocol.responses)
        assert all(error.code != "internal_error" or lm.fail_after or decoder.fail_after for error in peer.errors)
        await peer.hang_up()
        assert (lm.active, decoder.active, encoder.calls) == (0, 0, encoder.closed)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())
