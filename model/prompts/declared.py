"""Tools in the few tokens that a small model reads: a line for each, in place of its JSON Schema.

    - get_weather(city: string, day?: string): Get the weather in a city. city: name of the city

A `?` marks what may be left out, `a|b` what an enum accepts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from streaming.tools import Tool, ToolCall


def declared(tools: Iterable[Tool]) -> str:
    """A line for each tool."""
    return "\n".join(map(_line, tools))


def called(call: ToolCall) -> str:
    """A call as the model writes it: the name, a space, the arguments."""
    return f"{call.name} {call.arguments}"


def _line(tool: Tool) -> str:
    properties = tool.parameters.get("properties", {})
    about = [f"{name}: {text}" for name, schema in properties.items() if (text := _description(schema))]
    head = f"- {tool.name}({_fields(tool.parameters)})"
    return " ".join([f"{head}:" if tool.description or about else head, *filter(None, (tool.description,)), *about])


def _fields(schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    return ", ".join(
        f"{name}{'' if name in required else '?'}: {_kind(each)}" for name, each in schema.get("properties", {}).items()
    )


def _kind(schema: Any) -> str:
    if not isinstance(schema, Mapping):
        return "any"
    if "enum" in schema:
        return "|".join(map(str, schema["enum"]))
    kind = schema.get("type", "any")
    if kind == "array":
        return f"{_kind(schema.get('items'))}[]"
    if kind == "object" and schema.get("properties"):
        return f"{{{_fields(schema)}}}"
    return "|".join(map(str, kind)) if isinstance(kind, list) else str(kind)


def _description(schema: Any) -> str:
    return str(schema.get("description", "")) if isinstance(schema, Mapping) else ""
