"""Errors that only the server raises; `streaming.errors` has the others."""

from __future__ import annotations

from streaming.errors import CapacityError, EngineUnavailable, InvalidRequest, SpeechServerError


class Unauthorised(SpeechServerError):
    """The API key is missing or wrong."""

    type = "authentication_error"
    code = "invalid_api_key"


class StartError(SpeechServerError):
    """Something that the operator gave cannot be used: the server does not start, or goes on with what it had. `code` is given."""


class Forbidden(InvalidRequest):
    """A request from a page, or under a name, that the server does not know."""

    code = "origin_not_allowed"


class NotAcceptable(InvalidRequest):
    """Nothing in `Accept` that the server can write."""

    code = "unsupported_format"


class TooManyWaiting(CapacityError):
    """One peer has as many requests in the queue as it may."""

    code = "too_many_waiting"


class TooManyCalls(CapacityError):
    """One peer begins calls too often, or leaves too many unconnected."""

    code = "too_many_calls"


class UploadTimeout(InvalidRequest):
    """The body did not arrive in time."""

    code = "upload_timeout"


class UpgradeRequired(InvalidRequest):
    """A request to a WebSocket's address that does not ask for one."""

    code = "upgrade_required"


class ServerStopping(EngineUnavailable):
    """The server is being stopped: it lets nobody in, and what has not ended in time is broken off."""

    code = "server_stopping"


class ModelLoading(EngineUnavailable):
    """The server is alive but the model is not warm yet."""

    code = "model_loading"


def internal_error() -> SpeechServerError:
    """The error for an internal failure. It reveals no details to the peer."""
    return SpeechServerError("the server failed to answer; the failure was logged")


def public_error(failure: BaseException) -> SpeechServerError:
    """The error a peer may see for any failure."""
    return failure if isinstance(failure, SpeechServerError) else internal_error()
