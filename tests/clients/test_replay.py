"""`cslm replay` against a real gateway: the same again, what differs, and recordings that are none."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner
from websockets.asyncio.client import connect

from clients.errors import ServerUnreachable
from clients.replay import replayed
from clients.replay_audio import write_conversation
from clients.replay_report import differences, outcome_of, timings
from server.cli import app
from streaming.audio import WireFormat
from streaming.recording import Head, Message, RecordedSession, read_session
from tests.fakes import TEXT, TRANSCRIPT, FakeLM, answer_ids
from tests.server.front import eventually, listening
from tests.server.models import fake_model
from tests.server.routes.test_sessions_freed import TYPED, said
from tests.server.state.test_traces import ask


@asynccontextmanager
async def recording(path: Path, *questions: list[dict[str, Any]], **headers: str) -> AsyncGenerator[RecordedSession]:
    """A conversation as a server recorded it."""
    async with listening(record_dir=path) as front:
        await ask(front.url, *questions, **headers)
        await eventually(lambda: front.count("cslm_recordings_total", fate="kept"))
    yield the_one_in(path)


def the_one_in(directory: Path) -> RecordedSession:
    (path,) = directory.iterdir()
    return read_session(path)


@pytest.mark.parametrize("headers", [{}, {"OpenAI-Beta": "realtime=v1"}])
async def test_the_same_server_says_the_same(headers: dict[str, str], tmp_path: Path) -> None:
    async with (
        recording(tmp_path, said("input_audio_buffer.append"), TYPED, **headers) as recorded,
        listening() as front,
    ):
        messages = await replayed(recorded, front.url, None, None, 1.0, 10.0)
    then, now = outcome_of(recorded.messages), outcome_of(messages)
    assert differences(then, now) == []
    assert [answer.text for answer in now.answers] == [TEXT, TEXT]
    assert then.heard == now.heard == [TRANSCRIPT]
    assert [answer.status for answer in now.answers] == ["completed", "completed"]
    assert all(None not in pair for pair in timings(then, now))


async def test_another_answer_is_told(tmp_path: Path) -> None:
    other = fake_model(lm=FakeLM(answer_ids("What?", ("Six. ", [1, 2, 3]))))
    async with recording(tmp_path, said("input_audio_buffer.append")) as recorded, listening(other) as front:
        messages = await replayed(recorded, front.url, None, None, 1.0, 10.0)
    assert differences(outcome_of(recorded.messages), outcome_of(messages)) == [
        f"answer 1, text: {TEXT!r} recorded, 'Six. ' now",
        f"question 1, transcript: {TRANSCRIPT!r} recorded, 'What?' now",
    ]


async def test_a_failure_is_told(tmp_path: Path) -> None:
    broken = fake_model(lm=FakeLM(fail_after=0))
    async with recording(tmp_path, TYPED) as recorded, listening(broken) as front:
        messages = await replayed(recorded, front.url, None, None, 1.0, 10.0)
    found = differences(outcome_of(recorded.messages), outcome_of(messages))
    assert "answer 1, status: 'completed' recorded, 'failed' now" in found
    assert "answer 1, code: None recorded, 'internal_error' now" in found


async def test_ids_of_then_become_those_of_today(tmp_path: Path) -> None:
    """The client refers to what the server named, and to what it named itself."""
    async with listening(record_dir=tmp_path) as front:
        async with connect(front.url.replace("http", "ws") + "/v1/realtime", proxy=None) as socket:
            item = TYPED[0]["item"]
            await socket.send(json.dumps({"type": "conversation.item.create", "item": {**item, "id": "mine"}}))
            await socket.send(json.dumps({"type": "response.create"}))
            event: dict[str, Any] = {}
            while event.get("type") != "response.done":
                event = json.loads(await socket.recv())
            answer = event["response"]["output"][0]["id"]
            for name in (answer, "mine", "never-there"):
                await socket.send(json.dumps({"type": "conversation.item.delete", "item_id": name}))
            while event["type"] != "error":
                event = json.loads(await socket.recv())
        await eventually(lambda: front.count("cslm_recordings_total", fate="kept"))
    recorded = the_one_in(tmp_path)
    async with listening() as front:
        messages = await replayed(recorded, front.url, None, None, 1.0, 10.0)
    told = [message.event for message in messages if message.sender == "server"]
    deleted = [event["item_id"] for event in told if event["type"] == "conversation.item.deleted"]
    assert len(deleted) == 2 and deleted[0] != answer and deleted[1] == "mine"
    assert differences(outcome_of(recorded.messages), outcome_of(messages)) == []


async def test_what_nobody_could_read_is_sent_as_it_was() -> None:
    nonsense = [Message(0.0, "client", "{nonsense"), Message(0.0, "client", '{"type": "nonsense"}')]
    session = RecordedSession(Head("sess", "2026", "0", "m", "realtime"), tuple(nonsense), 0.0)
    async with listening() as front:
        messages = await replayed(session, front.url, None, None, 1.0, 10.0)
    assert outcome_of(messages).errors == ["invalid_json", "unknown_event"] or len(outcome_of(messages).errors) == 2


async def test_a_server_that_is_not_there() -> None:
    session = RecordedSession(Head("sess", "2026", "0", "m", "realtime"), (), 0.0)
    with pytest.raises(ServerUnreachable):
        await replayed(session, "http://127.0.0.1:9", None, None, 1.0, 1.0)


async def test_timings_are_those_of_the_recording() -> None:
    """What was said later is said later, unless it is to go faster."""
    late = (Message(0.0, "client", '{"type": "input_audio_buffer.clear"}'), Message(0.4, "client", '{"type": "input_audio_buffer.clear"}'))  # fmt: skip
    session = RecordedSession(Head("sess", "2026", "0", "m", "realtime"), late, 0.4)
    async with listening() as front:
        for speed in (1.0, 4.0):
            messages = await replayed(session, front.url, None, None, speed, 10.0)
            first, second = (message for message in messages if message.sender == "client")
            assert second.at_s >= 0.4 / speed and second.at_s >= first.at_s


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    for content in (None, b"RIFF"):
        path = tmp_path / "a.jsonl.gz"
        if content:
            path.write_bytes(content)
        done = CliRunner().invoke(app, ["replay", str(path)])
        assert done.exit_code == 2
        assert "recording_damaged" in done.output


async def test_only_what_matters_differs() -> None:
    head = Head("sess", "2026", "0", "m", "realtime")
    created = Message(0.0, "server", '{"type": "response.created", "response": {"id": "r1"}}')
    odd = [Message(0.0, "server", text) for text in ('{"response": 7, "type": "response.done"}', '{"type": "error", "error": []}', '{"type": 7}')]  # fmt: skip
    outcome = outcome_of([created, *odd])
    assert [answer.status for answer in outcome.answers] == ["unfinished"] and outcome.errors == ["None"]
    assert replace(head, model="other") != head


def spoken(seconds: float, wire: WireFormat, level: float = 0.25) -> str:
    return base64.b64encode(wire.encode(np.full(round(seconds * wire.rate_hz), level, np.float32))).decode()


def conversation(wire: WireFormat, session: dict[str, Any]) -> RecordedSession:
    """The client speaks for a second from 0.75 s on, the server for two from 2 s on, of which one is heard, then for one from 4 s on."""

    def client(at_s: float, **event: Any) -> Message:
        return Message(at_s, "client", json.dumps(event))

    def server(at_s: float, **event: Any) -> Message:
        return Message(at_s, "server", json.dumps(event))

    delta = {"type": "response.output_audio.delta"}
    messages = (
        server(0.0, type="session.created", session=session),
        client(0.75, type="input_audio_buffer.append", audio=spoken(0.5, wire)),
        client(0.8, type="input_audio_buffer.append", audio=spoken(0.5, wire)),
        client(0.9, type="input_audio_buffer.append", audio="no audio!"),
        server(2.0, **delta, delta=spoken(1.0, wire)),
        server(2.1, **delta, delta=spoken(1.0, wire)),
        server(3.0, type="response.done", response={"status": "cancelled"}),
        server(4.0, **delta, delta=spoken(1.0, wire)),
    )
    return RecordedSession(Head("sess", "2026", "0", "m", "realtime"), messages, 5.0)


@pytest.mark.parametrize(
    ("wire", "session"),
    [
        (WireFormat(), {}),
        (WireFormat("audio/pcmu", 8000), {"audio": {side: {"format": {"type": "audio/pcmu"}} for side in ("input", "output")}}),
        (WireFormat("audio/pcma", 8000), {f"{side}_audio_format": "g711_alaw" for side in ("input", "output")}),
    ],
)  # fmt: skip
def test_both_sides_can_be_heard(wire: WireFormat, session: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "conversation.wav"
    assert write_conversation(conversation(wire, session), path) == pytest.approx(5.0, abs=0.01)
    samples, rate = soundfile.read(path)
    loud = [
        [bool(abs(samples[round(at_s * rate), side]) > 0.2) for at_s in (0.5, 1.0, 1.5, 1.9, 2.5, 3.5, 4.5)]
        for side in (0, 1)
    ]
    assert loud[0] == [False, True, True, False, False, False, False]
    assert loud[1] == [False, False, False, False, True, False, True]


async def test_the_command_writes_it(tmp_path: Path) -> None:
    async with recording(tmp_path / "kept", said("input_audio_buffer.append")):
        (path,) = await asyncio.to_thread(lambda: list((tmp_path / "kept").iterdir()))
    done = await asyncio.to_thread(CliRunner().invoke, app, ["replay", str(path), "--audio", str(tmp_path / "a.flac")])
    assert done.exit_code == 0 and "written" in done.output
    for place in (tmp_path / "none" / "a.wav", tmp_path / "a.nonsense"):
        done = await asyncio.to_thread(CliRunner().invoke, app, ["replay", str(path), "--audio", str(place)])
        assert done.exit_code == 2 and "unwritable_output" in done.output
