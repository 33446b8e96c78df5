"""Confusions counted from alignments."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from model.training.confusions import aligned, table
from model.training.g2p import UNIT_ID


def test_alignment_by_hand() -> None:
    assert aligned([1, 2, 3, 4], [1, 5, 3]) == [(1, 1), (2, 5), (3, 3), (4, -1)]
    assert aligned([1, 2], [1, 9, 2]) == [(1, 1), (-1, 9), (2, 2)]
    assert aligned([], []) == []


def test_counts_come_on_top_of_neighbours() -> None:
    b, p, m = (UNIT_ID[x] for x in "bpm")
    counted = table([((b, p), 4.0), ((b, m), 1.0), ((b, b), 9.0), ((b, -1), 9.0)])
    assert (counted["b"]["p"], counted["b"]["m"]) == (4.5, 1.0)
    assert "b" not in counted["b"]
