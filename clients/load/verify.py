"""Whether an answer is whole, and this caller's own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from clients.realtime import SAMPLE_BYTES, audio_of
from clients.recordings import Recording

_MAX_IDS = 100_000
_OWN_BELOW, _OTHER_ABOVE = 0.6, 0.95
"""A transcript is another caller's when it has those words almost to the letter and hardly any of its own."""


class Responses:
    """Which session each response was announced to, of all sessions together; the last 100,000 are remembered."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, int] = OrderedDict()

    def announce(self, response_id: str, session: int) -> bool:
        """Whether no other session was told of it."""
        owner = self._sessions.setdefault(response_id, session)
        if len(self._sessions) > _MAX_IDS:
            self._sessions.popitem(last=False)
        return owner == session


@dataclass(slots=True)
class _Response:
    samples: dict[str, int] = field(default_factory=dict[str, int])
    ended: set[str] = field(default_factory=set[str])
    text: str = ""
    whole_text: str | None = None
    status: str | None = None


@dataclass(slots=True)
class AnswerCheck:
    """Watches the events of one session. `faults` of a turn are stable codes, each at most once.

    | fault | meaning |
    | --- | --- |
    | `answer_of_another` | audio, text or an end of a response that this session was not told of, or another was too |
    | `answer_without_audio` | complete, but nothing to hear |
    | `answer_audio_unfinished` | complete, but the end of its audio was not told, or audio came after its end |
    | `answer_text_incomplete` | the pieces of its text are not the text |
    | `answer_unfinished` | a response that was told of never ended |
    | `question_of_another` | what was understood are the words of another recording |
    """

    session: int
    everyone: Responses
    _responses: dict[str, _Response] = field(default_factory=dict[str, _Response])
    _faults: set[str] = field(default_factory=set[str])

    def observe(self, event: Any) -> None:
        """The next event."""
        if event.type == "response.created":
            if not self.everyone.announce(event.response.id, self.session):
                self._faults.add("answer_of_another")
            self._responses[event.response.id] = _Response()
            return
        if event.type not in _METHODS:
            return
        response_id = event.response.id if event.type == "response.done" else event.response_id
        response = self._responses.get(response_id)
        if response is None:
            self._faults.add("answer_of_another")
        else:
            _METHODS[event.type](self, response, event)

    def faults(
        self, recording: Recording, transcript: str, others: Sequence[Recording], *, unfinished: bool = False
    ) -> list[str]:
        """What was wrong with the turn that asked `recording`, once it is over, or `unfinished` and left so on purpose.

        The next turn starts afresh, but what was left unfinished must have ended by then.
        """
        found = self._faults
        if not unfinished and any(response.status is None for response in self._responses.values()):
            found.add("answer_unfinished")
        if words_of_another(recording, transcript, others):
            found.add("question_of_another")
        self._faults = set()
        return sorted(found)

    def _on_audio(self, response: _Response, event: Any) -> None:
        item = event.item_id
        response.samples[item] = response.samples.get(item, 0) + len(audio_of(event)) // SAMPLE_BYTES
        if item in response.ended or response.status is not None:
            self._faults.add("answer_audio_unfinished")

    def _on_audio_done(self, response: _Response, event: Any) -> None:
        response.ended.add(event.item_id)

    def _on_text(self, response: _Response, event: Any) -> None:
        response.text += event.delta

    def _on_text_done(self, response: _Response, event: Any) -> None:
        response.whole_text = (response.whole_text or "") + event.transcript

    def _on_done(self, response: _Response, event: Any) -> None:
        response.status = event.response.status or "completed"
        if response.status != "completed":
            return
        if not any(response.samples.values()):
            self._faults.add("answer_without_audio")
        elif response.samples.keys() - response.ended:
            self._faults.add("answer_audio_unfinished")
        if response.whole_text is not None and response.whole_text != response.text:
            self._faults.add("answer_text_incomplete")


_METHODS = {
    "response.output_audio.delta": AnswerCheck._on_audio,
    "response.output_audio.done": AnswerCheck._on_audio_done,
    "response.output_audio_transcript.delta": AnswerCheck._on_text,
    "response.output_audio_transcript.done": AnswerCheck._on_text_done,
    "response.done": AnswerCheck._on_done,
}


def words_of_another(recording: Recording, transcript: str, others: Sequence[Recording]) -> bool:
    """Another recording was understood where this one was asked. Recordings whose words are not known never match."""
    if recording.said is None or not transcript:
        return False
    heard = SequenceMatcher(None, b=_plain(transcript), autojunk=False)
    if _likeness(heard, recording.said) >= _OWN_BELOW:
        return False
    return any(_likeness(heard, other.said) > _OTHER_ABOVE for other in others if other.said is not None)


def _likeness(heard: SequenceMatcher[str], said: str) -> float:
    heard.set_seq1(_plain(said))
    return heard.ratio()


def _plain(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
