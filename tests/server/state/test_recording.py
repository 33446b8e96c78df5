"""Conversations that are recorded: whole or not at all, within limits, and without harm to the sessions."""

from __future__ import annotations

import asyncio
import base64
import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from server.serve import serve
from server.state.recording import Recorder, Tape
from server.state.shelf import Part, Shelf, Unwritable
from streaming.realtime.ga import Ga
from streaming.recording import Head, RecordedSession, Sender, parsed_session, read_session
from tests.fakes import TEXT, UNITS
from tests.server.front import Front, eventually, listening, make_settings
from tests.server.routes.test_calls import connect as dial
from tests.server.routes.test_calls import speech
from tests.server.routes.test_sessions_freed import TYPED, said
from tests.server.state.test_traces import ask
from tests.server.webrtc.rtc_peer import calling

HEAD = Head("sess_1", "2026-11-30T18:00:00+00:00", "0.1.0", "fake", "realtime")
DAY_S = 86_400.0


def kept(directory: Path) -> list[Path]:
    return sorted(directory.glob("[!.]*"))


def parts(directory: Path) -> list[Path]:
    return list(directory.glob(".*"))


async def recorded(front: Front, directory: Path) -> RecordedSession:
    """The one recording, once it is complete."""
    await eventually(lambda: front.count("cslm_recordings_total", fate="kept"))
    (path,) = kept(directory)
    return read_session(path)


def kinds(session: RecordedSession, sender: Any) -> list[str]:
    return [message.event["type"] for message in session.sent_by(sender)]


async def test_all_that_is_said_is_kept(tmp_path: Path) -> None:
    async with listening(record_dir=tmp_path / "here") as front:
        await ask(front.url, said("input_audio_buffer.append"), TYPED)
        session = await recorded(front, tmp_path / "here")
    assert kinds(session, "client")[-2:] == ["conversation.item.create", "response.create"]
    told = session.sent_by("server")
    assert told[0].event["session"]["recorded"] is True
    assert told[0].event["session"]["id"] == session.head.session_id
    assert (
        "".join(m.event["delta"] for m in told if m.event["type"] == "response.output_audio_transcript.delta")
        == TEXT * 2
    )
    audio = [m.event["delta"] for m in told if m.event["type"] == "response.output_audio.delta"]
    assert sum(len(base64.b64decode(each)) for each in audio) == 2 * len(UNITS) * 960 * 2
    assert (session.head.model, session.head.transport, session.head.dialect) == ("fake", "realtime", "ga")
    (path,) = kept(tmp_path / "here")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize("headers", [{}, {"OpenAI-Beta": "realtime=v1"}])
async def test_clients_are_told(headers: dict[str, str], tmp_path: Path) -> None:
    for directory in (None, tmp_path):
        async with listening(record_dir=directory) as front:
            address = front.url.replace("http", "ws") + "/v1/realtime"
            for path in (address, f"{address}?intent=transcription"):
                async with connect(path, additional_headers=headers, proxy=None) as socket:
                    session = json.loads(await socket.recv())["session"]
                    assert session.get("recorded", False) is (directory is not None)
            (model,) = (await front.client.get("/v1/models")).json()["data"]
            assert model.get("recorded", False) is (directory is not None)


async def test_a_call_is_recorded_as_a_socket_would_be(tmp_path: Path) -> None:
    settings = {"type": "realtime", "reply_language": "zh"}
    async with listening(record_dir=tmp_path) as front:
        async with calling() as caller:
            await dial(caller, front, settings)
            caller.microphone.speak(speech())
            await caller.event("output_audio_buffer.stopped")
        session = await recorded(front, tmp_path)
    assert session.head.transport == "webrtc"
    assert session.sent_by("client")[0].event == {"type": "session.update", "session": settings}
    heard = [m.event["audio"] for m in session.sent_by("client") if m.event["type"] == "input_audio_buffer.append"]
    assert sum(len(base64.b64decode(each)) for each in heard) > 24_000 * 2
    audio = [m.event["delta"] for m in session.sent_by("server") if m.event["type"] == "response.output_audio.delta"]
    assert sum(len(base64.b64decode(each)) for each in audio) == len(UNITS) * 960 * 2


async def test_a_full_disk_costs_the_recording_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(part: Part, packed: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with listening(record_dir=tmp_path) as front:
        with monkeypatch.context() as patch:
            patch.setattr(Part, "_append", full)
            for number in (1, 2):
                await ask(front.url, TYPED)
                await eventually(lambda number=number: front.count("cslm_recordings_total", fate="lost") == number)
        await eventually(lambda: not parts(tmp_path))
        await ask(front.url, TYPED)
        await recorded(front, tmp_path)
    told = [record.getMessage() for record in caplog.records if record.name == "cslm.recordings"]
    assert told == ["a recording is lost: No space left on device"]


async def test_a_fault_of_the_recorder_takes_nobody_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(part: Part, packed: bytes) -> None:
        raise ValueError("a bug")

    async with listening(record_dir=tmp_path) as front:
        with monkeypatch.context() as patch:
            patch.setattr(Part, "_append", broken)
            await ask(front.url, TYPED)
            await eventually(lambda: front.count("cslm_recordings_total", fate="lost"))
        await ask(front.url, TYPED)
        await recorded(front, tmp_path)


async def test_a_disk_that_is_far_behind_costs_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.state.recording._MOST_WAITING", 100)
    tape = Tape(HEAD)
    for _ in range(3):
        tape.take("client", "x" * 50)
    assert tape.lost and not tape.waiting()


def test_messages_of_several_threads_stand_in_the_order_of_their_times() -> None:
    """Large messages are read in threads, while the loop records what the server says."""
    tape, rounds = Tape(HEAD), 2000

    def talk(sender: Sender) -> None:
        for _ in range(rounds):
            tape.take(sender, "{}")

    threads = [threading.Thread(target=talk, args=(sender,)) for sender in ("client", "server")]
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval_s)
    tape.end()
    session = parsed_session(tape.waiting().splitlines(), "it")
    assert len(session.messages) == 2 * rounds


