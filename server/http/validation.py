"""Validates what a client sent. The error names the first wrong field and what is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from streaming.errors import InvalidRequest
from streaming.json_limits import check_value
from streaming.realtime.shapes import described, first_fault

M = TypeVar("M", bound=BaseModel)


def validated(shape: type[M], fields: Mapping[str, Any]) -> M:
    """`fields` as `shape`. Raises InvalidRequest for the first fault; docs/errors.md lists the codes.

    Too many members are refused before any is validated (TooComplex). A format that is not among the accepted ones is
    `unsupported_format`.
    """
    check_value(fields)
    try:
        return shape.model_validate(fields)
    except ValidationError as failure:
        error = described(failure, fields)
        is_literal = failure.errors(include_url=False)[0]["type"] == "literal_error"
        if is_literal and (error.param or "").endswith(("_format", "audio.format")):
            error.code = "unsupported_format"
        raise error from None


def invalid_parameter(failure: RequestValidationError) -> InvalidRequest:
    """A fault in the path or the query, found by FastAPI."""
    _place, *names = failure.errors()[0]["loc"]
    return first_fault({**failure.errors()[0], "loc": names}, {str(name): None for name in names})


def refuse_unsupported(fields: Mapping[str, Any], neutral: Mapping[str, tuple[Any, ...]], why: str) -> dict[str, Any]:
    """`fields` without those of `neutral`: parameters without effect, each with the values a client may send beside null.

    Raises InvalidRequest (`unsupported_parameter`) for any other value: what cannot be done is refused, never ignored.
    """
    for name, accepted in neutral.items():
        value = fields.get(name)
        if value is not None and value not in accepted:
            raise InvalidRequest(f"{name}: {why}", code="unsupported_parameter", param=name)
    return {name: value for name, value in fields.items() if name not in neutral and value is not None}
