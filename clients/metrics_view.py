"""What the metrics of a server say about now: rates and quantiles between two looks at them, or since its start."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from clients.errors import ForeignMetrics

Labels = frozenset[tuple[str, str]]

STEPS = ("hear", "first_token", "first_units", "first_audio")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All samples at one moment. `at_s`: on the clock of whoever looks; `samples`: by name, then by labels."""

    at_s: float
    samples: Mapping[str, Mapping[Labels, float]]

    @classmethod
    def of(cls, text: str, at_s: float) -> Snapshot:
        """From Prometheus' text format. Raises ForeignMetrics where that is not of a server of ours."""
        samples: dict[str, dict[Labels, float]] = {}
        try:
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
        except (ValueError, KeyError, IndexError) as error:
            raise ForeignMetrics("what is there is not in the format of Prometheus") from error
        if "cslm_build_info" not in samples:
            raise ForeignMetrics("the metrics are of another program: there is no cslm_build_info")
        return cls(at_s, samples)

    def by(self, name: str, *labels: str, **only: str) -> dict[str, float]:
        """Sums of a metric by the values of `labels`, joined by a space; of the samples with the labels `only`."""
        sums: dict[str, float] = {}
        for sample, value in self.samples.get(name, {}).items():
            of = dict(sample)
            if all(of.get(label) == wanted for label, wanted in only.items()):
                key = " ".join(of.get(label, "") for label in labels)
                sums[key] = sums.get(key, 0.0) + value
        return sums

    def total(self, name: str, **only: str) -> float:
        """The sum of all samples of a metric."""
        return sum(self.by(name, **only).values())

    def since(self, before: Snapshot | None) -> Snapshot:
        """What came between: every sample less what it was. A server that began anew counts from its start."""
        if before is None or self.total("cslm_turns_created") != before.total("cslm_turns_created"):
            return self
        grown = {
            name: {labels: value - before.samples.get(name, {}).get(labels, 0.0) for labels, value in values.items()}
            for name, values in self.samples.items()
        }
        return Snapshot(self.at_s, grown)

    def quantile(self, share: float, name: str, **only: str) -> float | None:
        """Of a histogram, as Prometheus' histogram_quantile; None where nothing was measured."""
        buckets = sorted((float(le), count) for le, count in self.by(f"{name}_bucket", "le", **only).items())
        if not buckets or not buckets[-1][1]:
            return None
        rank, below, floor = share * buckets[-1][1], 0.0, 0.0
        for ceiling, count in buckets:
            if count >= rank and count > below:
                return floor if math.isinf(ceiling) else floor + (ceiling - floor) * (rank - below) / (count - below)
            below, floor = count, ceiling
        return floor

    def mean(self, name: str, **only: str) -> float | None:
        """Of a histogram; None where nothing was measured."""
        count = self.total(f"{name}_count", **only)
        return self.total(f"{name}_sum", **only) / count if count else None


@dataclass(frozen=True, slots=True)
class SessionView:
    """One session or request under way. `buffered_s`: audio that its listener still has to hear."""

    id: str
    key: str
    transport: str
    state: str
    language: str | None
    buffered_s: float
    age_s: float
    turns: int


def sessions_of(body: bytes) -> list[SessionView]:
    """What `GET /v1/sessions` answers, the oldest first. Raises ForeignMetrics where that is something else."""
    try:
        found = [_session(row) for row in json.loads(body)["data"]]
        return sorted(found, key=lambda each: -each.age_s)
    except (ValueError, KeyError, TypeError) as error:
        raise ForeignMetrics("/v1/sessions answers with something else than sessions") from error


def _session(row: dict[str, Any]) -> SessionView:
    said, key, transport, state = (str(row[name]) for name in ("id", "key", "transport", "state"))
    language = None if row["language"] is None else str(row["language"])
    return SessionView(
        said, key, transport, state, language, float(row["buffered_s"]), float(row["age_s"]), int(row["turns"])
    )


@dataclass(frozen=True, slots=True)
class StageView:
    """Time that a stage adds before the first audio, in seconds."""

    mean_s: float | None
    p95_s: float | None


