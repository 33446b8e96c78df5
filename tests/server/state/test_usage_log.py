"""The record of turns: nothing is lost, and what is damaged is told and passed over."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from server.errors import StartError
from server.state.usage_log import UsageLog
from tests.server.front import eventually

MORNING = datetime(2026, 11, 30, 8, tzinfo=UTC)
FILE = "usage-2026-11-30.jsonl"


def turn(key: str = "anna", seconds: float = 1.5) -> dict[str, Any]:
    return {"key": key, "question_s": seconds, "answer_s": seconds}


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def test_what_was_written_is_counted_by_the_next_server(tmp_path: Path) -> None:
    first = UsageLog(tmp_path, now=at(MORNING))
    for key in ("anna", "anna", "ben"):
        first.append(turn(key))
    first.close()
    second = UsageLog(tmp_path, now=at(MORNING + timedelta(hours=3)))
    assert (second.tally.of("anna"), second.tally.of("ben"), second.tally.of("carl")) == (6.0, 3.0, 0.0)
    second.close()
    assert [line["key"] for line in lines(tmp_path / FILE)] == ["anna", "anna", "ben"]


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_torn_last_line_is_told_and_passed_over(cut: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = UsageLog(tmp_path, now=at(MORNING))
    first.append(turn("anna"))
    first.append(turn("ben"))
    first.close()
    path = tmp_path / FILE
    os.truncate(path, path.stat().st_size - cut)
    second = UsageLog(tmp_path, now=at(MORNING))
    second.append(turn("carl"))
    assert second.tally.of("anna") == 3.0
    if cut > 1:  # without its line break alone, the line is whole
        assert second.tally.of("ben") == 0.0 and "usage_log_damaged" in caplog.text
    second.close()
    caplog.clear()
    third = UsageLog(tmp_path, now=at(MORNING))
    assert third.tally.of("carl") == 3.0
    third.close()


@pytest.mark.parametrize(
    "line",
    [b"\xff\xfe", b"[]", b'"x"', b"{}", b'{"key": "anna"}', b'{"key": "anna", "question_s": Infinity, "answer_s": 0}',
     b'{"key": "anna", "question_s": -5, "answer_s": 0}', b'{"key": "anna", "question_s": "1", "answer_s": 0}', b"\x00" * 9, b"[" * 100_000],
)  # fmt: skip
def test_damage_in_the_middle(line: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = json.dumps(turn()).encode()
    (tmp_path / FILE).write_bytes(b"\n".join([good, line, good, b""]))
    log = UsageLog(tmp_path, now=at(MORNING))
    assert log.tally.of("anna") == 6.0
    assert "1 lines were passed over, the first is line 2" in caplog.text
    log.close()


def test_each_day_has_its_file_and_old_ones_go(tmp_path: Path) -> None:
    moment = [MORNING]
    for day in ("2026-11-20", "2026-11-28", "2026-11-29"):
        (tmp_path / f"usage-{day}.jsonl").write_text("")
    (tmp_path / "notes.txt").write_text("mine")
    log = UsageLog(tmp_path, keep_days=2, now=lambda: moment[0])
    log.append(turn())
    moment[0] += timedelta(days=1)
    log.append(turn("ben"))
    log.close()
    found = sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("."))
    assert found == ["notes.txt", "usage-2026-11-29.jsonl", FILE, "usage-2026-12-01.jsonl"]
    assert [line["key"] for line in lines(tmp_path / "usage-2026-12-01.jsonl")] == ["ben"]


async def test_at_midnight_the_event_loop_waits_for_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.state.usage_log._SYNC_S", 0.01)
    moment, synced, sync = [MORNING], list[tuple[int, threading.Thread]](), os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: synced.append((file, threading.current_thread())) or sync(file))
    log = UsageLog(tmp_path, now=lambda: moment[0])
    async with log.kept():
        log.append(turn())
        old = log._file
        moment[0] += timedelta(days=1)
        log.append(turn("ben"))
        await eventually(lambda: not log._past)
        assert old != log._file and old in {file for file, _ in synced}
    assert threading.main_thread() not in {thread for _, thread in synced}
    assert [line["key"] for line in lines(tmp_path / FILE)] == ["anna"]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(old)


@pytest.mark.parametrize("all_of_it", [False, True])
def test_what_follows_a_removed_file_is_kept(all_of_it: bool, tmp_path: Path) -> None:
    directory = tmp_path / "usage"
    log = UsageLog(directory, now=at(MORNING))
    log.append(turn())
    shutil.rmtree(directory) if all_of_it else (directory / FILE).unlink()
    log.append(turn())
    log.append(turn())
    assert len((directory / FILE).read_text().splitlines()) == 2
    log.close()


def test_two_servers_on_one_log(tmp_path: Path) -> None:
    first = UsageLog(tmp_path)
    with pytest.raises(StartError) as refused:
        UsageLog(tmp_path)
    assert refused.value.code == "usage_log_in_use"
    first.close()
    UsageLog(tmp_path).close()


def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError) as refused:
        UsageLog(tmp_path / "file" / "usage")
    assert refused.value.code == "usage_log_unusable"


_LINE = len(json.dumps({"at": MORNING.isoformat(timespec="milliseconds"), **turn()}) + "\n")


def test_a_file_that_is_none_holds_no_server_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE)
    with pytest.raises(StartError) as refused:
        UsageLog(tmp_path, now=at(MORNING))
    assert refused.value.code == "usage_log_unusable"


@pytest.mark.parametrize("short", range(1, _LINE))
def test_a_full_disk_loses_nothing(
    short: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`short`: bytes of the first line that it has no room for. Without the line break alone, the line counts, and once."""
    log = UsageLog(tmp_path, now=at(MORNING))
    write, room = os.write, [_LINE - short]

    def full(file: int, data: bytes) -> int:
        taken = min(room[0], len(data))
        if not taken:
            raise OSError(28, "No space left on device")
        room[0] -= taken
        return write(file, data[:taken])

    monkeypatch.setattr(os, "write", full)
    log.append(turn("anna"))
    log.append(turn("ben"))
    assert log.failing and caplog.text.count("usage_log_failed") == 1
    room[0] = 10_000
    log.append(turn("carl"))
    assert not log.failing
    log.close()
    again = UsageLog(tmp_path, now=at(MORNING))
    assert [again.tally.of(key) for key in ("anna", "ben", "carl")] == [3.0, 3.0, 3.0]
    again.close()


