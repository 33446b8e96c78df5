"""Translation sessions: speech in one language in, speech in another out, phrase by phrase, for as long as audio comes.

A phrase ends at a short pause. Phrases are translated one after the other, in the order in which they were said, while the next
is being heard; a speaker who is too fast is held back by the transport.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Literal, get_args

import numpy as np

from streaming.audio import MODEL_RATE_HZ, Resampler, WireFormat
from streaming.endpointing import SpeechStopped
from streaming.errors import InvalidRequest, SpeechServerError
from streaming.interleave import TextDelta, TranscriptDelta
from streaming.realtime.config import AudioInput, ServerVad
from streaming.realtime.conversation import new_id
from streaming.realtime.hearing import Hearing
from streaming.realtime.input_buffer import InputBuffer
from streaming.realtime.items import from_base64
from streaming.realtime.limits import Observer, Outcome, SessionLimits, SessionModel
from streaming.realtime.messages import ClientMessage, parse_as
from streaming.realtime.outbox import Event, Outbox, Send
from streaming.realtime.session import SessionExpired
from streaming.realtime.shapes import ClientEventError, Name, Strict, merged
from streaming.turn import AudioDelta, Question, ReplyLanguage, Turn, TurnEvent, TurnOptions

log = logging.getLogger(__name__)

_PHRASE = ServerVad(type="server_vad", silence_duration_ms=300)
_MAX_PHRASE_S = 12.0
_QUEUED_PHRASES = 4
_WIRE = WireFormat()
_FRAME_MS = 200  # `elapsed_ms` advances in steps of this length


class SourceTranscription(Strict):
    """Tell what was said, too; `model` changes nothing."""

    model: Name


class TranslationInput(Strict):
    transcription: SourceTranscription | None = None
    noise_reduction: None = None


class TranslationOutput(Strict):
    language: Name | None = None


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
    audio: str


class Close(ClientMessage):
    type: Literal["session.close"]


_BY_TYPE: dict[str, type[Update | Append | Close]] = {
    get_args(shape.model_fields["type"].annotation)[0]: shape for shape in (Update, Append, Close)
}


class _Closed(Exception):
    """The client closed the session, has gone, or its time is over."""


class TranslationSession:
    """One connection that is interpreted. Raises InvalidRequest (`unsupported_task`) where the model cannot translate."""

    def __init__(
        self,
        model: SessionModel,
        send: Send,
        *,
        limits: SessionLimits,
        observer: Observer,
        config: TranslationConfig | None = None,
    ) -> None:
        self._model = model
        self._observer = observer
        self._limits = limits
        self.id = new_id("sess")
        self.expires_at = int(time.time() + limits.max_session_s)
        self._outbox = Outbox(send)
        self._audio = TranslationAudio()
        phrases = SessionLimits(max_question_s=min(_MAX_PHRASE_S, limits.max_question_s))
        self._input = InputBuffer(model.stages, phrases, AudioInput(turn_detection=_PHRASE))
        self._resampler = Resampler(model.stages.decoder.sample_rate, _WIRE.rate_hz)
        self._phrases: asyncio.Queue[tuple[Hearing, int] | None] = asyncio.Queue(_QUEUED_PHRASES)
        self._language: ReplyLanguage = model.languages[0]  # type: ignore[assignment]
        self._configure(config.audio if config else TranslationAudio())

    async def run(self, received: AsyncIterator[str | bytes]) -> None:
        """Until `received` ends, the client closes the session, or its time is over."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._input.tasks = tasks
                tasks.create_task(self._expire(), name="expiry")
                await self._outbox.send({"type": "session.created", "session": self.public()})
                interpreter = tasks.create_task(self._interpret(), name="interpreter")
                async for message in received:
                    if await self._handle(message):
                        await self._finish(interpreter)
                        break
                raise _Closed
        except* _Closed:
            pass

    def public(self) -> dict[str, Any]:
        """The session as the protocol shows it."""
        audio = self._audio.model_dump()
        audio["output"]["language"] = self._language
        head = {"id": self.id, "type": "translation", "model": self._model.name, "expires_at": self.expires_at}
        return {**head, "audio": audio}

    async def _expire(self) -> None:
        await asyncio.sleep(self._limits.max_session_s)
        await self._refuse(SessionExpired.after(self._limits.max_session_s), None)
        raise _Closed

    async def _handle(self, message: str | bytes) -> bool:
        """One message; True if it closes the session."""
        event_id: str | None = None
        try:
            event = parse_as(_BY_TYPE, message)
            event_id = event.event_id
            if isinstance(event, Close):
                return True
            if isinstance(event, Update):
                patch = event.session.audio.model_dump(exclude_unset=True)
                self._configure(TranslationAudio.model_validate(merged(self._audio.model_dump(), patch)))
                await self._outbox.send({"type": "session.updated", "session": self.public()})
            else:
                await self._append(event)
        except SpeechServerError as error:
            about = error.event_id if isinstance(error, ClientEventError) and error.event_id else event_id
            await self._refuse(error, about)
        except Exception:
            log.exception("client event failed")
            await self._refuse(SpeechServerError("the event failed inside the server"), event_id)
        return False

    async def _refuse(self, error: SpeechServerError, event_id: str | None) -> None:
        self._observer.error(error)
        await self._outbox.send({"type": "error", "error": {**error.body(), "event_id": event_id}})

    def _configure(self, audio: TranslationAudio) -> None:
        language = audio.output.language or self._language
        if language not in self._model.languages:
            accepted = ", ".join(self._model.languages)
            raise InvalidRequest(
                f"{self._model.name} does not speak {language!r}; accepted: {accepted}",
                param="session.audio.output.language",
            )
        options = TurnOptions(task="translate", reply_language=language)  # type: ignore[arg-type]
        self._model.stages.prompts.speech_prompt(options, ())  # raises where there is no wording for it
        self._language, self._audio = options.reply_language, audio

    async def _append(self, event: Append) -> None:
        async with aclosing(self._input.feed(from_base64(event.audio, "audio"))) as turns:
            async for turn in turns:
                if isinstance(turn, SpeechStopped):
                    await self._take(turn.at_sample * 1000 // MODEL_RATE_HZ)

    async def _take(self, end_ms: int) -> None:
        heard = await self._input.take()
        if heard is not None:
            await self._phrases.put((heard.hearing, end_ms - end_ms % _FRAME_MS))

    async def _finish(self, interpreter: asyncio.Task[None]) -> None:
        """Translate what is left, then say goodbye."""
        await self._take(self._input.clock_ms)
        await self._phrases.put(None)
        await interpreter
        await self._outbox.send({"type": "session.closed"})

    async def _interpret(self) -> None:
        while (phrase := await self._phrases.get()) is not None:
            hearing, elapsed_ms = phrase
            outcome: Outcome = "failed"
            turn = self._turn(hearing, elapsed_ms)
            try:
                await turn.run(self._limits.max_turn_s)
                outcome = "completed"
            except SpeechServerError as error:
                await self._refuse(error, None)
            except asyncio.CancelledError:
                outcome = "cancelled"
                raise
            except Exception:
                log.exception("translation failed")
                await self._refuse(SpeechServerError("the translation failed inside the server"), None)
            finally:
                self._observer.turn(turn.report, outcome)

    def _turn(self, hearing: Hearing, elapsed_ms: int) -> Turn:
        shown = self._audio.input.transcription is not None

        async def emit(event: TurnEvent) -> None:
            match event:
                case TextDelta():
                    await self._tell("output_transcript", event.text, elapsed_ms)
                case TranscriptDelta() if shown:
                    await self._tell("input_transcript", event.text, elapsed_ms)
                case AudioDelta():
                    await self._tell_audio(self._resampler.push(event.pcm), elapsed_ms)

        options = TurnOptions(task="translate", reply_language=self._language)
        return Turn(self._model.stages, Question(units=hearing.units()), options, emit)

    async def _tell(self, what: str, delta: str, elapsed_ms: int) -> None:
        event: Event = {"type": f"session.{what}.delta", "delta": delta, "elapsed_ms": elapsed_ms}
        await self._outbox.send(event)

    async def _tell_audio(self, pcm: np.ndarray[Any, Any], elapsed_ms: int) -> None:
        if not pcm.size:
            return
        about = {"format": "pcm16", "sample_rate": _WIRE.rate_hz, "channels": 1, "elapsed_ms": elapsed_ms}
        delta = base64.b64encode(_WIRE.encode(pcm)).decode()
        await self._outbox.send({"type": "session.output_audio.delta", "delta": delta, **about})
