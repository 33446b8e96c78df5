"""Functions of the client that the model may call, and calls of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Tool:
    """`parameters`: JSON Schema of the arguments, an object."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What the model called; `arguments` is JSON text. `output`: what the client found, None while it has not told."""

    name: str
    arguments: str
    output: str | None = None
