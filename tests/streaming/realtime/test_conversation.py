"""Items of a conversation: their places, ids and number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streaming.realtime.limits import SessionLimits
from streaming.stages import Exchange
from tests.fakes import (
    FakeEncoder,
    FakePrompts,
)
from tests.streaming.realtime.dialogue import error_of, goes_on
from tests.streaming.realtime.peer import Peer

Connect = Callable[..., Peer]


def ids_of(peer: Peer) -> dict[str, str | None]:
    return {event["item"]["id"]: event["previous_item_id"] for event in peer.all("conversation.item.added")}


async def test_items_at_a_place(connect: Connect) -> None:
    prompts = FakePrompts()
    peer = connect(prompts=prompts)
    answer = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]}
    peer.type_text("now?", id="q2")
    peer.send("conversation.item.create", previous_item_id="root", item=answer | {"id": "a1"})
    peer.send("conversation.item.create", previous_item_id="root", item=_user("before?", "q1"))
    peer.send("conversation.item.create", previous_item_id="q1", item=answer | {"id": "a0"})
    peer.send("conversation.item.create", previous_item_id="missing", item=_user("lost?", "q9"))
    assert await error_of(peer) == ("item_create_invalid_previous_item_id", "previous_item_id")
    assert ids_of(peer) == {"q2": None, "a1": None, "q1": None, "a0": "q1"}
    peer.send("response.create")
    await peer.until("response.done")
    assert prompts.histories == [[Exchange("before?", "yes")]]


def _user(text: str, item_id: str) -> dict[str, Any]:
    return {"id": item_id, "type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


async def test_retrieve_and_delete(connect: Connect) -> None:
    peer = connect()
    peer.type_text("Hello?", id="mine")
    peer.send("conversation.item.retrieve", item_id="mine")
    item = (await peer.until("conversation.item.retrieved"))["item"]
    assert item == _user("Hello?", "mine") | {"object": "realtime.item", "status": "completed"}
    peer.send("conversation.item.delete", item_id="mine")
    assert (await peer.until("conversation.item.deleted"))["item_id"] == "mine"
    for kind in ("delete", "retrieve"):
        peer.send(f"conversation.item.{kind}", item_id="mine")
        assert await error_of(peer) == (f"item_{kind}_invalid_item_id", "item_id")


async def test_an_id_that_is_taken(connect: Connect) -> None:
    peer, encoder = connect(), FakeEncoder()
    peer.type_text("Hello?", id="mine")
    peer.type_text("Hello again?", id="mine")
    assert await error_of(peer) == ("item_create_duplicate_item_id", "item.id")
    assert encoder.calls == 0
    await goes_on(peer)


async def test_a_long_conversation_forgets_its_oldest_items(connect: Connect) -> None:
    peer = connect(limits=SessionLimits(max_items=4))
    for number in range(6):
        peer.type_text("Hello?", id=f"q{number}")
    await goes_on(peer)
    assert [event["item_id"] for event in peer.all("conversation.item.deleted")] == ["q0", "q1", "q2"]
