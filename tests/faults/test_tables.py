"""Tables that are made in pieces, and soaks that are broken off: what was measured is there, and nothing passes for this commit's."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.faults.reports import REPORTS, continued, keep
from tests.faults.soak import Sample, judged

ROUNDS = [{"lost": [], "gone": []}]


def record(commit: str = "abc", rounds: int = 5, load: float = 1.0) -> dict[str, Any]:
    origin = {"commit": commit, "load_average": [load]}
    return {"origin": origin, "rounds": rounds, "sessions": 8, "rows": {}}


def test_a_table_goes_on_where_the_piece_before_it_stopped(tmp_path: Path) -> None:
    first = continued(record(), tmp_path, "attacks")
    keep(tmp_path, "attacks", first | {"rows": {"slow bodies": ROUNDS}})
    second = continued(record("abc+", load=2.0), tmp_path, "attacks")
    assert (second["rows"], second["loads"]) == ({"slow bodies": ROUNDS}, [1.0, 2.0])


@pytest.mark.parametrize("other", [record("def"), record(rounds=3)])
def test_what_another_commit_or_command_has_measured_is_no_part_of_it(other: dict[str, Any], tmp_path: Path) -> None:
    keep(tmp_path, "attacks", continued(other, tmp_path, "attacks") | {"rows": {"slow bodies": ROUNDS}})
    assert continued(record(), tmp_path, "attacks")["rows"] == {}


def test_a_whole_row_of_an_earlier_commit_stays_until_there_is_another_and_names_its_commit(tmp_path: Path) -> None:
    round_ = {"turns": 7, "lost": [], "gone": [], "noticed_s": None, "stall_s": 0.5, "recovered_s": 1.0}
    measured = {"host killed": [round_] * 2, "head killed": [round_], "rolling update": [round_] * 2}
    keep(tmp_path, "cluster", continued(record("abc", rounds=2), tmp_path, "cluster") | {"rows": measured})

    second = continued(record("def", rounds=2), tmp_path, "cluster")
    second["rows"] = {"rolling update": [round_ | {"turns": 9}] * 2, "host killed": [round_]}
    keep(tmp_path, "cluster", second)
    third = continued(record("def", rounds=2), tmp_path, "cluster")
    table = REPORTS["cluster"](third).splitlines()
    assert table[-2:] == [
        "| rolling update | 18 | 0 | 0 | 0.50 | – | 1.00 |",
        "| host killed (commit abc) | 14 | 0 | 0 | 0.50 | – | 1.00 |",
    ]


def test_a_soak_that_was_broken_off_is_judged_by_what_it_wrote(tmp_path: Path) -> None:
    rows = tmp_path / "soak.jsonl"
    samples = [
        asdict(Sample(5.0 * n, 500.0, 30, 1000.0 + n, 7, n // 12, 3 * n, ["late"] if n == 99 else [], []))
        for n in range(100)
    ]
    lines = [json.dumps(each) for each in ({"origin": {}, "sessions": 3}, *samples)]
    rows.write_text("\n".join(lines) + '\n{"at_s": 500.0, "gate', encoding="utf-8")
    found = judged(rows)
    assert (found["sessions"], found["turns"], found["faults"], found["lost"]) == (3, 297, 8, ["late"])
    assert found["rows"]["gateway, MB"]["slope"].endswith("0.0 ± 0.0")
    assert found["rows"]["all processes, MB"]["slope"].startswith("+720.0 ± ")
