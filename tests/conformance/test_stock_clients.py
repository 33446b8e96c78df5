"""Stock, unmodified clients hold spoken conversations with the real server: real audio, real weights, no doubles.

What the model says is judged elsewhere. Here it matters that each client hears and sees a conversation as it expects it,
and that every event that it was sent is one of the protocol.
"""

from __future__ import annotations

import asyncio
import json
import os
from itertools import pairwise
from typing import Any

import pytest

from tests.conformance.conversations import CLIENTS, ROOT, SCENARIOS, Held, hold
from tests.conformance.relay import Message
from tests.streaming.realtime.peer import Protocol, check_types

PROFILE = json.loads((ROOT / "model" / "bundles" / "cslm-mini" / "profile.json").read_text(encoding="utf-8"))

pytestmark = [pytest.mark.e2e, pytest.mark.conformance]


@pytest.fixture(scope="module", params=list(CLIENTS))
def held(request: pytest.FixtureRequest, live_server: str, tmp_path_factory: pytest.TempPathFactory) -> Held:
    """All conversations of one client, held once."""
    client = CLIENTS[request.param]
    if not client.is_installed():
        message = f"the stock client {request.param} is not installed: `make clients`"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    return asyncio.run(hold(client, live_server.removeprefix("http://"), tmp_path_factory.mktemp(request.param)))


def seen(held: Held, scenario: str) -> dict[str, Any]:
    """What the client saw of a conversation; where it came to none, how it ended."""
    if scenario not in held.saw:
        tail = "\n".join(held.complaints.splitlines()[-30:])
        pytest.fail(f"the client ended with {held.status} before {scenario} was over:\n{tail}", pytrace=False)
    return held.saw[scenario]


def messages(held: Held, scenario: str) -> list[Message]:
    """What went over the wire in a conversation, connection after connection."""
    return [message for connection in held.wires[scenario].connections for message in connection]


def is_heard(saw: dict[str, Any]) -> None:
    """An answer that can be heard: speech of some length, not silence, and its words."""
    assert saw["answer"].strip()
    assert saw["audio_ms"] > 300
    assert saw["peak"] > 1000


def in_order(sent: list[Message], *wanted: str) -> None:
    """Each of `wanted` (`origin type`) came, the first behind the one before."""
    kinds = [f"{message.origin} {message.kind}" for message in sent]
    at = -1
    for before, kind in pairwise(("the beginning", *wanted)):
        assert kind in kinds[at + 1 :], f"no {kind} after {before}"
        at = kinds.index(kind, at + 1)


def test_every_client_holds_every_conversation(held: Held) -> None:
    assert list(held.saw) == list(SCENARIOS), held.complaints[-2000:]
    assert held.status == 0, held.complaints[-2000:]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_event_sent_is_of_the_protocol(held: Held, scenario: str) -> None:
    seen(held, scenario)
    assert held.wires[scenario].connections, "the client went through the relay"
    for connection in held.wires[scenario].connections:
        protocol = Protocol()
        events = [message.event for message in connection if message.origin == "server"]
        assert events
        for event in events:
            check_types(event)
            protocol.check(event)


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name != "error"])
def test_nothing_that_a_client_sends_is_refused(held: Held, scenario: str) -> None:
    """But for a cancel that comes when the server has cancelled already, which clients take as harmless."""
    seen(held, scenario)
    errors = [message.event["error"] for message in messages(held, scenario) if message.kind == "error"]
    assert [error for error in errors if error["code"] != "response_cancel_not_active"] == []


@pytest.mark.parametrize("scenario", ["defaults", "server_vad"])
def test_the_server_hears_the_end_of_a_turn_and_answers(held: Held, scenario: str) -> None:
    """As each package is configured by itself, which for two of them means `semantic_vad`, and with `server_vad`."""
    saw = seen(held, scenario)
    is_heard(saw)
    assert saw["heard"].strip()
    in_order(
        messages(held, scenario),
        "client input_audio_buffer.append",
        "server input_audio_buffer.speech_started",
        "server input_audio_buffer.speech_stopped",
        "server input_audio_buffer.committed",
        "server response.created",
        "server response.output_audio.delta",
        "server response.done",
    )


