"""/v1/audio/transcriptions and /v1/audio/translations through the stock SDK: every form of the answer, every refusal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.audio import Transcription, TranscriptionVerbose

from server.media.utterances import utterances
from server.routes.audio.transcription_formats import joined, language_of
from streaming.audio import float_to_pcm16
from streaming.endpointing import EndpointerConfig
from streaming.errors import InvalidRequest
from tests.fakes import FakeLM, FakePrompts, FakeVoiceActivity, answer_ids
from tests.server.front import Front, eventually, listening, recording, serving, tone
from tests.server.models import fake_model

TWICE = np.concatenate([tone(1.0), np.zeros(16_000, np.float32), tone(0.8), np.zeros(4_000, np.float32)])


class Numbered(FakeLM):
    """Hears "One", then "Two", and so on; answers in Chinese."""

    def __init__(self, *words: str, **more: Any) -> None:
        super().__init__(lambda _: answer_ids(words[len(self.prompts) - 1], ("答案。", (1, 2))), **more)


@asynccontextmanager
async def sdk(lm: FakeLM | None = None, **more: Any) -> AsyncGenerator[tuple[AsyncOpenAI, Front]]:
    """The stock client and the server it talks to."""
    prompts = more.pop("prompts", FakePrompts())
    async with (
        listening(fake_model(lm=lm or Numbered("One.", "Two."), prompts=prompts), **more) as front,
        AsyncOpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client, front


async def test_json_holds_all_that_was_said() -> None:
    lm = Numbered("One.", "Two.")
    async with sdk(lm) as (client, front):
        heard = await client.audio.transcriptions.create(file=("a.wav", recording(TWICE)), model="fake", language="en")
        assert Transcription.model_validate(heard.model_dump())
        assert heard.text == "One. Two."
        assert heard.usage is not None and heard.usage.type == "tokens"
        assert heard.usage.total_tokens == heard.usage.input_tokens + heard.usage.output_tokens
        assert heard.usage.output_tokens < 30, "the answer is not written"
        assert front.count("cslm_turns_total", transport="rest", outcome="completed") == 2
        await eventually(lambda: front.state.admission.active == 0)


async def test_the_sync_client_too() -> None:
    async with sdk() as (_, front):

        def ask() -> Any:
            with OpenAI(base_url=f"{front.url}/v1", api_key="none") as client:
                return client.audio.transcriptions.create(file=("a.flac", recording(kind="FLAC")), model="fake")

        assert (await asyncio.to_thread(ask)).text == "One."


async def test_verbose_json_has_the_times_of_the_segments() -> None:
    async with sdk() as (client, _):
        heard = await client.audio.transcriptions.create(
            file=("a.wav", recording(TWICE)),
            model="fake",
            response_format="verbose_json",
            timestamp_granularities=["segment"],
        )
    heard = TranscriptionVerbose.model_validate(heard.model_dump())
    assert (heard.language, heard.duration, heard.text) == ("english", pytest.approx(3.05, abs=0.01), "One. Two.")
    assert heard.segments is not None
    (one, two) = heard.segments
    assert (one.start, one.end) == (pytest.approx(0.0, abs=0.05), pytest.approx(1.0, abs=0.1))
    assert (two.start, two.end) == (pytest.approx(1.7, abs=0.05), pytest.approx(2.8, abs=0.3))
    assert [one.text, two.text] == ["One.", "Two."]


async def test_subtitles() -> None:
    async with sdk(Numbered(*["One.", "Two."] * 3)) as (client, _):
        forms = {
            kind: await client.audio.transcriptions.create(
                file=("a.wav", recording(TWICE)), model="fake", response_format=kind
            )
            for kind in ("text", "srt", "vtt")
        }
    assert forms["text"] == "One. Two.\n"
    assert forms["srt"].startswith("1\n00:00:00,000 --> 00:00:0")
    assert forms["srt"].count(" --> ") == 2 and "\n\n2\n" in forms["srt"]
    assert forms["vtt"].startswith("WEBVTT\n\n00:00:00.000 --> ")


async def test_a_stream_tells_words_as_they_are_written() -> None:
    lm = Numbered("One.", "Two.", delay_s=0.001)
    async with sdk(lm) as (client, _):
        events = [
            event
            async for event in await client.audio.transcriptions.create(
                file=("a.wav", recording(TWICE)), model="fake", stream=True
            )
        ]
    deltas, done = events[:-1], events[-1]
    assert {event.type for event in deltas} == {"transcript.text.delta"}
    assert len(deltas) > 2
    assert done.type == "transcript.text.done"
    assert done.text == "".join(event.delta for event in deltas) == "One. Two."
    assert done.usage.total_tokens > 0


async def test_a_transcript_in_a_circle_is_sent_without_it_and_the_next_utterance_is_heard() -> None:
    circle = "Is it far? " + "to the sea and " * 100
    for form in ("json", "verbose_json"):
        async with sdk(Numbered(circle, "Two.")) as (client, _):
            heard = await client.audio.transcriptions.create(
                file=("a.wav", recording(TWICE)), model="fake", response_format=form
            )
        assert heard.text.startswith("Is it far? to the sea") and heard.text.endswith("Two.") and len(heard.text) < 60
        [warning] = heard.model_extra["warnings"]
        assert warning["code"] == "repetition" and warning["text"] in heard.text
    async with sdk(Numbered(circle, "Two.", per_step=9)) as (client, _):
        stream = await client.audio.transcriptions.create(file=("a.wav", recording(TWICE)), model="fake", stream=True)
        *deltas, done = [event async for event in stream]
    assert done.text == "".join(event.delta for event in deltas) == heard.text
    assert done.model_extra["warnings"] == [warning]


async def test_silence_is_no_words() -> None:
    async with sdk() as (client, _):
        silence = recording(np.zeros(16_000, np.float32))
        assert (await client.audio.transcriptions.create(file=("a.wav", silence), model="fake")).text == ""


async def test_chunking_is_what_server_vad_is() -> None:
    lm = Numbered("One.", "Two.")
    async with sdk(lm) as (client, _):
        strategy = {"type": "server_vad", "silence_duration_ms": 2000, "threshold": 0.4}
        heard = await client.audio.transcriptions.create(
            file=("a.wav", recording(TWICE)), model="fake", chunking_strategy=strategy
        )
        assert heard.text == "One."
        strategy = {"type": "server_vad", "silence_duration_ms": -1}
        with pytest.raises(openai.BadRequestError) as caught:
            await client.audio.transcriptions.create(
                file=("a.wav", recording(TWICE)), model="fake", chunking_strategy=strategy
            )
        assert caught.value.code == "invalid_value"
        assert "silence_duration_ms" in str(caught.value.param)


async def test_a_long_recording_is_cut_where_a_question_must_end() -> None:
    cut = utterances(tone(65.0), FakeVoiceActivity(), EndpointerConfig(max_turn_ms=30_000))
    assert [round(each.end_s - each.start_s) for each in cut] == [30, 30, 5]
    assert sum(each.pcm.size for each in cut) >= 65 * 16_000


async def test_raw_samples() -> None:
    async with sdk() as (client, _):
        data = float_to_pcm16(tone(rate=8_000))
        heard = await client.audio.transcriptions.create(
            file=("a.raw", data), model="fake", extra_body={"input_format": "pcm", "sample_rate": 8000}
        )
        assert heard.text == "One."


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"model": "gpt-9"}, "model_not_found", "model"),
    ({"language": "fr"}, "invalid_value", "language"),
    ({"prompt": "Names: Zoë."}, "unsupported_parameter", "prompt"),
    ({"include": ["logprobs"]}, "unsupported_parameter", "include"),
    ({"response_format": "diarized_json"}, "unsupported_format", "response_format"),
    (
        {"response_format": "verbose_json", "timestamp_granularities": ["word"]},
        "unsupported_parameter",
        "timestamp_granularities",
    ),
    ({"timestamp_granularities": ["segment"]}, "invalid_value", "timestamp_granularities"),
    ({"stream": True, "response_format": "srt"}, "invalid_value", "stream"),
    ({"temperature": 1.5}, "invalid_value", "temperature"),
    ({"extra_body": {"speed": 2}}, "unknown_parameter", "speed"),
    ({"file": ("a.wav", b"RIFF????WAVE")}, "audio_unreadable", "file"),
    ({"file": ("a.wav", b"")}, "audio_empty", "file"),
]


@pytest.mark.parametrize(("asked", "code", "param"), REFUSED, ids=[code + "-" + param for _, code, param in REFUSED])
async def test_what_cannot_be_done_is_refused(asked: dict[str, Any], code: str, param: str) -> None:
    async with sdk() as (client, _):
        with pytest.raises(openai.APIStatusError) as caught:
            await client.audio.transcriptions.create(**({"file": ("a.wav", recording()), "model": "fake"} | asked))
        assert (caught.value.code, caught.value.param) == (code, param)
        assert set(caught.value.body) == {"type", "code", "message", "param"}
        assert (await client.audio.transcriptions.create(file=("a.wav", recording()), model="fake")).text == "One."


async def test_a_recording_must_be_there_and_not_too_long() -> None:
    async with sdk(max_recording_s=2) as (client, front):
        answer = await front.client.post("/v1/audio/transcriptions", data={"model": "fake"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "missing_required_parameter")
        with pytest.raises(openai.BadRequestError) as caught:
            await client.audio.transcriptions.create(file=("a.wav", recording(TWICE)), model="fake")
        assert caught.value.code == "audio_too_long"


async def test_a_failure_in_the_middle_of_a_stream_is_an_error_of_the_sdk() -> None:
    async with sdk(Numbered("One.", "Two.", fail_after=4)) as (client, front):
        stream = await client.audio.transcriptions.create(file=("a.wav", recording()), model="fake", stream=True)
        with pytest.raises(openai.APIError) as caught:
            _ = [event async for event in stream]
        assert caught.value.code == "internal_error"
        assert front.count("cslm_turns_total", transport="rest", outcome="failed") == 1


async def test_a_client_that_goes_ends_the_turn() -> None:
    lm = Numbered("One.", "Two.", hang_after=3)
    async with sdk(lm) as (client, front):
        asking = asyncio.create_task(client.audio.transcriptions.create(file=("a.wav", recording()), model="fake"))
        await eventually(lambda: lm.active)
        asking.cancel()
        await asyncio.wait({asking})
        await eventually(lambda: front.state.admission.active == 0)
        assert (lm.active, lm.cancelled) == (0, 1)
        assert front.count("cslm_turns_total", transport="rest", outcome="cancelled") == 1


deprecated = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
"""The SDK says so of OpenAI's own model."""


