"""The input audio buffer: what the client sends as audio, until it becomes a message."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from streaming.audio import MODEL_RATE_HZ, AudioFrame, Resampler
from streaming.endpointing import EndpointerConfig, Paused, SpeechStarted, SpeechStopped, patience_ms
from streaming.errors import InvalidRequest
from streaming.realtime.config import AudioInput, SemanticVad, ServerVad
from streaming.realtime.conversation import new_id
from streaming.realtime.effects import Encode, Forget, Hear, Output
from streaming.realtime.limits import SessionLimits
from streaming.realtime.listening import Listener, Speech
from streaming.realtime.utterance import UtteranceEncoding
from streaming.stages import Pcm, Stages

SEMANTIC_PAUSE_MS = 200
"""Silence after which the end-of-turn model is asked."""

SILENCE = AudioFrame(np.zeros(MODEL_RATE_HZ // 5, np.float32), MODEL_RATE_HZ)
"""For a microphone that says nothing: 200 ms."""

_nothing = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class Utterance:
    """Speech that was committed, complete; times in ms of the audio since the session opened."""

    item_id: str
    encoding: UtteranceEncoding
    start_ms: int = 0
    end_ms: int = 0


@dataclass(frozen=True, slots=True)
class Breath:
    """A second of audio was listened to: time for others."""


class InputBuffer:
    """Resamples, finds turns and has them encoded while they are spoken. One clock of samples for the session.

    `encoding`: of what is in the buffer; None: there is nothing that a commit could take.

    `emit` takes what is to be done.
    """

    def __init__(
        self,
        stages: Stages,
        limits: SessionLimits,
        config: AudioInput,
        emit: Callable[[Output], None],
    ) -> None:
        self._stages = stages
        self._limits = limits
        self._emit = emit
        self.encoding: UtteranceEncoding | None = None
        self._clock = 0
        self._listener: Listener | None = None
        self._turn: deque[Pcm] = deque()
        self.item_id = new_id("item")
        self.configure(config)

    @property
    def speaking(self) -> bool:
        """Voice activity has found a turn that is not over."""
        return self._listener is not None and self._listener.speaking

    @property
    def clock_ms(self) -> int:
        """Audio so far, since the session opened."""
        return self._clock * 1000 // MODEL_RATE_HZ

    def configure(self, config: AudioInput) -> None:
        """Listen from now on as `config` says; what is in the buffer is dropped."""
        self._drop()
        self._config = config
        self._resampler = Resampler(MODEL_RATE_HZ, MODEL_RATE_HZ)
        self._listen_anew()

    def clear(self) -> None:
        """Forget everything that was not committed."""
        self.configure(self._config)

    def feed(self, audio: AudioFrame) -> Iterator[SpeechStarted | Paused | SpeechStopped | Breath]:
        """More audio. Stops at every start, pause and end of a turn, and goes on with the rest after it."""
        tail = _nothing
        if audio.rate_hz != self._resampler.from_hz:
            tail, self._resampler = self._resampler.flush(), Resampler(audio.rate_hz, MODEL_RATE_HZ)
        pcm = np.concatenate([tail, self._resampler.push(audio.pcm)]) if tail.size else self._resampler.push(audio.pcm)
        if self._listener is None and self._samples + pcm.size > self._limits.max_question_s * MODEL_RATE_HZ:
            raise InvalidRequest(
                f"the input audio buffer would exceed {self._limits.max_question_s:g} s, the most a question may have; "
                "commit or clear it",
                code="audio_too_long",
                param="audio",
            )
        for start in range(0, pcm.size, MODEL_RATE_HZ):
            yield from self._listen(pcm[start : start + MODEL_RATE_HZ])
            if pcm.size > MODEL_RATE_HZ:  # a message may hold minutes, and voice activity computes right here
                yield Breath()

    def complete(self) -> None:
        """Bring in what is still held back, before a commit by the client. Raises InvalidRequest if that is too little."""
        if self.encoding is not None:
            for _ in self._listen(self._resampler.flush()):
                pass  # a turn that would end here is what the client commits
        if self.encoding is not None and self._listener is not None:
            self._hear(self._listener.flush())
        if self._samples < self._limits.min_question_s * MODEL_RATE_HZ:
            raise InvalidRequest(
                f"the input audio buffer holds {self._samples * 1000 // MODEL_RATE_HZ} ms of speech; "
                f"at least {self._limits.min_question_s * 1000:g} ms are needed",
                code="input_audio_buffer_commit_empty",
            )

    def take(self, *, by_client: bool = False) -> Utterance | None:
        """What is in the buffer, complete, as the message `item_id`; the buffer is empty afterwards."""
        encoding, self.encoding = self.encoding, None
        if encoding is None:
            return None
        self._emit(Hear(encoding, None))
        taken, self.item_id = Utterance(self.item_id, encoding), new_id("item")
        self._turn.clear()
        if by_client:
            self._listen_anew()
        return taken

    def take_silence(self) -> Utterance | None:
        """The silence since the last turn, as a message; None where nobody listens for turns."""
        if self._listener is None or self._listener.speaking:
            return None
        pcm = self._listener.silence()
        end_ms = self.clock_ms
        self._hear(pcm if pcm.size else np.zeros(MODEL_RATE_HZ // 10, np.float32))
        taken = self.take()
        start_ms = end_ms - pcm.size * 1000 // MODEL_RATE_HZ
        return taken and Utterance(taken.item_id, taken.encoding, start_ms, end_ms)

    def to_judge(self) -> Pcm:
        """The end of the turn that pauses, for the end-of-turn model."""
        judge = self._stages.end_of_turn
        assert judge is not None
        audio = np.concatenate(self._turn)[-judge.window_samples :]
        self._turn = deque([audio])
        return audio

    def judged(self, finished: float) -> None:
        """The turn that pauses is over with this probability."""
        detection = self._config.turn_detection
        if self._listener is not None and isinstance(detection, SemanticVad):
            shortest_ms, longest_ms = detection.shortest_wait_ms, detection.longest_wait_ms
            self._listener.wait(patience_ms(finished, shortest_ms=shortest_ms, longest_ms=longest_ms))

    @property
    def _samples(self) -> int:
        return self.encoding.samples if self.encoding else 0

    def _listen(self, pcm: Pcm) -> Iterator[SpeechStarted | Paused | SpeechStopped]:
        start, self._clock = self._clock, self._clock + pcm.size
        if self._listener is None:
            self._hear(pcm)
            return
        for event in self._listener.feed(pcm, start):
            if isinstance(event, Speech):
                self._hear(event.pcm)
            else:
                yield event

    def _hear(self, pcm: Pcm) -> None:
        if not pcm.size:
            return
        if self.encoding is None:
            self.encoding = UtteranceEncoding()
            self._emit(Encode(self.encoding))
        if isinstance(self._config.turn_detection, SemanticVad):
            self._turn.append(pcm)
        self.encoding.samples += pcm.size
        self._emit(Hear(self.encoding, pcm))

    def _listen_anew(self) -> None:
        detection = self._config.turn_detection
        if detection is None:
            self._listener = None
            return
        max_turn_ms = round(self._limits.max_question_s * 1000)
        keep_ms = 0
        if isinstance(detection, ServerVad):
            config = EndpointerConfig(
                threshold=detection.threshold,
                prefix_padding_ms=detection.prefix_padding_ms,
                silence_duration_ms=detection.silence_duration_ms,
                max_turn_ms=max_turn_ms,
            )
            keep_ms = min(detection.idle_timeout_ms or 0, max_turn_ms)
        else:
            config = EndpointerConfig(
                silence_duration_ms=detection.longest_wait_ms, max_turn_ms=max_turn_ms, pause_ms=SEMANTIC_PAUSE_MS
            )
        self._listener = Listener(self._stages.voice_activity(), config, keep_ms=keep_ms)

    def _drop(self) -> None:
        if self.encoding is not None:
            self._emit(Forget(self.encoding))
            self.encoding = None
            self.item_id = new_id("item")
        self._turn.clear()
