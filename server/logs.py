"""Logs on standard error: lines for people on a terminal, JSON lines elsewhere.

Every line carries what its task has bound with `structlog.contextvars`, such as `request_id` and `turn_id`, whichever package
wrote it: code logs through `logging`, and gives numbers as `extra`.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog
from structlog.stdlib import ExtraAdder, ProcessorFormatter

if TYPE_CHECKING:
    from typing import TextIO

    from structlog.typing import Processor


def configure_logs(level: str, stream: TextIO = sys.stderr) -> None:
    """Send all logs from `level` on to `stream`, in place of what was configured before."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(is_terminal=stream.isatty()))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _formatter(*, is_terminal: bool) -> ProcessorFormatter:
    every_line: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    rendered: list[Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if is_terminal
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    return ProcessorFormatter(
        foreign_pre_chain=every_line, processors=[ProcessorFormatter.remove_processors_meta, *rendered]
    )
