"""docs/realtime.md says of every event and field what becomes of it. It must be complete, and true."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from pydantic import BaseModel

from streaming.audio import WireFormat
from tests import tool_caller
from tests.fakes import FakeDecoder, FakeLM
from tests.streaming.realtime.peer import Event, Peer, silence, tone

Connect = Callable[..., Peer]
Row = list[str]

DOC = (Path(__file__).parents[3] / "docs" / "realtime.md").read_text(encoding="utf-8")


def rows(name: str) -> list[Row]:
    body = re.search(f"<!-- {name} -->\n(.*?)<!-- /{name} -->", DOC, re.DOTALL)
    assert body is not None
    lines = body.group(1).strip().splitlines()[2:]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


CLIENT = rows("client events")
SERVER = rows("server events")


# What the SDK's types have


def shapes(annotation: Any) -> list[type[BaseModel]]:
    if get_origin(annotation) is Annotated:
        return shapes(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType, list):
        return [shape for inner in get_args(annotation) for shape in shapes(inner)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def fields(shape: type[BaseModel], path: tuple[str, ...] = (), above: tuple[type, ...] = ()) -> Iterator[str]:
    """Paths of all fields, without the event's own type and id."""
    for name, field in shape.model_fields.items():
        if not path and name in ("type", "event_id"):
            continue
        inner = [each for each in shapes(field.annotation) if each not in above]
        if not inner:
            yield ".".join((*path, name))
        for each in inner:
            yield from fields(each, (*path, name), (*above, each))


def kinds(union: Any) -> dict[str, type[BaseModel]]:
    return {get_args(kind.model_fields["type"].annotation)[0]: kind for kind in get_args(get_args(union)[0])}


def test_every_client_event_and_field_has_its_row() -> None:
    have: dict[str, list[str]] = {}
    for event, field, *_ in CLIENT:
        have.setdefault(quoted(event)[0], []).extend(quoted(field))
    for event, shape in kinds(RealtimeClientEvent).items():
        assert event in have
        missing = {
            field
            for field in fields(shape)
            if not any(field == row or field.startswith(f"{row}.") for row in have[event])
        }
        assert not missing, f"{event}: {sorted(missing)}"
    assert set(have) == set(kinds(RealtimeClientEvent))


def test_every_server_event_has_its_row() -> None:
    assert sorted(name for event, *_ in SERVER for name in quoted(event)) == sorted(kinds(RealtimeServerEvent))


# What becomes of the examples

SPEECH = base64.b64encode(WireFormat().encode(tone(200))).decode()
USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
SMALLEST: dict[str, Event] = {
    "session.update": {"session": {"type": "realtime"}},
    "conversation.item.create": {"item": USER},
    "response.create": {"response": {}},
}


def with_example(event: Event, example: Event) -> Event:
    merged = dict(event)
    for name, value in example.items():
        before = event.get(name)
        inner = (
            isinstance(value, dict)
            and isinstance(before, dict)
            and value.get("type", before.get("type")) == before.get("type")
        )
        merged[name] = with_example(event[name], value) if inner else value
    return merged


@pytest.mark.parametrize("row", CLIENT, ids=lambda row: f"{row[0]} {row[1]}".replace("`", ""))
async def test_examples(connect: Connect, row: Row) -> None:
    kind, verdict, example = quoted(row[0])[0], row[2], quoted(row[3])[0]
    peer = connect(calls_tools=True)
    if kind != "session.update":
        peer.type_text("Hello?", id="said")
    answered = kind == "conversation.item.truncate"
    if answered:
        peer.send("response.create")
        answer = (await peer.until("response.done"))["response"]["output"][0]["id"]
        example = example.replace("$ANSWER", answer)
    event = with_example(SMALLEST.get(kind, {}), json.loads(example.replace("$SPEECH", SPEECH)))
    peer.send(kind, event_id="example", **event)
    peer.send("no.such.event", event_id="after")
    errors = {}
    while "after" not in errors:
        error = (await peer.until("error"))["error"]
        errors[error["event_id"]] = error
    if verdict in ("done", "taken"):
        assert "example" not in errors, errors["example"]["message"]
        return
    assert errors["example"]["code"] == quoted(verdict)[0]
    assert len(errors["example"]["message"]) > 10


# What is sent


def filled(value: object, path: tuple[str, ...] = ()) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from filled(inner, (*path, name))
    elif isinstance(value, list) and value:
        for inner in value:
            yield from filled(inner, path)
    elif value is not None:
        yield ".".join(path)


def never_filled(shape: type[BaseModel], seen: set[str]) -> Iterator[str]:
    """Fields of an event that no path in `seen` leads to, and where there is but one shape, the fields of that."""

    def reached(field: str) -> bool:
        return any(path == field or path.startswith(f"{field}.") for path in seen)

    for name, field in shape.model_fields.items():
        inner = shapes(field.annotation)
        if not reached(name):
            yield name
        elif len(inner) == 1 or name == "session":
            below = inner[0].model_fields
            yield from (f"{name}.{each}" for each in below if not reached(f"{name}.{each}"))


async def long_conversation(connect: Connect) -> list[Event]:
    """Everything that there is, once."""
    peer = connect(decoder=FakeDecoder(per_unit=10))
    peer.say(tone(400))
    peer.say(silence(600))
    answer = (await peer.until("response.done"))["response"]["output"][0]["id"]
    peer.send("conversation.item.truncate", item_id=answer, content_index=0, audio_end_ms=5)
    peer.send("conversation.item.retrieve", item_id=answer)
    peer.send("conversation.item.delete", item_id=answer, event_id="e")
    peer.send("conversation.item.delete", item_id=answer, event_id="e")
    peer.send("input_audio_buffer.clear")
    peer.update(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 100}}})
    peer.type_text("Hello?")
    text = {"output_modalities": ["text"], "metadata": {"a": "b"}, "max_output_tokens": 60}
    peer.send("response.create", response=text)
    await peer.until("response.done")
    peer.say(silence(300))
    await peer.until("input_audio_buffer.timeout_triggered")
    await peer.until("response.done")
    peer.type_text("And now?")
    peer.send("response.create", response={"conversation": "none"})
    failing = connect(lm=FakeLM(fail_after=5))
    failing.type_text("Hello?")
    failing.send("response.create")
    await failing.until("response.done")
    calling = connect(lm=FakeLM(tool_caller.calling), calls_tools=True)
    calling.update(tools=[tool_caller.WEATHER])
    calling.type_text("Hello?")
    calling.send("response.create")
    await calling.until("response.done")
    captions = connect(lm=FakeLM(fail_after=2))
    captions.send("session.update", session={"type": "transcription"})
    captions.say(tone(400))
    captions.send("input_audio_buffer.commit")
    await captions.until("conversation.item.input_audio_transcription.failed")
    await peer.until("response.done")
    await asyncio.sleep(0)
    return [*peer.events, *failing.events, *calling.events, *captions.events]


async def test_what_is_sent(connect: Connect) -> None:
    seen: dict[str, set[str]] = {}
    for event in await long_conversation(connect):
        seen.setdefault(event["type"], set()).update(filled(event))
    known = kinds(RealtimeServerEvent)
    assert set(seen) == {name for event, verdict, _ in SERVER if verdict.startswith("sent") for name in quoted(event)}
    told = {quoted(event)[0]: set(quoted(never)) for event, verdict, never in SERVER if verdict.startswith("sent")}
    assert {name: set(never_filled(known[name], seen[name])) for name in told} == told
