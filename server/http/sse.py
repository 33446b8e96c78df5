"""Server-sent events as text, as the HTML standard defines them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def server_sent_event(data: Mapping[str, Any] | str, *, event: str | None = None) -> bytes:
    """One event: its name where it has one, and its data, which is JSON unless it is a string (without line breaks)."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    head = "" if event is None else f"event: {event}\n"
    return f"{head}data: {text}\n\n".encode()