def test_a_torn_line_of_a_day_that_comes_again_is_ended(tmp_path: Path) -> None:
    """The clock was set back over midnight."""
    (tmp_path / FILE).write_text('{"key": "anna", "quest')
    moment = [MORNING + timedelta(days=1)]
    log = UsageLog(tmp_path, now=lambda: moment[0])
    moment[0] = MORNING
    log.append(turn("ben"))
    log.close()
    again = UsageLog(tmp_path, now=at(MORNING))
    assert again.tally.of("ben") == 3.0
    again.close()


def test_a_killed_server_leaves_whole_lines_and_no_lock(tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from server.state.usage_log import UsageLog
log = UsageLog(Path({str(tmp_path)!r}))
for number in range(100):
    log.append({{"key": "anna", "question_s": 1, "answer_s": 1}})
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False)
    log = UsageLog(tmp_path)
    assert log.tally.of("anna") == 200.0
    log.close()


async def test_a_successor_waits_and_counts_the_last_lines_of_the_server_before(tmp_path: Path) -> None:
    first = UsageLog(tmp_path, now=at(MORNING))
    first.append(turn("anna"))
    second = UsageLog(tmp_path, wait=True, now=at(MORNING))
    assert second.tally.of("anna") == 3.0
    async with second.kept():
        second.append(turn("ben"))
        first.append(turn("anna"))
        assert [line["key"] for line in lines(tmp_path / FILE)] == ["anna", "anna"]
        first.close()
        await eventually(lambda: second.tally.of("anna") == 6.0)
        assert second.tally.of("ben") == 3.0
        second.append(turn("carl"))
    assert [line["key"] for line in lines(tmp_path / FILE)] == ["anna", "anna", "ben", "carl"]


async def test_the_loop_does_not_wait_while_a_successor_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a turn lost or counted twice that ends meanwhile."""
    counting, go_on, loads = threading.Event(), threading.Event(), json.loads
    first = UsageLog(tmp_path, now=at(MORNING))
    second = UsageLog(tmp_path, wait=True, now=at(MORNING))

    def slow(line: bytes) -> Any:
        if threading.current_thread() is not threading.main_thread():
            counting.set()
            go_on.wait(60)
        return loads(line)

    monkeypatch.setattr(json, "loads", slow)
    first.append(turn("anna"))
    first.close()
    async with second.kept():
        await eventually(counting.is_set)
        second.append(turn("ben"))
        go_on.set()
        await eventually(lambda: second.tally.of("ben") == 3.0)
        assert second.tally.of("anna") == 3.0
    monkeypatch.undo()
    assert [line["key"] for line in lines(tmp_path / FILE)] == ["anna", "ben"]