class Translating(FakePrompts):
    """Knows how to translate, unless told that it doesn't."""

    def __init__(self, known: bool = True) -> None:
        super().__init__()
        self.known = known

    def speech_prompt(self, options: Any, history: Any, text: str = "") -> tuple[list[int], list[int]]:
        if options.task == "translate" and not self.known:
            raise InvalidRequest("fake has not learned to translate speech", code="unsupported_task", param="task")
        return super().speech_prompt(options, history, text)


@deprecated
async def test_a_translation_is_the_answer_and_english_stays_as_it_is() -> None:
    def heard(_: list[int]) -> list[int]:
        chinese = len(lm.prompts) == 1
        return answer_ids("你好。" if chinese else "As it is.", ("Hello, ", (1, 2)), ("you.", (3,)))

    lm, prompts = FakeLM(heard), Translating()
    async with sdk(lm, prompts=prompts) as (client, _):
        said = await client.audio.translations.create(file=("a.wav", recording(TWICE)), model="fake")
        assert said.text == "Hello, you. As it is."
    assert {(option.task, option.reply_language) for option in prompts.options} == {("translate", "en")}


@deprecated
async def test_a_model_that_has_not_learned_to_translate_says_so() -> None:
    async with sdk(prompts=Translating(known=False)) as (client, _):
        with pytest.raises(openai.BadRequestError) as caught:
            await client.audio.translations.create(file=("a.wav", recording()), model="fake")
        assert caught.value.code == "unsupported_task"


