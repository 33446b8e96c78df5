"""Errors of the client, each with a stable code beside those of the server."""

from __future__ import annotations

from typing import ClassVar


class ClientError(Exception):
    """Root. `code` is stable; errors that the server named carry the server's code.

    `retryable`: the same may succeed later without anybody changing anything.
    """

    code: str = "client_error"
    exit_code: ClassVar[int] = 4
    retryable: bool = False

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class ServerUnreachable(ClientError):
    """Nothing answers at the address."""

    code = "server_unreachable"
    exit_code = 3
    retryable = True


class ConnectionRejected(ClientError):
    """The server answers but does not open a session: wrong key, unknown model (not `retryable`), no room (`retryable`)."""

    code = "connection_rejected"
    exit_code = 3

    def __init__(self, message: str, *, code: str | None = None, retryable: bool = False) -> None:
        super().__init__(message, code=code)
        self.retryable = retryable


class ForeignMetrics(ClientError):
    """What answers at /metrics is not one of our servers."""

    code = "foreign_metrics"
    exit_code = 3


class Disconnected(ClientError):
    """The connection ended in the middle of a session."""

    code = "disconnected"
    retryable = True


class InvalidEvent(ClientError):
    """The server sent something that is no event of the protocol."""

    code = "invalid_event"


class TurnFailed(ClientError):
    """The question was not answered; the session goes on."""

    code = "turn_failed"


class TurnTimeout(TurnFailed):
    """No complete answer in time."""

    code = "turn_timeout"


class UnreadableRecording(ClientError):
    """A file that is missing or that holds no audio."""

    code = "unreadable_recording"
    exit_code = 2


class UnwritableOutput(ClientError):
    """A file that cannot be made or written, or whose suffix names no format."""

    code = "unwritable_output"
    exit_code = 2


class InvalidObjective(ClientError):
    """An objective of a load test that cannot be read."""

    code = "invalid_objective"
    exit_code = 2


class InvalidPlan(ClientError):
    """Options of a load test that contradict each other or cannot be used."""

    code = "invalid_plan"
    exit_code = 2


class SoundCardMissing(ClientError):
    """No microphone or loudspeaker, or no library to reach them."""

    code = "sound_card_missing"
    exit_code = 2


def first_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first failure inside nested groups: what the user wants to read."""
    first = group.exceptions[0]
    return first_cause(first) if isinstance(first, BaseExceptionGroup) else first
