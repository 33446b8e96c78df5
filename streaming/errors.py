"""Every error a peer can see, with a stable code.

One root. A subclass fixes what kind of failure it is and whether to retry; an instance names what was wrong and what is
accepted. Each transport maps kinds to its own terms, such as HTTP statuses. Anything else that escapes is an internal
error, and its text never leaves the server.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self


class SpeechServerError(Exception):
    """Root. `code` is stable and documented in docs/errors.md; `param` names the offending field or parameter."""

    type: ClassVar[str] = "server_error"
    code: str = "internal_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = _encodable(message)
        self.param = None if param is None else _encodable(param)
        if code is not None:
            self.code = code

    def body(self) -> dict[str, Any]:
        """The `error` object of an HTTP answer: type, code, message, param."""
        return {"type": self.type, "code": self.code, "message": self.message, "param": self.param}


class InvalidRequest(SpeechServerError):
    """The peer sent something that is not accepted; the session goes on."""

    type = "invalid_request_error"
    code = "invalid_value"


class NothingCame(InvalidRequest):
    """Nothing can be answered or said. `shortfall` is how a session that goes on tells of it (`streaming.report.Shortfall`)."""

    shortfall: ClassVar[Literal["empty_answer", "nothing_to_answer"]] = "empty_answer"


class EmptyAnswer(NothingCame):
    """The model wrote no answer to a question that it could have read or heard. Asked again, it does no better."""

    code = "empty_answer"


class NothingToAnswer(NothingCame):
    """A typed question without anything that the model can read."""

    code = "nothing_to_answer"
    shortfall = "nothing_to_answer"

    @classmethod
    def of(cls, dropped: Sequence[str]) -> Self:
        """With what was left out of it."""
        return cls(f"{_left_out(dropped)}; ask in words of the model's languages", param="text")


class NothingToSay(NothingCame):
    """A text to be read aloud without anything that can be said."""

    code = "nothing_to_say"

    @classmethod
    def of(cls, dropped: Sequence[str]) -> Self:
        """With what was left out of it."""
        return cls(f"{_left_out(dropped)}; send words of the model's languages", param="input")


def _left_out(dropped: Sequence[str]) -> str:
    lost = " ".join(dropped)
    return f"{lost[:60]!r} cannot be said" if lost else "the text has no words"


class NotFound(InvalidRequest):
    """A model, item or route that does not exist."""

    code = "not_found"


class UnsupportedMedia(InvalidRequest):
    """An audio or body format that the server cannot read or write."""

    code = "unsupported_format"


class TooLarge(InvalidRequest):
    """A body, message or recording over the documented limit."""

    code = "too_large"


class CapacityError(SpeechServerError):
    """The server is full; try again later. `retry_s`: when that may succeed, None where nobody knows."""

    type = "rate_limit_error"
    code = "at_capacity"
    retryable = True

    def __init__(self, message: str, *, code: str | None = None, retry_s: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_s = retry_s


class RateLimited(SpeechServerError):
    """The caller has used what it may use for now. `retry_s`: until it may use more, which the message says, too."""

    type = "rate_limit_error"
    code = "rate_limit_exceeded"
    retryable = True

    def __init__(self, message: str, *, retry_s: float, code: str | None = None) -> None:
        super().__init__(f"{message}; try again in {_rounded_up(retry_s)}", code=code)
        self.retry_s = retry_s


class EngineUnavailable(SpeechServerError):
    """A stage died under the turn and is being restarted; the turn failed, the session did not."""

    code = "engine_unavailable"
    retryable = True


class BundleError(SpeechServerError):
    """A bundle is missing, truncated or of the wrong layout; raised at start-up and by `cslm check`."""

    code = "bundle_invalid"

    def body(self) -> dict[str, Any]:
        """As of any error, but the message, which names files of the server, stays in its log."""
        return {**super().body(), "message": "the model cannot be loaded; the server's log says why"}


class TurnTimeout(SpeechServerError):
    """The turn took longer than the server allows."""

    code = "turn_timeout"
    retryable = True


def _rounded_up(seconds: float) -> str:
    """For people: in the largest unit of which there are at least two."""
    for unit, of_s in (("h", 3600), ("min", 60)):
        if seconds > 2 * of_s:
            return f"{math.ceil(seconds / of_s)} {unit}"
    return f"{max(1, math.ceil(seconds))} s"


def _encodable(text: str) -> str:
    """`text`, in which a peer's words may be quoted, without lone surrogates: JSON can hold them, UTF-8 cannot."""
    return text.encode("utf-8", "backslashreplace").decode()
