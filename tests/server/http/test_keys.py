"""Several keys at a server on a socket: who is let in, to what, how much, and what is written down of it."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from server.errors import StartError
from server.http.rate_limits import HEADERS, duration
from server.state.key_file import digest
from server.state.keyring import Keyring
from tests.server.front import Front, eventually, listening, recording, serving

ANNA, BEN, SINGLE = "sk-cslm-of-anna", "sk-cslm-of-ben", "sk-single"
PAST, FUTURE = (datetime.now(UTC) + timedelta(days=days) for days in (-1, 1))


def entry(name: str, key: str, **members: Any) -> dict[str, Any]:
    return {"name": name, "hash": digest(key.encode()), **members}


def written(path: Path, *keys: dict[str, Any], **others: Any) -> Path:
    """A file of keys, in place of the one before as `cslm keys` does it."""
    new = path / "keys.json.new"
    new.write_text(json.dumps({"keys": keys, **others}, default=str))
    return new.replace(path / "keys.json")


def auth(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def stock(front: Front, key: str, retries: int = 0) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{front.url}/v1", api_key=key, max_retries=retries)


def opened(front: Front, key: str) -> Any:
    return connect(front.url.replace("http", "ws") + "/v1/realtime", additional_headers=auth(key), proxy=None)


async def until(socket: ClientConnection, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            event: dict[str, Any] = json.loads(await socket.recv())
            if event["type"] == kind:
                return event


async def asked(socket: ClientConnection) -> tuple[dict[str, Any], dict[str, Any]]:
    """The limits and the response of a typed question."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello?"}]}
    await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
    await socket.send(json.dumps({"type": "response.create"}))
    limits = (await until(socket, "rate_limits.updated"))["rate_limits"]
    return limits[0], (await until(socket, "response.done"))["response"]


async def test_who_is_let_in(tmp_path: Path) -> None:
    revoked, expired = entry("carl", "c", revoked=PAST), entry("dora", "d", expires=PAST)
    path = written(tmp_path, entry("anna", ANNA, expires=FUTURE), entry("ben", BEN), revoked, expired)
    async with serving(keys_file=path, api_key=SINGLE) as front:
        for key, status, code in (
            (ANNA, 200, None), (BEN, 200, None), (SINGLE, 200, None),
            ("c", 401, "api_key_revoked"), ("d", 401, "api_key_expired"), ("e", 401, "invalid_api_key"),
            (digest(ANNA.encode()), 401, "invalid_api_key"),
        ):  # fmt: skip
            answer = await front.client.get("/v1/models", headers=auth(key))
            assert (answer.status_code, answer.json().get("error", {}).get("code")) == (status, code)
            assert answer.headers.get("www-authenticate") == (None if status == 200 else "Bearer")
        assert (await front.client.get("/v1/models")).json()["error"]["code"] == "missing_api_key"
        assert front.count("cslm_key_refusals_total", key="carl", code="api_key_revoked") == 1


async def test_keys_in_the_environment() -> None:
    async with serving(keys=json.dumps({"keys": [entry("anna", ANNA)]})) as front:
        assert (await front.client.get("/v1/models", headers=auth(ANNA))).status_code == 200
        assert (await front.client.get("/v1/models")).status_code == 401


async def test_a_file_without_keys_opens_to_nobody(tmp_path: Path) -> None:
    async with serving(keys_file=written(tmp_path)) as front:
        assert (await front.client.get("/v1/models")).status_code == 401
        assert (await front.client.get("/v1/models", headers=auth("x"))).status_code == 401


async def test_a_stock_client_over_its_limit_is_told_when_to_come_again(tmp_path: Path) -> None:
    path = written(tmp_path, entry("anna", ANNA, turns_per_minute=1), entry("ben", BEN))
    async with listening(keys_file=path) as front, stock(front, ANNA) as anna, stock(front, BEN) as ben:
        ask: dict[str, Any] = {"model": "fake", "messages": [{"role": "user", "content": "Hello?"}]}
        await anna.chat.completions.create(**ask)
        with pytest.raises(openai.RateLimitError) as refused:
            await anna.chat.completions.create(**ask)
        assert refused.value.code == "rate_limit_exceeded" and ANNA not in str(refused.value)
        assert 1 <= int(refused.value.response.headers["retry-after"]) <= 60
        await ben.chat.completions.create(**ask)
        assert [model.id for model in (await anna.models.list()).data] == ["fake"], "only turns are limited"


