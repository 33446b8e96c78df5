"""One question and its answer as a client sees them, built from events, without a socket or a clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clients.playback import Heard, Playback
from clients.realtime import RATE_HZ, SAMPLE_BYTES, audio_of

HARMLESS_ERRORS = frozenset({"response_cancel_not_active"})
"""Errors of a race that the client loses when an answer ends as it is interrupted."""

_MAX_ERRORS = 16


@dataclass(frozen=True, slots=True)
class TurnError:
    """What the server said was wrong."""

    code: str
    message: str


@dataclass(slots=True)
class TurnRecord:
    """What happened in a turn. Times are the caller's clock in seconds, None where it did not come to that.

    `asked_s`: end of the user's speech (last frame with speech sent, or the commit, or the typed text), set by whoever
    sends; `stopped_s`: the server noticed (`speech_stopped`; where the client ends turns itself, `committed` or the
    item that was added). When the server answers too early and is interrupted by the rest of the question, the record
    is of its last answer, and `interrupted` counts the others. An answer that began before this turn counts nowhere.
    `item_id`: the answer in the conversation. `reason`: why it ended early, or the code of its failure.
    """

    buffer_s: float = 0.0
    asked_s: float | None = None
    stopped_s: float | None = None
    first_text_s: float | None = None
    first_audio_s: float | None = None
    done_s: float | None = None
    transcript: str = ""
    text: str = ""
    status: str | None = None
    reason: str | None = None
    item_id: str | None = None
    interrupted: int = 0
    audio_s: float = 0.0
    errors: list[TurnError] = field(default_factory=list)
    playback: Playback = field(init=False)
    _failed: bool = False
    _speaking: bool = False
    _answer_due: bool = False
    _answering: bool = False
    _question_item: str | None = None
    _response_id: str | None = None
    _interrupted_id: str | None = None

    def __post_init__(self) -> None:
        self.playback = Playback(self.buffer_s)

    @property
    def over(self) -> bool:
        """The question was asked in full, and answered or refused."""
        waiting = self._speaking or self._answer_due or self._answering
        return self._failed or (self.asked_s is not None and self.done_s is not None and not waiting)

    @property
    def answered(self) -> bool:
        """The answer is complete."""
        return self.over and self.status == "completed"

    def expect_answer(self) -> None:
        """The client asked for an answer itself."""
        self._answer_due = True

    def interrupt(self, now_s: float) -> list[Heard]:
        """The listener hears no more of the answers so far, nor what is still on its way. Returns what was cut short."""
        self._interrupted_id = self._response_id
        return self.playback.interrupt(now_s)

    def take(self, event: Any, now_s: float) -> None:
        """The next event, which arrived at `now_s`. Events that say nothing about a turn change nothing."""
        method = _METHODS.get(event.type)
        if method is not None:
            method(self, event, now_s)

    def _on_error(self, event: Any, now_s: float) -> None:
        code = event.error.code or event.error.type
        if len(self.errors) < _MAX_ERRORS:
            self.errors.append(TurnError(code, event.error.message))
        if code not in HARMLESS_ERRORS and not self._answering:
            self._failed = True

    def _on_speech_started(self, event: Any, now_s: float) -> None:
        self._speaking = True

    def _on_speech_stopped(self, event: Any, now_s: float) -> None:
        self._speaking, self._answer_due = False, True
        self.stopped_s = now_s

    def _on_committed(self, event: Any, now_s: float) -> None:
        if self.stopped_s is None:
            self.stopped_s = now_s

    def _on_item_added(self, event: Any, now_s: float) -> None:
        if self.stopped_s is None and getattr(event.item, "role", None) == "user":
            self.stopped_s = now_s

    def _on_transcript_delta(self, event: Any, now_s: float) -> None:
        if self._question_item not in (None, event.item_id):
            self.transcript += " "
        self._question_item = event.item_id
        self.transcript += event.delta or ""

    def _on_transcript_done(self, event: Any, now_s: float) -> None:
        if self._question_item != event.item_id:
            self.transcript = f"{self.transcript} {event.transcript}".strip()
            self._question_item = event.item_id

    def _on_response_created(self, event: Any, now_s: float) -> None:
        if self.done_s is not None or self._answering:
            self.interrupted += 1
        self._answer_due, self._answering = False, True
        self._response_id = event.response.id
        self.first_text_s = self.first_audio_s = self.done_s = self.status = self.reason = None
        self.item_id = None
        self.text = ""
        self.playback = Playback(self.buffer_s)

    def _on_text(self, event: Any, now_s: float) -> None:
        if event.response_id != self._response_id:
            return
        if self.first_text_s is None:
            self.first_text_s = now_s
        self.item_id = event.item_id
        self.text += event.delta

    def _on_audio(self, event: Any, now_s: float) -> None:
        samples = len(audio_of(event)) // SAMPLE_BYTES
        if event.response_id != self._response_id:
            return
        if self.first_audio_s is None:
            self.first_audio_s = now_s
        self.item_id = event.item_id
        self.audio_s += samples / RATE_HZ
        if event.response_id != self._interrupted_id:
            self.playback.received(event.item_id, samples, now_s)

    def _on_audio_done(self, event: Any, now_s: float) -> None:
        self.playback.ended(event.item_id)

    def _on_response_done(self, event: Any, now_s: float) -> None:
        response = event.response
        if response.id != self._response_id:
            return
        self._answering = False
        self.done_s, self.status = now_s, response.status or "completed"
        details = response.status_details
        if details is None:
            return
        self.reason = details.reason
        if details.error is not None and self.status == "incomplete":
            self.reason = details.error.code
        elif details.error is not None:
            code = details.error.code or details.error.type or "response_failed"
            self.reason = code
            self.errors.append(TurnError(code, details.error.message or "the response failed"))


_METHODS = {
    "error": TurnRecord._on_error,
    "input_audio_buffer.speech_started": TurnRecord._on_speech_started,
    "input_audio_buffer.speech_stopped": TurnRecord._on_speech_stopped,
    "input_audio_buffer.committed": TurnRecord._on_committed,
    "conversation.item.added": TurnRecord._on_item_added,
    "conversation.item.input_audio_transcription.delta": TurnRecord._on_transcript_delta,
    "conversation.item.input_audio_transcription.completed": TurnRecord._on_transcript_done,
    "response.created": TurnRecord._on_response_created,
    "response.output_audio_transcript.delta": TurnRecord._on_text,
    "response.output_text.delta": TurnRecord._on_text,
    "response.output_audio.delta": TurnRecord._on_audio,
    "response.output_audio.done": TurnRecord._on_audio_done,
    "response.done": TurnRecord._on_response_done,
}
