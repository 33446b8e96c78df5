"""/v1/audio/speech through the stock SDK: every format, streamed, and every refusal."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from server.media.decode import Declared, decode, identify
from streaming.audio import float_to_pcm16
from streaming.errors import InvalidRequest
from tests.fakes import UNITS, FakeDecoder, FakeLM, FakePrompts, unit_ids
from tests.server.front import Front, eventually, listening
from tests.server.models import fake_model

TEXT = "A first sentence. And the second one."
SPOKEN = FakeDecoder().speak([*UNITS, 0, *UNITS])


def lm(**more: Any) -> FakeLM:
    return FakeLM(unit_ids(UNITS), **more)


@asynccontextmanager
async def sdk(**more: Any) -> AsyncGenerator[tuple[AsyncOpenAI, Front]]:
    """The stock client and the server it talks to."""
    parts = {"lm": lm(), **{key: more.pop(key) for key in ("lm", "prompts", "decoder") if key in more}}
    async with (
        listening(fake_model(**parts), **more) as front,
        AsyncOpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client, front


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [
        ("mp3", "audio/mpeg"),
        ("opus", "audio/ogg"),
        ("aac", "audio/aac"),
        ("flac", "audio/flac"),
        ("wav", "audio/wav"),
        ("pcm", "audio/pcm;rate=24000;channels=1"),
    ],
)
async def test_every_format(kind: Any, media_type: str) -> None:
    async with sdk() as (client, _):
        answer = await client.audio.speech.create(input=TEXT, model="fake", voice="default", response_format=kind)
        assert answer.response.headers["content-type"] == media_type
        heard = decode(answer.content, identify(answer.content, Declared(media_type)), max_s=30)
        assert abs(heard.size / 16_000 - SPOKEN.size / 24_000) < 0.12


async def test_the_text_is_read_to_its_end_and_mp3_is_the_default() -> None:
    model, prompts = lm(), FakePrompts()
    async with sdk(lm=model, prompts=prompts) as (client, front):
        answer = await client.audio.speech.create(input=TEXT, model="fake", voice={"id": "other"})
        assert answer.response.headers["content-type"] == "audio/mpeg"
        assert front.count("cslm_turns_total", transport="rest", outcome="completed") == 1
    assert len(model.prompts) == 2
    assert {options.task for options in prompts.options} == {"read"}


@pytest.mark.parametrize(("asked", "spoken"), [("other", "other"), ("alloy", "default")])
async def test_the_voice_is_the_models_own(asked: str, spoken: str) -> None:
    decoder = FakeDecoder()
    async with sdk(decoder=decoder) as (client, _):
        await client.audio.speech.create(input="Hi.", model="fake", voice=asked)
    assert {cut.voice for cut in decoder.cuts} == {spoken}


async def test_raw_samples_are_24_khz_whatever_the_model_speaks() -> None:
    async with sdk(decoder=FakeDecoder(sample_rate=22_050)) as (client, _):
        answer = await client.audio.speech.create(
            input="Hi there.", model="fake", voice="default", response_format="pcm"
        )
        assert answer.response.headers["content-type"] == "audio/pcm;rate=24000;channels=1"
        assert len(answer.content) // 2 == pytest.approx(len(UNITS) * 960 * 24_000 / 22_050, abs=2)


async def test_audio_leaves_before_the_text_is_read() -> None:
    model = lm(hang_after=len(UNITS) - 1)
    async with (
        sdk(lm=model) as (client, _),
        client.audio.speech.with_streaming_response.create(
            input=TEXT, model="fake", voice="default", response_format="pcm"
        ) as answer,
    ):
        async for chunk in answer.iter_bytes():
            assert chunk
            break
        assert model.active == 1
    await eventually(lambda: model.active == 0)


async def test_events() -> None:
    async with (
        sdk() as (client, _),
        client.audio.speech.with_streaming_response.create(
            input=TEXT, model="fake", voice="default", response_format="pcm", stream_format="sse"
        ) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line[6:]) async for line in answer.iter_lines() if line]
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    assert b"".join(base64.b64decode(event["audio"]) for event in events[:-1]) == float_to_pcm16(SPOKEN)
    assert events[-1]["type"] == "speech.audio.done"
    assert events[-1]["usage"]["output_tokens"] == 2 * len(UNITS)


@pytest.mark.parametrize(
    ("asked", "code", "param"),
    [
        ({"input": "  "}, "invalid_value", "input"),
        ({"input": "x" * 4097}, "string_above_max_length", "input"),
        ({"voice": "robot"}, "invalid_value", "voice"),
        ({"voice": {"id": "voice_1"}}, "invalid_value", "voice"),
        ({"model": "gpt-9"}, "model_not_found", "model"),
        ({"speed": 2.0}, "unsupported_parameter", "speed"),
        ({"instructions": "Whisper."}, "unsupported_parameter", "instructions"),
        ({"response_format": "amr"}, "unsupported_format", "response_format"),
        ({"extra_body": {"pitch": 1}}, "unknown_parameter", "pitch"),
    ],
)
async def test_what_cannot_be_done_is_refused(asked: dict[str, Any], code: str, param: str) -> None:
    async with sdk() as (client, _):
        with pytest.raises(openai.APIStatusError) as caught:
            await client.audio.speech.create(**({"input": "Hi.", "model": "fake", "voice": "default"} | asked))
        assert (caught.value.code, caught.value.param) == (code, param)
        harmless = {"speed": 1.0, "instructions": "", "voice": "alloy"}
        assert (await client.audio.speech.create(input="Hi.", model="fake", **harmless)).content


async def test_a_model_that_has_not_learned_to_read_says_so() -> None:
    class Mute(FakePrompts):
        def text_prompt(self, text: str, options: Any, history: Any) -> list[int]:
            raise InvalidRequest("fake has not learned to read text aloud", code="unsupported_task", param="task")

    async with sdk(prompts=Mute()) as (client, _):
        with pytest.raises(openai.BadRequestError) as caught:
            await client.audio.speech.create(input="Hi.", model="fake", voice="default")
        assert caught.value.code == "unsupported_task"


async def test_a_failure_in_the_middle_is_an_event() -> None:
    async with (
        sdk(decoder=FakeDecoder(fail_after=6)) as (client, _),
        client.audio.speech.with_streaming_response.create(
            input=TEXT, model="fake", voice="default", response_format="pcm", stream_format="sse"
        ) as answer,
    ):
        events = [json.loads(line[6:]) async for line in answer.iter_lines() if line]
    assert events[-1]["type"] == "error"
    assert events[-1]["error"]["code"] == "internal_error"