@dataclass(frozen=True, slots=True)
class View:
    """One server, now. `over_s`: what rates and quantiles are over; None: since its start.

    `sessions`: by transport; `limit`: how many may be in as the load stands; `load`: of each stage, 1 is full. Rates are a
    minute's. `vocoder`: seconds that it is busy for a second of speech. `memory_bytes`, `descriptors`: by process.
    """

    model: str
    version: str
    backend: str
    ready: bool
    over_s: float | None
    sessions: dict[str, float]
    keys: dict[str, float]
    limit: float
    waiting: float
    load: dict[str, float]
    turns_minute: dict[str, float]
    errors_minute: dict[str, float]
    first_audio_p50_s: float | None
    first_audio_p95_s: float | None
    stages: dict[str, StageView]
    vocoder: float | None
    underrun_share: float | None
    event_loop_p99_s: float | None
    engine: dict[str, float] = field(default_factory=dict[str, float])
    kv_cache: float | None = None
    workers_up: dict[str, bool] = field(default_factory=dict[str, bool])
    restarts: dict[str, float] = field(default_factory=dict[str, float])
    memory_bytes: dict[str, float] = field(default_factory=dict[str, float])
    descriptors: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def free(self) -> float:
        """How many more sessions would be let in."""
        return max(0.0, self.limit - sum(self.sessions.values())) if max(self.load.values(), default=0) < 1 else 0.0


def view(now: Snapshot, before: Snapshot | None = None) -> View:
    """What `now` shows, with rates since `before`."""
    came = now.since(before)
    over_s = None if before is None or came is now else now.at_s - before.at_s
    minutes = (over_s or _age_s(now)) / 60
    audio_s = came.total("cslm_audio_seconds_total")
    build = dict(next(iter(now.samples["cslm_build_info"])))
    cache = now.by("cslm_kv_cache_usage")
    return View(
        model=build.get("model", ""),
        version=build.get("version", ""),
        backend=build.get("backend", ""),
        ready=bool(now.total("cslm_ready")),
        over_s=over_s,
        sessions=now.by("cslm_active_sessions", "transport"),
        keys={key: count for key, count in now.by("cslm_key_sessions", "key").items() if count},
        limit=_least(now, "cslm_session_limit", "cslm_max_sessions"),
        waiting=now.total("cslm_waiting_sessions"),
        load=now.by("cslm_load", "stage"),
        turns_minute=_rates(came.by("cslm_turns_total", "outcome"), minutes),
        errors_minute=_rates(came.by("cslm_errors_total", "code"), minutes),
        first_audio_p50_s=came.quantile(0.5, "cslm_time_to_first_audio_seconds"),
        first_audio_p95_s=came.quantile(0.95, "cslm_time_to_first_audio_seconds"),
        stages={
            step: StageView(
                came.mean("cslm_stage_seconds", stage=step), came.quantile(0.95, "cslm_stage_seconds", stage=step)
            )
            for step in STEPS
        },
        vocoder=came.total("cslm_stage_seconds_sum", stage="vocoder") / audio_s if audio_s else None,
        underrun_share=came.total("cslm_underrun_seconds_total") / audio_s if audio_s else None,
        event_loop_p99_s=came.quantile(0.99, "cslm_event_loop_lag_seconds"),
        engine=now.by("cslm_engine_requests", "state"),
        kv_cache=max(cache.values()) if cache else None,
        workers_up={name: bool(up) for name, up in now.by("cslm_worker_up", "worker").items()},
        restarts=now.by("cslm_worker_restarts_total", "worker"),
        memory_bytes=now.by("cslm_resident_bytes", "process"),
        descriptors=now.by("cslm_open_fds", "process"),
    )


def _age_s(now: Snapshot) -> float:
    """Since the server began: `at_s` is Unix time."""
    return max(1.0, now.at_s - min(now.samples.get("cslm_turns_created", {}).values(), default=now.at_s))


def _rates(counts: Mapping[str, float], minutes: float) -> dict[str, float]:
    return {name: count / minutes for name, count in counts.items() if count or name in ("completed", "failed")}


def _least(now: Snapshot, *names: str) -> float:
    found: Iterable[float] = [now.total(name) for name in names if name in now.samples]
    return min(found, default=0.0)
