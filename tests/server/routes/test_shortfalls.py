"""Questions without words, answers without anything, speech without end: one rule on every route."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import unquote

import pytest

from streaming.pace import Pace
from tests.fakes import UNITS, FakeLM, answer_ids, unit_ids
from tests.server.front import events_of, recording, serving
from tests.server.models import fake_model

SPEECH, CHAT, READ = "/v1/speech", "/v1/chat/completions", "/v1/audio/speech"
EMOJIS = "😂😂😂"
SPOKEN: dict[str, Any] = {"modalities": ["text", "audio"], "audio": {"format": "wav", "voice": "default"}}


def chat(content: Any, **more: Any) -> dict[str, Any]:
    return {"model": "fake", "messages": [{"role": "user", "content": content}], **more}


def spoken_chat(**more: Any) -> dict[str, Any]:
    data = base64.b64encode(recording()).decode()
    return chat([{"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}], **more)


NO_QUESTION = [
    (SPEECH, {"text": EMOJIS}, "text"),
    (SPEECH, {"text": EMOJIS, "response_format": "json"}, "text"),
    (SPEECH, {"text": EMOJIS, "response_format": "pcm"}, "text"),
    (SPEECH, {"text": EMOJIS, "stream": "events"}, "text"),
    (CHAT, chat(EMOJIS), "messages.0.content"),
    (CHAT, chat(EMOJIS, **SPOKEN), "messages.0.content"),
    (CHAT, chat(EMOJIS, stream=True), "messages.0.content"),
]


@pytest.mark.parametrize(("route", "body", "param"), NO_QUESTION)
async def test_a_question_without_words_is_refused(route: str, body: dict[str, Any], param: str) -> None:
    lm = FakeLM()
    async with serving(fake_model(lm=lm)) as front:
        answer = await front.client.post(route, json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "nothing_to_answer", param)
    assert EMOJIS in error["message"] and not lm.prompts


@pytest.mark.parametrize("more", [{}, {"response_format": "pcm"}, {"stream_format": "sse"}])
async def test_a_text_without_words_cannot_be_read(more: dict[str, str]) -> None:
    async with serving(fake_model()) as front:
        answer = await front.client.post(READ, json={"input": EMOJIS, **more})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "nothing_to_say", "input")


NO_ANSWER = [
    (SPEECH, {"text": "what?"}),
    (SPEECH, {"text": "what?", "response_format": "json"}),
    (SPEECH, {"text": "what?", "response_format": "pcm"}),
    (CHAT, chat("what?")),
    (CHAT, chat("what?", **SPOKEN)),
    (CHAT, chat("what?", stream=True)),
    (CHAT, spoken_chat()),
    (CHAT, spoken_chat(**SPOKEN)),
]


@pytest.mark.parametrize(("route", "body"), NO_ANSWER)
async def test_no_answer_is_no_success(route: str, body: dict[str, Any]) -> None:
    async with serving(fake_model(lm=FakeLM(answer_ids("Hm?")))) as front:
        answer = await front.client.post(route, json=body)
        assert front.count("cslm_turns_total", transport="rest", outcome="failed") == 1
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "empty_answer")


async def test_no_answer_behind_a_transcript_is_the_last_event() -> None:
    async with serving(fake_model(lm=FakeLM(answer_ids("Hm?")))) as front:
        answer = await front.client.post(f"{SPEECH}?stream=events", content=recording())
    events = events_of(answer.text)
    assert events[-1]["error"]["code"] == "empty_answer"
    assert "transcript.delta" in [event["type"] for event in events]


@pytest.mark.parametrize("kind", ["json", "text", "verbose_json", "srt", "vtt"])
async def test_a_recording_of_which_no_word_is_understood(kind: str) -> None:
    async with serving(fake_model(lm=FakeLM(answer_ids(" ")))) as front:
        answer = await front.client.post(
            "/v1/audio/transcriptions",
            files={"file": ("a.wav", recording())},
            data={"model": "fake", "response_format": kind},
        )
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "empty_answer")


async def test_what_is_left_out_of_a_text_is_told() -> None:
    text = f"Hello {EMOJIS} there."
    warned = {
        "code": "text_dropped",
        "message": "this part of the text cannot be said and was left out",
        "text": EMOJIS,
    }
    async with serving(fake_model()) as front:
        json_answer = await front.client.post(SPEECH, json={"text": text, "response_format": "json"})
        events = await front.client.post(SPEECH, json={"text": text, "stream": "events"})
        document = await front.client.post(CHAT, json=chat(text))
        chunks = await front.client.post(CHAT, json=chat(text, stream=True))
    async with serving(fake_model(lm=FakeLM(unit_ids(UNITS)))) as front:
        audio = await front.client.post(READ, json={"input": text, "response_format": "pcm"})
        sse = await front.client.post(READ, json={"input": text, "response_format": "pcm", "stream_format": "sse"})
    for answer in (json_answer, events, document, chunks, audio, sse):
        assert answer.status_code == 200
        assert unquote(answer.headers["x-dropped-text"]) == EMOJIS
    assert json_answer.json()["warnings"] == document.json()["warnings"] == [warned]
    assert {"type": "warning", "warning": warned} in events_of(events.text)
    assert json.dumps(warned, ensure_ascii=False) in chunks.text
    assert json.loads(sse.text.strip().splitlines()[-1].removeprefix("data: "))["warnings"] == [warned]


async def test_speech_without_end_is_ended_and_told() -> None:
    pace = Pace(units=4, per_letter=1.5)
    endless = FakeLM(answer_ids("Q", ("It is five.", UNITS * 20)))
    async with serving(fake_model(lm=endless, pace=pace)) as front:
        body = (await front.client.post(SPEECH, json={"text": "what?", "response_format": "json"})).json()
        finish = (await front.client.post(CHAT, json=chat("what?", **SPOKEN))).json()["choices"][0]["finish_reason"]
    assert (body["incomplete"], finish) == ("speech_limit", "length")
    assert body["usage"]["output_units"] == pace.most_units("It is five.")
    assert [warning["text"] for warning in body["warnings"]] == ["It is five."]


async def test_reading_without_end_goes_on_with_the_next_sentence() -> None:
    pace = Pace(units=4, per_letter=1.5)
    async with serving(fake_model(lm=FakeLM(unit_ids(UNITS * 20)), pace=pace)) as front:
        body = {"input": "A first sentence. And the second one.", "response_format": "pcm"}
        audio = await front.client.post(READ, json=body)
        sse = await front.client.post(READ, json={**body, "stream_format": "sse"})
    sentences = ["A first sentence.", "And the second one."]
    units = 1 + sum(map(pace.most_units, sentences))
    assert len(audio.content) == 2 * 960 * units
    warnings = json.loads(sse.text.strip().splitlines()[-1].removeprefix("data: "))["warnings"]
    assert [(warning["code"], warning["text"]) for warning in warnings] == [("speech_limit", s) for s in sentences]
