"""/v1/chat/completions through the stock SDK: written and spoken, whole and streamed, with what was said before."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import openai
import pytest
import soundfile
from openai import AsyncOpenAI

from streaming.audio import float_to_pcm16
from streaming.stages import Exchange
from tests.fakes import N_UNITS, TEXT, UNIT_BASE, UNITS, FakeDecoder, FakeLM, FakePrompts
from tests.server.front import Front, eventually, listening, recording
from tests.server.models import fake_model

WHOLE = float_to_pcm16(FakeDecoder().speak(UNITS))
SPOKEN = {"modalities": ["text", "audio"], "audio": {"voice": "default", "format": "wav"}}


@asynccontextmanager
async def sdk(history_turns: int = 0, **more: Any) -> AsyncGenerator[tuple[AsyncOpenAI, Front]]:
    """The stock client and the server it talks to."""
    parts = {key: more.pop(key) for key in ("lm", "prompts", "decoder") if key in more}
    async with (
        listening(replace(fake_model(**parts), history_turns=history_turns), **more) as front,
        AsyncOpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client, front


def audio_part(data: bytes | None = None) -> dict[str, Any]:
    encoded = base64.b64encode(recording() if data is None else data).decode()
    return {"type": "input_audio", "input_audio": {"data": encoded, "format": "wav"}}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else list(content)}


async def ask(client: AsyncOpenAI, *messages: dict[str, Any], **more: Any) -> Any:
    return await client.chat.completions.create(model="fake", messages=list(messages), **more)


async def test_text_in_text_out() -> None:
    decoder = FakeDecoder()
    async with sdk(decoder=decoder) as (client, front):
        answer = await ask(client, user("Hi"), temperature=0.3, n=1, user="someone")
        assert answer.choices[0].message.content == TEXT
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage.completion_tokens_details.audio_tokens == len(UNITS)
        assert decoder.cuts == []
        await eventually(lambda: front.state.admission.active == 0)


async def test_speech_in_speech_out() -> None:
    lm = FakeLM()
    async with sdk(lm=lm) as (client, _):
        answer = await ask(client, user(audio_part()), **SPOKEN)
        message = answer.choices[0].message
        assert message.content is None
        assert message.audio.transcript == TEXT
        data = base64.b64decode(message.audio.data)
        samples, rate = soundfile.read(io.BytesIO(data), dtype="int16")
        assert (rate, samples.tobytes()) == (24_000, WHOLE)
        assert data[40:44] == len(WHOLE).to_bytes(4, "little"), "the header of a finished file has its length"
        assert answer.usage.prompt_tokens_details.audio_tokens > 0


async def test_text_beside_speech_is_told() -> None:
    lm = FakeLM()
    async with sdk(lm=lm) as (client, _):
        await ask(client, user({"type": "text", "text": "In short:"}, audio_part()))
    told = "".join(chr(token - 1000) for token in lm.prompts[0] if token >= 1000)
    assert told.endswith("In short:")
    assert any(10 <= token < 60 for token in lm.prompts[0])


@pytest.mark.parametrize(("asked", "spoken"), [("other", "other"), ("alloy", "default")])
async def test_the_voice_is_the_models_own(asked: str, spoken: str) -> None:
    decoder = FakeDecoder()
    async with sdk(decoder=decoder) as (client, _):
        await ask(client, user("Hi."), modalities=["text", "audio"], audio={"voice": asked, "format": "wav"})
    assert {cut.voice for cut in decoder.cuts} == {spoken}


@pytest.mark.parametrize("kind", ["pcm16", "mp3", "opus", "flac", "aac", "wav"])
async def test_a_stream_of_speech(kind: str) -> None:
    async with sdk(lm=FakeLM(delay_s=0.001)) as (client, _):
        stream = await ask(
            client,
            user(audio_part()),
            modalities=["text", "audio"],
            audio={"voice": "other", "format": kind},
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    audio = [chunk.choices[0].delta.audio for chunk in chunks if chunk.choices and chunk.choices[0].delta.audio]
    audio = [each if isinstance(each, dict) else each.model_dump(exclude_none=True) for each in audio]
    assert len({each["id"] for each in audio}) == 1
    assert "".join(each.get("transcript", "") for each in audio) == TEXT
    data = b"".join(base64.b64decode(each["data"]) for each in audio if "data" in each)
    assert data == WHOLE if kind == "pcm16" else len(data) > 1000
    assert "expires_at" in audio[-1]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens > 0
    first_audio = next(i for i, each in enumerate(audio) if "data" in each)
    assert any("transcript" in each for each in audio[first_audio:]), "speaks before it has written all"


async def test_a_stream_of_text() -> None:
    async with sdk() as (client, _):
        chunks = [chunk async for chunk in await ask(client, user("Hi"), stream=True)]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


async def test_an_answer_that_meets_its_limit_says_so() -> None:
    async with sdk() as (client, _):
        answer = await ask(client, user("Hi"), max_completion_tokens=40)
        assert answer.choices[0].finish_reason == "length"
        assert answer.usage.completion_tokens == 40


async def test_the_past_is_told_in_words_and_spoken_answers_by_their_id() -> None:
    """A spoken question is written down first; the answer to it is known by its id."""
    prompts = FakePrompts()
    async with sdk(history_turns=8, prompts=prompts) as (client, _):
        first = (await ask(client, user(audio_part()), **SPOKEN)).choices[0].message
        prompts.histories.clear(), prompts.options.clear()
        await ask(
            client,
            {"role": "developer", "content": "Be brief."},
            user(audio_part()),
            {"role": "assistant", "audio": {"id": first.audio.id}},
            user("And then?"),
            {"role": "assistant", "content": [{"type": "text", "text": "Then that."}]},
            user("unanswered"),
            user("Last?"),
        )
    assert [options.task for options in prompts.options] == ["transcribe", "answer"]
    assert prompts.options[-1].instructions == "Be brief."
    told = [(exchange.question, exchange.answer) for exchange in prompts.histories[-1]]
    assert told == [("What is two plus three?", TEXT), ("And then?", "Then that.")]


async def test_a_model_that_writes_nothing_down_is_told_earlier_speech_as_units() -> None:
    prompts, lm = FakePrompts(keeps_units=True), FakeLM()
    async with sdk(history_turns=8, prompts=prompts, lm=lm) as (client, _):
        past = [{"type": "text", "text": "Listen:"}, audio_part()]
        await ask(client, user(*past), {"role": "assistant", "content": "I did."}, user(audio_part()))
    assert [options.task for options in prompts.options] == ["answer"] and len(lm.prompts) == 1
    (told,) = prompts.histories[-1]
    heard = [token - UNIT_BASE for token in lm.prompts[0] if UNIT_BASE <= token < UNIT_BASE + N_UNITS]
    assert told == Exchange("Listen:", "I did.", tuple(heard)) and heard


@pytest.mark.parametrize(("turns", "told"), [(5, range(5)), (6, range(6)), (7, range(3, 7)), (9, range(3, 9))])
async def test_as_many_earlier_turns_as_the_model_takes(turns: int, told: range) -> None:
    prompts = FakePrompts()
    past = [(user(f"q{n}"), {"role": "assistant", "content": f"a{n}"}) for n in range(turns)]
    async with sdk(history_turns=6, prompts=prompts) as (client, _):
        await ask(client, *(message for turn in past for message in turn), user("Last?"))
    assert [exchange.question for exchange in prompts.histories[-1]] == [f"q{n}" for n in told]


async def test_a_model_without_memory_is_not_made_to_listen_to_the_past() -> None:
    lm = FakeLM()
    async with sdk(lm=lm) as (client, _):
        message = (await ask(client, user(audio_part()), **SPOKEN)).choices[0].message
        await ask(client, user(audio_part()), message.model_dump(), user("And?"))
    assert len(lm.prompts) == 2


REFUSED: list[tuple[dict[str, Any], str, str | None]] = [
    ({"model": "gpt-9"}, "model_not_found", "model"),
    ({"modalities": ["text", "audio"]}, "missing_required_parameter", "audio"),
    ({"audio": {"voice": "default", "format": "wav"}}, "invalid_value", "audio"),
    ({**SPOKEN, "audio": {"voice": "robot", "format": "wav"}}, "invalid_value", "audio.voice"),
    ({**SPOKEN, "audio": {"voice": {}, "format": "wav"}}, "missing_required_parameter", "audio.voice.id"),
    ({**SPOKEN, "audio": {"voice": 5, "format": "wav"}}, "invalid_value", "audio.voice"),
    ({**SPOKEN, "audio": {"voice": "default", "format": "ogg"}}, "unsupported_format", "audio.format"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "unsupported_parameter", "tools"),
    ({"n": 2}, "unsupported_parameter", "n"),
    ({"seed": 3}, "unsupported_parameter", "seed"),
    ({"logprobs": True}, "unsupported_parameter", "logprobs"),
    ({"response_format": {"type": "json_object"}}, "unsupported_parameter", "response_format"),
    ({"temperature": 3}, "invalid_value", "temperature"),
    ({"extra_body": {"top_k": 3}}, "unknown_parameter", "top_k"),
    ({"extra_body": {"reply_language": "fr"}}, "invalid_value", "reply_language"),
    ({"messages": []}, "invalid_value", "messages"),
    ({"messages": [user("a" * 100_001)]}, "context_length_exceeded", "messages"),
    ({"messages": [{"role": "assistant", "content": "Hi"}]}, "invalid_value", "messages"),
    ({"messages": [user(" ")]}, "invalid_value", "messages.0.content"),
    ({"messages": [user(audio_part(), audio_part())]}, "invalid_value", "messages.0.content"),
    ({"messages": [user(audio_part(b"no"))]}, "audio_unreadable", "messages.0.content.0.input_audio.data"),
    (
        {"messages": [user({"type": "text", "text": "a"}, {"type": "image_url"})]},
        "invalid_value",
        "messages.0.content.1.type",
    ),
    ({"messages": [user({"type": "audio_url", "audio_url": {}})]}, "invalid_value", "messages.0.content.0.type"),
    ({"messages": [user({"type": "input_audio"})]}, "missing_required_parameter", "messages.0.content.0.input_audio"),
    (
        {
            "messages": [
                user(
                    {"type": "text", "text": "a"},
                    {"type": "input_audio", "input_audio": {"data": "!", "format": "wav"}},
                )
            ]
        },
        "invalid_audio",
        "messages.0.content.1.input_audio.data",
    ),
    ({"messages": [user({"type": "text"})]}, "missing_required_parameter", "messages.0.content.0.text"),
    ({"messages": [{"role": "user", "content": 5}]}, "invalid_value", "messages.0.content"),
    ({"messages": [{"role": "user", "content": []}]}, "invalid_value", "messages.0.content"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "invalid_value", "messages.0.role"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "missing_required_parameter", "messages.0.tool_call_id"),
    (
        {"messages": [user("a"), {"role": "assistant", "audio": {"id": "audio_gone"}}, user("b")]},
        "audio_not_found",
        "messages.1.audio.id",
    ),
]


@pytest.mark.parametrize(("asked", "code", "param"), REFUSED, ids=[f"{n}-{row[1]}" for n, row in enumerate(REFUSED)])
async def test_what_cannot_be_done_is_refused(asked: dict[str, Any], code: str, param: str | None) -> None:
    async with sdk() as (client, _):
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(**({"model": "fake", "messages": [user("Hi")]} | asked))
        assert caught.value.code == code
        if param is not None:
            assert caught.value.param == param
        assert set(caught.value.body) == {"type", "code", "message", "param"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([{"type": "audio_url"}], "Input should be one of 'text', 'input_audio'; got \"audio_url\""),
        (5, "Input should be a valid string or a valid list; got 5"),
        ([], "List should have at least 1 item"),
    ],
)
async def test_of_a_union_the_error_says_what_is_accepted(content: Any, said: str) -> None:
    async with listening() as front:
        answer = await front.client.post(
            "/v1/chat/completions", json={"messages": [{"role": "user", "content": content}]}
        )
        assert said in answer.json()["error"]["message"]


async def test_a_reply_language_that_the_model_cannot_be_told_is_refused() -> None:
    async with listening(replace(fake_model(), reply_languages=("auto",))) as front:
        body = {"messages": [user("Hi")], "reply_language": "zh"}
        answer = await front.client.post("/v1/chat/completions", json=body)
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, "reply_language")
        assert error["message"].endswith("accepted: auto")
        answer = await front.client.post("/v1/speech", params={"reply_language": "en"}, json={"text": "Hi"})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "reply_language")


async def test_a_failure_in_the_middle_of_a_stream_is_an_error_of_the_sdk() -> None:
    async with sdk(lm=FakeLM(delay_s=0.002, fail_after=60)) as (client, _):
        stream = await ask(client, user("Hi"), stream=True)
        with pytest.raises(openai.APIError) as caught:
            _ = [chunk async for chunk in stream]
        assert caught.value.code == "internal_error"
        assert "secret" not in str(caught.value)


async def test_a_client_that_stops_reading_the_stream_ends_the_turn() -> None:
    lm = FakeLM(hang_after=60)
    async with sdk(lm=lm) as (client, front):
        stream = await ask(client, user("Hi"), stream=True)
        async for _ in stream:
            break
        await stream.close()
        await eventually(lambda: lm.active == 0 and front.state.admission.active == 0)
        assert lm.cancelled == 1


async def test_models_are_listed() -> None:
    async with sdk() as (client, _):
        assert [model.id async for model in client.models.list()] == ["fake"]
        assert (await client.models.retrieve("fake")).object == "model"
        with pytest.raises(openai.NotFoundError) as caught:
            await client.models.retrieve("gpt-5")
        assert caught.value.code == "model_not_found"
