"""Tools of a session: declared, called, answered, and refused where the model has not learned to."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any

import pytest

from streaming.realtime.beta import Beta
from streaming.realtime.limits import SessionLimits, SessionModel
from streaming.realtime.machine import RealtimeMachine
from streaming.tools import ToolCall
from tests.fakes import FakeEncoder, FakeLM, FakePrompts, fake_stages
from tests.streaming.realtime.dialogue import HEARD as HEARING
from tests.streaming.realtime.dialogue import MANUAL, QUESTION, error_of, goes_on, started, without_deltas
from tests.streaming.realtime.peer import Peer, silence
from tests.streaming.realtime.test_beta import check as check_beta
from tests.tool_caller import ARGUMENTS, FOUND, HEARD, TIMER, TOLD, WEATHER, calling, text_of

Connect = Callable[..., Peer]


async def with_tools(connect: Connect, *tools: dict[str, Any], lm: FakeLM | None = None, **session: Any) -> Peer:
    peer = connect(lm=lm or FakeLM(calling), calls_tools=True, prompts=FakePrompts())
    peer.update(**MANUAL, tools=list(tools), **session)
    await peer.until("session.updated")
    return peer


def with_parameter(schema: Any) -> dict[str, Any]:
    return {"type": "function", "name": "f", "parameters": {"properties": {"a": schema}}}


async def called(peer: Peer) -> dict[str, Any]:
    """A typed question, and the item that comes of it."""
    peer.type_text(HEARD)
    peer.send("response.create")
    done = (await peer.until("response.done"))["response"]
    (item,) = done["output"]
    return item


def give(peer: Peer, call_id: str, output: str = FOUND) -> None:
    item = {"type": "function_call_output", "call_id": call_id, "output": output}
    peer.send("conversation.item.create", item=item)
    peer.send("response.create")


async def test_a_spoken_question_is_answered_by_a_call_and_its_result_in_speech(connect: Connect) -> None:
    prompts, lm = FakePrompts(), FakeLM(calling)
    peer = connect(lm=lm, prompts=prompts, calls_tools=True)
    peer.update(tools=[WEATHER, TIMER])
    peer.say(QUESTION)
    peer.say(silence(700))
    done = (await peer.until("response.done"))["response"]
    (call,) = done["output"]
    assert (call["type"], call["name"], call["status"]) == ("function_call", "get_weather", "completed")
    assert call["arguments"] == '{"city": "Paris"}'
    assert (done["status"], done["output_modalities"]) == ("completed", ["audio"])
    kinds = without_deltas(peer.kinds())
    assert kinds[kinds.index("response.created") :] == [
        "response.created",
        "rate_limits.updated",
        f"{HEARING}.completed",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    begun = peer.all("response.output_item.added")[0]["item"]
    assert (begun["status"], begun["arguments"], begun["call_id"]) == ("in_progress", "", call["call_id"])
    deltas = peer.all("response.function_call_arguments.delta")
    assert "".join(delta["delta"] for delta in deltas) == call["arguments"]
    assert len(deltas) > 1
    assert {(delta["item_id"], delta["call_id"]) for delta in deltas} == {(call["id"], call["call_id"])}
    assert [tool.name for tool in prompts.options[-1].tools] == ["get_weather", "set_timer"]
    give(peer, call["call_id"])
    answer = (await peer.until("response.done"))["response"]["output"][0]
    assert answer["content"] == [{"type": "output_audio", "transcript": TOLD}]
    assert peer.all("response.output_audio.delta")
    assert prompts.options[-1].calls == (ToolCall("get_weather", call["arguments"], FOUND),)
    assert HEARD in text_of(lm.prompts[-1])


async def test_names_and_arguments_are_held_to_what_was_declared(connect: Connect) -> None:
    lm = FakeLM(calling)
    peer = await with_tools(connect, WEATHER, TIMER, lm=lm)
    await called(peer)
    _, named, filled = lm.samplings
    assert named.constraint and named.constraint.choices == ("get_weather ", "set_timer ")
    assert filled.constraint and '"required": ["city"]' in filled.constraint.schema
    assert '"additionalProperties": false' in filled.constraint.schema


async def test_a_question_that_needs_no_tool_is_answered(connect: Connect) -> None:
    peer = await with_tools(connect, WEATHER, lm=FakeLM(partial(calling, calls=False)))
    answer = await called(peer)
    assert answer["content"] == [{"type": "output_audio", "transcript": "I am well."}]
    assert without_deltas(peer.kinds()).count("response.content_part.added") == 1


@pytest.mark.parametrize(
    ("choice", "calls", "declared"),
    [
        ("none", False, ()),
        ("required", True, ("get_weather", "set_timer")),
        ({"type": "function", "name": "get_weather"}, True, ("get_weather",)),
    ],
)
@pytest.mark.parametrize("where", ["session", "response"])
async def test_what_is_chosen_is_called(
    connect: Connect, choice: Any, calls: bool, declared: tuple[str, ...], where: str
) -> None:
    """Although this model would not call by itself; with `none` it cannot."""
    lm = FakeLM(partial(calling, calls=False))
    prompts = FakePrompts()
    peer = connect(lm=lm, calls_tools=True, prompts=prompts)
    peer.update(**MANUAL, tools=[WEATHER, TIMER], **({"tool_choice": choice} if where == "session" else {}))
    peer.type_text(HEARD)
    peer.send("response.create", response={"tool_choice": choice} if where == "response" else {})
    (item,) = (await peer.until("response.done"))["response"]["output"]
    assert item["type"] == ("function_call" if calls else "message")
    assert tuple(tool.name for tool in prompts.options[-1].tools) == declared


async def test_tools_of_one_response(connect: Connect) -> None:
    peer = await with_tools(connect)
    peer.type_text(HEARD)
    peer.send("response.create", response={"tools": [WEATHER]})
    (item,) = (await peer.until("response.done"))["response"]["output"]
    assert item["name"] == "get_weather"
    peer.send("response.create", response={"tools": [], "output_modalities": ["text"]})
    (item,) = (await peer.until("response.done"))["response"]["output"]
    assert item["type"] == "message"


async def test_the_session_shows_its_tools(connect: Connect) -> None:
    peer = await with_tools(connect, WEATHER, tool_choice="required")
    session = peer.all("session.updated")[-1]["session"]
    assert (session["tools"], session["tool_choice"]) == ([WEATHER], "required")


@pytest.mark.parametrize("arguments", ['{"city": 3}', "{}", '{"city": "Par', '{"city": "Paris", "mood": 1}', "[]"])
async def test_arguments_that_the_tool_does_not_take_are_told(connect: Connect, arguments: str) -> None:
    """As of an engine that cannot hold the model to a schema."""
    peer = await with_tools(connect, WEATHER, lm=FakeLM(partial(calling, arguments=arguments)))
    item = await called(peer)
    assert (item["type"], item["status"], item["arguments"]) == ("function_call", "incomplete", arguments)
    response = peer.all("response.done")[-1]["response"]
    assert response["status"] == "incomplete"
    assert response["status_details"]["error"]["code"] == "invalid_call"
    peer.send("response.create", response={"tool_choice": "none"})
    assert (await peer.until("response.done"))["response"]["output"][0]["type"] == "message"


async def test_a_call_that_is_cut_off_says_so(connect: Connect) -> None:
    long = json.dumps({"city": 90 * "a"})
    peer = await with_tools(connect, WEATHER, lm=FakeLM(partial(calling, arguments=long)))
    peer.type_text(HEARD)
    peer.send("response.create", response={"max_output_tokens": 60})
    response = (await peer.until("response.done"))["response"]
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert (response["output"][0]["type"], response["output"][0]["status"]) == ("function_call", "incomplete")


async def test_a_call_that_meets_the_limit_of_the_bundle_is_cut_off_too(connect: Connect) -> None:
    long = json.dumps({"city": 2000 * "a"})
    peer = await with_tools(connect, WEATHER, lm=FakeLM(partial(calling, arguments=long)))
    await called(peer)
    response = peer.all("response.done")[-1]["response"]
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}


async def test_a_tool_that_is_not_there_is_told(connect: Connect) -> None:
    peer = await with_tools(connect, TIMER, {**TIMER, "name": "stop_timer"})
    item = await called(peer)
    assert (item["type"], item["status"]) == ("message", "incomplete")
    assert peer.all("response.done")[-1]["response"]["status_details"]["error"]["code"] == "invalid_call"


async def test_later_turns_know_what_was_called(connect: Connect) -> None:
    prompts = FakePrompts()
    peer = connect(lm=FakeLM(calling), calls_tools=True, prompts=prompts)
    peer.update(**MANUAL, tools=[WEATHER])
    call = await called(peer)
    give(peer, call["call_id"])
    await peer.until("response.done")
    await called(peer)
    (exchange,) = prompts.histories[-1]
    assert exchange.calls == (ToolCall("get_weather", '{"city": "Paris"}', FOUND),)
    assert exchange.answer == TOLD
    assert prompts.options[-1].calls == ()


async def test_a_call_of_an_earlier_session_is_told_again(connect: Connect) -> None:
    peer = await with_tools(connect, WEATHER)
    peer.type_text(HEARD)
    call = {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": "{}"}
    peer.send("conversation.item.create", item=call)
    give(peer, "c")
    done = (await peer.until("response.done"))["response"]["output"][0]
    assert done["content"][0]["transcript"] == TOLD
    shown = [event["item"] for event in peer.all("conversation.item.done")]
    assert [item["type"] for item in shown] == ["message", "function_call", "function_call_output", "message"]


async def test_an_output_without_its_call_is_refused(connect: Connect) -> None:
    peer = await with_tools(connect, WEATHER)
    give(peer, "nobody")
    assert await error_of(peer) == ("invalid_value", "item.call_id")


async def test_speech_over_a_call_cancels_it(connect: Connect) -> None:
    lm = FakeLM(calling, hang_after=40)  # in the middle of what it writes for the question
    peer = await started(connect(lm=lm, calls_tools=True, encoder=FakeEncoder()))
    peer.update(tools=[WEATHER], speculative_turns=False)
    peer.type_text(HEARD)
    peer.send("response.create")
    await peer.until("response.created")
    peer.say(QUESTION)
    done = (await peer.until("response.done"))["response"]
    assert (done["status"], done["output"][0]["status"]) == ("cancelled", "incomplete")
    lm.released.set()


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ([{"type": "function", "name": "two words"}], "session.tools.0.name"),
        ([{"type": "mcp", "server_label": "s"}], "session.tools.0.type"),
        ([{"type": "function", "name": "f", "parameters": {"type": "string"}}], "session.tools.0.parameters"),
        ([{"type": "function", "name": "f", "parameters": {"required": 1}}], "session.tools.0.parameters"),
        ([{"type": "function", "name": "f", "parameters": {"x": "y" * 9000}}], "session.tools.0.parameters"),
        ([with_parameter({"enum": 5})], "session.tools.0.parameters"),
        ([with_parameter({"type": 5})], "session.tools.0.parameters"),
        ([with_parameter({"type": ["string", {}]})], "session.tools.0.parameters"),
        ([with_parameter({"type": "object", "properties": ["b"]})], "session.tools.0.parameters"),
        ([with_parameter({"type": "array", "items": {"type": "object", "required": 5}})], "session.tools.0.parameters"),
        ([with_parameter({"type": "array", "items": "string"})], "session.tools.0.parameters"),
        ([with_parameter("string")], "session.tools.0.parameters"),
        ([WEATHER, WEATHER], "session.tools"),
        ([{**WEATHER, "name": f"f{n}"} for n in range(33)], "session.tools"),
        ([{**WEATHER, "name": f"f{n}", "description": "x" * 9000} for n in range(4)], "session.tools"),
    ],
)
async def test_tools_that_cannot_be_declared_are_refused_alone(connect: Connect, tools: Any, param: str) -> None:
    peer = connect(calls_tools=True)
    peer.update(instructions="Be brief.", tools=tools)
    error = (await peer.until("error"))["error"]
    assert error["param"] == param
    updated = (await peer.until("session.updated"))["session"]
    assert (updated["instructions"], updated["tools"]) == ("Be brief.", [])


async def test_a_choice_that_is_not_there_is_refused(connect: Connect) -> None:
    peer = await with_tools(connect, WEATHER)
    peer.update(tool_choice={"type": "function", "name": "other"})
    assert await error_of(peer) == ("invalid_value", "session.tool_choice.name")
    peer.send("response.create", response={"tool_choice": {"type": "function", "name": "other"}})
    assert await error_of(peer) == ("invalid_value", "response.tool_choice.name")


async def test_tools_without_the_one_that_the_session_chose_are_refused(connect: Connect) -> None:
    """The error names what the client has sent."""
    peer = await with_tools(connect, WEATHER, tool_choice={"type": "function", "name": "get_weather"})
    peer.type_text(HEARD)
    peer.send("response.create", response={"tools": [TIMER]})
    assert await error_of(peer) == ("invalid_value", "response.tools")
    peer.update(tools=[TIMER])
    assert await error_of(peer) == ("invalid_value", "session.tools")
    peer.update(tools=[TIMER], tool_choice="auto")
    await peer.until("session.updated")


async def test_a_model_that_calls_no_tools_says_so_and_goes_on(connect: Connect) -> None:
    peer = connect()
    peer.update(instructions="Be brief.", tools=[WEATHER], tool_choice="required")
    errors = [(await peer.until("error"))["error"] for _ in range(2)]
    assert [error["param"] for error in errors] == ["session.tools", "session.tool_choice"]
    assert errors[0]["message"] == "fake calls no tools; accepted: an empty list"
    updated = (await peer.until("session.updated"))["session"]
    assert (updated["instructions"], updated["tools"], updated["tool_choice"]) == ("Be brief.", [], "auto")
    peer.send("response.create", response={"tools": [WEATHER]})
    assert await error_of(peer) == ("invalid_value", "response.tools")
    output = {"type": "function_call_output", "call_id": "c", "output": FOUND}
    peer.send("conversation.item.create", item=output)
    assert await error_of(peer) == ("invalid_value", "item.type")
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    peer.send("response.create", response={"input": [call]})
    assert await error_of(peer) == ("invalid_value", "response.input.0.type")
    await goes_on(peer)


@pytest.fixture
async def beta() -> AsyncGenerator[Peer]:
    stages = fake_stages(lm=FakeLM(calling))
    model = SessionModel("gpt-4o-realtime-preview", ("default", "other"), stages, calls_tools=True)
    peer = Peer(RealtimeMachine(model, SessionLimits()), stages, check_beta, dialect=Beta())
    yield peer
    await peer.hang_up()


async def test_the_beta_dialect_calls_too(beta: Peer) -> None:
    beta.send("session.update", session={"tools": [WEATHER], "turn_detection": None})
    session = (await beta.until("session.updated"))["session"]
    assert session["tools"] == [WEATHER]
    beta.type_text(HEARD)
    beta.send("response.create")
    (call,) = (await beta.until("response.done"))["response"]["output"]
    assert (call["type"], call["name"], call["arguments"]) == ("function_call", "get_weather", '{"city": "Paris"}')
    created = beta.all("conversation.item.created")[-1]["item"]
    assert (created["type"], created["call_id"]) == ("function_call", call["call_id"])
    give(beta, call["call_id"])
    (answer,) = (await beta.until("response.done"))["response"]["output"]
    assert answer["content"] == [{"type": "audio", "transcript": TOLD}]
    assert ARGUMENTS["city"] in call["arguments"]
