"""POST /v1/speech: every way to ask and every form of the answer."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
import soundfile

from server.media.decode import Declared, decode, identify
from streaming.audio import float_to_pcm16
from tests.fakes import TEXT, TRANSCRIPT, UNITS, FakeDecoder, FakeLM, FakePrompts, answer_ids
from tests.server.front import events_of, recording, serving, tone
from tests.server.models import fake_model

SPOKEN = FakeDecoder().speak(UNITS)
WHOLE = float_to_pcm16(SPOKEN)


def samples_of(data: bytes, media_type: str) -> np.ndarray:
    return decode(data, identify(data, Declared(media_type)), max_s=30)


async def test_a_raw_body_is_answered_in_wav() -> None:
    async with serving() as front:
        answer = await front.client.post("/v1/speech", content=recording(), headers={"content-type": "audio/wav"})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "audio/wav"
        assert answer.headers["x-model"] == "fake"
        assert answer.headers["x-audio-sample-rate"] == "24000"
        assert answer.headers["x-turn-id"].startswith("turn_")
        samples, rate = soundfile.read(io.BytesIO(answer.content), dtype="int16")
        assert (rate, samples.tobytes()) == (24_000, WHOLE)


@pytest.mark.parametrize("field", ["file", "audio"])
async def test_a_form_is_answered(field: str) -> None:
    async with serving() as front:
        answer = await front.client.post(
            "/v1/speech",
            files={field: ("q.flac", recording(kind="FLAC"), "audio/flac")},
            data={"response_format": "pcm", "reply_language": "zh", "temperature": "0.5", "model": "fake"},
        )
        assert answer.content == WHOLE
        assert answer.headers["content-type"] == "audio/pcm;rate=24000;channels=1"


async def test_json_with_a_recording_in_base64_is_answered() -> None:
    async with serving() as front:
        body = {"audio": base64.b64encode(recording()).decode(), "response_format": "pcm", "top_p": 0.9}
        assert (await front.client.post("/v1/speech", json=body)).content == WHOLE


async def test_raw_samples_are_answered() -> None:
    data = float_to_pcm16(tone(rate=8000))
    async with serving() as front:
        for url, media_type in (
            ("/v1/speech?response_format=pcm", "audio/pcm;rate=8000"),
            ("/v1/speech?response_format=pcm&input_format=pcm&sample_rate=8000", "application/octet-stream"),
        ):
            answer = await front.client.post(url, content=data, headers={"content-type": media_type})
            assert answer.content == WHOLE, answer.text


async def test_what_curl_sends_by_default_is_answered() -> None:
    async with serving() as front:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = await front.client.post("/v1/speech?response_format=pcm", content=recording(), headers=headers)
        assert answer.content == WHOLE


@pytest.mark.parametrize("how", ["json", "form", "query", "multipart"])
async def test_a_typed_question_is_answered(how: str) -> None:
    lm = FakeLM()
    asked: dict[str, Any] = {
        "json": {"json": {"text": "你好?", "response_format": "pcm"}},
        "form": {"data": {"text": "你好?", "response_format": "pcm"}},
        "query": {"params": {"text": "你好?", "response_format": "pcm"}},
        "multipart": {"files": {"text": (None, "你好?"), "response_format": (None, "pcm")}},
    }[how]
    async with serving(fake_model(lm=lm)) as front:
        answer = await front.client.post("/v1/speech", **asked)
        assert answer.content == WHOLE, answer.text
        assert [1000 + ord(c) for c in "你好?"] == lm.prompts[0][-4:-1]


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [
        ("wav", "audio/wav"),
        ("pcm", "audio/pcm;rate=24000;channels=1"),
        ("flac", "audio/flac"),
        ("mp3", "audio/mpeg"),
        ("opus", "audio/ogg"),
    ],
)
@pytest.mark.parametrize("by", ["parameter", "accept"])
async def test_every_format_by_parameter_and_by_accept(kind: str, media_type: str, by: str) -> None:
    params, headers = {}, {}
    if by == "parameter":
        params = {"response_format": kind}
    else:
        headers = {"accept": f"text/html, {media_type.split(';')[0]};q=0.9, application/xml"}
    async with serving() as front:
        answer = await front.client.post("/v1/speech", content=recording(), params=params, headers=headers)
        assert answer.headers["content-type"] == media_type
        heard = samples_of(answer.content, answer.headers["content-type"])
        assert abs(heard.size / 16_000 - SPOKEN.size / 24_000) < 0.08


@pytest.mark.parametrize("kind", ["wav", "pcm", "flac", "mp3", "opus", "aac"])
async def test_a_file_is_sent_when_it_is_complete(kind: str) -> None:
    async with serving() as front:
        params = {"response_format": kind, "stream": "file"}
        answer = await front.client.post("/v1/speech", content=recording(), params=params)
        assert answer.headers["content-length"] == str(len(answer.content))
        heard = samples_of(answer.content, answer.headers["content-type"])
        assert abs(heard.size / 16_000 - SPOKEN.size / 24_000) < 0.08
        if kind == "wav":
            assert soundfile.info(io.BytesIO(answer.content)).frames == SPOKEN.size
            assert answer.content[40:44] == (2 * SPOKEN.size).to_bytes(4, "little")


@pytest.mark.parametrize("path", ["/v1/speech", "/v1/audio/speech"])
async def test_a_flac_is_complete_unless_it_is_in_events(path: str) -> None:
    asked = {"text": "Hello?"} if path == "/v1/speech" else {"input": "Hello."}
    async with serving() as front:
        answer = await front.client.post(path, json={**asked, "response_format": "flac"})
        samples, _ = soundfile.read(io.BytesIO(answer.content))
        assert answer.headers["content-length"] == str(len(answer.content))
        assert soundfile.info(io.BytesIO(answer.content)).frames == samples.size > 1000


async def test_events_tell_everything_in_order() -> None:
    async with serving(fake_model(lm=FakeLM(delay_s=0.001))) as front:
        answer = await front.client.post("/v1/speech?stream=events", content=recording())
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = events_of(answer.text)
    kinds = [event["type"] for event in events]
    assert events[0]["id"] == answer.headers["x-turn-id"]
    assert events[0]["audio"] == {"format": "pcm", "sample_rate": 24_000}
    assert kinds[0] == "turn"
    assert kinds[-3:] == ["timings", "usage", "done"]
    assert kinds.index("transcript.done") < kinds.index("text.delta") < kinds.index("audio.delta")
    joined = {
        kind: "".join(event["delta"] for event in events if event["type"] == kind)
        for kind in ("transcript.delta", "text.delta")
    }
    assert joined == {"transcript.delta": TRANSCRIPT, "text.delta": TEXT}
    audio = [base64.b64decode(event["delta"]) for event in events if event["type"] == "audio.delta"]
    assert b"".join(audio) == WHOLE
    assert kinds.index("audio.delta") < len(kinds) - 1 - kinds[::-1].index("text.delta"), (
        "speaks before it has written all"
    )
    timings, usage, done = (event for event in events[-3:])
    assert timings["timings"]["first_token_s"] <= timings["timings"]["first_audio_s"] <= timings["timings"]["done_s"]
    assert timings["timings"]["decode_s"] >= 0
    assert usage["usage"]["output_units"] == len(UNITS)
    assert usage["usage"]["audio_s"] == pytest.approx(SPOKEN.size / 24_000)
    assert (done["transcript"], done["text"]) == (TRANSCRIPT, TEXT)


async def test_events_by_accept_and_in_another_format() -> None:
    async with serving() as front:
        answer = await front.client.post(
            "/v1/speech?response_format=opus", content=recording(), headers={"accept": "text/event-stream"}
        )
        events = events_of(answer.text)
        assert events[0]["audio"]["format"] == "opus"
        data = b"".join(base64.b64decode(event["delta"]) for event in events if event["type"] == "audio.delta")
        assert abs(samples_of(data, "audio/ogg").size / 16_000 - SPOKEN.size / 24_000) < 0.08


@pytest.mark.parametrize(
    "asked", [{"params": {"response_format": "json"}}, {"headers": {"accept": "application/json"}}]
)
async def test_one_json_document(asked: dict[str, Any]) -> None:
    async with serving() as front:
        document = (await front.client.post("/v1/speech", content=recording(), **asked)).json()
    assert (document["transcript"], document["text"], document["model"]) == (TRANSCRIPT, TEXT, "fake")
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(document["audio"]["data"])), dtype="int16")
    assert (rate, samples.tobytes()) == (24_000, WHOLE)
    assert document["usage"]["output_tokens"] > len(UNITS)
    assert document["timings"]["done_s"] > 0


async def test_options_reach_the_turn() -> None:
    lm, prompts = FakeLM(), FakePrompts()
    async with serving(fake_model(lm=lm, prompts=prompts)) as front:
        answer = await front.client.post(
            "/v1/speech",
            json={
                "text": "hi",
                "question_language": "zh",
                "reply_language": "en",
                "instructions": "Be brief.",
                "schedule": "full_chain",
                "temperature": 0.7,
                "top_p": 0.8,
                "max_tokens": 500,
                "voice": "other",
                "stream": "audio",
            },
        )
        assert answer.status_code == 200
    (options,), (sampling,) = prompts.options, lm.samplings
    assert options.question_language == "zh"
    assert (options.reply_language, options.instructions, options.schedule) == ("en", "Be brief.", "full_chain")
    assert (sampling.temperature, sampling.top_p, sampling.max_tokens) == (0.7, 0.8, 500)


@pytest.mark.parametrize(("asked", "spoken"), [("other", "other"), ("alloy", "default")])
async def test_the_voice_is_the_models_own(asked: str, spoken: str) -> None:
    decoder = FakeDecoder()
    async with serving(fake_model(decoder=decoder)) as front:
        answer = await front.client.post("/v1/speech", json={"text": "hi", "voice": asked})
        assert answer.status_code == 200
    assert {cut.voice for cut in decoder.cuts} == {spoken}


async def test_the_encoder_hears_the_recording_not_something_of_it() -> None:
    """Loud, then half as loud: two units and the ramp of the filter; and the same by every road."""
    lm = FakeLM()
    question = np.concatenate([tone(0.5, peak=0.9), tone(0.5, peak=0.3)])
    async with serving(fake_model(lm=lm)) as front:
        await front.client.post("/v1/speech", content=recording(question))
        await front.client.post("/v1/speech", files={"file": ("x", recording(question, kind="FLAC"))})
    assert lm.prompts[0] == lm.prompts[1]
    heard = [token - 10 for token in lm.prompts[0] if 10 <= token < 60]
    assert 2 <= len(heard) <= 6
    assert max(heard) > 2 * min(heard)


async def test_turns_at_once_do_not_mix() -> None:
    """Each language model answers with its own question."""
    import asyncio

    def echo(prompt: list[int]) -> list[int]:
        question = "".join(chr(token - 1000) for token in prompt if token >= 1000).split("|")[-1]
        return answer_ids(question, (f"You said {question}. ", (1, 2, 3)))

    async with serving(fake_model(lm=FakeLM(echo, delay_s=0.0005))) as front:

        async def ask(text: str) -> dict[str, Any]:
            answer = await front.client.post("/v1/speech", json={"text": text, "response_format": "json"})
            return json.loads(answer.content)

        answers = await asyncio.gather(*(ask(f"number {n}") for n in range(8)))
    assert [answer["transcript"] for answer in answers] == [f"number {n}" for n in range(8)]
    assert [answer["text"] for answer in answers] == [f"You said number {n}. " for n in range(8)]


async def test_it_is_in_the_schema() -> None:
    async with serving() as front:
        schema = (await front.client.get("/openapi.json")).json()
    operation = schema["paths"]["/v1/speech"]["post"]
    names = {parameter["name"] for parameter in operation["parameters"]}
    assert {"reply_language", "response_format", "schedule", "stream"} <= names
    assert "multipart/form-data" in operation["requestBody"]["content"]