def test_texts_are_joined_as_their_script_wants() -> None:
    assert joined(["One.", "", "two"]) == "One. two"
    assert joined(["你好。", "再见。", "Bye."]) == "你好。再见。 Bye."
    assert [language_of(text) for text in ("Hi", "你好 John", "")] == ["en", "zh", "en"]


@pytest.mark.parametrize(
    "form",
    [
        {"timestamp_granularities[]": "segment"},
        {"timestamp_granularities": "segment"},
        {"chunking_strategy": "auto"},
        {"chunking_strategy": '{"type": "server_vad", "silence_duration_ms": 300}'},
        {"chunking_strategy[type]": "server_vad"},
    ],
)
async def test_lists_and_objects_of_a_form_as_clients_write_them(form: dict[str, str]) -> None:
    async with serving() as front:
        answer = await front.client.post(
            "/v1/audio/transcriptions",
            data={"response_format": "verbose_json", **form},
            files={"file": ("q.wav", recording())},
        )
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("value", ["manual", "[1]", "{", '{"type": "manual"}'])
async def test_a_strategy_that_there_is_not(value: str) -> None:
    async with serving() as front:
        files = {"file": ("q.wav", recording())}
        answer = await front.client.post("/v1/audio/transcriptions", data={"chunking_strategy": value}, files=files)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (400, "invalid_value")
        assert error["param"].startswith("chunking_strategy")
