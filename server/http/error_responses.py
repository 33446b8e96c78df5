"""HTTP responses for every failure: `{"error": {type, code, message, param}}`."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from server.errors import (
    Forbidden,
    ModelLoading,
    NotAcceptable,
    TooManyCalls,
    TooManyWaiting,
    Unauthorised,
    UpgradeRequired,
    UploadTimeout,
    internal_error,
)
from server.http import request_ids
from server.http.validation import invalid_parameter
from streaming.errors import (
    CapacityError,
    EmptyAnswer,
    EngineUnavailable,
    InvalidRequest,
    NotFound,
    RateLimited,
    SpeechServerError,
    TooLarge,
    TurnTimeout,
    UnsupportedMedia,
)

log, log_keys = logging.getLogger("cslm.http"), logging.getLogger("cslm.keys")

CLIENT_GONE = 499

_STATUS: dict[type[SpeechServerError], HTTPStatus] = {
    SpeechServerError: HTTPStatus.INTERNAL_SERVER_ERROR,
    InvalidRequest: HTTPStatus.BAD_REQUEST,
    Unauthorised: HTTPStatus.UNAUTHORIZED,
    EmptyAnswer: HTTPStatus.UNPROCESSABLE_ENTITY,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    NotAcceptable: HTTPStatus.NOT_ACCEPTABLE,
    UploadTimeout: HTTPStatus.REQUEST_TIMEOUT,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMedia: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    UpgradeRequired: HTTPStatus.UPGRADE_REQUIRED,
    CapacityError: HTTPStatus.SERVICE_UNAVAILABLE,
    TooManyCalls: HTTPStatus.TOO_MANY_REQUESTS,
    TooManyWaiting: HTTPStatus.TOO_MANY_REQUESTS,
    RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    EngineUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    TurnTimeout: HTTPStatus.GATEWAY_TIMEOUT,
}
_RETRY_S = 1
_RETRY_LOADING_S = 5
_RETRY_MOST_S = 60


def status_of(error: SpeechServerError) -> HTTPStatus:
    """The HTTP status of an error: that of its class, or of the nearest class above it that has one."""
    return next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)


def error_response(error: SpeechServerError, *, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error as its HTTP answer."""
    extra = dict(headers or {})
    if error.retryable:
        extra["Retry-After"] = str(_retry_s(error))
    if isinstance(error, Unauthorised):
        extra["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": error.body()}, status_code=status_of(error), headers=extra)


def _retry_s(error: SpeechServerError) -> int:
    """Whole seconds after which to try again."""
    if isinstance(error, RateLimited):  # may be tomorrow
        return max(_RETRY_S, math.ceil(error.retry_s))
    if isinstance(error, CapacityError) and error.retry_s is not None:
        return math.ceil(min(max(error.retry_s, _RETRY_S), _RETRY_MOST_S))
    return _RETRY_LOADING_S if isinstance(error, ModelLoading) else _RETRY_S


def log_refusal(error: SpeechServerError) -> None:
    """Log who was refused for its key; the line has the key's name where that is known."""
    if isinstance(error, Unauthorised | RateLimited):
        log_keys.info("a key was refused", extra={"code": error.code})


def install(app: FastAPI, count: Callable[[str], None]) -> None:
    """Register the handlers. `count` gets the code of every error; internal ones are logged, never shown."""

    async def expected(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, SpeechServerError)
        if status_of(failure) >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("%s %s failed: %s", request.method, request.url.path, failure.code)
        log_refusal(failure)
        count(failure.code)
        return error_response(failure)

    async def invalid(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, RequestValidationError)
        return await expected(request, invalid_parameter(failure))

    async def from_framework(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, HTTPException)
        error = _from_framework(failure, request)
        count(error.code)
        answer = error_response(error, headers=failure.headers)
        answer.status_code = failure.status_code
        return answer

    async def gone(request: Request, failure: Exception) -> Response:
        return Response(status_code=CLIENT_GONE)

    async def unexpected(request: Request, failure: Exception) -> Response:
        error = internal_error()
        count(error.code)
        return error_response(error, headers={request_ids.HEADER: request.state.request_id})

    app.add_exception_handler(SpeechServerError, expected)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, from_framework)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, unexpected)


def _from_framework(failure: HTTPException, request: Request) -> SpeechServerError:
    where = f"{request.method} {request.url.path}"
    if failure.status_code == HTTPStatus.NOT_FOUND:
        return NotFound(f"there is no {where}")
    if failure.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return InvalidRequest(f"{where} is not allowed", code="method_not_allowed")
    if failure.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return InvalidRequest(str(failure.detail), code="bad_request")
    return internal_error()
