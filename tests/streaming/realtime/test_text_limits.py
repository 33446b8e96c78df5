"""How much text a session takes, and keeps."""

from __future__ import annotations

from collections.abc import Callable

from streaming.realtime.limits import SessionLimits
from tests.streaming.realtime.peer import Peer

Connect = Callable[..., Peer]


async def test_a_conversation_forgets_its_oldest_texts(connect: Connect) -> None:
    peer = connect(limits=SessionLimits(max_characters=50))
    for name in ("first", "second"):
        peer.type_text("20 characters, twice", id=name)
    peer.type_text("x" * 12, id="third")
    assert (await peer.until("conversation.item.deleted"))["item_id"] == "first"
    await peer.settled()
    assert [item.id for item in peer.machine.conversation._items] == ["second", "third"]


async def test_more_text_than_a_conversation_holds_is_refused(connect: Connect) -> None:
    peer = connect(limits=SessionLimits(max_characters=50))
    peer.type_text("x" * 51)
    error = (await peer.until("error"))["error"]
    assert (error["code"], error["param"]) == ("string_above_max_length", "item.content")
    content = [{"type": "input_text", "text": "x" * 26}]
    item = {"type": "message", "role": "user", "content": content}
    peer.send("response.create", response={"input": [item, item]})
    error = (await peer.until("error"))["error"]
    assert (error["code"], error["param"]) == ("string_above_max_length", "response.input")
