"""What a session came to, from its messages, and in what two sessions differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from streaming.recording import Message

_ASKED = ("response.create", "input_audio_buffer.commit", "input_audio_buffer.speech_stopped")
_TEXT = (
    "response.output_audio_transcript.delta", "response.output_text.delta",
    "response.audio_transcript.delta", "response.text.delta",
)  # fmt: skip
AUDIO_DELTAS = ("response.output_audio.delta", "response.audio.delta", "session.output_audio.delta")
MICROPHONE = ("input_audio_buffer.append", "session.input_audio_buffer.append")
_HEARD = "conversation.item.input_audio_transcription.completed"
_TRANSLATED = "session.output_transcript.delta"


@dataclass(slots=True)
class Answer:
    """One response. `waited_s`: from the end of its question to its first audio; `audio_bytes`: base64 of it, as it came."""

    asked_s: float
    text: str = ""
    status: str = "unfinished"
    code: str | None = None
    waited_s: float | None = None
    audio_bytes: int = 0


@dataclass(slots=True)
class Outcome:
    """What a session came to. `heard`: transcripts of what was said; `translated`: text of a translation session."""

    answers: list[Answer] = field(default_factory=list[Answer])
    heard: list[str] = field(default_factory=list[str])
    errors: list[str] = field(default_factory=list[str])
    translated: str = ""


def value(event: Any, *path: str) -> Any:
    """What stands at `path` in an event, or None."""
    for name in path:
        event = event.get(name) if isinstance(event, dict) else None
    return event


def outcome_of(messages: Iterable[Message]) -> Outcome:
    """What the session of these messages came to."""
    outcome, by_id, asked_s = Outcome(), dict[str, Answer](), 0.0
    for message in messages:
        event = message.event
        kind = event.get("type")
        if kind in _ASKED:
            asked_s = message.at_s
        if message.sender == "client":
            continue
        if kind == "response.created":
            answer = by_id[str(value(event, "response", "id"))] = Answer(asked_s)
            outcome.answers.append(answer)
        elif kind == "error":
            outcome.errors.append(str(value(event, "error", "code")))
        elif kind == _HEARD:
            outcome.heard.append(str(event.get("transcript")))
        elif kind == _TRANSLATED:
            outcome.translated += str(event.get("delta"))
        else:
            _follow(by_id, event, message.at_s)
    return outcome


def _follow(answers: dict[str, Answer], event: dict[str, Any], at_s: float) -> None:
    """What an event adds to the answer it is about."""
    response_id = event.get("response_id") or value(event, "response", "id")
    answer, kind = answers.get(str(response_id)), event.get("type")
    if answer is None:
        return
    if kind in _TEXT:
        answer.text += str(event.get("delta"))
    elif kind in AUDIO_DELTAS:
        answer.audio_bytes += len(str(event.get("delta")))
        if answer.waited_s is None:
            answer.waited_s = at_s - answer.asked_s
    elif kind == "response.done":
        answer.status = str(value(event, "response", "status"))
        answer.code = value(event, "response", "status_details", "error", "code")


def differences(recorded: Outcome, replayed: Outcome) -> list[str]:
    """In what they differ, but for times; none where they came to the same."""
    found = []
    if len(recorded.answers) != len(replayed.answers):
        found.append(f"answers: {len(recorded.answers)} recorded, {len(replayed.answers)} now")
    for number, (then, now) in enumerate(zip(recorded.answers, replayed.answers, strict=False), 1):
        for name in ("status", "code", "text"):
            found += _differ(f"answer {number}, {name}", getattr(then, name), getattr(now, name))
        if bool(then.audio_bytes) != bool(now.audio_bytes):
            found += _differ(
                f"answer {number}, audio", *("some" if each.audio_bytes else "none" for each in (then, now))
            )
    for number, (said, heard) in enumerate(zip_longest(recorded.heard, replayed.heard), 1):
        found += _differ(f"question {number}, transcript", said, heard)
    found += _differ("errors", ", ".join(recorded.errors) or None, ", ".join(replayed.errors) or None)
    return found + _differ("translation", recorded.translated, replayed.translated)


def _differ(what: str, then: str | None, now: str | None) -> list[str]:
    return [] if then == now else [f"{what}: {then!r} recorded, {now!r} now"]


def timings(recorded: Outcome, replayed: Outcome) -> list[tuple[float | None, float | None]]:
    """Wait for the first audio of each answer, recorded and now, in seconds."""
    pairs = zip(recorded.answers, replayed.answers, strict=False)
    return [(then.waited_s, now.waited_s) for then, now in pairs]
