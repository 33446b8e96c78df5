"""Objectives are read as they are said, and refused with what is wrong and what would be right."""

from __future__ import annotations

import math

import pytest

from clients.errors import InvalidObjective
from clients.load.objective import EXAMPLE, SHARES, TIMES, read_objective
from clients.load.stats import LoadStats


def stats(first_audio_s: list[float], *, missing: int = 0, gaps: int = 0) -> LoadStats:
    made = LoadStats(
        asked=len(first_audio_s) + missing,
        answered=len(first_audio_s),
        heard=len(first_audio_s),
        turns_with_gaps=gaps,
        started=4,
        completed=3,
    )
    for value in first_audio_s:
        made.from_speech_end.add(value)
    for _ in range(missing):
        made.from_speech_end.miss()
    return made


def test_the_example_is_read() -> None:
    first, second = read_objective(EXAMPLE).terms
    assert (first.statistic, first.measure, first.comparison, first.limit) == ("p95", "first audio", "<=", 0.6)
    assert (second.statistic, second.measure, second.limit) == (None, "answers with a gap", 0.01)


@pytest.mark.parametrize(
    "text",
    [
        "P95  First Audio ≤ 0.6s AND answers with a gap<=1%",
        " p95 first audio<=600ms , answers  with a gap <= 1.0 % ",
    ],
)
def test_spelling_does_not_matter(text: str) -> None:
    terms = read_objective(text).terms
    assert [(term.measure, term.limit) for term in terms] == [("first audio", 0.6), ("answers with a gap", 0.01)]


@pytest.mark.parametrize("measure", TIMES)
@pytest.mark.parametrize("statistic", ["p50", "p99.9", "mean", "max"])
def test_every_time_has_every_statistic_and_nothing_measured_meets_nothing(measure: str, statistic: str) -> None:
    (term,) = read_objective(f"{statistic} {measure} < 2 s").terms
    assert (term.measure, term.statistic) == (measure, statistic)
    assert term.value(LoadStats()) == math.inf
    assert not term.met(math.inf)


@pytest.mark.parametrize("measure", SHARES)
def test_every_share_is_read_and_nothing_measured_meets_nothing(measure: str) -> None:
    (term,) = read_objective(f"{measure} <= 100 %").terms
    assert not term.met(term.value(LoadStats()))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "separated by commas"),
        ("p95 first audio <= 600 ms,", "separated by commas"),
        ("p95 first audio <= 600 ms,, unanswered < 1 %", "separated by commas"),
        ("fast", "is not a condition"),
        ("p95 first audio >= 600 ms", "is not a condition"),
        ("p95 first audio <= 600", "no unit; give it in ms or s"),
        ("unanswered <= 1", "no unit; give it in %"),
        ("unanswered <= 101 %", "above 100 %"),
        ("p95 first audio <= -1 ms", "is not a condition"),
        ("p95 first audio <= 600 ms unanswered < 1 %", "is not a condition"),
        ("p95 last audio <= 600 ms", "'first audio'"),
        ("first audio <= 600 ms", "which 'first audio'"),
        ("p95 first audio <= 1 %", "in ms or s"),
        ("p0 first audio <= 1 s", "between 0 and 100"),
        ("p100 first audio <= 1 s", "write 'max'"),
        ("p95 answers with a gap <= 1 %", "has no p95"),
        ("answers with a gap <= 10 ms", "in %"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_could(text: str, said: str) -> None:
    with pytest.raises(InvalidObjective, match=said) as refused:
        read_objective(text)
    assert (refused.value.code, refused.value.exit_code) == ("invalid_objective", 2)


def test_an_objective_is_met_when_all_of_it_is() -> None:
    objective = read_objective("p95 first audio <= 600 ms, answers with a gap <= 5 %")
    assert objective.met(stats([0.5] * 20, gaps=1))
    assert not objective.met(stats([0.5] * 20, gaps=2))
    assert not objective.met(stats([0.5] * 18 + [0.7, 0.7]))
    assert read_objective("max first audio < 500 ms").met(stats([0.4]))
    assert not read_objective("max first audio < 500 ms").met(stats([0.5]))


def test_questions_without_an_answer_are_late() -> None:
    objective = read_objective("p95 first audio <= 600 ms")
    assert objective.met(stats([0.1] * 19, missing=1))
    assert not objective.met(stats([0.1] * 18, missing=2))
    assert read_objective("unanswered < 11 %").met(stats([0.1] * 18, missing=2))
    assert not read_objective("failed sessions <= 24 %").met(stats([]))
