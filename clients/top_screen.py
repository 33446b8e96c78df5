"""How a server looks in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from clients.metrics_view import SessionView, View

_FULL, _BUSY = 1.0, 0.7
_MOST_SESSIONS = 20
_STATES = {"away": "red", "hearing": "cyan", "answering": "green", "playing": "green"}


def drawn(now: View, url: str, under_way: Sequence[SessionView] | None = None, lost: str = "") -> RenderableType:
    """All of it. `under_way`: the oldest first; None: nobody says. `lost`: why it is not of now."""
    over = "since its start" if now.over_s is None else f"over {now.over_s:.1f} s"
    state = Text("ready", "green") if now.ready else Text("not ready", "bold red")
    head = Text.assemble(
        (now.model, "bold"), f" {now.version} on {now.backend or 'no stage yet'} · ", state, f" · {url} · {over}"
    )
    parts: list[RenderableType] = [head]
    if lost:
        parts.append(Text(lost, "red"))
    parts.append(Columns([_sessions(now), _speed(now), _stages(now), _processes(now), _trouble(now)]))
    parts.append(Text("a key shows what is under way: --api-key", "dim") if under_way is None else _listed(under_way))
    return Group(*parts)


def _listed(under_way: Sequence[SessionView]) -> Table:
    more = len(under_way) - _MOST_SESSIONS
    title = "Under way" + (f", the oldest {_MOST_SESSIONS} of {len(under_way)}" if more > 0 else "")
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for name in ("id", "key", "transport", "state", "language"):
        table.add_column(name, no_wrap=True)
    for name in ("buffered", "age", "turns"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in under_way[:_MOST_SESSIONS]:
        table.add_row(
            Text(each.id),
            Text(each.key),
            Text(each.transport),
            Text(each.state, _STATES.get(each.state, "")),
            Text(each.language or "–"),
            f"{each.buffered_s:.1f} s",
            f"{each.age_s:,.0f} s",
            str(each.turns),
        )
    return table


def _table(title: str, rows: Iterable[tuple[str, str | Text]]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False, min_width=34)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for name, value in rows:
        table.add_row(Text(name), value)
    return table


def _sessions(now: View) -> Table:
    rows: list[tuple[str, str | Text]] = [(transport, f"{count:.0f}") for transport, count in now.sessions.items()]
    rows += [(f"key {key}", f"{count:.0f}") for key, count in now.keys.items()]
    rows += [("limit now", f"{now.limit:.0f}"), ("free", f"{now.free:.0f}"), ("waiting", f"{now.waiting:.0f}")]
    return _table("Sessions", rows)


def _speed(now: View) -> Table:
    rows: list[tuple[str, str | Text]] = [
        ("first audio, p50", _ms(now.first_audio_p50_s)),
        ("first audio, p95", _ms(now.first_audio_p95_s)),
    ]
    rows += [(f"{step}, mean · p95", f"{_ms(stage.mean_s)} · {_ms(stage.p95_s)}") for step, stage in now.stages.items()]
    rows += [
        ("vocoder for 1 s", _ms(now.vocoder)),
        ("gaps", _share(now.underrun_share)),
        ("event loop, p99", _ms(now.event_loop_p99_s)),
    ]
    return _table("Speed", rows)


def _stages(now: View) -> Table:
    rows: list[tuple[str, str | Text]] = [(f"load, {stage}", _load(load)) for stage, load in now.load.items()]
    rows += [(f"engine, {state}", f"{count:.0f}") for state, count in now.engine.items()]
    if now.kv_cache is not None:
        rows.append(("engine, cache", _share(now.kv_cache)))
    return _table("Stages", rows)


def _processes(now: View) -> Table:
    rows: list[tuple[str, str | Text]] = []
    for name, size in now.memory_bytes.items():
        rows.append((name, f"{size / 2**20:,.0f} MiB · {now.descriptors.get(name, 0):.0f} fds"))
    for name, up in now.workers_up.items():
        replaced = f"{now.restarts.get(name, 0):.0f} replaced"
        rows.append((name, Text(f"up · {replaced}") if up else Text(f"down · {replaced}", "bold red")))
    return _table("Processes", rows)


def _trouble(now: View) -> Table:
    rows: list[tuple[str, str | Text]] = [(outcome, f"{rate:.1f}") for outcome, rate in now.turns_minute.items()]
    worst = sorted(now.errors_minute.items(), key=lambda each: -each[1])[:6]
    rows += [(code, Text(f"{rate:.1f}", "red")) for code, rate in worst]
    return _table("Turns and errors, a minute", rows)


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1000 * seconds:,.0f} ms"


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _load(load: float) -> Text:
    return Text(f"{load:.2f}", "bold red" if load >= _FULL else "yellow" if load >= _BUSY else "green")
