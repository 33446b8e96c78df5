"""What a load test measured, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from clients.load.histogram import Histogram
from clients.recordings import FRAME_S
from clients.turns import TurnRecord

_MAX_CODES = 64


class Trace:
    """Rows of numbers in the order in which they were added; every second is dropped whenever there are too many."""

    def __init__(self, keep: int = 8192) -> None:
        self._keep = keep
        self._stride = 1
        self._added = 0
        self.rows: list[Sequence[float | None]] = []

    def add(self, *row: float | None) -> None:
        """One more row."""
        self._added += 1
        if (self._added - 1) % self._stride:
            return
        self.rows.append(row)
        if len(self.rows) > self._keep:
            self.rows = self.rows[::2]
            self._stride *= 2


@dataclass(slots=True)
class LoadStats:
    """Lengths of time in seconds.

    Every question that was `asked` is `answered` (whole, and this session's own), `barged_in` (the caller spoke into the
    answer, as planned) or neither. `refused`: sessions that were not opened or not set up, so that nothing was asked.
    Where no audio came, it is missing in `from_speech_end`, once for each refused session. `overdue`: sessions were
    still waiting when the time to end was over, and are cancelled.

    `opening`: from the call to an open session. `from_speech_end`: end of the user's speech (or commit) to the first
    audio that arrives; `from_speech_stopped`: from the server's notice of that end. `longest_gap`: the longest gap in
    each answer, or 0. `interrupted`: answers that began before the question was over. `frame_lag`: how late the
    generator itself woke to send a frame; `blocked`: how long a frame waited for the connection.

    `answers`: when each question was asked, its time to first audio and its longest gap. `load`: time, sessions at once.
    """

    began_s: float = 0.0
    started: int = 0
    completed: int = 0
    failed: int = 0
    unfinished: int = 0
    skipped: int = 0
    refused: int = 0
    running: int = 0
    overdue: bool = False
    asked: int = 0
    answered: int = 0
    barged_in: int = 0
    interrupted: int = 0
    wrong: int = 0
    gaps: int = 0
    heard: int = 0
    turns_with_gaps: int = 0
    late_frames: int = 0
    blocked_frames: int = 0
    spoken_s: float = 0.0
    audio_s: float = 0.0
    most_at_once: int = 0
    elapsed_s: float = 0.0
    served_model: str | None = None
    errors: Counter[str] = field(default_factory=Counter)
    opening: Histogram = field(default_factory=Histogram)
    from_speech_end: Histogram = field(default_factory=Histogram)
    from_speech_stopped: Histogram = field(default_factory=Histogram)
    until_complete: Histogram = field(default_factory=Histogram)
    longest_gap: Histogram = field(default_factory=Histogram)
    frame_lag: Histogram = field(default_factory=Histogram)
    blocked: Histogram = field(default_factory=Histogram)
    arrival_lag: Histogram = field(default_factory=Histogram)
    answers: Trace = field(default_factory=Trace)
    load: Trace = field(default_factory=Trace)

    def error(self, code: str) -> None:
        """One more error; past 64 different codes they are counted as `other`."""
        self.errors[code if code in self.errors or len(self.errors) < _MAX_CODES else "other"] += 1

    def refuse(self) -> None:
        """A session came to nothing before its first question."""
        self.refused += 1
        self.from_speech_end.miss()

    @property
    def unanswered(self) -> int:
        """Questions without a good answer, and sessions in which none could be asked."""
        return self.refused + self.asked - self.answered - self.barged_in

    def session_began(self, now_s: float) -> None:
        """A caller calls."""
        self.started += 1
        self._running(1, now_s)

    def session_ended(self, now_s: float) -> None:
        """A caller hung up, whatever came of it."""
        self._running(-1, now_s)

    def _running(self, more: int, now_s: float) -> None:
        self.load.add(round(now_s - self.began_s, 3), self.running)
        self.running += more
        self.most_at_once = max(self.most_at_once, self.running)
        self.load.add(round(now_s - self.began_s, 3), self.running)

    def frame(self, lag_s: float, blocked_s: float) -> None:
        """A frame was sent."""
        self.frame_lag.add(lag_s)
        self.blocked.add(blocked_s)
        self.late_frames += lag_s > FRAME_S
        self.blocked_frames += blocked_s > FRAME_S

    def measure(self, turn: TurnRecord, faults: Sequence[str], *, barged_in: bool) -> bool:
        """A turn ended, well or not; what there was of it counts. Returns whether it went as it should."""
        self.asked += 1
        good = not faults and (barged_in or turn.answered)
        self.answered += good and not barged_in
        self.barged_in += good and barged_in
        self.wrong += bool(faults)
        self.interrupted += turn.interrupted
        self.audio_s += turn.audio_s
        for code in (*(error.code for error in turn.errors), *faults):
            self.error(code)
        self._time(turn, whole=good and not barged_in)
        return good

    def _time(self, turn: TurnRecord, *, whole: bool) -> None:
        if whole and turn.asked_s is not None and turn.done_s is not None:
            self.until_complete.add(max(0.0, turn.done_s - turn.asked_s))
        if turn.first_audio_s is None or turn.asked_s is None:
            self.from_speech_end.miss()
            self.answers.add(_since(self.began_s, turn.asked_s), None, None)
            return
        first_s = max(0.0, turn.first_audio_s - turn.asked_s)
        gap_s = turn.playback.longest_gap_s
        self.from_speech_end.add(first_s)
        if turn.stopped_s is not None:
            self.from_speech_stopped.add(max(0.0, turn.first_audio_s - turn.stopped_s))
        self.answers.add(_since(self.began_s, turn.asked_s), round(first_s, 4), round(gap_s, 4))
        self.longest_gap.add(gap_s)
        self.heard += 1
        self.gaps += turn.playback.gaps
        self.turns_with_gaps += turn.playback.gaps > 0


def _since(began_s: float, at_s: float | None) -> float | None:
    return None if at_s is None else round(at_s - began_s, 3)
