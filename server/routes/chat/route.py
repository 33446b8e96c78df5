"""POST /v1/chat/completions: answers a conversation of written or spoken messages, in text or aloud."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.http import openapi
from server.http.answers import AnswerResponse, AnswerSink, send_turn
from server.http.dependencies import AdmittedDep, resolve_model
from server.http.response_stream import ResponseStream
from server.http.turns import TurnRequest, TurnRunner
from server.http.uploads import read_json
from server.http.validation import validated
from server.http.voices import voice_id
from server.media.decode import Declared, check_speech
from server.media.decoding import Decode
from server.media.encode import OPENAI_PCM_HZ, AudioWriter, open_writer
from server.routes.chat.answers import ChatChunks, ChatDocument
from server.routes.chat.dialogue import Answered, Dialogue, UserMessage, dialogue
from server.routes.chat.messages import ChatRequest, ToolMessageParam, without_neutral
from server.routes.chat.tools import offered
from server.state.loading import ServedModel
from server.state.sessions import session_model
from streaming.errors import InvalidRequest
from streaming.realtime.limits import SessionModel
from streaming.stages import Exchange, Pcm, TurnOptions
from streaming.tools import Tool
from streaming.turn import TurnEvent

MAX_CHARACTERS = 100_000
"""Text of a request, instructions and earlier messages with it."""

router = APIRouter(prefix="/v1")

_USAGE = {
    "prompt_tokens": 58,
    "completion_tokens": 43,
    "total_tokens": 101,
    "prompt_tokens_details": {"audio_tokens": 21, "text_tokens": 37, "cached_tokens": 0},
    "completion_tokens_details": {"audio_tokens": 22, "text_tokens": 21, "reasoning_tokens": 0},
}
_HEAD = {"id": "chatcmpl_5f", "object": "chat.completion.chunk", "created": 1790000000, "model": "cslm-mini"}
_SILENT_WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAgD4AAAB9AAACABAAZGF0YQAAAAA="


def _example(content: Any, **members: Any) -> dict[str, Any]:
    return {"model": "cslm-mini", "messages": [{"role": "user", "content": content}], **members}


_OPENAPI = openapi.route(
    json_body=ChatRequest,
    examples={
        "A typed question": _example("What is two plus three?"),
        "A spoken question with a spoken answer": _example(
            [{"type": "input_audio", "input_audio": {"data": _SILENT_WAV, "format": "wav"}}],
            modalities=["text", "audio"],
            audio={"voice": "default", "format": "wav"},
        ),
        "Chunks as they come": _example(
            "Hello.", modalities=["text", "audio"], audio={"format": "pcm16"}, stream=True, reply_language="zh"
        ),
    },
    answers={
        "application/json": {
            **_HEAD,
            "object": "chat.completion",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": None,
                        "refusal": None,
                        "audio": {
                            "id": "audio_7c",
                            "data": _SILENT_WAV,
                            "expires_at": 1790003600,
                            "transcript": "Two plus three is five.",
                        },
                    },
                    "finish_reason": "stop",
                    "logprobs": None,
                }
            ],
            "usage": _USAGE,
        },
        "text/event-stream": openapi.events(
            {
                **_HEAD,
                "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Two"}, "finish_reason": None}],
            },
            {**_HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            "[DONE]",
        ),
    },
)


@router.post(
    "/chat/completions", summary="Answer a conversation in text, or in text and speech", openapi_extra=_OPENAPI
)
async def completions(request: Request, state: AdmittedDep) -> Response:
    chat = validated(ChatRequest, without_neutral(await read_json(request, state.settings)))
    received_s = time.monotonic()
    model = resolve_model(state, chat.model)
    session_model(model).check_reply_language(chat.reply_language, "reply_language")
    tools, must_call = _offered(chat, session_model(model))
    writer, voice = _spoken(chat, model) or (None, None)
    talk = dialogue(chat.messages, partial(state.spoken.find, state.account), most_turns=model.history_turns)
    _check_length(talk)
    recorded = await state.decoding.run(model.max_question_s, _recordings, talk, model)
    options = TurnOptions(
        reply_language=chat.reply_language,
        instructions=talk.instructions,
        speak=writer is not None,
        voice=voice,
        temperature=chat.temperature,
        top_p=chat.top_p,
        max_tokens=chat.max_completion_tokens or chat.max_tokens,
        tools=tools,
        must_call=must_call,
        calls=talk.calls,
    )
    runner = TurnRunner(state, model, received_s)
    remember = partial(state.spoken.remember, state.account)
    sink: AnswerSink = ChatDocument(model.name, writer, remember)
    if chat.stream:
        usage = chat.stream_options.include_usage
        sink = ChatChunks(model.name, writer, remember, include_usage=usage)

    async def work(stream: ResponseStream) -> None:
        history = [await _exchange(runner, turn, recorded.get(turn.question.param)) for turn in talk.earlier]
        question, pcm = talk.question, recorded.get(talk.question.param)
        text = question.text
        if talk.calls and pcm is not None and not model.stages.prompts.keeps_units:
            # the answer is to what was heard then
            text, pcm = await _words(runner, question, pcm), None
        turn = TurnRequest(options, pcm, text or None, history, f"{question.param}.content")
        await send_turn(runner, turn, sink, stream)

    return AnswerResponse(runner, sink, work)


def _spoken(chat: ChatRequest, model: ServedModel) -> tuple[AudioWriter, str] | None:
    """Encoder and voice of a spoken answer, or None where text alone is wanted. Raises InvalidRequest."""
    if "audio" not in chat.modalities:
        if chat.audio is not None:
            raise InvalidRequest("audio is given, but modalities do not include it", param="audio")
        return None
    if chat.audio is None:
        raise InvalidRequest(
            "modalities include audio, so audio.format is required", code="missing_required_parameter", param="audio"
        )
    voice = session_model(model).voice(voice_id(chat.audio.voice), "audio.voice")
    rate_hz = model.stages.decoder.sample_rate
    writer = open_writer(chat.audio.output_format, rate_hz, pcm_hz=OPENAI_PCM_HZ, whole=not chat.stream)
    return writer, voice


def _offered(chat: ChatRequest, model: SessionModel) -> tuple[tuple[Tool, ...], bool]:
    """What may be called, and whether it must. Raises InvalidRequest as `offered`, and for results of tools."""
    for number, message in enumerate(chat.messages):
        if isinstance(message, ToolMessageParam) and not model.calls_tools:
            raise InvalidRequest(
                f"{model.name} calls no tools; accepted: system, developer, user, assistant",
                code="unsupported_parameter",
                param=f"messages.{number}.role",
            )
    return offered(chat.tools, chat.tool_choice, model)


def _check_length(talk: Dialogue) -> None:
    """Raises InvalidRequest for more text than any context holds: its tokens would be counted while all others wait."""
    if (length := talk.length()) > MAX_CHARACTERS:
        raise InvalidRequest(
            f"the messages have {length:,} characters; accepted: up to {MAX_CHARACTERS:,}",
            code="context_length_exceeded",
            param="messages",
        )


def _recordings(decode: Decode, talk: Dialogue, model: ServedModel) -> dict[str, Pcm]:
    """Recordings of the messages, at 16 kHz, by `param`. Raises InvalidRequest. Slow: call it in a thread."""
    found: dict[str, Pcm] = {}
    for message in (*(turn.question for turn in talk.earlier), talk.question):
        if message.audio is not None:
            try:
                found[message.param] = decode(message.audio, Declared(), max_s=model.max_question_s)
                if message is talk.question:
                    check_speech(found[message.param], model.stages.voice_activity())
            except InvalidRequest as failure:
                failure.param = message.audio_param
                raise
    return found


async def _exchange(runner: TurnRunner, turn: Answered, recorded: Pcm | None) -> Exchange:
    """An earlier turn: in words, or with the units of its recording where the model cannot write down what it hears."""
    if recorded is None:
        return Exchange(turn.question.text, turn.reply, calls=turn.calls)
    if runner.model.stages.prompts.keeps_units:
        return Exchange(turn.question.text, turn.reply, await runner.units(recorded), calls=turn.calls)
    return Exchange(await _words(runner, turn.question, recorded), turn.reply, calls=turn.calls)


async def _words(runner: TurnRunner, message: UserMessage, recorded: Pcm) -> str:
    """A spoken message as text."""
    report = await runner.run(TurnRequest(TurnOptions(task="transcribe", speak=False), recorded), _ignore)
    return " ".join(filter(None, (message.text, report.transcript)))


async def _ignore(event: TurnEvent) -> None:
    """What is heard is read from the report."""