async def test_what_runs_when_the_server_stops_is_kept(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, 10**6, DAY_S, lambda fate: None)
    async with recorder.opened():
        with recorder.session("sess_1", "fake", "realtime", Ga(), "/v1/realtime", None) as tape:
            assert tape is not None
            tape.take("client", "{}")
    assert len(read_session(kept(tmp_path)[0]).messages) == 1


LEFT = """
import sys, time
from pathlib import Path
from server.state.shelf import Shelf
from tests.server.state.test_recording import HEAD
part = Shelf(Path(sys.argv[1]), 10**6, 86400.0).begin(HEAD)
part.write(lambda: b"the beginning")
print("begun", flush=True)
time.sleep(600)
"""


def test_what_a_kill_leaves_is_swept_and_what_others_write_is_not(tmp_path: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", LEFT, str(tmp_path)], stdout=subprocess.PIPE)
    assert killed.stdout is not None and killed.stdout.readline() == b"begun\n"
    shelf = Shelf(tmp_path, 10**6, DAY_S)
    shelf.tidy()
    assert len(parts(tmp_path)) == 1
    killed.kill()
    killed.wait()
    killed.stdout.close()
    assert len(parts(tmp_path)) == 1
    shelf.tidy()
    assert not list(tmp_path.iterdir())


def make(directory: Path, name: str, size: int, age_s: float) -> Path:
    path = directory / name
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_the_old_and_the_oldest_are_removed(tmp_path: Path) -> None:
    old, first, second = (make(tmp_path, f"{age}.jsonl.gz", 400, age) for age in (2 * DAY_S, 60.0, 30.0))
    other = make(tmp_path, "notes.txt", 10_000, 3 * DAY_S)
    shelf = Shelf(tmp_path, 1000, DAY_S)
    shelf.tidy()
    assert not old.exists() and first.exists() and second.exists()
    part = shelf.begin(HEAD)
    part._append(bytes(400))
    assert not first.exists() and second.exists() and other.exists()
    with pytest.raises(OSError, match="the most there may be"):
        part._append(bytes(1000))
    part.discard()
    assert sorted(tmp_path.iterdir()) == [second, other]


def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    """It would take every recording along."""
    (tmp_path / "mine.jsonl.gz").mkdir()
    os.utime(tmp_path / "mine.jsonl.gz", (0, 0))
    os.mkfifo(tmp_path / ".mine.jsonl.gz.part")
    (tmp_path / "gone.jsonl.gz").symlink_to("nowhere")
    part = Shelf(tmp_path, 10**6, DAY_S).begin(HEAD)
    part.keep(lambda: b"")
    assert len(list(tmp_path.iterdir())) == 4


def test_a_directory_that_was_removed_is_made_again(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "recordings", 10**6, DAY_S)
    under_way = shelf.begin(HEAD)
    shutil.rmtree(tmp_path / "recordings")
    with pytest.raises(FileNotFoundError):
        under_way.keep(lambda: b"")
    under_way.discard()
    shelf.begin(HEAD).keep(lambda: b"")
    assert len(kept(tmp_path / "recordings")) == 1


async def test_a_place_that_cannot_be_written_stops_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "file"
    place.touch()
    with pytest.raises(Unwritable):
        Shelf(place / "below", 1, 1)
    assert await serve(make_settings(record_dir=place, port=0)) == 1
    assert "cannot record to" in capsys.readouterr().err


async def test_nothing_is_written_unless_wanted(tmp_path: Path) -> None:
    recorder = Recorder(None, 10**6, DAY_S, lambda fate: None)
    async with recorder.opened():
        with recorder.session("sess_1", "fake", "realtime", Ga(), "/v1/realtime", None) as tape:
            assert tape is None


async def test_an_own_name_means_that_it_is_whole(tmp_path: Path) -> None:
    """Looked at all the time while sessions come and go."""
    async with listening(record_dir=tmp_path) as front:
        asking = asyncio.gather(*(ask(front.url, said("input_audio_buffer.append")) for _ in range(4)))
        while not (asking.done() and front.count("cslm_recordings_total", fate="kept") == 4):
            for path in kept(tmp_path):
                read_session(path)
            await asyncio.sleep(0.02)
        assert len(kept(tmp_path)) == 4 and not parts(tmp_path)
