"""Tools of a request to /v1/chat/completions, and calls of them in its messages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

from streaming.errors import InvalidRequest
from streaming.realtime.config import MOST_TOOLS, Function, NamedTool, ToolName, check_together
from streaming.realtime.limits import SessionModel
from streaming.realtime.settings import chosen_tools
from streaming.realtime.shapes import Listed
from streaming.tools import Tool

_FROZEN = ConfigDict(extra="forbid", frozen=True)
_LENIENT = ConfigDict(extra="ignore", frozen=True)


class FunctionToolParam(BaseModel):
    """What the model may call."""

    model_config = _FROZEN

    type: Literal["function"]
    function: Function


class FunctionName(BaseModel):
    """Of the tool that must be called."""

    model_config = _FROZEN

    name: ToolName


class NamedToolParam(BaseModel):
    """The tool that must be called."""

    model_config = _FROZEN

    type: Literal["function"]
    function: FunctionName


class FunctionCallParam(BaseModel):
    """`arguments`: JSON text."""

    model_config = _LENIENT

    name: ToolName
    arguments: str


class ToolCallParam(BaseModel):
    """A call in an earlier answer."""

    model_config = _LENIENT

    id: str = Field(min_length=1, max_length=200)
    type: Literal["function"]
    function: FunctionCallParam


def _checked_together(tools: list[FunctionToolParam]) -> list[FunctionToolParam]:
    check_together([tool.function for tool in tools])
    return tools


ToolParams = Annotated[Listed[FunctionToolParam], Field(max_length=MOST_TOOLS), AfterValidator(_checked_together)]
ToolChoiceParam = Annotated[
    Annotated[Literal["auto", "none", "required"], Tag("mode")] | Annotated[NamedToolParam, Tag("named")],
    Discriminator(lambda choice: "named" if isinstance(choice, dict | NamedToolParam) else "mode"),
]


def offered(
    tools: list[FunctionToolParam], choice: str | NamedToolParam | None, model: SessionModel
) -> tuple[tuple[Tool, ...], bool]:
    """What `model` may call, and whether it must. Raises InvalidRequest: `unsupported_parameter` where it calls no tools."""
    if tools and not model.calls_tools:
        raise InvalidRequest(
            f"{model.name} calls no tools; accepted: an empty list", code="unsupported_parameter", param="tools"
        )
    if not tools and choice not in (None, "auto", "none"):
        raise InvalidRequest("a tool is to be called, but `tools` has none", param="tool_choice")
    if isinstance(choice, NamedToolParam):
        named = NamedTool(type="function", name=choice.function.name)
        return chosen_tools([tool.function for tool in tools], named, "tool_choice.function.name")
    return chosen_tools([tool.function for tool in tools], choice, "tool_choice")