async def test_realtime_limits_are_told_as_they_are(tmp_path: Path) -> None:
    path = written(tmp_path, entry("anna", ANNA, turns_per_minute=3, sessions=2))
    async with listening(keys_file=path) as front, opened(front, ANNA) as one, opened(front, ANNA) as other:
        remaining = [(await asked(socket))[0] for socket in (one, other, one)]
        assert [limit["remaining"] for limit in remaining] == [2, 1, 0]
        assert {limit["limit"] for limit in remaining} == {3} and remaining[2]["reset_seconds"] > 50
        limit, response = await asked(other)
        assert (limit["remaining"], response["status"]) == (0, "failed")
        assert response["status_details"]["error"]["code"] == "rate_limit_exceeded"
        with pytest.raises(InvalidStatus) as refused:
            await opened(front, ANNA)
        answer = refused.value.response
        assert answer.status_code == 429 and int(answer.headers["Retry-After"]) >= 1
        assert json.loads(answer.body)["error"]["code"] == "too_many_sessions"
        told = await front.client.get("/v1/realtime", headers=auth(ANNA))
        assert (told.status_code, told.json()["error"]["code"]) == (429, "too_many_sessions")
    assert front.count("cslm_key_turns_total", key="anna") == 3
    assert front.count("cslm_key_refusals_total", key="anna", code="rate_limit_exceeded") == 1


async def test_a_stock_session_goes_on_when_a_response_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, entry("anna", ANNA, turns_per_minute=1))
    async with (
        listening(keys_file=path) as front,
        stock(front, ANNA) as client,
        client.realtime.connect(model="fake") as session,
    ):
        left, ends = list[int | None](), list[Any]()
        for _ in range(2):
            content: Any = [{"type": "input_text", "text": "Hello?"}]
            await session.conversation.item.create(item={"type": "message", "role": "user", "content": content})
            await session.response.create()
            async for event in session:
                if event.type == "rate_limits.updated":
                    left.append(event.rate_limits[0].remaining)
                if event.type == "response.done":
                    ends.append(event.response)
                    break
        assert left == [0, 0] and [end.status for end in ends] == ["completed", "failed"]
        assert ends[1].status_details.error.code == "rate_limit_exceeded"
        await session.input_audio_buffer.clear()
        assert (await session.recv()).type == "input_audio_buffer.cleared"


async def test_a_call_over_the_limit_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, entry("anna", ANNA, sessions=1))
    async with listening(keys_file=path) as front, opened(front, ANNA):
        headers = {**auth(ANNA), "content-type": "application/sdp"}
        answer = await front.client.post("/v1/realtime/calls", content="v=0", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_sessions")


async def test_a_days_audio_survives_a_restart(tmp_path: Path) -> None:
    path, usage = written(tmp_path, entry("anna", ANNA, audio_minutes_per_day=0.01)), tmp_path / "usage"
    async with listening(keys_file=path, usage_dir=usage) as front:
        answer = await front.client.post("/v1/speech", content=recording(), headers=auth(ANNA))
        assert answer.status_code == 200
    [line] = [json.loads(line) for file in usage.glob("*.jsonl") for line in file.read_text().splitlines()]
    assert line["key"] == "anna" and line["question_s"] == 1.0 and line["outcome"] == "completed"
    assert line["request_id"].startswith("req_") and ANNA not in json.dumps(line)
    async with listening(keys_file=path, usage_dir=usage) as front:
        answer = await front.client.post("/v1/speech", content=recording(), headers=auth(ANNA))
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "audio_quota_exceeded")
        assert int(answer.headers["retry-after"]) <= 24 * 3600


