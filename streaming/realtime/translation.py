"""Translation sessions: speech in one language in, speech in another out, phrase by phrase, for as long as audio comes.

A phrase ends at a short pause. Phrases are translated one after the other, in the order in which they were said, while the next
is being heard; a speaker who is too fast is held back by the transport.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from streaming.audio import MODEL_RATE_HZ, AudioFrame, WireFormat
from streaming.endpointing import SpeechStopped
from streaming.errors import InvalidRequest, SpeechServerError
from streaming.interleave import TextDelta, TranscriptDelta
from streaming.names import Language
from streaming.realtime import effects as do
from streaming.realtime import events as out
from streaming.realtime.config import AudioInput, NoiseReduction, Off, ServerVad
from streaming.realtime.conversation import new_id
from streaming.realtime.input_buffer import SILENCE, Breath, InputBuffer
from streaming.realtime.limits import SessionExpired, SessionLimits, SessionModel
from streaming.realtime.machine import FAREWELL_S
from streaming.realtime.messages import ClientMessage, Sound, by_type
from streaming.realtime.server_shapes import SessionShape
from streaming.realtime.shapes import Name, Strict, merged
from streaming.realtime.steps import Handler, Steps
from streaming.realtime.translation_events import SessionClosed, SourceText, TranslatedAudio, TranslatedText
from streaming.realtime.utterance import UtteranceEncoding
from streaming.stages import Pcm, TurnOptions
from streaming.turn import AudioDelta, Question

log = logging.getLogger(__name__)

_PHRASE = ServerVad(type="server_vad", silence_duration_ms=300)
_MAX_PHRASE_S = 12.0
_QUEUED_PHRASES = 4
_FRAME_MS = 200  # `elapsed_ms` advances in steps of this length


class SourceTranscription(Strict):
    """Tell what was said, too; `model` changes nothing."""

    model: Name


class TranslationInput(Strict):
    transcription: SourceTranscription | None = None
    noise_reduction: Annotated[NoiseReduction | None, Off] = None


class TranslationOutput(Strict):
    language: Language | None = None


class TranslationAudio(Strict):
    input: TranslationInput = TranslationInput()
    output: TranslationOutput = TranslationOutput()


class TranslationConfig(Strict):
    """Settings of a translation session, as a client secret or a connection says them."""

    type: Literal["translation"] = "translation"
    model: Name | None = None
    audio: TranslationAudio = TranslationAudio()


class TranslationPatch(Strict):
    audio: TranslationAudio = TranslationAudio()


class Update(ClientMessage):
    type: Literal["session.update"]
    session: TranslationPatch


class Append(ClientMessage):
    type: Literal["session.input_audio_buffer.append"]
    audio: Sound


class Close(ClientMessage):
    type: Literal["session.close"]


CLIENT_EVENTS: dict[str, type[ClientMessage]] = by_type(Update, Append, Close)


@dataclass(frozen=True, slots=True)
class _Speaking:
    """The phrase that is being translated: where it ended, and whether what was said is told, too."""

    elapsed_ms: int
    source_shown: bool


def translated_into(model: SessionModel, audio: TranslationAudio, before: str | None = None) -> str:
    """The language to speak. Raises InvalidRequest where the model does not speak it, or cannot translate."""
    asked = audio.output.language if audio.output.language != "auto" else None
    language = asked or before or model.languages[0]
    if language not in model.languages:
        accepted = ", ".join(model.languages)
        raise InvalidRequest(
            f"{model.name} does not speak {language!r}; accepted: {accepted}", param="session.audio.output.language"
        )
    options = TurnOptions(task="translate", reply_language=language)
    model.stages.prompts.speech_prompt(options, ())  # raises where there is no wording for it
    return language


def translation_shape(
    model: SessionModel, audio: TranslationAudio, language: str, session_id: str, expires_at: int
) -> SessionShape:
    """The session as the protocol shows it."""
    settings = audio.model_dump()
    settings["output"]["language"] = language
    shown = {"type": "translation", "model": model.name, "audio": settings}
    return SessionShape(session_id, expires_at, "translation", shown, model.recorded)


class TranslationMachine:
    """One connection that is interpreted. Raises InvalidRequest (`unsupported_task`) where the model cannot translate."""

    def __init__(self, model: SessionModel, limits: SessionLimits, config: TranslationConfig | None = None) -> None:
        self._model = model
        self._limits = limits
        self.id = new_id("sess")
        self.expires_at = int(time.time() + limits.max_session_s)
        self.audio_in = WireFormat()
        self._outputs: list[do.Output] = []
        self._emit = self._outputs.append  # no method of this: a session that is over is freed at once, without cycles
        self._steps = Steps()
        self._audio = config.audio if config else TranslationAudio()
        self._language = translated_into(model, self._audio)
        phrases = SessionLimits(max_question_s=min(_MAX_PHRASE_S, limits.max_question_s))
        self._input = InputBuffer(model.stages, phrases, AudioInput(turn_detection=_PHRASE), self._emit)
        self._phrases: deque[tuple[UtteranceEncoding, int]] = deque()
        self._speaking: _Speaking | None = None

    @property
    def waiting(self) -> bool:
        """See `Machine`."""
        return self._steps.waiting

    @property
    def listening(self) -> bool:
        """See `Machine`."""
        return self._input.speaking

    def shape(self) -> SessionShape:
        """The session as the protocol shows it."""
        return translation_shape(self._model, self._audio, self._language, self.id, self.expires_at)

    def receive(self, input_: do.Input) -> list[do.Output]:
        """See `Machine`."""
        match input_:
            case do.TurnProgress():
                self._progress(input_)
            case do.TurnClosed():
                self._closed(input_)
            case do.TimerDue("expiry"):
                self._emit(do.StartTimer("farewell", FAREWELL_S))
                self._emit(out.Failed(SessionExpired.after(self._limits.max_session_s)))
                self._emit(do.HangUp())
            case do.Opened():
                self._emit(out.SessionCreated(self.shape()))
                self._emit(do.StartTimer("expiry", self._limits.max_session_s))
            case do.Unreadable(error):
                self._emit(out.Failed(error, getattr(error, "event_id", None)))
            case do.Stalled():
                self._steps.add(self._fall_silent())
            case ClientMessage():
                self._steps.add(self._handle(input_))
        self._steps.advance()
        outputs = self._outputs[:]
        self._outputs.clear()
        return outputs

    def _handle(self, event: ClientMessage) -> Handler:
        try:
            match event:
                case Append():
                    yield from self._append(event)
                case Update():
                    self._configure(event.session.audio)
                case Close():
                    yield from self._close()
        except SpeechServerError as error:
            self._emit(out.Failed(error, event.event_id))
        except Exception:
            log.exception("client event failed")
            self._emit(out.Failed(SpeechServerError("the event failed inside the server"), event.event_id))

    def _configure(self, patch: TranslationAudio) -> None:
        old, new = self._audio.model_dump(), patch.model_dump(exclude_unset=True)
        audio = TranslationAudio.model_validate(merged(old, new))
        self._language = translated_into(self._model, audio, self._language)
        self._audio = audio
        self._emit(out.SessionUpdated(self.shape()))

    def _append(self, event: Append) -> Handler:
        for heard in self._input.feed(event.audio):
            match heard:
                case SpeechStopped(at_sample):
                    yield from self._take(at_sample * 1000 // MODEL_RATE_HZ)
                case Breath():
                    self._emit(do.Rest())
                    yield

    def _fall_silent(self) -> Handler:
        while self._input.speaking:
            yield from self._append(Append(type="session.input_audio_buffer.append", audio=SILENCE))

    def _take(self, end_ms: int) -> Handler:
        """A phrase was said; it waits for those before it."""
        heard = self._input.take()
        if heard is not None:
            while len(self._phrases) >= _QUEUED_PHRASES:
                yield
            self._phrases.append((heard.encoding, end_ms - end_ms % _FRAME_MS))
            self._next()

    def _close(self) -> Handler:
        """Translate what is left, then say goodbye."""
        yield from self._take(self._input.clock_ms)
        while self._speaking is not None:
            yield
        self._emit(SessionClosed())
        self._emit(do.HangUp())

    def _next(self) -> None:
        """Translate the next phrase, if there is one and it is its turn."""
        if self._speaking is not None or not self._phrases:
            return
        encoding, elapsed_ms = self._phrases.popleft()
        self._speaking = _Speaking(elapsed_ms, self._audio.input.transcription is not None)
        options = TurnOptions(task="translate", reply_language=self._language)
        question = Question(encoding.units(), audio_s=encoding.samples / MODEL_RATE_HZ)
        turn = do.StartTurn(new_id("turn"), question, options)
        try:
            self._limits.allowance.take_turn()
        except SpeechServerError as error:
            self._emit(do.RefuseTurn(turn.turn_id, error))
        else:
            self._emit(turn)

    def _progress(self, progress: do.TurnProgress) -> None:
        assert self._speaking is not None
        elapsed_ms = self._speaking.elapsed_ms
        match progress.event:
            case TextDelta(text):
                self._emit(TranslatedText(text, elapsed_ms))
            case TranscriptDelta(text) if self._speaking.source_shown:
                self._emit(SourceText(text, elapsed_ms))
            case AudioDelta(pcm):
                self._emit(self._spoken(pcm, elapsed_ms))

    def _closed(self, closed: do.TurnClosed) -> None:
        assert self._speaking is not None
        if closed.failure is not None:
            self._emit(out.Failed(closed.failure))
        if closed.report.audio_s:
            self._emit(self._spoken(np.zeros(0, np.float32), self._speaking.elapsed_ms, last=True))
        self._speaking = None
        self._next()

    def _spoken(self, pcm: Pcm, elapsed_ms: int, *, last: bool = False) -> TranslatedAudio:
        return TranslatedAudio(AudioFrame(pcm, self._model.stages.decoder.sample_rate), elapsed_ms, last)
