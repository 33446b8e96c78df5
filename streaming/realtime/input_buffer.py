"""The input audio buffer: what the client sends as audio, until it becomes a message."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

import numpy as np

from streaming.audio import MODEL_RATE_HZ, Resampler
from streaming.endpointing import EndpointerConfig, Paused, SpeechStarted, SpeechStopped, patience_ms
from streaming.errors import InvalidRequest
from streaming.realtime.config import AudioInput, SemanticVad, ServerVad, wire_of
from streaming.realtime.conversation import new_id
from streaming.realtime.hearing import Hearing
from streaming.realtime.limits import SessionLimits
from streaming.realtime.listening import Listener, Speech
from streaming.stages import Pcm
from streaming.turn import Stages

log = logging.getLogger(__name__)

SEMANTIC_PAUSE_MS = 200
"""Silence after which the end-of-turn model is asked."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Speech that was committed, complete; times in ms of the audio since the session opened."""

    item_id: str
    hearing: Hearing
    start_ms: int = 0
    end_ms: int = 0


class InputBuffer:
    """Decodes, resamples, finds turns and has them encoded while they are spoken. One clock of samples for the session.

    `began` is called with every `Hearing` when its first audio comes, and the id of the message that it will be.
    """

    def __init__(
        self,
        stages: Stages,
        limits: SessionLimits,
        config: AudioInput,
        began: Callable[[str, Hearing], None] = lambda item_id, hearing: None,
    ) -> None:
        self._stages = stages
        self._limits = limits
        self._began = began
        self._hearing: Hearing | None = None
        self._encoding: asyncio.Task[None] | None = None
        self._clock = 0
        self._listener: Listener | None = None
        self._turn: deque[Pcm] = deque()
        self.item_id = new_id("item")
        self.tasks: asyncio.TaskGroup | None = None
        self.configure(config)

    @property
    def speaking(self) -> bool:
        """Voice activity has found a turn that is not over."""
        return self._listener is not None and self._listener.speaking

    @property
    def empty(self) -> bool:
        """There is nothing that a commit could take."""
        return self._hearing is None

    @property
    def clock_ms(self) -> int:
        """Audio so far, since the session opened."""
        return self._clock * 1000 // MODEL_RATE_HZ

    def configure(self, config: AudioInput) -> None:
        """Listen from now on as `config` says; what is in the buffer is dropped. Raises InvalidRequest."""
        if isinstance(config.turn_detection, SemanticVad) and self._stages.end_of_turn is None:
            raise InvalidRequest(
                "this model's bundle has no end-of-turn model; use server_vad",
                code="unsupported_parameter",
                param="session.audio.input.turn_detection.type",
            )
        self._drop()
        self._config = config
        self._wire = wire_of(config.format)
        self._resampler = Resampler(self._wire.rate_hz, MODEL_RATE_HZ)
        self._listen_anew()

    def clear(self) -> None:
        """Forget everything that was not committed."""
        self.configure(self._config)

    async def feed(self, data: bytes) -> AsyncGenerator[SpeechStarted | SpeechStopped]:
        """Audio in the wire's format; gives way at every start and end of a turn, and goes on with the rest after it."""
        pcm = self._resampler.push(self._wire.decode(data))
        have = self._hearing.samples if self._hearing else 0
        if self._listener is None and have + pcm.size > self._limits.max_question_s * MODEL_RATE_HZ:
            raise InvalidRequest(
                f"the input audio buffer would exceed {self._limits.max_question_s:g} s, the most a question may have; "
                "commit or clear it",
                code="audio_too_long",
                param="audio",
            )
        for start in range(0, pcm.size, MODEL_RATE_HZ):
            async for event in self._listen(pcm[start : start + MODEL_RATE_HZ]):
                yield event
            await asyncio.sleep(0)  # a message may hold minutes, and voice activity computes right here

    async def complete(self) -> None:
        """Bring in what is still held back, before a commit by the client. Raises InvalidRequest if that is too little."""
        if self._hearing is not None:
            tail = self._resampler.push(np.zeros(0, np.float32), final=True)
            async for _ in self._listen(tail):
                pass  # a turn that would end here is what the client commits
            self._resampler = Resampler(self._wire.rate_hz, MODEL_RATE_HZ)
        if self._hearing is not None and self._listener is not None:
            await self._hear(self._listener.flush())
        have = self._hearing.samples if self._hearing else 0
        if have < self._limits.min_question_s * MODEL_RATE_HZ:
            raise InvalidRequest(
                f"the input audio buffer holds {have * 1000 // MODEL_RATE_HZ} ms of speech; "
                f"at least {self._limits.min_question_s * 1000:g} ms are needed",
                code="input_audio_buffer_commit_empty",
            )

    async def take(self, *, by_client: bool = False) -> Heard | None:
        """What is in the buffer, complete, as the message `item_id`; the buffer is empty afterwards."""
        hearing, self._hearing = self._hearing, None
        if hearing is None:
            return None
        await hearing.close()
        heard, self.item_id = Heard(self.item_id, hearing), new_id("item")
        self._turn.clear()
        if by_client:
            self._listen_anew()
        return heard

    async def take_silence(self) -> Heard | None:
        """The silence since the last turn, as a message; None where nobody listens for turns."""
        if self._listener is None or self._listener.speaking:
            return None
        pcm = self._listener.silence()
        end_ms = self.clock_ms
        await self._hear(pcm if pcm.size else np.zeros(MODEL_RATE_HZ // 10, np.float32))
        heard = await self.take()
        start_ms = end_ms - pcm.size * 1000 // MODEL_RATE_HZ
        return heard and Heard(heard.item_id, heard.hearing, start_ms, end_ms)

    async def _listen(self, pcm: Pcm) -> AsyncGenerator[SpeechStarted | SpeechStopped]:
        start, self._clock = self._clock, self._clock + pcm.size
        if self._listener is None:
            await self._hear(pcm)
            return
        for heard in self._listener.feed(pcm, start):
            match heard:
                case Speech():
                    await self._hear(heard.pcm)
                case Paused():
                    await self._judge_pause(self._listener)
                case _:
                    yield heard

    async def _hear(self, pcm: Pcm) -> None:
        if not pcm.size:
            return
        if self._hearing is None:
            assert self.tasks is not None, "the session is not running"
            self._hearing = Hearing(self._stages.encoder)
            self._encoding = self.tasks.create_task(self._hearing.run(), name="encoder")
            self._began(self.item_id, self._hearing)
        if isinstance(self._config.turn_detection, SemanticVad):
            self._turn.append(pcm)
        await self._hearing.feed(pcm)

    async def _judge_pause(self, listener: Listener) -> None:
        judge, detection = self._stages.end_of_turn, self._config.turn_detection
        assert judge is not None
        assert isinstance(detection, SemanticVad)
        audio = np.concatenate(self._turn)[-judge.window_samples :]
        self._turn = deque([audio])
        try:
            finished = await judge.finished(audio)
        except Exception:
            log.exception("end-of-turn model failed")  # silence will end the turn
            return
        shortest_ms, longest_ms = detection.shortest_wait_ms, detection.longest_wait_ms
        listener.wait(patience_ms(finished, shortest_ms=shortest_ms, longest_ms=longest_ms))

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
        if self._hearing is not None:
            assert self._encoding is not None
            self._encoding.cancel()
            self._hearing = None
            self.item_id = new_id("item")
        self._turn.clear()