def test_a_client_ends_the_turn_itself(held: Held) -> None:
    saw = seen(held, "manual")
    is_heard(saw)
    assert saw["heard"].strip()
    sent = messages(held, "manual")
    in_order(sent, "client input_audio_buffer.commit", "server input_audio_buffer.committed", "server response.created")
    in_order(sent, "client response.create", "server response.created", "server response.done")
    assert not [message for message in sent if message.kind.startswith("input_audio_buffer.speech")]


def test_a_typed_question_is_answered(held: Held) -> None:
    saw = seen(held, "text")
    assert saw["answer"].strip()
    in_order(
        messages(held, "text"), "client conversation.item.create", "client response.create", "server response.done"
    )


def test_speaking_interrupts_and_history_keeps_what_was_heard(held: Held) -> None:
    """An answer under way is cancelled; one that is complete and only still being played is no more than truncated."""
    saw = seen(held, "barge_in")
    is_heard(saw)
    sent = messages(held, "barge_in")
    kinds = [message.kind for message in sent]
    done = [message.event["response"] for message in sent if message.kind == "response.done"]
    if kinds.index("input_audio_buffer.speech_started") < kinds.index("response.done"):
        assert done[0]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    else:
        assert done[0]["status"] == "completed"
    assert done[-1]["status"] == "completed"
    in_order(
        sent,
        "server response.output_audio.delta",
        "server input_audio_buffer.speech_started",
        "client conversation.item.truncate",
        "server conversation.item.truncated",
    )
    in_order(sent, "server input_audio_buffer.speech_stopped", "server response.created", "server response.done")
    cut = next(message.event for message in sent if message.kind == "conversation.item.truncate")
    answer = done[0]["output"][0]
    assert cut["item_id"] == answer["id"]
    items = [message.event["item"] for message in sent if message.kind == "conversation.item.retrieved"]
    kept = [item["content"][0]["transcript"] for item in items if item["id"] == answer["id"]]
    said = answer["content"][0]["transcript"]
    assert kept and said.startswith(kept[-1])
    assert len(kept[-1]) < len(said)


def test_an_error_is_told_and_the_client_goes_on(held: Held) -> None:
    saw = seen(held, "error")
    refused = [message.event["error"] for message in messages(held, "error") if message.kind == "error"]
    assert [error["code"] for error in refused] == [saw["code"]]
    is_heard(saw)


def test_a_second_turn_knows_the_first(held: Held) -> None:
    """The mechanism: client and server hold the same history, in order, and a model that takes history is told it.

    What the model makes of it is judged elsewhere.
    """
    saw = seen(held, "memory")
    assert [role for role, _ in saw["history"]] == ["user", "assistant", "user", "assistant"]
    assert all(text and text.strip() for _, text in saw["history"])
    sent = messages(held, "memory")
    assert [[role, text.strip()] for role, text in saw["history"]] == history(sent)
    usage = [message.event["response"]["usage"] for message in sent if message.kind == "response.done"]
    first, second = (each["input_token_details"]["text_tokens"] for each in usage)
    if PROFILE["history_turns"]:
        assert second > first, "the second question came with the first turn before it"


def test_a_client_of_a_full_server_waits_and_then_talks(held: Held) -> None:
    """What it is told while it waits is an event of ours, and what it says meanwhile is heard."""
    is_heard(seen(held, "queued"))
    in_order(
        messages(held, "queued"),
        "server session.queued",
        "server session.queued",
        "server session.created",
        "server response.created",
        "server response.done",
    )


def history(sent: list[Message]) -> list[list[str]]:
    """Role and text of the conversation's items, in the order in which the server placed them."""
    order: list[str] = []
    texts: dict[str, list[str]] = {}
    for message in sent:
        if message.kind == "conversation.item.added":
            before, item = message.event["previous_item_id"], message.event["item"]
            order.insert(order.index(before) + 1 if before else 0, item["id"])
        elif message.kind == "conversation.item.done":
            item = message.event["item"]
            part = item["content"][0]
            texts[item["id"]] = [item["role"], part.get("text") or part.get("transcript") or ""]
        elif message.kind == "conversation.item.input_audio_transcription.completed":
            texts[message.event["item_id"]][1] = message.event["transcript"]
    return [texts[item_id] for item_id in order]
