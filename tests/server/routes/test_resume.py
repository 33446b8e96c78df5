"""A client that lost its connection comes back: the session went on, and the client misses nothing of it."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from server.routes.realtime.dialects import returning
from server.routes.realtime.waiting import WaitingClient
from server.state.key_file import digest
from streaming.audio import WireFormat
from tests.fakes import FakeLM
from tests.server.front import Front, eventually, listening
from tests.server.models import fake_model
from tests.streaming.realtime.peer import silence, tone

QUESTION = {"type": "conversation.item.create", "item": {"id": "q", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Well?"}]}}  # fmt: skip
ASK = [QUESTION, {"type": "response.create"}]
NOT_COUNTED = "session.resumed"


class Client:
    """Keeps what it receives, over all its connections. `token`: the newest; `sent`: its events."""

    def __init__(self, front: Front, path: str = "/v1/realtime", key: str | None = None) -> None:
        self._url = front.url.replace("http", "ws") + path
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.events: list[dict[str, Any]] = []
        self.resumed: list[dict[str, Any]] = []
        self.token = ""

    @asynccontextmanager
    async def connected(self, offer: str = "cslm") -> AsyncGenerator[ClientConnection]:
        offered = [Subprotocol("realtime"), Subprotocol(offer)]
        async with connect(self._url, subprotocols=offered, additional_headers=self._headers, proxy=None) as socket:
            yield socket

    def again(self, token: str | None = None) -> Any:
        """Another connection to the same session."""
        return self.connected(f"cslm.{token or self.token}.{len(self.events)}")

    async def next(self, socket: ClientConnection) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(await socket.recv())
        (self.resumed if event["type"] == NOT_COUNTED else self.events).append(event)
        self.token = event.get("token", self.token)
        return event

    async def until(self, socket: ClientConnection, kind: str) -> dict[str, Any]:
        while (event := await self.next(socket))["type"] != kind:
            pass
        return event


def cut(socket: ClientConnection) -> None:
    """The network is gone: no goodbye."""
    socket.transport.abort()


async def send(socket: ClientConnection, *events: dict[str, Any]) -> None:
    for event in events:
        await socket.send(json.dumps(event))


async def uncut() -> list[dict[str, Any]]:
    async with listening() as front:
        client = Client(front)
        async with client.connected() as socket:
            await send(socket, *ASK)
            await client.until(socket, "response.done")
            return client.events


def shape(events: list[dict[str, Any]]) -> dict[str, Any]:
    """What is the same in every session of the same stages, however fast it runs: kinds of events, all audio, all text."""
    said: dict[str, Any] = {"kinds": []}
    for event in events:
        kind = event["type"]
        if not kind.endswith(".delta"):
            said["kinds"].append(kind)
        elif kind == "response.output_audio.delta":
            said[kind] = said.get(kind, b"") + base64.b64decode(event["delta"])
        else:
            said[kind] = said.get(kind, "") + event["delta"]
    return said


@pytest.mark.parametrize("seed", range(6))
async def test_what_is_heard_is_sample_for_sample_that_of_a_session_that_was_not_cut(seed: int) -> None:
    whole, rng = await uncut(), random.Random(seed)
    async with listening(fake_model(lm=FakeLM(delay_s=0.002))) as front:
        client = Client(front)
        async with client.connected() as socket:
            await client.until(socket, "session.resumable")
            await send(socket, *ASK)
            for _ in range(rng.randrange(30)):
                await client.next(socket)
            cut(socket)
        while client.events[-1]["type"] != "response.done":
            await asyncio.sleep(rng.choice([0, 0.01, 0.05]))
            async with client.again() as socket:
                await client.next(socket)
                assert client.resumed
                for _ in range(rng.randrange(12)):
                    if client.events[-1]["type"] == "response.done":
                        break
                    await client.next(socket)
                cut(socket)
        assert shape(client.events) == shape(whole)
        assert client.resumed[-1]["received"] == len(ASK)
        async with client.again() as socket:
            await send(socket, {"type": "conversation.item.retrieve", "item_id": "q"})
            found = await client.until(socket, "conversation.item.retrieved")
            assert found["item"]["content"][0]["text"] == "Well?"
        assert client.resumed[-1]["session"]["id"] == client.events[0]["session"]["id"]
        assert front.count("cslm_parkings_total", outcome="resumed") == len(client.resumed)
        await eventually(lambda: front.state.admission.active == 0)
        assert front.count("cslm_parked_sessions") == 0
        assert not front.state.parking._sessions and not front.state.parking._tokens


async def test_settings_and_the_users_half_sentence_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.realtime.session.STALLED_S", 0.2)

    def append(pcm: Any) -> dict[str, Any]:
        return {"type": "input_audio_buffer.append", "audio": base64.b64encode(WireFormat().encode(pcm)).decode()}

    async with listening() as front:
        client = Client(front)
        async with client.connected() as socket:
            await send(socket, {"type": "session.update", "session": {"type": "realtime", "reply_language": "zh"}})
            await client.until(socket, "session.updated")
            await send(socket, append(tone(400)))
            await client.until(socket, "input_audio_buffer.speech_started")
            cut(socket)
        await eventually(lambda: front.count("cslm_parked_sessions") == 1)
        await asyncio.sleep(1.0)
        async with client.again() as socket:
            resumed = await client.next(socket)
            assert resumed["session"]["reply_language"] == "zh"
            await send(socket, append(tone(200)), append(silence(900)))
            await client.until(socket, "response.done")
        [stopped] = [event for event in client.events if event["type"] == "input_audio_buffer.speech_stopped"]
        assert stopped["audio_end_ms"] > 400 + 200 + 400, (
            "the sentence is over after its second half and half a second of silence"
        )


async def test_a_token_is_good_once() -> None:
    async with listening() as front:
        client = Client(front)
        async with client.connected() as socket:
            await client.until(socket, "session.resumable")
            first = client.token
            cut(socket)
        async with client.again() as socket:
            await client.next(socket)
            assert client.token != first
            await send(socket, {"type": "input_audio_buffer.clear"})
            await client.until(socket, "input_audio_buffer.cleared")
            await refused(front, first, client)
            await send(socket, {"type": "input_audio_buffer.clear"})
            await client.until(socket, "input_audio_buffer.cleared")


async def test_a_return_whose_answer_was_lost_may_be_tried_again() -> None:
    async with listening() as front:
        client = Client(front)
        async with client.connected() as socket:
            await client.until(socket, "session.resumable")
            first = client.token
            cut(socket)
        async with client.again() as socket:
            cut(socket)
        async with client.again(first) as socket:
            await client.until(socket, "session.resumed")


async def test_who_comes_back_too_slowly_takes_nothing_from_who_came_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handshake of one lasts until what it lacks is not kept any more."""
    accept, slow, over = WaitingClient.accept, asyncio.Event(), asyncio.Event()

    async def accepted(client: WaitingClient) -> None:
        if returning(client.socket) and not slow.is_set():
            slow.set()
            await over.wait()
        await accept(client)

    monkeypatch.setattr(WaitingClient, "accept", accepted)
    async with listening(resume_bytes=500) as front:
        client = Client(front)
        async with client.connected() as socket:
            await client.until(socket, "session.resumable")
            cut(socket)

        async def come_late(offer: Any) -> None:
            async with offer as socket:
                await socket.recv()

        late = asyncio.create_task(come_late(client.again()))
        await slow.wait()
        async with client.again() as socket:
            await send(socket, *ASK)
            await client.until(socket, "response.done")
            over.set()
            with pytest.raises(ConnectionClosed, match="cannot be resumed"):
                await late
            await send(socket, {"type": "input_audio_buffer.clear"})
            await client.until(socket, "input_audio_buffer.cleared")
    assert shape(client.events[:-1]) == shape(await uncut())


