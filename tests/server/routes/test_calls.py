"""WebRTC calls over real sockets, with an aiortc peer as the caller: events, audio both ways, interruption, loss, the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import openai
import pytest
from openai import AsyncOpenAI

from server.state.key_file import digest
from tests.fakes import TEXT, TRANSCRIPT, UNITS, FakeDecoder, FakeLM
from tests.server.front import Front, eventually, listening, serving
from tests.server.models import fake_model
from tests.server.webrtc.dtx import DtxOpus
from tests.server.webrtc.rtc_peer import BETA, Caller, calling

CALLS = "/v1/realtime/calls"


def speech(seconds: float = 1.0) -> np.ndarray:
    """A pitch that no unit of the fake decoder has: theirs would be taken for an echo."""
    return (0.4 * np.sin(2 * np.pi * 800 * np.arange(round(48_000 * seconds)) / 48_000)).astype(np.float32)


async def connect(caller: Caller, front: Front, session: dict[str, Any] | None = None) -> str:
    """Dial, and wait for the session. Returns the id of the call."""
    files = {"sdp": (None, await caller.offer(), "application/sdp")}
    if session is not None:
        files["session"] = (None, json.dumps(session), "application/json")
    answer = await front.client.post(CALLS, files=files)
    assert answer.status_code == 201, answer.text
    assert answer.headers["content-type"].startswith("application/sdp")
    await caller.answered(answer.text)
    await caller.event("session.created")
    return answer.headers["location"].rpartition("/")[2]


@asynccontextmanager
async def call(
    session: dict[str, Any] | None = None, *, settings: dict[str, Any] | None = None, **parts: Any
) -> AsyncGenerator[tuple[Caller, Front]]:
    """A caller in a call with a server of fake stages."""
    async with listening(fake_model(**parts), **(settings or {})) as front:
        async with calling() as caller:
            await connect(caller, front, session)
            yield caller, front
        await eventually(lambda: front.state.admission.active == 0)


async def test_a_spoken_question_is_answered_aloud() -> None:
    async with call() as (caller, front):
        caller.microphone.speak(speech())
        await caller.event("output_audio_buffer.stopped")
        spoken_s = len(UNITS) * 960 / 24_000
        await eventually(lambda: caller.spoken_s() > spoken_s - 0.1)  # what is on its way
        assert caller.spoken_s() == pytest.approx(spoken_s, abs=0.1)
        kinds = caller.kinds()
        playing = ["response.content_part.added", "output_audio_buffer.started", "output_audio_buffer.stopped"]
        written = [
            "session.created",
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "response.created",
            "response.content_part.added",
            "response.done",
            "output_audio_buffer.stopped",
        ]
        for order in (written, playing):  # of a short answer all may be written before the first of it is played
            assert [kinds.index(kind) for kind in order] == sorted(kinds.index(kind) for kind in order)
        assert "response.output_audio.delta" not in kinds, "audio does not go over the data channel"
        transcript = "".join(event["delta"] for event in caller.of("response.output_audio_transcript.delta"))
        assert transcript == TEXT
        heard = await caller.event("conversation.item.input_audio_transcription.completed")
        assert heard["transcript"] == TRANSCRIPT
        started, done = caller.of("output_audio_buffer.started")[0], caller.of("response.done")[0]
        assert started["response_id"] == done["response"]["id"]
        assert front.count("cslm_turns_total", transport="webrtc", outcome="completed") == 1
        assert front.count("cslm_active_sessions", transport="webrtc") == 1


async def test_what_is_heard_is_what_was_spoken() -> None:
    """The pitch of each unit, through Opus and back."""
    async with call(decoder=FakeDecoder(per_unit=4800)) as (caller, _):
        caller.send({"type": "conversation.item.create", "item": message("Hi")})
        caller.send({"type": "response.create"})
        await caller.event("output_audio_buffer.stopped", within_s=30)
        await eventually(lambda: caller.silent_s() > 0.1)  # what is on its way
        audio = caller.audio()
        loud = np.flatnonzero(np.abs(audio) > 0.05)
        audio = audio[loud[0] : loud[-1]]
        for unit in (UNITS[5], UNITS[20], UNITS[-2]):
            piece = audio[round((unit - 0.7) * 9600) : round((unit - 0.3) * 9600)]
            spectrum = np.abs(np.fft.rfft(piece * np.hanning(piece.size), 48_000))
            assert abs(int(spectrum.argmax()) - (200 + 10 * unit)) <= 8


def message(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


async def test_speaking_interrupts_what_is_being_played_and_the_rest_is_forgotten() -> None:
    """The model has long finished; half of the answer is still to be played."""
    async with call(decoder=FakeDecoder(per_unit=4800)) as (caller, _):
        caller.send({"type": "conversation.item.create", "item": message("Hi")})
        caller.send({"type": "response.create"})
        done = await caller.event("response.done")
        await caller.event("output_audio_buffer.started")
        await eventually(lambda: caller.spoken_s() > 1.0)
        caller.microphone.speak(speech(1.5))
        cleared = await caller.event("output_audio_buffer.cleared")
        assert cleared["response_id"] == done["response"]["id"]
        truncated = await caller.event("conversation.item.truncated")
        assert truncated["item_id"] == done["response"]["output"][0]["id"]
        assert 1000 <= truncated["audio_end_ms"] < 200 * len(UNITS)
        assert not caller.of("error")
        kinds = caller.kinds()
        assert kinds.index("input_audio_buffer.speech_started") < kinds.index("output_audio_buffer.cleared")
        caller.send({"type": "conversation.item.retrieve", "item_id": truncated["item_id"]})
        kept = (await caller.event("conversation.item.retrieved"))["item"]["content"][0]["transcript"]
        assert TEXT.startswith(kept) and len(kept) < len(TEXT)
        await eventually(lambda: caller.silent_s() > 0.3)  # while it would have played for some seconds more
        assert caller.spoken_s() < 0.2 * len(UNITS) - 0.3


async def test_speaking_interrupts_a_model_that_is_still_writing() -> None:
    lm = FakeLM(hang_after=90)
    async with call(lm=lm) as (caller, _):
        caller.send({"type": "conversation.item.create", "item": message("Hi")})
        caller.send({"type": "response.create"})
        await caller.event("output_audio_buffer.started")
        await eventually(lambda: caller.spoken_s() > 0.2)
        lm.hang_after = None
        caller.microphone.speak(speech(1.0))
        done = await caller.event("response.done")
        assert done["response"]["status"] == "cancelled"
        assert done["response"]["status_details"]["reason"] == "turn_detected"
        await caller.event("response.done", 1)
        await caller.event("output_audio_buffer.stopped")
        assert not caller.of("error")


async def test_a_client_may_clear_what_is_being_played() -> None:
    async with call(decoder=FakeDecoder(per_unit=4800)) as (caller, _):
        caller.send({"type": "conversation.item.create", "item": message("Hi")})
        caller.send({"type": "response.create"})
        await caller.event("output_audio_buffer.started")
        caller.send({"type": "output_audio_buffer.clear"})
        await caller.event("output_audio_buffer.cleared")
        await caller.event("conversation.item.truncated")
        caller.send({"type": "output_audio_buffer.clear"})
        caller.send({"type": "response.create"})
        await caller.event("output_audio_buffer.started", 1)
        assert not caller.of("error")


@pytest.mark.parametrize(
    ("loss", "jitter_s"), [(0.05, 0.0), (0.2, 0.0), (0.05, 0.06)], ids=["5 %", "20 %", "5 %, up to 60 ms late"]
)
async def test_a_bad_network_is_borne(loss: float, jitter_s: float) -> None:
    async with call() as (caller, _):
        caller.disturb(loss=loss, jitter_s=jitter_s)
        for number in range(2):
            caller.microphone.speak(speech(1.2))
            await caller.event("output_audio_buffer.stopped", number, within_s=30)
        starts = caller.of("input_audio_buffer.speech_started")
        stops = caller.of("input_audio_buffer.speech_stopped")
        for start, stop in zip(starts, stops, strict=True):
            length_ms = stop["audio_end_ms"] - start["audio_start_ms"]
            assert 1200 < length_ms < 2600, "lost time is silence, not no time"


async def test_a_microphone_that_sends_nothing_of_silence_ends_its_turns() -> None:
    """Opus DTX: every turn ends although hardly a packet comes after it, and the pause between two turns counts as time."""
    encoder = DtxOpus()
    async with listening(fake_model()) as front, calling() as caller:
        caller.encode_with(encoder)
        await connect(caller, front)
        for number in range(2):
            before = encoder.unsent
            caller.microphone.speak(speech(1.2))
            await caller.event("output_audio_buffer.stopped", number)
            assert encoder.unsent > before
        starts = caller.of("input_audio_buffer.speech_started")
        stops = caller.of("input_audio_buffer.speech_stopped")
        for start, stop in zip(starts, stops, strict=True):
            assert 1200 < stop["audio_end_ms"] - start["audio_start_ms"] < 2600
        assert starts[1]["audio_start_ms"] > stops[0]["audio_end_ms"]


async def test_the_session_begins_with_its_settings() -> None:
    session = {
        "type": "realtime",
        "model": "fake",
        "instructions": "Be brief.",
        "audio": {"input": {"turn_detection": None}, "output": {"voice": "other"}},
    }
    async with call(session) as (caller, _):
        shown = (await caller.event("session.created"))["session"]
        assert (shown["instructions"], shown["audio"]["output"]["voice"]) == ("Be brief.", "other")
        caller.microphone.speak(speech(0.5))
        await eventually(lambda: caller.microphone.silent)
        caller.send({"type": "input_audio_buffer.commit"})
        await caller.event("input_audio_buffer.committed")
        assert not caller.of("input_audio_buffer.speech_started")


async def test_telephone_formats_change_nothing_on_the_line() -> None:
    audio = {"input": {"format": {"type": "audio/pcmu"}}, "output": {"format": {"type": "audio/pcma"}}}
    async with call() as (caller, _):
        caller.send({"type": "session.update", "session": {"type": "realtime", "audio": audio}})
        await caller.event("session.updated")
        caller.microphone.speak(speech())
        await caller.event("output_audio_buffer.stopped")
        spoken_s = len(UNITS) * 960 / 24_000
        await eventually(lambda: caller.spoken_s() > spoken_s - 0.15)
        assert caller.spoken_s() == pytest.approx(spoken_s, abs=0.15)


async def test_an_error_leaves_the_call_alone() -> None:
    async with call() as (caller, _):
        caller.send("no json")
        caller.send({"type": "response.cancel"})
        assert (await caller.event("error"))["error"]["code"] == "invalid_json"
        assert (await caller.event("error", 1))["error"]["code"] == "response_cancel_not_active"
        caller.microphone.speak(speech())
        await caller.event("output_audio_buffer.stopped")


async def test_the_server_hangs_up_when_told() -> None:
    async with listening() as front, calling() as caller:
        call_id = await connect(caller, front)
        assert (await front.client.post(f"{CALLS}/{call_id}/hangup")).status_code == 200
        await eventually(lambda: caller.peer.connectionState == "closed")
        await eventually(lambda: front.state.admission.active == 0)
        again = await front.client.post(f"{CALLS}/{call_id}/hangup")
        assert (again.status_code, again.json()["error"]["code"]) == (404, "call_not_found")


async def test_calls_end_with_the_server() -> None:
    async with calling() as caller:
        async with listening() as front:
            await connect(caller, front)
        assert front.state.admission.active == 0


async def test_a_caller_hears_the_answer_to_its_end_when_the_server_stops() -> None:
    async with listening(shutdown_s=30) as front, calling() as caller:
        await connect(caller, front)
        caller.microphone.speak(speech())
        await caller.event("output_audio_buffer.started")
        assert front.server is not None
        stopping = asyncio.create_task(front.server.shutdown())
        await caller.event("output_audio_buffer.stopped")
        assert caller.of("response.done")[0]["response"]["status"] == "completed"
        assert (await caller.event("error"))["error"]["code"] == "server_stopping"
        await stopping
        await eventually(lambda: caller.peer.connectionState == "closed")


async def test_the_stock_sdk_dials() -> None:
    async with (
        listening() as front,
        calling() as caller,
        AsyncOpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0) as client,
    ):
        answer = await client.realtime.calls.create(
            sdp=await caller.offer(), session={"type": "realtime", "model": "fake"}
        )
        call_id = answer.response.headers["location"].rpartition("/")[2]
        await caller.answered(answer.text)
        await caller.event("session.created")
        await client.realtime.calls.hangup(call_id)
        await eventually(lambda: front.state.admission.active == 0)


async def test_an_offer_may_be_the_body() -> None:
    async with listening() as front, calling() as caller:
        headers = {"content-type": "application/sdp"}
        offer = await caller.offer()
        answer = await front.client.post(f"{CALLS}?model=fake", content=offer, headers=headers)
        assert answer.status_code == 201
        await caller.answered(answer.text)
        await caller.event("session.created")


async def test_a_call_connects_though_its_answer_shows_no_address() -> None:
    """The caller's own are enough: the server's packets tell the rest."""
    async with listening(ice_addresses="public") as front, calling() as caller:
        headers = {"content-type": "application/sdp"}
        answer = await front.client.post(f"{CALLS}?model=fake", content=await caller.offer(), headers=headers)
        assert "a=candidate" not in answer.text
        await caller.answered(answer.text)
        await caller.event("session.created")


async def test_what_cannot_be_is_refused_before_the_call() -> None:
    async with (
        listening(max_sessions=1, max_waiting=0) as front,
        calling() as caller,
        AsyncOpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0) as client,
    ):
        offer = await caller.offer()
        for asked, code in (
            ({"sdp": "hello"}, "invalid_sdp"),
            ({"sdp": offer.replace("m=audio", "m=video")}, "invalid_sdp"),
            ({"sdp": offer, "session": {"type": "realtime", "model": "gpt-9"}}, "model_not_found"),
            ({"sdp": offer, "session": {"type": "realtime", "audio": {"output": {"voice": "robot"}}}}, "invalid_value"),
            ({"sdp": offer, "session": {"type": "party"}}, "invalid_value"),
            ({"sdp": offer, "session": {"type": "realtime", "tempo": 3}}, "unknown_parameter"),
        ):
            with pytest.raises(openai.APIStatusError) as caught:
                await client.realtime.calls.create(**asked)
            assert caught.value.code == code
            await eventually(lambda: front.state.admission.active == 0)
        answer = await front.client.post(CALLS, json={})
        assert answer.json()["error"]["code"] == "missing_required_parameter"
        await caller.answered((await client.realtime.calls.create(sdp=offer)).text)
        with pytest.raises(openai.APIStatusError) as caught:
            await client.realtime.calls.create(sdp=offer)
        assert caught.value.code == "at_capacity"


async def test_a_key_is_asked_for() -> None:
    async with listening(api_key="secret") as front:
        for path in (CALLS, f"{CALLS}/rtc_1/hangup"):
            answer = await front.client.post(path, content="x", headers={"content-type": "application/sdp"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "missing_api_key")


async def test_a_caller_that_never_connects_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.webrtc.call.CONNECT_S", 0.2)
    async with listening() as front, calling() as caller:
        answer = await front.client.post(CALLS, files={"sdp": (None, await caller.offer())})
        assert answer.status_code == 201
        assert front.state.admission.active == 1
        await eventually(lambda: front.state.admission.active == 0)


@pytest.mark.parametrize("session", ["{", "[]", "[" * 10_000], ids=["broken", "a list", "deep"])
async def test_settings_that_are_no_json_object(session: str) -> None:
    async with serving() as front:
        answer = await front.client.post(CALLS, files={"sdp": (None, "v=0"), "session": (None, session)})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_value", "session")


async def test_settings_given_as_a_list_and_as_an_object() -> None:
    async with serving() as front:
        for names in (("session[]", "session[type]"), ("session[type]", "session[]")):
            answer = await front.client.post(CALLS, files=[(name, (None, "realtime")) for name in names])
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["param"]) == (400, "duplicate_parameter", "session")


@pytest.mark.parametrize("form", [{}, {"session": (None, '{"type": "realtime"}')}], ids=["alone", "with settings"])
async def test_a_key_for_translations_opens_no_call(form: dict[str, Any]) -> None:
    async with serving(api_key="secret") as front:
        made = await front.client.post(
            "/v1/realtime/translations/client_secrets",
            json={"session": {"model": "fake", "audio": {"output": {"language": "zh"}}}},
            headers={"Authorization": "Bearer secret"},
        )
        headers = {"Authorization": f"Bearer {made.json()['value']}"}
        answer = await front.client.post(CALLS, files={"sdp": (None, "v=0"), **form}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "wrong_session_type")


async def test_the_address_of_the_beta_speaks_its_dialect() -> None:
    # The beta's types allow only names of OpenAI's models.
    model = replace(fake_model(), name="gpt-4o-realtime-preview")
    async with listening(model) as front, calling(BETA) as caller:
        headers = {"Content-Type": "application/sdp"}
        answer = await front.client.post("/v1/realtime", content=await caller.offer(), headers=headers)
        assert answer.status_code == 201, answer.text
        await caller.answered(answer.text)
        created = await caller.event("session.created")
        assert created["session"]["input_audio_format"] == "pcm16"
        caller.send({"type": "session.update", "session": {"modalities": ["text"]}})
        assert (await caller.event("session.updated"))["session"]["modalities"] == ["text"]


async def test_a_call_tells_what_its_key_has_left() -> None:
    key = {"name": "anna", "hash": digest(b"sk-1"), "turns_per_minute": 1}
    headers = {"authorization": "Bearer sk-1"}
    async with listening(fake_model(), keys=json.dumps({"keys": [key]})) as front, calling() as caller:
        front.client.headers.update(headers)
        await connect(caller, front)
        for number, status in enumerate(("completed", "failed")):
            caller.send({"type": "conversation.item.create", "item": message("Hi")})
            caller.send({"type": "response.create"})
            done = (await caller.event("response.done", number))["response"]
            assert done["status"] == status
            limits = (await caller.event("rate_limits.updated", number))["rate_limits"]
            assert (limits[0]["limit"], limits[0]["remaining"]) == (1, 0)
        assert done["status_details"]["error"]["code"] == "rate_limit_exceeded"
        assert front.count("cslm_key_sessions", key="anna") == 1
