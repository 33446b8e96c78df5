"""What traces cost the gateway in processor time: none, a tenth of the sessions, and all of them, side by side.

    python -m tests.bench.tracing

The server of `tests.bench.gateway`, whose model is null: whatever a real model computes makes the share of traces smaller. Spans go
to a collector in another process, which takes them at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.bench.gateway import CYCLE_S, cost_ms
from tests.bench.results import arguments, origin, table, write
from tests.collector import collecting

SESSIONS, QUESTIONS, ROUNDS = 50, 6, 7
SHARES = {"off": None, "10 %": "0.1", "100 %": "1"}


def main() -> None:
    options = arguments(__doc__).parse_args()
    here = Path(__file__).parents[2]
    costs: dict[str, list[float]] = {name: [] for name in SHARES}
    spans = dict.fromkeys(SHARES, 0)
    record: dict[str, Any] = {"origin": origin(), "ms_per_s": costs, "spans": spans}
    with collecting() as collector:
        # The short delay has spans sent while the cost is measured.
        traced = {"CSLM_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        for _ in range(ROUNDS):
            for name, share in SHARES.items():
                settings = {} if share is None else {**traced, "CSLM_TRACE_SHARE": share}
                costs[name].append(cost_ms(here, "socket", SESSIONS, QUESTIONS, **settings))
                spans[name] += len(collector.spans)
                collector.spans.clear()
    least = {name: min(each) for name, each in costs.items()}
    rows = [
        (name, f"{least[name]:.2f}", f"{least[name] / least['off']:.2f}", f"{spans[name] / ROUNDS:.0f}")
        for name in SHARES
    ]
    heads = ("sessions traced", "ms for a second of a session", "÷ off", "spans in a run")
    asked = f"{SESSIONS} sessions over sockets, {QUESTIONS} questions each, one in {CYCLE_S:g} s"
    note = f"{asked}. The least of {ROUNDS} runs: others on the machine only add."
    write(options.out, "tracing", record, f"{note}\n\n{table(heads, rows)}")


if __name__ == "__main__":
    main()