async def test_the_old_socket_may_still_be_open() -> None:
    async with listening(fake_model(lm=FakeLM(delay_s=0.005))) as front:
        client = Client(front)
        async with client.connected() as half_open:
            await client.until(half_open, "session.resumable")
            await send(half_open, *ASK)
            await client.until(half_open, "response.output_audio.delta")
            async with client.again() as socket:
                await client.until(socket, "response.done")
                with pytest.raises(ConnectionClosed):
                    while True:
                        await half_open.recv()
                assert (half_open.close_code, half_open.close_reason) == (
                    1008,
                    "the session goes on over another connection",
                )
        assert shape(client.events) == shape(await uncut())
        await eventually(lambda: front.state.admission.active == 0)


async def refused(front: Front, token: str, client: Client, **of: Any) -> dict[str, Any]:
    """A new session begins, and says why."""
    other = Client(front, **of)
    async with other.connected(f"cslm.{token}.{len(client.events)}") as socket:
        assert (await other.next(socket))["type"] == "session.created"
        error = await other.next(socket)
        assert (error["type"], error["error"]["code"]) == ("error", "session_not_resumable")
        assert not other.resumed
        await other.until(socket, "session.resumable")
    return error


async def test_tokens_that_are_wrong_or_of_another_key_or_address() -> None:
    async with listening(api_key="right") as front:
        secret = await front.client.post("/v1/realtime/client_secrets", headers={"Authorization": "Bearer right"})
        client = Client(front, key="right")
        async with client.connected() as socket:
            await client.until(socket, "session.resumable")
            cut(socket)
        await refused(front, "x" * 43, client, key="right")
        await refused(front, client.token, client, key=secret.json()["value"])
        await refused(front, client.token, client, key="right", path="/v1/realtime/translations")
        async with client.again() as socket:
            await client.until(socket, "session.resumed")


