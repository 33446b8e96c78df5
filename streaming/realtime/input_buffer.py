"""The input audio buffer: what the client sends as audio, until it becomes a message."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from streaming.audio import MODEL_RATE_HZ, AudioFrame, Resampler
from streaming.endpointing import EndpointerConfig, Paused, Resumed, SpeechStarted, SpeechStopped
from streaming.errors import InvalidRequest
from streaming.realtime.config import AudioInput, SemanticVad, ServerVad
from streaming.realtime.conversation import new_id
from streaming.realtime.effects import Encode, Forget, Hear, Output, Peek
from streaming.realtime.events import InputSpeechStopped
from streaming.realtime.limits import SessionLimits
from streaming.realtime.listening import Listener, Speech
from streaming.realtime.utterance import UtteranceEncoding
from streaming.stages import Pcm, Stages
from streaming.turn_ends import adapted_ms, left_open, patience_ms

SEMANTIC_PAUSE_MS, SPECULATIVE_PAUSE_MS = 200, 96
"""Silence after which it is asked whether the turn is over: by `semantic_vad`, and for a speculative turn of `server_vad`."""

_ROOM_S = 1.0
"""A turn goes on after its end only where so much more may be said in it."""

_SURE_MS = 300
"""Shortest silence that ends a turn of `semantic_vad` which also reads complete."""

Heard = SpeechStarted | Paused | Resumed | SpeechStopped

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


@dataclass(frozen=True, slots=True)
class _Parted:
    """A turn that was taken and may go on: what still encodes it, what was taken, and its audio for the end-of-turn model."""

    encoding: UtteranceEncoding
    seen: UtteranceEncoding
    audio: deque[Pcm]


class InputBuffer:
    """Resamples, finds turns and has them encoded while they are spoken. One clock of samples for the session.

    `encoding`: of what is in the buffer; None: there is nothing that a commit could take.

    `emit` takes what is to be done. `speculate`: pauses of `server_vad` are told, too.
    """

    def __init__(
        self,
        stages: Stages,
        limits: SessionLimits,
        config: AudioInput,
        emit: Callable[[Output], None],
        *,
        speculate: bool = False,
    ) -> None:
        self._stages = stages
        self._limits = limits
        self._emit = emit
        self._config, self._speculate = config, speculate
        self.encoding: UtteranceEncoding | None = None
        self._clock = 0
        self._listener: Listener | None = None
        self._turn: deque[Pcm] = deque()
        self._parted: _Parted | None = None
        self._finished: float | None = None
        self._understood: str | None = None
        self._certainty: float | None = None
        self.item_id = new_id("item")
        self._resampler = Resampler(MODEL_RATE_HZ, MODEL_RATE_HZ)
        self._listen_anew()

    @property
    def speaking(self) -> bool:
        """Voice activity has found a turn that is not over."""
        return self._listener is not None and self._listener.speaking

    @property
    def clock_ms(self) -> int:
        """Audio so far, since the session opened."""
        return self._clock * 1000 // MODEL_RATE_HZ

    def configure(self, config: AudioInput, *, speculate: bool = False) -> None:
        """Listen from now on as `config` says. What is in the buffer stays there, and a turn under way goes on.

        Where the client ends turns from now on, it ends this one, too.
        """
        self._config, self._speculate = config, speculate
        if self._listener is None or config.turn_detection is None:
            if self._listener is not None and self.encoding is not None:
                self._hear(self._listener.flush())
            if self.speaking:
                self._tell_end()
            self._listen_anew()
        else:
            endpointer, keep_ms = self._endpointing()
            self._listener.configure(endpointer, keep_ms=keep_ms)

    def clear(self) -> None:
        """Forget everything that was not committed."""
        if self.speaking:
            self._tell_end()
        if self.encoding is not None:
            self._emit(Forget(self.encoding))
            self.encoding = None
            self.item_id = new_id("item")
        self._turn.clear()
        self.let_go()
        self._resampler = Resampler(MODEL_RATE_HZ, MODEL_RATE_HZ)
        self._listen_anew()

    def feed(self, audio: AudioFrame) -> Iterator[Heard | Breath]:
        """More audio. Stops at every start, pause, resumption and end of a turn, and goes on with the rest after it."""
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
            for heard in self._listen(self._resampler.flush()):
                if isinstance(heard, SpeechStopped):  # a turn that would end here is what the client commits
                    self._tell_end()
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
        if by_client:
            if self.speaking:
                self._tell_end()
            self.let_go()
            self._listen_anew()
        self._emit(Hear(encoding, None))
        taken, self.item_id = Utterance(self.item_id, encoding), new_id("item")
        self._turn.clear()
        return taken

    def glimpse(self) -> Utterance:
        """What is in the buffer, as if it ended here. Its units come with `peek`."""
        assert self.encoding is not None
        seen = UtteranceEncoding()
        seen.samples = self.encoding.samples
        return Utterance(self.item_id, seen)

    def peek(self, seen: Utterance, beside: str | None = None) -> None:
        """Have `seen` encoded, unless that is under way. The buffer may go on. `beside`: only while this turn is under way."""
        if self.encoding is not None and not seen.encoding.ended:
            self._emit(Peek(self.encoding, seen.encoding, beside))

    def part(self, seen: Utterance | None = None) -> Utterance:
        """What is in the buffer, complete, or as it was `seen` in the pause that ended it. The buffer is empty afterwards.

        Until the next turn begins, or `let_go`, `resume` puts it back.
        """
        assert self.encoding is not None
        self.let_go()
        taken = seen or self.glimpse()
        self.peek(taken)
        taken.encoding.samples = self.encoding.samples
        self._parted = _Parted(self.encoding, taken.encoding, self._turn)
        self.encoding, self._turn, self.item_id = None, deque(), new_id("item")
        return taken

    def resume(self) -> bool:
        """The turn that was parted with goes on: it is in the buffer again. False where it is not there, or too long for that."""
        parted, self._parted = self._parted, None
        if parted is None:
            return False
        if parted.encoding.samples > (self._limits.max_question_s - _ROOM_S) * MODEL_RATE_HZ:
            self._parted = parted
            return False
        self.encoding, self._turn = parted.encoding, parted.audio
        return True

    def let_go(self) -> None:
        """The turn that was parted with does not go on."""
        if self._parted is not None:
            parted, self._parted = self._parted, None
            # What was seen of it may still be under way, and comes before the end.
            self._emit(Forget(parted.encoding) if parted.seen.ended else Hear(parted.encoding, None))

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
        """The turn that pauses is over with this probability, by its sound."""
        self._finished = finished
        self._reconsider()

    def understood(self, text: str, certainty: float | None = None) -> None:
        """This is what the turn that pauses says so far. `certainty`: see `TranscriptDone`."""
        self._understood, self._certainty = text, certainty
        self._reconsider()

    def _reconsider(self) -> None:
        detection, finished, text = self._config.turn_detection, self._finished, self._understood
        if self._listener is None:
            return
        if isinstance(detection, ServerVad):
            wait_ms = adapted_ms(detection.silence_duration_ms, text=text, finished=finished, certain=self._certain)
            self._listener.wait(wait_ms)
        elif isinstance(detection, SemanticVad):
            shortest_ms, longest_ms = detection.shortest_wait_ms, detection.longest_wait_ms
            if text is not None and not left_open(text):
                shortest_ms = max(_SURE_MS, shortest_ms * 3 // 5)
                finished = 1.0 if self._certain else finished
            if finished is not None:
                self._listener.wait(patience_ms(finished, shortest_ms=shortest_ms, longest_ms=longest_ms))

    @property
    def _certain(self) -> bool | None:
        """Whether the model is sure of every word that it understood; None where nobody tells."""
        if self._certainty is None or self._stages.sure is None:
            return None
        return self._certainty >= self._stages.sure

    @property
    def _samples(self) -> int:
        return self.encoding.samples if self.encoding else 0

    def _tell_end(self) -> None:
        """Who was told that speech began is told where it ended, although voice activity has not found that."""
        self._emit(InputSpeechStopped(self.clock_ms, self.item_id))

    def _listen(self, pcm: Pcm) -> Iterator[Heard]:
        start, self._clock = self._clock, self._clock + pcm.size
        if self._listener is None:
            self._hear(pcm)
            return
        for event in self._listener.feed(pcm, start):
            if isinstance(event, Speech):
                self._hear(event.pcm)
                continue
            if not isinstance(event, Paused):
                self._finished = self._understood = self._certainty = None
            yield event
            if isinstance(event, SpeechStarted):
                self._listener.count_in(self._samples)  # of a turn that goes on, or that the client began

    def _hear(self, pcm: Pcm) -> None:
        if not pcm.size:
            return
        if self.encoding is None:
            self.encoding = UtteranceEncoding()
            self._emit(Encode(self.encoding))
        if self._listener is not None and self._stages.end_of_turn is not None:
            self._turn.append(pcm)
        self.encoding.samples += pcm.size
        self._emit(Hear(self.encoding, pcm))

    def _listen_anew(self) -> None:
        self._listener = None
        if self._config.turn_detection is not None:
            endpointer, keep_ms = self._endpointing()
            self._listener = Listener(self._stages.voice_activity(), endpointer, keep_ms=keep_ms)

    def _endpointing(self) -> tuple[EndpointerConfig, int]:
        """How the ends of turns are found, and how much silence is kept."""
        detection = self._config.turn_detection
        max_turn_ms = round(self._limits.max_question_s * 1000)
        if not isinstance(detection, ServerVad):
            assert detection is not None
            wait_ms = detection.longest_wait_ms
            config = EndpointerConfig(silence_duration_ms=wait_ms, max_turn_ms=max_turn_ms, pause_ms=SEMANTIC_PAUSE_MS)
            return config, 0
        config = EndpointerConfig(
            threshold=detection.threshold,
            prefix_padding_ms=detection.prefix_padding_ms,
            silence_duration_ms=detection.silence_duration_ms,
            max_turn_ms=max_turn_ms,
            pause_ms=SPECULATIVE_PAUSE_MS if self._speculate else None,
        )
        return config, min(detection.idle_timeout_ms or 0, max_turn_ms)
