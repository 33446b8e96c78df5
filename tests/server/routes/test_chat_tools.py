"""Tools over /v1/chat/completions, through the stock SDK: offered, called, answered, and refused where the model has not learned to."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Any

import openai
import pytest

from streaming.tools import ToolCall
from tests.fakes import FakeLM, FakePrompts
from tests.server.front import listening
from tests.server.models import fake_model
from tests.server.routes.test_chat import SPOKEN, ask, audio_part, user
from tests.tool_caller import ARGUMENTS, FOUND, HEARD, TIMER, TOLD, WEATHER, calling, text_of

CITY = json.dumps(ARGUMENTS)


def tool(declared: dict[str, Any]) -> dict[str, Any]:
    """As this route is told of it."""
    return {"type": "function", "function": {name: value for name, value in declared.items() if name != "type"}}


TOOLS = [tool(WEATHER), tool(TIMER)]


class Caller:
    """A server of a model that calls tools, and the SDK."""

    def __init__(self, *, calls_tools: bool = True, **script: Any) -> None:
        self.lm, self.prompts = FakeLM(partial(calling, **script)), FakePrompts()
        self._serving = listening(replace(fake_model(lm=self.lm, prompts=self.prompts), calls_tools=calls_tools))

    async def __aenter__(self) -> Caller:
        self._front = await self._serving.__aenter__()
        self._client = openai.AsyncOpenAI(base_url=f"{self._front.url}/v1", api_key="none", max_retries=0)
        return self

    async def __aexit__(self, *failure: Any) -> None:
        await self._client.close()
        await self._serving.__aexit__(*failure)

    async def ask(self, *messages: dict[str, Any], **more: Any) -> Any:
        return await ask(self._client, *messages, **more)


def result(call_id: str = "call_1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": FOUND}


def called(call_id: str = "call_1") -> dict[str, Any]:
    function = {"name": "get_weather", "arguments": CITY}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": call_id, "type": "function", "function": function}],
    }


@pytest.mark.parametrize("question", [HEARD, audio_part()], ids=["typed", "spoken"])
@pytest.mark.parametrize("answer", [{}, SPOKEN], ids=["text", "speech"])
async def test_a_tool_is_called_and_its_result_answers(question: Any, answer: dict[str, Any]) -> None:
    async with Caller() as caller:
        first = (await caller.ask(user(question), tools=TOOLS, **answer)).choices[0]
        (call,) = first.message.tool_calls
        assert (first.finish_reason, first.message.content, first.message.audio) == ("tool_calls", None, None)
        assert (call.type, call.function.name, call.function.arguments) == ("function", "get_weather", CITY)
        assert [each.name for each in caller.prompts.options[-1].tools] == ["get_weather", "set_timer"]
        history = (user(question), first.message.model_dump(exclude_none=True), result(call.id))
        last = (await caller.ask(*history, tools=TOOLS, **answer)).choices[0]
        assert last.finish_reason == "stop"
        assert (last.message.audio.transcript if answer else last.message.content) == TOLD
        assert caller.prompts.options[-1].calls == (ToolCall("get_weather", CITY, FOUND),)
        assert HEARD in text_of(caller.lm.prompts[-1])


@pytest.mark.parametrize("answer", [{}, SPOKEN], ids=["text", "speech"])
async def test_a_call_is_streamed_as_it_is_written(answer: dict[str, Any]) -> None:
    async with Caller() as caller:
        stream = await caller.ask(user(HEARD), tools=TOOLS, stream=True, **answer)
        choices = [chunk.choices[0] async for chunk in stream]
    assert (choices[0].delta.role, choices[0].delta.content) == ("assistant", None)
    pieces = [piece for choice in choices for piece in choice.delta.tool_calls or ()]
    assert {piece.index for piece in pieces} == {0}
    assert (pieces[0].type, pieces[0].function.name) == ("function", "get_weather")
    assert pieces[0].id
    assert "".join(piece.function.arguments for piece in pieces) == CITY
    assert len(pieces) > 2
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["tool_calls"]
    assert not any(getattr(choice.delta, "audio", None) for choice in choices)


@pytest.mark.parametrize(
    ("choice", "calls"),
    [
        ("none", False),
        ("required", True),
        ({"type": "function", "function": {"name": "get_weather"}}, True),
        (None, False),
    ],
)
async def test_what_is_chosen_is_called(choice: Any, calls: bool) -> None:
    """Although this model would not call by itself."""
    async with Caller(calls=False) as caller:
        answer = await caller.ask(user(HEARD), tools=TOOLS, **({} if choice is None else {"tool_choice": choice}))
        assert (answer.choices[0].finish_reason == "tool_calls") is calls


async def test_earlier_calls_are_told() -> None:
    async with Caller() as caller:
        await caller.ask(
            user(HEARD), called(), result(), {"role": "assistant", "content": TOLD}, user("And now?"), tools=TOOLS
        )
        assert [exchange.calls for exchange in caller.prompts.histories[-1]] in (
            [],
            [(ToolCall("get_weather", CITY, FOUND),)],
        )


@pytest.mark.parametrize("stream", [False, True])
async def test_arguments_that_the_tool_does_not_take_are_an_error(stream: bool) -> None:
    """Clients execute what they get."""
    async with Caller(arguments='{"city": 3}') as caller:
        with pytest.raises(openai.APIError) as caught:
            answer = await caller.ask(user(HEARD), tools=TOOLS, stream=stream)
            _ = [chunk async for chunk in answer]
        assert caught.value.code == "invalid_call"


async def test_a_call_that_is_cut_off_says_so() -> None:
    async with Caller(arguments=json.dumps({"city": 90 * "a"})) as caller:
        answer = await caller.ask(user(HEARD), tools=TOOLS, max_completion_tokens=60)
        assert answer.choices[0].finish_reason == "length"
        assert len(answer.choices[0].message.tool_calls[0].function.arguments) == 60


NAMED = {"type": "function", "function": {"name": "other"}}


@pytest.mark.parametrize(
    ("messages", "more", "param"),
    [
        ([user("Hi")], {"tools": [{"type": "function", "function": {"name": "two words"}}]}, "tools.0.function.name"),
        ([user("Hi")], {"tools": [tool(WEATHER), tool(WEATHER)]}, "tools"),
        ([user("Hi")], {"tools": TOOLS, "tool_choice": NAMED}, "tool_choice.function.name"),
        ([user("Hi")], {"tool_choice": "required"}, "tool_choice"),
        ([user("Hi"), result()], {"tools": TOOLS}, "messages.1.tool_call_id"),
        ([user("Hi"), called()], {"tools": TOOLS}, "messages"),
        ([called(), result()], {"tools": TOOLS}, "messages"),
        ([user("Hi"), {**called(), "tool_calls": [*called("a")["tool_calls"], *called("b")["tool_calls"]]}, result("a")], {}, "messages"),
    ],
)  # fmt: skip
async def test_what_does_not_fit_together_is_refused(messages: list[Any], more: dict[str, Any], param: str) -> None:
    async with Caller() as caller:
        with pytest.raises(openai.BadRequestError) as caught:
            await caller.ask(*messages, **more)
        assert (caught.value.code, caught.value.param) == ("invalid_value", param)


@pytest.mark.parametrize(
    ("messages", "more", "param"),
    [
        ([user("Hi")], {"tools": TOOLS}, "tools"),
        ([user("Hi"), called(), result()], {}, "messages.2.role"),
    ],
)
async def test_a_model_that_calls_no_tools_says_so(messages: list[Any], more: dict[str, Any], param: str) -> None:
    async with Caller(calls_tools=False) as caller:
        with pytest.raises(openai.BadRequestError) as caught:
            await caller.ask(*messages, **more)
        assert (caught.value.code, caught.value.param) == ("unsupported_parameter", param)
