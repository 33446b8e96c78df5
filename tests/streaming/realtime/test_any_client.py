"""Whatever a client sends, in any order and at any pace: no crash, no leak, and the protocol's order holds.

Rules send valid, invalid, repeated, mutilated and badly timed messages; `peer` holds every event that comes back to the SDK's types and
to the protocol. At the end of each client's life every response that was created is done, every stage that was begun is closed, and no
task is left.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar, get_args

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from streaming.audio import WireFormat
from streaming.errors import EngineUnavailable
from streaming.headroom import Headroom
from streaming.realtime.config import TranscriptionConfig
from streaming.realtime.limits import SessionLimits, SessionModel, Speculation
from streaming.realtime.machine import RealtimeMachine
from tests.fakes import FakeDecoder, FakeEncoder, FakeEndOfTurn, FakeLM, fake_stages
from tests.streaming.realtime.peer import Peer, tone

STEPS = 20_000
LIMITS = SessionLimits(max_question_s=1.5, max_items=6, max_responses=3)
PIECES = {
    (kind, level): base64.b64encode(WireFormat(kind).encode(tone(160, level=level))).decode()
    for kind in ("audio/pcm", "audio/pcmu", "audio/pcma")
    for level in (0.0, 0.5)
}
VAD = {"type": "server_vad", "silence_duration_ms": 200, "prefix_padding_ms": 100}

lms: st.SearchStrategy[Callable[[], FakeLM]] = st.sampled_from(
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
encoders = st.sampled_from(
    [FakeEncoder, lambda: FakeEncoder(ahead=5), lambda: FakeEncoder(error=EngineUnavailable("try again"))]
)
which = st.integers(0, 40)

sessions = st.fixed_dictionaries(
    {},
    optional={
        "instructions": st.sampled_from(["Be brief.", "", None]),
        "speculative_turns": st.sampled_from([True, True, False]),
        "playout_lead_ms": st.sampled_from([None, 0, 300, 2000]),
        "output_modalities": st.sampled_from([["text"], ["audio"]]),
        "max_output_tokens": st.sampled_from([20, "inf", 0]),
        "reply_language": st.sampled_from(["zh", "auto", "fr"]),
        "audio": st.fixed_dictionaries(
            {},
            optional={
                "input": st.fixed_dictionaries(
                    {},
                    optional={
                        "format": st.sampled_from([{"type": "audio/pcm"}, {"type": "audio/pcmu"}, {"type": "mp3"}]),
                        "turn_detection": st.sampled_from(
                            [
                                None,
                                VAD,
                                VAD | {"interrupt_response": False},
                                VAD | {"create_response": False},
                                VAD | {"idle_timeout_ms": 100},
                                {"type": "semantic_vad", "eagerness": "high"},
                                {"type": "psychic_vad"},
                            ]
                        ),
                        "transcription": st.sampled_from([None, {"model": "m"}, {"delay": "minimal"}]),
                    },
                ),
                "output": st.sampled_from(
                    [{"voice": "other"}, {"voice": "nobody"}, {"format": {"type": "audio/pcma"}}]
                ),
            },
        ),
    },
)
texts = st.sampled_from([{"type": "input_text", "text": "Hello?"}, {"type": "output_text", "text": "Hi."}])
recordings = st.sampled_from([*sorted(PIECES), ("", 0)]).map(
    lambda piece: {"type": "input_audio", "audio": PIECES.get(piece, "?")}
)
items = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["message", "message", "message", "function_call_output"]),
        "role": st.sampled_from(["user", "user", "assistant", "system"]),
        "content": st.lists(texts | texts | recordings, min_size=1, max_size=3),
    },
    optional={"id": st.sampled_from(["mine", "yours"])},
)
references = st.sampled_from(["mine", "yours"]).map(lambda item_id: {"type": "item_reference", "id": item_id})
responses = st.fixed_dictionaries(
    {},
    optional={
        "conversation": st.sampled_from(["none", "none", "auto", "new"]),
        "input": st.lists(items | references, max_size=2),
        "instructions": st.just("Greet me."),
        "output_modalities": st.sampled_from([["text"], ["audio"], []]),
        "max_output_tokens": st.sampled_from([5, 60, "inf"]),
        "metadata": st.sampled_from([{"a": "b"}, {"a": 1}]),
        "audio": st.just({"output": {"format": {"type": "audio/pcmu"}}}),
    },
)


class AnyClient(RuleBasedStateMachine):
    """One client and its session, on a loop of its own."""

    steps: ClassVar[int] = 0
    speculations: ClassVar[Counter[str]] = Counter()

    @initialize(
        lm=lms,
        encoder=encoders,
        decoder=decoders,
        slowness=st.integers(0, 4),
        room=st.sampled_from([0, 1, 1, 4]),
        transcription=st.sampled_from([0, 0, 0, 1]),
    )
    def connects(self, lm: Any, encoder: Any, decoder: Any, slowness: int, room: int, transcription: bool) -> None:
        self.runner = asyncio.Runner()
        self.headroom = Headroom(room)
        self.lm, self.encoder, self.decoder = lm(), encoder(), decoder()
        judge = FakeEndOfTurn((0.0, 1.0, 0.5))
        stages = fake_stages(lm=self.lm, encoder=self.encoder, decoder=self.decoder, end_of_turn=judge)
        model = SessionModel("fake", ("default", "other"), stages)
        config = TranscriptionConfig(type="transcription") if transcription else None

        async def connected() -> Peer:
            return Peer(RealtimeMachine(model, LIMITS, config), stages, limits=LIMITS, headroom=self.headroom)

        self.peer = self.runner.run(connected())
        self.peer.slowness = slowness
        self.peer.protocol.captions = True
        self.last = "{}"
        self.others: set[int] = set()

    def sends(self, kind: str, **fields: Any) -> None:
        self.raw(json.dumps({"type": kind, **fields}))

    def raw(self, message: str | bytes) -> None:
        type(self).steps += 1
        if isinstance(message, str):
            self.last = message
        self.peer.raw(message)

    def some_item(self, number: int) -> str:
        told = (event["item_id"] for event in self.peer.events[-20:] if "item_id" in event)
        seen = [*self.peer.protocol.items, *told, "item_none"]
        return seen[number % len(seen)]

    @rule(
        kind=st.sampled_from(["audio/pcm"] * 4 + ["audio/pcmu"]),
        level=st.sampled_from([0.0, 0.5]),
        often=st.integers(1, 4),
    )
    def speaks_or_not(self, kind: Any, level: float, often: int) -> None:
        for _ in range(often):
            self.sends("input_audio_buffer.append", audio=PIECES[kind, level])

    @rule(pauses=st.lists(st.sampled_from([1, 1, 2, 3]), min_size=1, max_size=3))
    def hesitates(self, pauses: list[int]) -> None:
        """Pauses of 160 ms may be the end of a turn, those of 320 ms are; what is said next comes just before or after that."""
        for pause in pauses:
            for level, often in ((0.5, 1), (0.0, pause)):
                for _ in range(often):
                    self.sends("input_audio_buffer.append", audio=PIECES["audio/pcm", level])

    @rule(session=st.integers(0, 2))
    def others_come_and_go(self, session: int) -> None:
        self.headroom.end(session, gaps=session) if session in self.others else self.headroom.begin(session)
        self.others ^= {session}

    @rule(
        kind=st.sampled_from(
            ["input_audio_buffer.commit", "input_audio_buffer.clear", "output_audio_buffer.clear", "no.such.event"]
        )
    )
    def says_a_word(self, kind: str) -> None:
        self.sends(kind)

    @rule(session=sessions, kind=st.sampled_from(["realtime", "realtime", "realtime", "transcription"]))
    def changes_the_session(self, session: Any, kind: str) -> None:
        self.sends("session.update", session={"type": kind, **session})

    @rule(item=items, number=which)
    def creates_an_item(self, item: Any, number: int) -> None:
        before = [None, "root", self.some_item(number)][number % 3]
        self.sends("conversation.item.create", item=item, previous_item_id=before)

    @rule(number=which)
    def takes_the_id_of_a_question(self, number: int) -> None:
        content = [{"type": "input_text", "text": "Me!"}]
        item = {"type": "message", "role": "user", "content": content, "id": self.some_item(number)}
        self.sends("conversation.item.create", item=item)

    @rule(kind=st.sampled_from(["retrieve", "delete", "truncate"]), number=which, end=st.sampled_from([0, 100, 10**12]))
    def does_something_to_an_item(self, kind: str, number: int, end: int) -> None:
        more = {"content_index": 0, "audio_end_ms": end} if kind == "truncate" else {}
        self.sends(f"conversation.item.{kind}", item_id=self.some_item(number), **more)

    @rule(response=st.just({}) | responses)
    def asks_for_a_response(self, response: Any) -> None:
        self.sends("response.create", response=response)

    @rule(number=which)
    def cancels(self, number: int) -> None:
        ids = [None, "resp_none", *self.peer.protocol.open]
        self.sends("response.cancel", response_id=ids[number % len(ids)])

    @rule()
    def repeats_itself(self) -> None:
        self.raw(self.last)

    @rule(cut=st.floats(0, 1), junk=st.sampled_from(["", "}", '"', "\\", "\x00", "null", "[]"]))
    def breaks_off(self, cut: float, junk: str) -> None:
        self.raw(self.last[: int(cut * len(self.last))][:2000] + junk)

    @rule(message=st.sampled_from([b"\x00", b"", "", "[]", '{"type": 7}', '{"event_id": {}}']))
    def sends_garbage(self, message: str | bytes) -> None:
        self.raw(message)

    @rule(number=which, value=st.sampled_from([None, 0, -1, "", "x", [], {}, True, 1e300]))
    def mistakes_a_value(self, number: int, value: Any) -> None:
        try:
            message = json.loads(self.last)
        except ValueError:
            return
        if isinstance(message, dict) and message:
            name = sorted(message)[number % len(message)]
            self.raw(json.dumps({**message, name: value}))

    @rule(rounds=st.sampled_from([0, 1, 2, 5, 20, 80]))
    def waits(self, rounds: int) -> None:
        type(self).steps += 1
        self.runner.run(self.peer.settled(rounds))

    @invariant()
    def nothing_is_wrong(self) -> None:
        if not hasattr(self, "peer"):
            return
        self.peer.check()
        assert not self.peer.running.done()
        assert len(self.peer.protocol.open) <= LIMITS.max_responses
        assert len(asyncio.all_tasks(self.runner.get_loop())) < 60

    def teardown(self) -> None:
        if hasattr(self, "peer"):
            with self.runner:
                self.runner.run(self.leaves())

    async def leaves(self) -> None:
        """Settle, look at what is left, hang up, and look again."""
        peer, kind = self.peer, self.peer.machine.shape().kind
        if kind == "transcription":  # speech that is not written down holds the client back
            self.lm.released.set()
        deaf = {"type": kind, "audio": {"input": {"turn_detection": None}}}
        peer.send("session.update", session=deaf)  # else an idle user may be spoken to while all is counted
        peer.send("input_audio_buffer.clear")
        await peer.until("input_audio_buffer.cleared")
        await peer.settled(50)
        for response_id in list(peer.protocol.open):
            peer.send("response.cancel", response_id=response_id)
        peer.send("no.such.event", event_id="last")
        while (await peer.until("error"))["error"]["event_id"] != "last":
            pass
        assert not peer.protocol.open, "every response that was created is done"
        assert all(peer.protocol.items.values()), "every item that was added is done"
        told = set(peer.protocol.items)
        kept = {item.id for item in peer.machine.conversation._items}
        assert kept == told, "the conversation is what the client was told"
        committed = {event["item_id"] for event in peer.all("input_audio_buffer.committed")}
        assert committed <= peer.protocol.added
        failing = self.lm.fail_after or self.decoder.fail_after
        assert all(error.code != "internal_error" or failing for error in peer.errors)
        await peer.hang_up()
        assert self.headroom.speculative == 0
        type(self).speculations.update(peer.speculations)
        assert (self.lm.active, self.decoder.active, self.encoder.calls) == (0, 0, self.encoder.closed)
        assert asyncio.all_tasks() == {asyncio.current_task()}, "nothing outlives the session"


@pytest.mark.timeout(900)
def test_any_client() -> None:
    AnyClient.steps = 0
    AnyClient.speculations.clear()
    effort = settings(
        max_examples=340,
        stateful_step_count=60,
        phases=[Phase.generate],  # a failing example of many steps shrinks for minutes
        suppress_health_check=list(HealthCheck),
        deadline=None,
    )
    run_state_machine_as_test(AnyClient, settings=effort)
    assert AnyClient.steps >= STEPS
    assert set(AnyClient.speculations) == set(get_args(Speculation)), "all of it happened"