async def test_keys_change_while_the_server_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path, entry("anna", ANNA))

    async def status(key: str) -> int:
        return (await front.client.get("/v1/models", headers=auth(key))).status_code

    async with listening(keys_file=path) as front, opened(front, ANNA) as socket:
        await asked(socket)
        written(tmp_path, entry("anna", ANNA), entry("ben", BEN))  # nobody is asked: the change is noticed
        async with asyncio.timeout(60):
            while await status(BEN) != 200:
                await asyncio.sleep(0.05)
        path.write_text('{"keys": [')
        front.state.reloading.soon()
        await eventually(lambda: front.state.reloading.failed)
        assert (await status(ANNA), await status(BEN)) == (200, 200), "what was read before still holds"
        assert "keys_invalid" in caplog.text and front.count("cslm_reload_failed") == 1
        assert (await asked(socket))[1]["status"] == "completed"
        written(tmp_path, entry("ben", BEN))
        front.state.reloading.soon()
        error = await until(socket, "error")
        assert error["error"]["code"] == "api_key_revoked"
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008
        assert await status(ANNA) == 401 and front.count("cslm_reload_failed") == 0
        assert front.count("cslm_key_turns_total", key="anna") == 0, "a key that is gone is no label any more"


async def test_keys_that_change_while_the_server_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, made = written(tmp_path, entry("anna", ANNA)), Keyring.__init__

    def make(*arguments: Any) -> None:
        written(tmp_path, entry("anna", ANNA, revoked=PAST))
        made(*arguments)

    monkeypatch.setattr(Keyring, "__init__", make)
    async with listening(keys_file=path) as front:
        await eventually(lambda: front.state.keys.accounts["anna"].void() is not None)
        assert (await front.client.get("/v1/models", headers=auth(ANNA))).status_code == 401


async def test_a_key_that_expires_ends_its_sessions(tmp_path: Path) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    path = written(tmp_path, entry("anna", ANNA, expires=soon))
    async with listening(keys_file=path) as front, opened(front, ANNA) as socket:
        error = await until(socket, "error")
        assert error["error"]["code"] == "api_key_expired"


async def secret_of(front: Front, key: str) -> str:
    made = await front.client.post("/v1/realtime/client_secrets", headers=auth(key))
    assert made.status_code == 200
    value: str = made.json()["value"]
    return value


async def test_client_secrets_end_with_their_key_and_by_the_list(tmp_path: Path) -> None:
    path = written(tmp_path, entry("anna", ANNA), entry("ben", BEN))
    async with listening(keys_file=path) as front:
        of_anna, of_ben, other = [await secret_of(front, key) for key in (ANNA, BEN, BEN)]

        async def told(secret: str) -> str:
            answer = await front.client.get("/v1/realtime", headers=auth(secret))
            return str(answer.json()["error"]["code"])

        assert [await told(secret) for secret in (of_anna, of_ben, other)] == ["upgrade_required"] * 3
        revoked = [{"id": front.state.secrets.read(of_ben).id, "expires": FUTURE}]
        written(tmp_path, entry("anna", "another key"), entry("ben", BEN), revoked_secrets=revoked)
        front.state.reloading.soon()
        await eventually(lambda: front.state.keys.is_revoked(front.state.secrets.read(of_ben).id))
        assert [await told(secret) for secret in (of_anna, of_ben, other)] == [
            "api_key_revoked", "client_secret_revoked", "upgrade_required",
        ]  # fmt: skip


async def test_a_client_secret_opens_so_many_sessions(tmp_path: Path) -> None:
    path = written(tmp_path, entry("anna", ANNA))
    async with listening(keys_file=path, client_secret_uses=2, max_sessions=1, max_waiting=0) as front:
        secret = await secret_of(front, ANNA)
        for _ in range(2):
            async with opened(front, secret) as socket:
                await until(socket, "session.created")
                assert front.count("cslm_key_sessions", key="anna") == 1
                with pytest.raises(InvalidStatus) as full:
                    await opened(front, secret)
                assert full.value.response.status_code in (401, 503), "one that is refused is no use"
            await eventually(lambda: front.state.admission.active == 0)
        with pytest.raises(InvalidStatus) as refused:
            await opened(front, secret)
        answer = refused.value.response
        assert (answer.status_code, json.loads(answer.body)["error"]["code"]) == (401, "client_secret_used_up")


