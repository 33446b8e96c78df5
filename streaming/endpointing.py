"""Finds where the user speaks: speech probabilities of consecutive windows in, turn events out."""

from __future__ import annotations

from dataclasses import dataclass, field

from streaming.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class EndpointerConfig:
    """Names and defaults of the realtime protocol's `server_vad`.

    `threshold`: speech probability that starts a turn (it ends 0.15 below, so that it does not flicker);
    `prefix_padding_ms`: audio kept from before the start; `silence_duration_ms`: silence that ends a turn;
    `min_speech_ms`: shorter bursts are no turn; `max_turn_ms`: a longer turn ends there; `pause_ms`: silence that is
    reported as a pause, for a model that judges whether the turn is over.
    """

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    min_speech_ms: int = 96
    max_turn_ms: int = 30_000
    pause_ms: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= 1.0:
            raise InvalidRequest(f"threshold is {self.threshold}; accepted: 0.0 to 1.0", param="threshold")
        for name in ("prefix_padding_ms", "silence_duration_ms"):
            if not 0 <= getattr(self, name) <= 10_000:
                raise InvalidRequest(f"{name} is {getattr(self, name)}; accepted: 0 to 10000", param=name)


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The user began to speak; `at_sample` (16 kHz, since the session opened) includes the padding, as far as free.

    `onset_sample`: where the speech itself was first noticed.
    """

    at_sample: int
    onset_sample: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The user has been silent long enough, or has spoken as long as a turn may last; `at_sample` is where the turn ends."""

    at_sample: int


@dataclass(frozen=True, slots=True)
class Paused:
    """The user has been silent for `pause_ms`; the turn may be over. Told once a pause."""

    at_sample: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """The turn goes on after a pause that was told."""

    at_sample: int


class Endpointer:
    """A state machine over windows of fixed length. `HYSTERESIS` and `FLOOR` as in Silero's own iterator.

    However low the threshold, a probability below `FLOOR` is silence; otherwise such a turn would never end.
    """

    HYSTERESIS = 0.15
    FLOOR = 0.01

    def __init__(self, config: EndpointerConfig, *, window_samples: int, sample_rate_hz: int = 16_000) -> None:
        self._window = window_samples
        self._per_ms = sample_rate_hz / 1000
        self.configure(config)
        self.speaking = False
        self._started = self._ended = 0
        self._candidate: int | None = None
        self._silent_since: int | None = None
        self._pause_told = False

    def configure(self, config: EndpointerConfig) -> None:
        """Go by `config` from now on; a turn under way goes on."""
        per_ms = self._per_ms
        self._config = config
        self._prefix = round(config.prefix_padding_ms * per_ms)
        self._silence = self._needed = round(config.silence_duration_ms * per_ms)
        self._min_speech = round(config.min_speech_ms * per_ms)
        self._max_turn = round(config.max_turn_ms * per_ms)
        self._pause = None if config.pause_ms is None else round(config.pause_ms * per_ms)

    def count_in(self, samples: int) -> None:
        """The turn has so many samples more, from before it was noticed."""
        self._started -= samples

    def wait(self, silence_ms: int) -> None:
        """End this turn once the pause that it is in has lasted `silence_ms`; speech makes it void."""
        self._needed = round(silence_ms * self._per_ms)

    def feed(self, probability: float, start_sample: int) -> SpeechStarted | Paused | Resumed | SpeechStopped | None:
        """The window of `window_samples` that starts at `start_sample`."""
        end = start_sample + self._window
        if not self.speaking:
            return self._waiting(probability, start_sample, end)
        resumed = False
        if probability >= max(self._config.threshold - self.HYSTERESIS, self.FLOOR):
            resumed = self._pause_told
            self._silent_since, self._needed, self._pause_told = None, self._silence, False
        elif self._silent_since is None:
            self._silent_since = start_sample
        silence = 0 if self._silent_since is None else end - self._silent_since
        over = self._silent_since is not None and silence >= self._needed
        if not over and end + self._window - self._started <= self._max_turn:
            if resumed:
                return Resumed(end)
            if self._pause is None or self._pause_told or silence < self._pause:
                return None
            self._pause_told = True
            return Paused(end)
        self._needed, self._pause_told = self._silence, False
        self.speaking, self._silent_since, self._candidate = False, None, None
        self._ended = end
        return SpeechStopped(end)

    def _waiting(self, probability: float, start: int, end: int) -> SpeechStarted | None:
        if probability < self._config.threshold:
            self._candidate = None
            return None
        if self._candidate is None:
            self._candidate = start
        if end - self._candidate < self._min_speech:
            return None
        self.speaking, self._silent_since = True, None
        self._started = max(self._ended, self._candidate - self._prefix)
        return SpeechStarted(self._started, self._candidate)
