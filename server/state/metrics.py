"""Prometheus metrics. docs/api.md documents names and buckets; each application has a registry of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.state.vitals import Vitals
from streaming.load import Stage
from streaming.outlook import Outlook
from streaming.realtime.limits import Outcome, Speculation
from streaming.report import TurnReport
from streaming.stability import EarlyCounts

Transport = Literal["rest", "realtime", "webrtc"]
Parkings = Literal["resumed", "expired", "ended"]
Fate = Literal["kept", "lost"]
"""What becomes of a recording."""

Exemplar = dict[str, str]
"""The trace of which a measurement is an example: `trace_id` and `span_id`."""

_STAGES = ("hear", "first_token", "first_units", "first_audio", "vocoder")
_ALERTED = (
    "engine_unavailable", "at_capacity", "missing_api_key", "invalid_api_key", "api_key_expired", "api_key_revoked",
    "client_secret_expired",
)  # fmt: skip
_BUCKETS_S = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 60.0)


class Metrics:
    """Counts of one server."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        histogram = partial(Histogram, registry=registry)

        self._turns = counter("cslm_turns", "Turns by outcome", ["transport", "outcome"])
        first_audio = "End of the question to the first audio of the answer"
        self._first_audio = histogram(
            "cslm_time_to_first_audio_seconds", first_audio, ["transport"], buckets=_BUCKETS_S
        )
        self._turn = histogram(
            "cslm_turn_seconds", "End of the question to the end of the answer", ["transport"], buckets=_BUCKETS_S
        )
        stage = "Time each stage adds: hear, first_token, first_units, first_audio; vocoder: busy in all of the turn"
        self._stage = histogram("cslm_stage_seconds", stage, ["stage"], buckets=(0.005, 0.01, *_BUCKETS_S))
        self._units = counter("cslm_units", "Speech units", ["direction"])
        self._tokens = counter("cslm_tokens", "Language model tokens", ["direction"])
        self._audio_s = counter("cslm_audio_seconds", "Audio spoken")
        self._dropped = counter("cslm_dropped_ids", "Tokens that were invalid at their position")
        self._underruns = counter("cslm_underruns", "Gaps in playback")
        self._gap_s = counter("cslm_underrun_seconds", "Time of gaps in playback")
        self._broken = counter("cslm_turns_with_underruns", "Answers with a gap in playback")
        self._decoder_waiting = gauge("cslm_vocoder_cuts_waiting", "Cuts handed to the vocoder, without audio")
        self._decoder_delay = gauge("cslm_vocoder_delay_seconds", "What a cut of one unit would take now")
        self._speculations = counter(
            "cslm_speculative_turns", "Turns answered before it was certain that they were over", ["stage"]
        )
        self._gained_s = counter("cslm_speculative_gain_seconds", "Time by which first audio came sooner")

        self._active = gauge("cslm_active_sessions", "Admission slots in use", ["transport"])
        self._max_sessions = gauge("cslm_max_sessions", "Sessions at once, whatever the load")
        self._limit = gauge("cslm_session_limit", "Sessions at once, as far as the load has shown")
        self._waiting = gauge("cslm_waiting_sessions", "Sessions that wait for a place")
        self._load = gauge("cslm_load", "How full a stage is: at 1 nobody more is let in", ["stage"])
        self._parked = gauge("cslm_parked_sessions", "Sessions whose client is away")
        self._parkings = counter(
            "cslm_parkings", "Sessions that lost their connection, by what became of them", ["outcome"]
        )
        self._errors = counter("cslm_errors", "Errors by code", ["code"])
        self._recordings = counter("cslm_recordings", "Recordings of conversations, by what became of them", ["fate"])
        self._ready = gauge("cslm_ready", "1 while the model is warm")
        self._build = Info("cslm_build", "What is running", registry=registry)
        self.vitals = Vitals(registry)
        self._unfinished = _UnfinishedSpeech()
        self._begin_at_zero()
        registry.register(self._unfinished)

    def _begin_at_zero(self) -> None:
        """Create the counts that alerts use. Prometheus sees no increase in a count that first appears as 1."""
        for transport in get_args(Transport):
            for metric in (self._active, self._first_audio, self._turn):
                metric.labels(transport)
            for outcome in get_args(Outcome):
                self._turns.labels(transport, outcome)
        for speculation in get_args(Speculation):
            self._speculations.labels(speculation)
        for direction in ("input", "output"):
            self._units.labels(direction)
            self._tokens.labels(direction)
        for fate in get_args(Fate):
            self._recordings.labels(fate)
        for stage in _STAGES:
            self._stage.labels(stage)
        for outcome in get_args(Parkings):
            self._parkings.labels(outcome)
        for code in _ALERTED:
            self._errors.labels(code)

    def observe_turn(
        self,
        report: TurnReport,
        transport: Transport,
        outcome: Outcome,
        *,
        heard_s: float | None = None,
        exemplar: Exemplar | None = None,
    ) -> None:
        """Account for a turn that has ended, however it did.

        `heard_s`: when the question was over, on the report's clock. A turn that is live from the question's first sound
        gives the end of speech here; without it, the turn began when the question was complete. `exemplar`: its trace.
        """
        self._turns.labels(transport, outcome).inc()
        self._observe_times(report, transport, heard_s or 0.0, exemplar)
        self._units.labels("input").inc(report.input_units)
        self._units.labels("output").inc(report.output_units)
        self._tokens.labels("input").inc(report.input_tokens)
        self._tokens.labels("output").inc(report.output_tokens)
        self._audio_s.inc(report.audio_s)
        self._gained_s.inc(report.gained_s)
        self._dropped.inc(report.dropped_ids)
        self._underruns.inc(report.playout.underruns)
        self._broken.inc(report.playout.underruns > 0)
        self._gap_s.inc(report.playout.gap_s)

    def _observe_times(
        self, report: TurnReport, transport: Transport, origin_s: float, exemplar: Exemplar | None
    ) -> None:
        if report.first_audio_s is not None:
            self._first_audio.labels(transport).observe(max(0.0, report.first_audio_s - origin_s), exemplar)
        if report.done_s is not None:
            self._turn.labels(transport).observe(max(0.0, report.done_s - origin_s), exemplar)
        for step in report.steps(origin_s):
            self._stage.labels(step.stage).observe(step.duration_s, exemplar)
        if report.decode_busy_s:
            self._stage.labels("vocoder").observe(report.decode_busy_s, exemplar)

    def speculation(self, stage: Speculation) -> None:
        """A turn that may not be over began to be answered, or what became of that."""
        self._speculations.labels(stage).inc()

    def session(self, transport: str, by: int) -> None:
        """A session began (+1) or ended (-1)."""
        self._active.labels(transport).inc(by)

    def parked(self, by: int) -> None:
        """A session began to wait for its client (+1), or does so no longer (-1)."""
        self._parked.inc(by)

    def parking(self, outcome: Parkings) -> None:
        """What became of a session that waited for its client."""
        self._parkings.labels(outcome).inc()

    def error(self, code: str) -> None:
        """An error was sent to a peer, or would have been had it not gone."""
        self._errors.labels(code).inc()

    def recording(self, fate: Fate) -> None:
        """A recording is complete, or lost."""
        self._recordings.labels(fate).inc()

    def build(self, *, version: str, model: str, backend: str) -> None:
        """Name what runs."""
        self._build.info({"version": version, "model": model, "backend": backend})

    def slots(self, number: int) -> None:
        """How many sessions are admitted at once."""
        self._max_sessions.set(number)

    def admission(self, *, limit: int, waiting: int, load: Mapping[Stage, float]) -> None:
        """How many places there are, who waits for one, and why."""
        self._limit.set(limit)
        self._waiting.set(waiting)
        for stage, full in load.items():
            self._load.labels(stage).set(full)

    def ready(self, ready: bool) -> None:
        """The model became warm, or ceased to be."""
        self._ready.set(ready)

    def outlook(self, outlook: Outlook) -> None:
        """Where it is known what cuts take; read when somebody asks."""
        self._decoder_waiting.set_function(lambda: outlook.waiting)
        self._decoder_delay.set_function(lambda: outlook.delay_s(1, time.monotonic()))

    def early(self, counts: EarlyCounts | None) -> None:
        """Where it is counted what was done with unfinished speech; None where nothing is."""
        self._unfinished.counts = counts

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All of it in the format that the header `accept` asks for, and its media type. OpenMetrics alone has exemplars."""
        encode, media_type = choose_encoder(accept)
        return encode(self.registry), media_type


class _UnfinishedSpeech(Collector):
    """The encoder's own counts, read when somebody asks."""

    counts: EarlyCounts | None = None

    def collect(self) -> Iterator[Metric]:
        """Nothing where nothing is counted."""
        if (counts := self.counts) is None:
            return
        passes = CounterMetricFamily("cslm_early_looks", "Encodings of unfinished speech", labels=["outcome"])
        for outcome, value in (("done", counts.partial_passes), ("refused", counts.refused), ("failed", counts.failed)):
            passes.add_metric([outcome], value)
        frames = CounterMetricFamily(
            "cslm_early_frames", "Frames that stopped changing before their speech was over", labels=["use", "outcome"]
        )
        for use, all_of_them, wrong in (
            ("committed", counts.committed, counts.committed_wrong),
            ("watched", counts.watched, counts.watched_wrong),
        ):
            frames.add_metric([use, "kept"], all_of_them - wrong)
            frames.add_metric([use, "contradicted"], wrong)
        meaning = "What committing goes by: begins at 1, nears the share contradicted within some thousand frames"
        share = GaugeMetricFamily("cslm_early_wrong_share", meaning)
        share.add_metric([], counts.wrong_of_late)
        yield from (passes, frames, share)
