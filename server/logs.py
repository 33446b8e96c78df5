"""Logs on standard error: lines for people on a terminal, JSON lines elsewhere.

Every line carries what its task has bound with `structlog.contextvars`, such as `request_id` and `turn_id`, whichever package
wrote it: code logs through `logging`, and gives numbers as `extra`.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from structlog.stdlib import ExtraAdder, ProcessorFormatter

if TYPE_CHECKING:
    from typing import TextIO

    from structlog.typing import EventDict, Processor


_SECRETS = re.compile(
    r"(?i)(?P<before>\bsk-cslm-|\bbearer\s+|authorization['\"]?\s*[:=,]\s*b?['\"]?(?:\w+\s+)?|openai-insecure-api-key\.|\bek_"
    r"|\bcslm\.(?=[\w-]{43}\.))[^\s'\",)]+"  # the last: a token that resumes a session, no logger's name
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_ADDRESSES = ("aioice", "aiortc")
"""They log the addresses of peers at info."""
_MOST_ALIKE, _PERIOD_S = 20, 10.0


class Sparing(logging.Filter):
    """Lets few warnings of one kind through in a period, and refusals of keys, and says how many it left out: a peer may cause as
    many as it likes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: Counter[tuple[str, object]] = Counter()
        self._until_s = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write `record`."""
        least = logging.INFO if record.name == "cslm.keys" else logging.WARNING
        if record.levelno < least or not record.name.startswith(("uvicorn", "asyncio", "cslm.http", "cslm.keys")):
            return True
        now_s, kind = self._clock(), (record.name, record.msg)
        if now_s >= self._until_s:
            left_out = self._seen[kind] - _MOST_ALIKE
            self._seen.clear()
            self._until_s = now_s + _PERIOD_S
            if left_out > 0:
                record.msg = f"{record.msg} ({left_out} more like this before)"
        self._seen[kind] += 1
        return self._seen[kind] <= _MOST_ALIKE


_UNWANTED = {
    "ASGI callable returned without completing handshake.",  # uvicorn, of every one that is answered by an HTTP error
    "< %s",  # websockets, of every frame, with some of what was said
    "> %s",
}


def _is_wanted(record: logging.LogRecord) -> bool:
    """False for what libraries write that would mislead, or tell what was said."""
    return record.msg not in _UNWANTED


def _without_private(_: object, __: str, event: EventDict) -> EventDict:
    """Without what a library adds to every record for itself, such as Ray's `_ray_timestamp_ns`."""
    return {
        key: value for key, value in event.items() if not key.startswith("_") or key in ("_record", "_from_structlog")
    }


def _harmless(_: object, __: str, event: EventDict) -> EventDict:
    """No keys, and no control characters that a peer wrote."""
    for name, value in event.items():
        if isinstance(value, str):
            value = _SECRETS.sub(r"\g<before>[left out]", value)
            event[name] = _CONTROLS.sub(lambda found: f"\\x{ord(found.group()):02x}", value)
    return event


def configure_logs(level: str, stream: TextIO = sys.stderr) -> None:
    """Send all logs from `level` on to `stream`, in place of what was configured before."""
    handler = logging.StreamHandler(stream)
    handler.addFilter(_is_wanted)
    handler.addFilter(Sparing())
    handler.setFormatter(_formatter(is_terminal=stream.isatty()))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _ADDRESSES:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)


def _formatter(*, is_terminal: bool) -> ProcessorFormatter:
    every_line: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        ExtraAdder(),
        _without_private,
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if is_terminal
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    rendered: list[Processor] = [structlog.processors.format_exc_info, _harmless, renderer]
    return ProcessorFormatter(
        foreign_pre_chain=every_line, processors=[ProcessorFormatter.remove_processors_meta, *rendered]
    )
