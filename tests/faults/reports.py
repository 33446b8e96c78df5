"""What was measured, as tables."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.bench.results import DOCS, ROOT, quote, table, write

Record = dict[str, Any]
GATEWAY_KILLED = "gateway killed"
_MOST_ANSWERS = 3


class Table:
    """One table, which may be made in pieces: what was measured before stays in it.

    Rounds of one commit add up. A whole row of an earlier commit stays, and says so, until there is a whole one of this commit.
    Each round of a row is written down as it ends.
    """

    def __init__(self, options: argparse.Namespace, part: str, begun: Record) -> None:
        self.rounds: int = options.rounds
        self.sessions: int = options.sessions
        self._options, self._part = options, part
        self._end_s = time.monotonic() + 60 * options.minutes
        self.record: Record = {
            "origin": begun,
            "rounds": self.rounds,
            "sessions": self.sessions,
            "rows": {},
            "earlier": {},
        }
        self.record = continued(self.record, options.out, part)

    def missing(self, names: Iterable[str]) -> Iterator[str]:
        """The next row of those in `names` that has rounds to be made, as often as there is one and time for it."""
        chosen = [name for name in names if any(part in name for part in self._options.only.split(","))]
        rows: dict[str, list[Record]] = self.record["rows"]
        for name in chosen:
            while len(rows.setdefault(name, [])) < self.rounds and time.monotonic() < self._end_s:
                yield name

    def add(self, name: str, round_: Record) -> None:
        """What a round was like."""
        self.record["rows"][name].append(round_)
        keep(self._options.out, self._part, self.record)
        print(f"{name}: {round_}"[:400], file=sys.stderr)

    def publish(self) -> None:
        """Write it for readers."""
        publish(self._options.out, self._part, self.record, REPORTS[self._part](self.record))


def held(record: Record) -> bool:
    """Nothing was lost, but sessions whose gateway was killed."""
    rows = record["rows"]
    sessions = [each["gone"] for name, rounds in rows.items() if name != GATEWAY_KILLED for each in rounds]
    return not any(sessions) and not any(each["lost"] for rounds in rows.values() for each in rounds)


def continued(record: Record, out: Path, part: str) -> Record:
    """`record` with the rounds of this commit, and the whole rows of earlier ones, that the pieces before it have made."""
    path = out / f"{part}.json"
    before: Record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    load = record["origin"]["load_average"][0]
    if before.get("loads") is None or any(before[key] != record[key] for key in ("rounds", "sessions")):
        return record | {"loads": [load]}
    loads, earlier = [*before["loads"], load], before.get("earlier", {})
    if _commit(before) == _commit(record):
        return record | {"rows": before["rows"], "earlier": earlier, "loads": loads}
    for name, rounds in before["rows"].items():
        if len(rounds) == before["rounds"]:
            earlier[name] = {"commit": _commit(before), "rounds": rounds}
    return record | {"earlier": earlier, "loads": loads}


def _commit(record: Record) -> str:
    return str(record.get("origin", {}).get("commit")).rstrip("+")  # the results themselves change files


def keep(out: Path, part: str, record: Record) -> None:
    """Write down what there is of it, whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{part}.json"
    new = path.with_suffix(".new")
    new.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    new.replace(path)


def publish(out: Path, part: str, record: Record, text: str) -> None:
    """Write it, and quote it in docs/faults.md where it is for the documents. Where files lay is no part of the command."""
    record["origin"]["command"] = re.sub(r" --(out|rows|judge) \S+", "", record["origin"]["command"])
    write(out, part, record, text)
    if out == DOCS:
        page, said = ROOT / "docs" / "faults.md", (DOCS / f"{part}.md").read_text(encoding="utf-8")
        page.write_text(quote(page.read_text(encoding="utf-8"), part, said), encoding="utf-8")


def _pieces(record: Record) -> str:
    """How the table was made. A row that has not all its rounds is left for the next piece."""
    loads = ", ".join(f"{load:.1f}" for load in record["loads"])
    return f"{record['rounds']} rounds of each. Load average before each piece of the run: {loads}."


