"""HTTP answers for every failure: `{"error": {type, code, message, param}}`, whatever went wrong and wherever."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from streaming.errors import EngineUnavailable, InvalidRequest, SpeechServerError

log = logging.getLogger("cslm.http")

M = TypeVar("M", bound=BaseModel)

CLIENT_GONE = 499


class Unauthorised(SpeechServerError):
    """The API key is missing or wrong."""

    type = "authentication_error"
    code = "invalid_api_key"
    status = 401
    close_code = 1008


class NotAcceptable(InvalidRequest):
    """Nothing in `Accept` that the server can write."""

    code = "unsupported_format"
    status = 406


class UploadTimeout(InvalidRequest):
    """The body did not arrive in time."""

    code = "upload_timeout"
    status = 408


class UpgradeRequired(InvalidRequest):
    """A request to a WebSocket's address that does not ask for one."""

    code = "upgrade_required"
    status = 426


class ModelLoading(EngineUnavailable):
    """The server is alive but the model is not warm yet."""

    code = "model_loading"
    retry_after_s = 5.0


def internal_error() -> SpeechServerError:
    """What a peer is told of a failure that is not its own: nothing but that."""
    return SpeechServerError("the server failed to answer; the failure was logged")


def public_error(failure: BaseException) -> SpeechServerError:
    """The error a peer may see for any failure."""
    return failure if isinstance(failure, SpeechServerError) else internal_error()


def error_response(error: SpeechServerError, *, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error as its HTTP answer."""
    extra = dict(headers or {})
    if error.retryable:
        extra["Retry-After"] = str(math.ceil(getattr(error, "retry_after_s", 1.0)))
    if isinstance(error, Unauthorised):
        extra["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": error.body()}, status_code=error.status, headers=extra)


def invalid_fields(errors: Sequence[Mapping[str, Any]]) -> InvalidRequest:
    """The first of pydantic's findings, in our words: which field, what was wrong, what is accepted."""
    first = errors[0]
    where = ".".join(str(part) for part in first.get("loc", ()) if part not in ("body", "query", "path", "header"))
    given, context, kind = first.get("input"), first.get("ctx") or {}, str(first.get("type"))
    param = where or None
    if kind == "extra_forbidden":
        return InvalidRequest(f"unknown parameter {where!r}", code="unknown_parameter", param=param)
    if kind == "missing":
        return InvalidRequest(f"{where} is required", code="missing_parameter", param=param)
    if kind == "literal_error":
        code = "unsupported_format" if where.endswith(("_format", "audio.format")) else "invalid_value"
        return InvalidRequest(
            f"{where} is {_shown(given)}; accepted: {context.get('expected')}", code=code, param=param
        )
    return InvalidRequest(f"{where or 'request'}: {first.get('msg')}", param=param)


def validated(shape: type[M], fields: Mapping[str, Any]) -> M:
    """`fields` as `shape`. Raises InvalidRequest for the first that is not accepted."""
    try:
        return shape.model_validate(fields)
    except ValidationError as failure:
        raise invalid_fields(cast(Any, failure.errors())) from None


def refuse_unsupported(fields: Mapping[str, Any], neutral: Mapping[str, tuple[Any, ...]], why: str) -> dict[str, Any]:
    """`fields` without those of `neutral`, which clients may send with these values or null but whose effect is not there.

    Raises InvalidRequest (`unsupported_parameter`) for any other value: what cannot be done is refused, never ignored.
    """
    for name, accepted in neutral.items():
        value = fields.get(name)
        if value is not None and value not in accepted:
            raise InvalidRequest(f"{name}: {why}", code="unsupported_parameter", param=name)
    return {name: value for name, value in fields.items() if name not in neutral and value is not None}


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _from_http(failure: HTTPException, request: Request) -> SpeechServerError:
    where = f"{request.method} {request.url.path}"
    if failure.status_code == HTTPStatus.NOT_FOUND:
        error: SpeechServerError = InvalidRequest(f"there is no {where}", code="not_found")
    elif failure.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        error = InvalidRequest(f"{where} is not allowed", code="method_not_allowed")
    elif failure.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        error = InvalidRequest(str(failure.detail), code="bad_request")
    else:
        error = internal_error()
    return error


def install(app: FastAPI) -> None:
    """Register the handlers. Every error is counted by its code; internal ones are logged, never shown."""

    def count(request: Request, code: str) -> None:
        request.app.state.gateway.metrics.error(code)

    async def expected(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, SpeechServerError)
        if failure.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("%s %s failed: %s", request.method, request.url.path, failure.code)
        count(request, failure.code)
        return error_response(failure)

    async def validation(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, RequestValidationError)
        return await expected(request, invalid_fields(failure.errors()))

    async def http(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, HTTPException)
        error = _from_http(failure, request)
        count(request, error.code)
        answer = error_response(error, headers=failure.headers)
        answer.status_code = failure.status_code
        return answer

    async def gone(request: Request, failure: Exception) -> Response:
        return Response(status_code=CLIENT_GONE)

    async def unexpected(request: Request, failure: Exception) -> Response:
        error = internal_error()
        count(request, error.code)
        return error_response(error)

    app.add_exception_handler(SpeechServerError, expected)
    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, unexpected)