@pytest.mark.parametrize("offer", ["cslm.x", "cslm.x.", "cslm..1", "cslm.x.-1", "cslm.x.1e3", "cslm.x.99999999999"])
async def test_an_offer_that_is_none(offer: str) -> None:
    async with listening() as front:
        with pytest.raises(InvalidStatus) as refusal:
            async with Client(front).connected(offer):
                pass
        error = json.loads(refusal.value.response.body)["error"]
        assert (error["code"], error["param"]) == ("invalid_value", "sec-websocket-protocol")


@pytest.mark.parametrize("received", [0, 1_000])
async def test_events_that_are_not_kept(received: int) -> None:
    async with listening(resume_bytes=500) as front:
        client = Client(front)
        async with client.connected() as socket:
            await send(socket, *ASK)
            await client.until(socket, "response.done")
            cut(socket)
        await eventually(lambda: front.count("cslm_parked_sessions") == 1)
        other = Client(front)
        async with other.connected(f"cslm.{client.token}.{received}") as socket:
            await other.next(socket)
            error = (await other.next(socket))["error"]
            assert error["code"] == "session_not_resumable"
            assert str(received) in error["message"]
        await eventually(lambda: front.state.admission.active == 0)


async def test_who_does_not_come_back_leaves_nothing() -> None:
    lm = FakeLM(hang_after=12)
    async with listening(fake_model(lm=lm), resume_s=0.3) as front:
        client = Client(front)
        async with client.connected() as socket:
            await send(socket, *ASK)
            await client.until(socket, "response.created")
            cut(socket)
        await eventually(lambda: front.count("cslm_parked_sessions") == 1)
        assert lm.active == front.state.admission.active == 1
        await eventually(lambda: front.state.admission.active == 0)
        assert lm.active == 0
        assert front.count("cslm_parkings_total", outcome="expired") == 1
        assert front.count("cslm_parked_sessions") == 0
        await refused(front, client.token, client)


@pytest.mark.parametrize("settings", [{"resume_s": 0}, {"max_parked": 0}])
async def test_no_session_waits_where_none_shall(settings: dict[str, Any]) -> None:
    async with listening(**settings) as front:
        client = Client(front)
        async with client.connected() as socket:
            await send(socket, {"type": "input_audio_buffer.clear"})
            await client.until(socket, "input_audio_buffer.cleared")
            assert not client.token
            cut(socket)
        await eventually(lambda: front.state.admission.active == 0)


@pytest.mark.parametrize("goodbye", [1000, 1001])
async def test_who_says_goodbye_is_not_waited_for(goodbye: int) -> None:
    async with listening() as front:
        client = Client(front)
        async with client.connected() as socket:
            await client.until(socket, "session.resumable")
            await socket.close(goodbye)
        await eventually(lambda: front.state.admission.active == 0)
        assert front.count("cslm_parkings_total", outcome="expired") == 0


async def test_a_stock_client_is_not_waited_for_and_told_nothing_of_it() -> None:
    async with listening() as front:
        async with connect(front.url.replace("http", "ws") + "/v1/realtime", proxy=None) as socket:
            await send(socket, {"type": "input_audio_buffer.clear"})
            kinds = [json.loads(await socket.recv())["type"] for _ in range(2)]
            assert kinds == ["session.created", "input_audio_buffer.cleared"]
            cut(socket)
        await eventually(lambda: front.state.admission.active == 0)


async def test_the_one_that_has_waited_longest_gives_way() -> None:
    async with listening(max_parked=1) as front:
        first, second = Client(front), Client(front)
        for client in (first, second):
            async with client.connected() as socket:
                await client.until(socket, "session.resumable")
                cut(socket)
            await eventually(lambda: front.count("cslm_parked_sessions") == 1)
        await eventually(lambda: front.state.admission.active == 1)
        await refused(front, first.token, first)
        async with second.again() as socket:
            await second.until(socket, "session.resumed")