def _complete(record: Record) -> dict[str, list[Record]]:
    """Rows with all their rounds. Where this commit has none, one of an earlier commit, which is named."""
    whole = {name: rounds for name, rounds in record["rows"].items() if len(rounds) == record["rounds"]}
    earlier = {name: row for name, row in record.get("earlier", {}).items() if name not in whole}
    return whole | {f"{name} (commit {row['commit'][:10]})": row["rounds"] for name, row in earlier.items()}


def _most(rounds: list[Record], what: str) -> float:
    return max(each[what] for each in rounds if what in each)


def _counts(rounds: list[Record]) -> list[str]:
    """Turns, turns lost, sessions lost."""
    return [str(sum(each["turns"] for each in rounds))] + [
        str(sum(len(each[what]) for each in rounds)) for what in ("lost", "gone")
    ]


def _size(mb: float, descriptors: float) -> str:
    return f"{mb:.0f} / {descriptors}"


def _size_of(sizes: Record) -> str:
    return _size(sizes["resident_mb"], sizes["descriptors"])


def _faults(record: Record) -> str:
    head = [
        "fault", "turns", "lost", "sessions lost", "longest gap, s", "`/readyz` told after, s", "ready again, s",
        "gateway before → after, MB / descriptors",
    ]  # fmt: skip
    rows = []
    for name, rounds in _complete(record).items():
        noticed = [each["noticed_s"] for each in rounds if each["noticed_s"] is not None]
        rows.append(
            [
                name,
                *_counts(rounds),
                f"{_most(rounds, 'stall_s'):.2f}",
                f"{max(noticed):.2f}" if noticed else "–",
                f"{_most(rounds, 'recovered_s'):.2f}",
                f"{_size_of(rounds[0]['before'])} → {_size_of(rounds[-1]['after'])}",
            ]
        )
    return f"{_pieces(record)}\n\n{table(head, rows)}"


def _cluster(record: Record) -> str:
    head = [
        "fault", "turns", "turns lost", "sessions lost", "longest gap, s", "replica missed after, s", "recovered after, s",
    ]  # fmt: skip
    rows = []
    for name, rounds in _complete(record).items():
        noticed = [each["noticed_s"] for each in rounds if each["noticed_s"] is not None]
        gap, recovered = (f"{_most(rounds, what):.2f}" for what in ("stall_s", "recovered_s"))
        rows.append([name, *_counts(rounds), gap, f"{max(noticed):.2f}" if noticed else "–", recovered])
    return f"{_pieces(record)}\n\n{table(head, rows)}"


def _attacks(record: Record) -> str:
    head = [
        "attack", "answered", "turns of others", "lost", "sessions lost", "longest gap, s",
        "slowest `/healthz` before → under it, ms",
        "longest that the server itself kept one waiting, ms", "gateway before → at most → after, MB / descriptors",
    ]  # fmt: skip
    rows = []
    for name, rounds in _complete(record).items():
        answers = sum((Counter[str](each["answers"]) for each in rounds), Counter[str]()).most_common(_MOST_ANSWERS)
        peak = _size(_most(rounds, "peak_mb"), _most(rounds, "peak_descriptors"))
        rows.append(
            [
                name,
                ", ".join(f"{count} × {answer}" for answer, count in answers) or "no error",
                *_counts(rounds),
                f"{_most(rounds, 'gap_s'):.2f}",
                *(
                    f"{1000 * _most(rounds, f'{what}_before_s'):.0f} → {1000 * _most(rounds, f'{what}_s'):.0f}"
                    for what in ("slowest", "stalled")
                ),
                f"{_size_of(rounds[0]['before'])} → {peak} → {_size_of(rounds[-1]['after'])}",
            ]
        )
    return f"{_pieces(record)}\n\n{table(head, rows)}"


def _ends(record: Record) -> str:
    [rounds] = record["rows"].values()
    wrong = sum(len(each["lost"]) for each in rounds)
    return (
        f"The gateway was killed {len(rounds)} times while a vocoder was stopped: no process was left after "
        f"{_most(rounds, 'kill_s'):.2f} s at most, and the next server had the address. It was stopped {len(rounds)} times (SIGTERM) "
        f"while {record['sessions']} sessions talked: gone after {_most(rounds, 'stop_s'):.1f} s at most, {wrong} turns lost or sockets "
        "closed otherwise than with 1012."
    )


REPORTS = {"faults": _faults, "attacks": _attacks, "ends": _ends, "cluster": _cluster}