async def test_a_client_secret_keeps_its_use_where_its_session_left_the_queue(tmp_path: Path) -> None:
    path = written(tmp_path, entry("anna", ANNA))
    async with listening(keys_file=path, client_secret_uses=1, max_sessions=1, max_wait_s=60) as front:
        secret = await secret_of(front, ANNA)
        async with opened(front, ANNA):
            async with opened(front, secret) as waiting:
                await until(waiting, "session.queued")
                with pytest.raises(InvalidStatus):
                    await opened(front, secret)  # its only use is kept for the one that waits
            await eventually(lambda: front.state.admission.waiting == 0)
        async with opened(front, secret) as socket:
            await until(socket, "session.created")


async def test_answers_to_turns_say_what_is_left(tmp_path: Path) -> None:
    path = written(tmp_path, entry("anna", ANNA, turns_per_minute=2), entry("ben", BEN))
    async with serving(keys_file=path) as front:
        ask = {"model": "fake", "messages": [{"role": "user", "content": "Hello?"}]}
        answers = [
            await front.client.post("/v1/chat/completions", json=ask | more, headers=auth(key))
            for key, more in ((ANNA, {}), (ANNA, {"stream": True}), (ANNA, {}), (BEN, {}))
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 200]
        *of_anna, of_ben = [[answer.headers.get(name) for name in HEADERS] for answer in answers]
        assert [limits[:2] for limits in of_anna] == [["2", "1"], ["2", "0"], ["2", "0"]]
        assert all(limits[2] in ("59s", "1m0s") for limits in of_anna), of_anna
        assert of_ben == [None] * 3, "there is no limit"
        listed = await front.client.get("/v1/models", headers=auth(ANNA))
        assert HEADERS[0] not in listed.headers, "only turns are limited"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0s"), (0.2, "1s"), (59.5, "1m0s"), (360, "6m0s"), (7200.5, "2h0m1s"), (86_399, "23h59m59s")],
)
def test_durations_as_openai_writes_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


async def test_a_spoken_answer_is_its_keys_alone(tmp_path: Path) -> None:
    path = written(tmp_path, entry("anna", ANNA), entry("ben", BEN))
    ask = {"model": "fake", "modalities": ["text", "audio"], "audio": {"format": "wav", "voice": "alloy"}}
    question = {"role": "user", "content": "Hello?"}
    async with serving(keys_file=path) as front:
        url = "/v1/chat/completions"
        first = await front.client.post(url, json=ask | {"messages": [question]}, headers=auth(ANNA))
        spoken = {"role": "assistant", "audio": {"id": first.json()["choices"][0]["message"]["audio"]["id"]}}
        again = ask | {"messages": [question, spoken, question]}
        answers = [await front.client.post(url, json=again, headers=auth(key)) for key in (ANNA, BEN)]
        assert [answer.status_code for answer in answers] == [200, 400]
        assert answers[1].json()["error"]["code"] == "audio_not_found"


async def test_sessions_and_refusals_are_logged_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = written(tmp_path, entry("anna", ANNA, sessions=1))
    async with listening(keys_file=path) as front:
        async with opened(front, ANNA) as socket:
            await until(socket, "session.created")
            with pytest.raises(InvalidStatus):
                await opened(front, ANNA)
        await front.client.get("/v1/models", headers=auth("wrong-key"))
        await eventually(lambda: "session closed" in caplog.text)
    messages = [record.getMessage() for record in caplog.records if record.name.startswith("cslm.")]
    assert messages.count("session opened") == messages.count("session closed") == 1
    refused = [record.__dict__["code"] for record in caplog.records if record.getMessage() == "a key was refused"]
    assert refused == ["too_many_sessions", "invalid_api_key"]
    assert not any(key in caplog.text for key in (ANNA, "wrong-key"))


@pytest.mark.parametrize("settings", [{"keys_file": Path("/nowhere/keys.json")}, {"keys": "{"}])
async def test_a_server_does_not_start_without_its_keys(settings: dict[str, Any]) -> None:
    with pytest.raises(StartError):
        async with serving(**settings):
            pass
