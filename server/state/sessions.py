"""Realtime sessions around the served model, for every transport that carries them."""

from __future__ import annotations

from typing import Any

from server.settings import Settings
from server.state.loading import ServedModel
from server.state.metrics import Metrics, Transport
from streaming.realtime.config import AnyConfig
from streaming.realtime.limits import Observer, Outcome, SessionLimits, SessionModel
from streaming.realtime.outbox import Event
from streaming.realtime.session import RealtimeSession
from streaming.realtime.translation import TranslationConfig, TranslationSession
from streaming.turn import TurnReport


def session_model(model: ServedModel) -> SessionModel:
    """What a session needs to know of the model."""
    return SessionModel(model.name, model.voices, model.stages, model.languages, model.reply_languages)


def session_limits(settings: Settings, model: ServedModel) -> SessionLimits:
    """What a session may use, by the settings and the model."""
    return SessionLimits(
        max_question_s=model.max_question_s, max_session_s=settings.max_session_s, max_turn_s=settings.max_turn_s
    )


def session_observer(metrics: Metrics, transport: Transport = "realtime") -> Observer:
    """Where a session reports to: the metrics."""

    def turn(report: TurnReport, outcome: Outcome) -> None:
        metrics.observe_turn(report, transport, outcome)

    return Observer(turn=turn, error=lambda error: metrics.error(error.code))


def described_session(settings: Settings, model: ServedModel, config: AnyConfig) -> dict[str, Any]:
    """What a session that begins with `config` would say of itself. Raises InvalidRequest where it cannot be."""
    limits = session_limits(settings, model)
    return RealtimeSession(session_model(model), _nowhere, limits=limits, observer=Observer(), config=config).public()


def described_translation(settings: Settings, model: ServedModel, config: TranslationConfig) -> dict[str, Any]:
    """The same of a translation session."""
    limits = session_limits(settings, model)
    return TranslationSession(
        session_model(model), _nowhere, limits=limits, observer=Observer(), config=config
    ).public()


async def _nowhere(event: Event) -> None:
    """Where the events of a session go that is only described."""
