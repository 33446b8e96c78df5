"""Requests over HTTP in recordings: what is kept of them, and `cslm replay` of one."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from clients.errors import ServerUnreachable, UnreadableRecording
from clients.replay_http import http_outcome, requested
from clients.replay_report import differences
from server.cli import app
from streaming.recording import Message, RecordedSession, read_session
from tests.fakes import TEXT, FakeLM, answer_ids
from tests.server.front import eventually, listening, recording, tone
from tests.server.models import fake_model

CHAT = {"messages": [{"role": "user", "content": "What is two plus three?"}]}
SPOKEN = {**CHAT, "modalities": ["text", "audio"], "audio": {"format": "pcm16"}, "stream": True}
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "audio": ("/v1/speech", {"content": recording()}),
    "form": ("/v1/speech?response_format=json", {"files": {"file": recording()}}),
    "events": ("/v1/speech?stream=events", {"content": recording()}),
    "chat": ("/v1/chat/completions", {"json": CHAT}),
    "chunks": ("/v1/chat/completions", {"json": SPOKEN}),
    "long": ("/v1/speech", {"content": recording(tone(20.0))}),
    "refused": ("/v1/speech", {"content": b"no recording"}),
}


def files_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


def the_file_in(directory: Path) -> Path:
    (file,) = files_in(directory)
    return file


async def recorded(directory: Path, path: str, **request: Any) -> RecordedSession:
    async with listening(record_dir=directory, api_key="secret") as front:
        headers = {"Authorization": "Bearer secret", "Cookie": "secret"}
        answer = await front.client.post(path, headers=headers, **request)
        assert answer.headers["x-recorded"] == "true"
        await eventually(lambda: front.count("cslm_recordings_total", fate="kept"))
    file = the_file_in(directory)
    assert answer.headers["x-request-id"] in file.name
    session = read_session(file)
    body = b"".join(base64.b64decode(each.event.get("body", "")) for each in session.sent_by("server"))
    assert body == answer.content
    return session


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_is_kept_without_its_key_and_asked_again(name: str, tmp_path: Path) -> None:
    path, request = REQUESTS[name]
    session = await recorded(tmp_path, path, **request)
    assert "secret" not in "".join(message.text for message in session.messages)
    if "content" in request:
        body = b"".join(base64.b64decode(message.event["body"]) for message in session.sent_by("client"))
        assert body == request["content"]
        assert (len(session.sent_by("client")) > 1) is (name == "long")
    async with listening(api_key="other") as front:
        now = http_outcome(await requested(session, front.url, "other", 30.0))
    then = http_outcome(session.messages)
    assert differences(then, now) == []
    (answer,) = now.answers
    refused = name == "refused"
    assert (answer.status, answer.code) == (("400", "audio_unreadable") if refused else ("200", None))
    assert bool(answer.audio_bytes) is (name not in ("refused", "chat"))
    assert (TEXT in answer.text) is (name not in ("refused", "audio", "long"))
    assert answer.waited_s is not None


async def test_who_is_not_let_in_is_not_recorded(tmp_path: Path) -> None:
    async with listening(record_dir=tmp_path, api_key="secret") as front:
        answers = [await front.client.post("/v1/speech", content=recording()), await front.client.get("/v1/models")]
        assert [(each.status_code, "x-recorded" in each.headers) for each in answers] == [(401, False)] * 2
    assert not files_in(tmp_path)
    async with listening() as front:
        assert "x-recorded" not in (await front.client.post("/v1/speech", content=recording())).headers


async def test_another_answer_is_told_by_the_command(tmp_path: Path) -> None:
    await recorded(tmp_path, "/v1/chat/completions", json=CHAT)
    file = the_file_in(tmp_path)
    other = fake_model(lm=FakeLM(answer_ids("What?", ("Six. ", [1, 2, 3]))))
    async with listening(other) as front:
        command = ["replay", str(file), "--server", front.url]
        done = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert done.exit_code == 1, done.output
    assert f"answer 1, text: {TEXT!r} recorded, 'Six. ' now" in done.output


async def test_what_cannot_be_sent_again(tmp_path: Path) -> None:
    session = await recorded(tmp_path, "/v1/speech", content=recording())
    file = the_file_in(tmp_path)
    done = CliRunner().invoke(app, ["replay", str(file), "--audio", str(tmp_path / "both.wav")])
    assert done.exit_code == 2 and "--audio is for sessions and calls" in done.output
    with pytest.raises(ServerUnreachable):
        await requested(session, "http://127.0.0.1:9", None, 5.0)
    empty = replace(session, messages=tuple(session.sent_by("server")))
    damaged = replace(
        session, messages=(Message(0.0, "client", json.dumps({"method": "POST", "more": False, "body": "é"})),)
    )
    cut_off = replace(session, messages=(Message(0.0, "client", json.dumps({"method": "POST", "more": True})),))
    async with AsyncExitStack() as stack:
        front = await stack.enter_async_context(listening())
        for broken in (empty, damaged, cut_off):
            with pytest.raises(UnreadableRecording) as refused:
                await requested(broken, front.url, None, 5.0)
            assert refused.value.code == "recording_damaged"
