"""Realtime sessions around the served model, for every transport that carries them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from server.parsing import parsed
from server.settings import Settings
from server.state.accounts import Account
from server.state.live import LiveSession
from server.state.loading import ServedModel
from server.state.metrics import Metrics
from server.state.tracing import NO_TRACES, Tracing, TurnTrace
from streaming.audio import WireFormat
from streaming.realtime.config import AnyConfig
from streaming.realtime.conversation import new_id
from streaming.realtime.effects import Machine, Unreadable
from streaming.realtime.ga import Dialect, session_object
from streaming.realtime.limits import Observer, Outcome, SessionLimits, SessionModel, Stop
from streaming.realtime.messages import ClientMessage
from streaming.realtime.session import Session
from streaming.realtime.settings import initial_settings, settings_shape
from streaming.realtime.translation import TranslationConfig, translated_into, translation_shape
from streaming.report import TurnReport


def session_model(model: ServedModel) -> SessionModel:
    """What a session needs to know of the model."""
    return SessionModel(
        model.name,
        model.voices,
        model.stages,
        model.languages,
        model.reply_languages,
        model.aliases,
        model.recorded,
        model.calls_tools,
    )


def session_limits(settings: Settings, model: ServedModel, account: Account) -> SessionLimits:
    """What a session may use, by the settings, the model and what its key has left."""
    return SessionLimits(
        max_question_s=model.max_question_s,
        max_session_s=settings.max_session_s,
        max_turn_s=settings.max_turn_s,
        echo_guard=settings.echo_guard,
        speculate=settings.speculative_turns > 0,
        allowance=account,
    )


def session_observer(metrics: Metrics, live: LiveSession, tracing: Tracing = NO_TRACES) -> Observer:
    """Where the session `live` reports to: metrics, the account of its key, and traces."""
    traces: dict[str, TurnTrace] = {}

    def begun(turn_id: str, report: TurnReport) -> Mapping[str, str]:
        live.begun(turn_id, report)
        traces[turn_id] = tracing.turn(turn_id)
        return traces[turn_id].ids

    def turn(turn_id: str, report: TurnReport, outcome: Outcome) -> None:
        trace = traces.pop(turn_id)
        trace.end(report, outcome)
        live.ended(turn_id, outcome)
        metrics.observe_turn(report, live.transport, outcome, heard_s=report.lead_s, exemplar=trace.exemplar)
        live.account.spend(report, live.transport, outcome)

    def discarded(turn_id: str, report: TurnReport) -> None:
        live.ended(turn_id, None)
        traces.pop(turn_id).end(report, "discarded")

    return Observer(
        begun=begun,
        turn=turn,
        discarded=discarded,
        speculation=metrics.speculation,
        error=lambda error: metrics.error(error.code),
    )


def realtime_session(
    settings: Settings,
    metrics: Metrics,
    model: ServedModel,
    machine: Machine,
    live: LiveSession,
    stop: Stop,
    tracing: Tracing = NO_TRACES,
) -> Session:
    """The session of `machine`, known as `live`, on the served model, until `stop`."""
    limits, observer = session_limits(settings, model, live.account), session_observer(metrics, live, tracing)
    return Session(machine, model.stages, limits, observer, model.headroom, stop)


def described_session(settings: Settings, model: ServedModel, config: AnyConfig) -> dict[str, Any]:
    """What a session that begins with `config` would say of itself. Raises InvalidRequest where it cannot be."""
    served = session_model(model)
    config = initial_settings(served, config)
    return session_object(settings_shape(served, config, new_id("sess"), _expires_at(settings)))


def described_translation(settings: Settings, model: ServedModel, config: TranslationConfig) -> dict[str, Any]:
    """The same of a translation session."""
    served = session_model(model)
    language = translated_into(served, config.audio)
    return session_object(translation_shape(served, config.audio, language, new_id("sess"), _expires_at(settings)))


async def decoded(dialect: Dialect, message: str | bytes, audio: WireFormat) -> ClientMessage | Unreadable:
    """The event in a client's `message`."""
    return await parsed(dialect.decode, message, audio)


def _expires_at(settings: Settings) -> int:
    return int(time.time() + settings.max_session_s)