async def test_who_is_about_to_be_back_gives_way_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    accept, slow, over = WaitingClient.accept, asyncio.Event(), asyncio.Event()

    async def accepted(client: WaitingClient) -> None:
        if returning(client.socket):
            slow.set()
            await over.wait()
        await accept(client)

    monkeypatch.setattr(WaitingClient, "accept", accepted)
    async with listening(max_parked=1) as front:
        first, second = Client(front), Client(front)
        async with first.connected() as socket:
            await first.until(socket, "session.resumable")
            cut(socket)
        await eventually(lambda: front.count("cslm_parked_sessions") == 1)

        async def come_back() -> None:
            async with first.again() as socket:
                await first.until(socket, "session.resumed")
                await send(socket, *ASK)
                await first.until(socket, "response.done")

        back = asyncio.create_task(come_back())
        await slow.wait()
        async with second.connected() as socket:
            await second.until(socket, "session.resumable")
            cut(socket)
        await eventually(lambda: front.count("cslm_parked_sessions") == 2)
        over.set()
        await back


async def test_who_comes_back_while_its_old_socket_is_open_takes_nobodys_place() -> None:
    async with listening(max_parked=1) as front:
        away, half_open = Client(front), Client(front)
        async with away.connected() as socket:
            await away.until(socket, "session.resumable")
            cut(socket)
        await eventually(lambda: front.count("cslm_parked_sessions") == 1)
        async with half_open.connected() as socket:
            await half_open.until(socket, "session.resumable")
            async with half_open.again() as again:
                await half_open.until(again, "session.resumed")
                await eventually(lambda: front.count("cslm_parkings_total", outcome="resumed") == 1)
                async with away.again() as socket:
                    await away.until(socket, "session.resumed")


async def test_a_stopping_server_waits_for_nobody_who_is_away() -> None:
    lm = FakeLM(hang_after=12)
    async with listening(fake_model(lm=lm), shutdown_s=60) as front:
        client = Client(front)
        async with client.connected() as socket:
            await send(socket, *ASK)
            await client.until(socket, "response.created")
            cut(socket)
        await eventually(lambda: front.count("cslm_parked_sessions") == 1)
        assert front.server is not None
        async with asyncio.timeout(30):
            await front.server.shutdown()
        assert lm.active == front.state.admission.active == 0


async def test_what_failed_meanwhile_is_told() -> None:
    lm = FakeLM(delay_s=0.02, fail_after=20)
    async with listening(fake_model(lm=lm)) as front:
        client = Client(front)
        async with client.connected() as socket:
            await send(socket, *ASK)
            await client.until(socket, "response.created")
            cut(socket)
        await eventually(lambda: not lm.active)
        async with client.again() as socket:
            done = await client.until(socket, "response.done")
            assert done["response"]["status"] == "failed"


async def test_what_is_kept_is_bounded_and_the_rest_comes_after_the_return() -> None:
    lm = FakeLM()
    async with listening(fake_model(lm=lm), resume_bytes=2_000) as front:
        client = Client(front)
        async with client.connected() as socket:
            await send(socket, *ASK)
            await client.until(socket, "response.created")
            cut(socket)
        await eventually(lambda: front.count("cslm_parked_sessions") == 1)
        await asyncio.sleep(0.3)
        [line] = front.state.parking._tokens
        assert line._kept.size < 60_000, "of the 110,000 characters of the answer"
        async with client.again() as socket:
            await client.until(socket, "response.done")
        assert shape(client.events) == shape(await uncut())


async def test_a_session_ends_at_its_limit_while_its_client_is_away() -> None:
    async with listening(max_session_s=0.5) as front:
        client = Client(front)
        async with client.connected() as socket:
            await client.until(socket, "session.resumable")
            cut(socket)
        await eventually(lambda: front.state.admission.active == 0)
        assert front.count("cslm_parkings_total", outcome="ended") == 1


async def test_a_key_at_its_limit_has_a_new_session_in_place_of_one_that_was_left() -> None:
    keys = json.dumps({"keys": [{"name": "anna", "hash": digest(b"anna"), "sessions": 1}]})
    async with listening(keys=keys) as front:
        crashed = Client(front, key="anna")
        async with crashed.connected() as socket:
            await crashed.until(socket, "session.resumable")
            cut(socket)
        await eventually(lambda: front.count("cslm_parked_sessions") == 1)
        again = Client(front, key="anna")
        async with again.connected() as socket:
            await again.until(socket, "session.resumable")
            assert front.count("cslm_key_sessions", key="anna") == 1
            await eventually(lambda: front.state.admission.active == 1)
            with pytest.raises(InvalidStatus) as refused:
                async with crashed.again():
                    pass
            assert refused.value.response.status_code == 429, "who is there gives way to nobody"
