"""Use by key, for Prometheus. Each key is a label; there are at most `MOST_KEYS`, and one that is removed is gone."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.state.keyring import Keyring
from server.state.reloading import Reloading
from server.state.usage_log import UsageLog

_LIMITS = ("too_many_sessions", "rate_limit_exceeded", "audio_quota_exceeded")
"""They begin at zero. Prometheus sees no increase in a count that first appears as 1."""


class KeyMetrics(Collector):
    """Read from the accounts when somebody asks."""

    def __init__(self, keys: Keyring, usage: UsageLog | None, reloading: Reloading) -> None:
        self._keys = keys
        self._usage = usage
        self._reloading = reloading

    def collect(self) -> Iterator[Metric]:
        """Everything as it is now."""
        sessions = GaugeMetricFamily("cslm_key_sessions", "Sessions and requests under way", labels=["key"])
        turns = CounterMetricFamily("cslm_key_turns", "Turns begun", labels=["key"])
        audio = CounterMetricFamily("cslm_key_audio_seconds", "Audio of turns", labels=["key", "direction"])
        tokens = CounterMetricFamily("cslm_key_tokens", "Language model tokens", labels=["key", "direction"])
        refusals = CounterMetricFamily("cslm_key_refusals", "Refused sessions and turns", labels=["key", "code"])
        for name, account in self._keys.accounts.items():
            sessions.add_metric([name], account.sessions)
            turns.add_metric([name], account.turns_begun)
            for direction, seconds in (("input", account.question_s), ("output", account.answer_s)):
                audio.add_metric([name, direction], seconds)
                tokens.add_metric([name, direction], account.tokens[direction])
            for code in {*_LIMITS, *account.refusals}:
                refusals.add_metric([name, code], account.refusals[code])
        yield from (sessions, turns, audio, tokens, refusals)
        stale, unwritten = self._reloading.failed, self._usage is not None and self._usage.failing
        yield GaugeMetricFamily("cslm_reload_failed", "1 while a file that changed cannot be read", value=stale)
        yield GaugeMetricFamily("cslm_usage_log_failed", "1 while the usage log cannot be written", value=unwritten)
