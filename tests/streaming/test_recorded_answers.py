"""Answers that were recorded under load, cut again on virtual time: playback does not run dry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model.bundle import find_bundle
from tests.playout_replay import Trace, outcome, replay

TRACES = sorted((Path(__file__).parents[1] / "data" / "playout").glob("*.json"))


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_recorded_answers_have_no_gaps(path: Path) -> None:
    schedule, trace = find_bundle("cslm-mini", None).profile.cut_schedule(), Trace.load(path)
    planned = outcome(replay(trace, schedule))
    fixed = outcome(replay(trace, replace(schedule, most_first_units=0)))
    assert planned.broken <= len(trace.answers) // 100
    assert fixed.broken >= len(trace.answers) // 10, "with first cuts of six units these very answers stutter"


def test_a_lead_begins_later_and_stays_ahead() -> None:
    schedule, trace = find_bundle("cslm-mini", None).profile.cut_schedule(), Trace.load(TRACES[0])
    plain, ahead = (outcome(replay(trace, schedule, lead_s=lead_s)) for lead_s in (0.0, 0.5))
    assert ahead.broken == 0
    assert ahead.first_audio_ms[0] > plain.first_audio_ms[0]
