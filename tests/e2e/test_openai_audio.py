"""The stock OpenAI SDK against the real server, with real recordings: write down, read aloud, converse. What is said is judged elsewhere."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
import soundfile
from openai import AsyncOpenAI, OpenAI

pytestmark = pytest.mark.e2e

DATA = Path(__file__).parents[1] / "data"
QUESTION = DATA / "ask_sum_en.wav"
MODEL = "cslm-mini"


@pytest.fixture
def client(live_server: str) -> Any:
    with OpenAI(base_url=f"{live_server}/v1", api_key="none", max_retries=0, timeout=120) as client:
        yield client


def two_questions() -> bytes:
    """Two recordings with a second of silence between, as one file."""
    pcm, rate_hz = soundfile.read(QUESTION, dtype="float32")
    out = io.BytesIO()
    soundfile.write(out, np.concatenate([pcm, np.zeros(rate_hz, np.float32), pcm]), rate_hz, format="FLAC")
    return out.getvalue()


def test_a_question_is_written_down(client: OpenAI) -> None:
    heard = client.audio.transcriptions.create(file=QUESTION, model=MODEL)
    assert heard.text == "What is seven plus five?"


def test_an_utterance_in_chinese(client: OpenAI) -> None:
    heard = client.audio.transcriptions.create(
        file=DATA / "ask_sum_zh.wav", model=MODEL, response_format="verbose_json", language="zh"
    )
    assert heard.language == "chinese"
    assert "等于" in heard.text


def test_segments_lie_where_somebody_speaks(client: OpenAI) -> None:
    heard = client.audio.transcriptions.create(
        file=("two.flac", two_questions()), model=MODEL, response_format="verbose_json"
    )
    assert heard.segments is not None
    first, second = heard.segments
    assert first.end < second.start < second.end <= heard.duration
    subtitles = client.audio.transcriptions.create(
        file=("two.flac", two_questions()), model=MODEL, response_format="srt"
    )
    assert str(subtitles).count(" --> ") == 2


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the SDK says so of OpenAI's own model
def test_english_is_its_own_translation(client: OpenAI) -> None:
    assert client.audio.translations.create(file=QUESTION, model=MODEL).text == "What is seven plus five?"


async def test_words_are_streamed(live_server: str) -> None:
    async with AsyncOpenAI(base_url=f"{live_server}/v1", api_key="none", timeout=120) as client:
        stream = await client.audio.transcriptions.create(file=QUESTION, model=MODEL, stream=True)
        events = [event async for event in stream]
    assert len(events) > 2
    assert events[-1].type == "transcript.text.done"
    assert events[-1].text == "".join(event.delta for event in events[:-1] if event.type == "transcript.text.delta")


@pytest.mark.parametrize("kind", ["wav", "mp3", "pcm"])
def test_a_text_is_read_aloud(client: OpenAI, kind: Any) -> None:
    text = "Hello, how are you? Two plus three is five. 今天天气很好。"
    with client.audio.speech.with_streaming_response.create(
        input=text, model=MODEL, voice="default", response_format=kind
    ) as answer:
        data = b"".join(answer.iter_bytes())
    if kind == "pcm":
        samples = np.frombuffer(data, "<i2").astype(np.float32) / 32768
        rate_hz = 24_000
    else:
        samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32")
    assert 2 < samples.size / rate_hz < 12
    assert samples.std() > 0.005, "it is audible"


@pytest.mark.parametrize(
    "text",
    [
        "two plus three is five and the capital of france is paris",
        "TWO PLUS THREE IS FIVE AND THE CAPITAL OF FRANCE IS PARIS",
        "xqzt brr vlk fnord ghrx zzq wqp",
        "# Hello\n\n- **two**\n- three",
        "😂😂😂 Hello. 😂😂😂",
        "二加三等于五，法国的首都是巴黎",
    ],
)
def test_speech_is_in_proportion_to_its_text(client: OpenAI, text: str) -> None:
    answer = client.audio.speech.create(input=text, model=MODEL, voice="default", response_format="pcm")
    duration_s = len(answer.content) / 48_000
    assert duration_s < 1.5 + 0.13 * sum(3 if "\u4e00" <= char <= "\u9fff" else char.isalpha() for char in text)


def test_text_in_digits_and_symbols_is_read_in_words(client: OpenAI) -> None:
    written, said = (
        np.frombuffer(answer.content, "<i2").astype(np.int32)
        for answer in (
            client.audio.speech.create(input=text, model=MODEL, voice="default", response_format="pcm")
            for text in ("**I HAVE $3.50!**", "I have three dollars and fifty cents!")
        )
    )
    assert written.size == said.size > 24_000
    assert np.abs(written - said).max() < 100, "the same but for rounding, which follows the cuts"


@pytest.mark.parametrize("text", ["...", "?", "😂" * 10, "مرحبا"])
def test_nothing_to_say_is_refused(client: OpenAI, text: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(input=text, model=MODEL, voice="default")
    assert (caught.value.code, caught.value.param) == ("nothing_to_say", "input")
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}])
    assert (caught.value.code, caught.value.param) == ("nothing_to_answer", "messages.0.content")


def test_a_question_is_the_same_however_it_is_typed(client: OpenAI) -> None:
    for text in ("WHAT IS TWO PLUS THREE?", "what is two plus three", "**What is 2+3?**"):
        answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}])
        assert answer.choices[0].message.content == "Two plus three is five."


def test_what_is_read_aloud_is_understood_again(client: OpenAI) -> None:
    """The model hears itself: the loop from text to speech to text, through nothing but the API."""
    spoken = client.audio.speech.create(
        input="What is the capital of Norway?", model=MODEL, voice="default", response_format="wav"
    )
    heard = client.audio.transcriptions.create(file=("spoken.wav", spoken.content), model=MODEL)
    assert "capital" in heard.text.lower()


def spoken_question() -> dict[str, Any]:
    data = base64.b64encode(QUESTION.read_bytes()).decode()
    return {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}]}


def test_a_spoken_conversation(client: OpenAI) -> None:
    spoken: dict[str, Any] = {"modalities": ["text", "audio"], "audio": {"voice": "default", "format": "wav"}}
    messages: list[Any] = [spoken_question()]
    first = client.chat.completions.create(model=MODEL, messages=messages, **spoken).choices[0].message
    assert first.audio is not None
    samples, _ = soundfile.read(io.BytesIO(base64.b64decode(first.audio.data)))
    assert samples.std() > 0.005
    assert "twelve" in first.audio.transcript.lower()
    messages += [{"role": "assistant", "audio": {"id": first.audio.id}}, {"role": "user", "content": "Hello."}]
    second = client.chat.completions.create(model=MODEL, messages=messages).choices[0].message
    assert second.content


async def test_a_spoken_answer_is_streamed(live_server: str) -> None:
    async with AsyncOpenAI(base_url=f"{live_server}/v1", api_key="none", timeout=120) as client:
        stream = await client.chat.completions.create(
            model=MODEL,
            messages=[spoken_question()],
            modalities=["text", "audio"],
            audio={"voice": "default", "format": "pcm16"},
            stream=True,
            extra_body={"reply_language": "zh"},
        )
        audio = [chunk.choices[0].delta.model_dump().get("audio") async for chunk in stream if chunk.choices]
    told = [each for each in audio if each]
    text = "".join(each.get("transcript") or "" for each in told)
    assert any("\u4e00" <= character <= "\u9fff" for character in text), text
    pcm = np.frombuffer(b"".join(base64.b64decode(each["data"]) for each in told if each.get("data")), "<i2")
    assert pcm.size > 12_000 and pcm.std() > 100


def test_an_error_does_not_end_the_conversation(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(input="Hi.", model=MODEL, voice="robot")
    assert caught.value.code == "invalid_value"
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(file=("x.wav", b"nothing"), model=MODEL)
    assert caught.value.code == "audio_unreadable"
    assert client.audio.transcriptions.create(file=QUESTION, model=MODEL).text
