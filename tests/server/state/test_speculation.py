"""Speculative turns as the server counts and limits them."""

from __future__ import annotations

import pytest

from server.settings import Settings
from server.state.accounts import Account
from server.state.live import LiveSession
from server.state.metrics import Metrics
from server.state.sessions import session_limits, session_observer
from streaming.report import TurnReport
from tests.server.models import fake_model


def test_what_became_of_them_is_counted() -> None:
    metrics = Metrics()
    observer = session_observer(metrics, LiveSession("sess_1", Account("anna"), "realtime"))
    observer.speculation("started")
    observer.speculation("confirmed")
    text = metrics.exposition()[0].decode()
    assert 'cslm_speculative_turns_total{stage="confirmed"} 1.0' in text
    assert 'cslm_speculative_turns_total{stage="discarded"} 0.0' in text


@pytest.mark.parametrize(
    ("first_audio_s", "waited_s", "gained_s"), [(0.2, 0.0, 0.2), (0.5, 0.1, 0.4), (None, None, 0.0)]
)
def test_a_listener_waits_from_the_end_of_the_turn(
    first_audio_s: float | None, waited_s: float | None, gained_s: float
) -> None:
    metrics = Metrics()
    observer = session_observer(metrics, LiveSession("sess_1", Account("anna"), "realtime"))
    observer.begun("resp_1", TurnReport())
    observer.turn("resp_1", TurnReport(lead_s=0.4, first_audio_s=first_audio_s), "completed")
    lines = metrics.exposition()[0].decode().splitlines()
    (waited,) = (line for line in lines if line.startswith('cslm_time_to_first_audio_seconds_sum{transport="realtime"'))
    assert float(waited.split()[-1]) == pytest.approx(waited_s or 0.0)
    (gained,) = (line for line in lines if line.startswith("cslm_speculative_gain_seconds_total"))
    assert float(gained.split()[-1]) == pytest.approx(gained_s)


@pytest.mark.parametrize("most", [0, 4])
def test_a_server_may_have_none(most: int) -> None:
    assert session_limits(Settings(speculative_turns=most), fake_model(), Account("anna")).speculate == bool(most)
