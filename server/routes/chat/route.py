"""POST /v1/chat/completions: a conversation whose messages are written or spoken, and an answer that may be spoken too."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response
from starlette.types import Send

from server.errors import validated
from server.http import openapi
from server.http.dependencies import Gateway, admitted
from server.http.turns import AnswerResponse, Ask, Turns
from server.http.uploads import read_json
from server.media.decode import AudioWriter, Declared, check_speech, decode, identify, open_writer
from server.routes.audio.text_to_speech import PCM_HZ, voice_id
from server.routes.chat.answers import ChatAnswer, ChatChunks, ChatDocument
from server.routes.chat.messages import ChatRequest, Dialogue, Said, dialogue, without_neutral
from server.routes.models import the_model
from server.routes.speech.answers import Outgoing
from server.state.loading import ServedModel
from server.state.sessions import session_model
from streaming.errors import InvalidRequest
from streaming.stages import Pcm
from streaming.turn import Exchange, TurnEvent, TurnOptions

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
async def completions(request: Request, gateway: Annotated[Gateway, Depends(admitted)]) -> Response:
    asked = validated(ChatRequest, without_neutral(await read_json(request, gateway.settings)))
    received_s = time.monotonic()
    model = the_model(gateway, asked.model)
    session_model(model).check_reply_language(asked.reply_language, "reply_language")
    writer, voice = _spoken(asked, model) or (None, None)
    talk = dialogue(asked.messages, gateway.spoken)
    _check_length(talk, model)
    recorded = await asyncio.to_thread(_recordings, talk, model)
    options = TurnOptions(
        reply_language=asked.reply_language,
        instructions=talk.instructions,
        speak=writer is not None,
        voice=voice,
        temperature=asked.temperature,
        top_p=asked.top_p,
        max_tokens=asked.max_completion_tokens or asked.max_tokens,
    )

    def opened(send: Send, turn_id: str) -> tuple[Outgoing, ChatAnswer]:
        out = Outgoing(
            send,
            media_type="text/event-stream; charset=utf-8" if asked.stream else "application/json",
            headers={"x-turn-id": turn_id, "x-model": model.name},
            timeout_s=gateway.settings.write_timeout_s,
        )
        if not asked.stream:
            return out, ChatDocument(out, model.name, writer, gateway.spoken)
        usage = asked.stream_options.include_usage
        return out, ChatChunks(out, model.name, writer, gateway.spoken, include_usage=usage)

    async def work(turns: Turns, answer: ChatAnswer) -> None:
        history = [await _exchange(turns, said, recorded.get(said.param), reply) for said, reply in _told(talk, model)]
        ask = Ask(options, recorded.get(talk.question.param), talk.question.text or None, history)
        await answer.finish(await turns.run(ask, answer.write))

    return AnswerResponse(gateway, model, received_s=received_s, open_answer=opened, work=work)


def _spoken(asked: ChatRequest, model: ServedModel) -> tuple[AudioWriter, str] | None:
    """Encoder and voice of a spoken answer, or None where text alone is wanted. Raises InvalidRequest."""
    if "audio" not in asked.modalities:
        if asked.audio is not None:
            raise InvalidRequest("audio is given, but modalities do not ask for it", param="audio")
        return None
    if asked.audio is None:
        raise InvalidRequest(
            "modalities ask for audio; audio.format says which", code="missing_parameter", param="audio"
        )
    voice = session_model(model).voice(voice_id(asked.audio.voice), "audio.voice")
    return open_writer(asked.audio.output_format, model.stages.decoder.sample_rate, pcm_hz=PCM_HZ), voice


def _told(talk: Dialogue, model: ServedModel) -> list[tuple[Said, str]]:
    """The earlier turns that the model is told."""
    return list(talk.earlier[-model.history_turns :]) if model.history_turns else []


def _check_length(talk: Dialogue, model: ServedModel) -> None:
    """Raises InvalidRequest for more text than any context holds: its tokens would be counted while all others wait."""
    told = _told(talk, model)
    texts = [talk.instructions, talk.question.text, *(said.text for said, _ in told), *(reply for _, reply in told)]
    if (length := sum(map(len, texts))) > MAX_CHARACTERS:
        raise InvalidRequest(
            f"the messages have {length:,} characters; at most {MAX_CHARACTERS:,} are read",
            code="context_length_exceeded",
            param="messages",
        )


def _recordings(talk: Dialogue, model: ServedModel) -> dict[str, Pcm]:
    """Recordings of the messages that matter, at 16 kHz. Raises InvalidRequest. Slow: call it in a thread."""
    found: dict[str, Pcm] = {}
    for said in (*(said for said, _ in _told(talk, model)), talk.question):
        if said.audio is not None:
            try:
                found[said.param] = decode(said.audio, identify(said.audio, Declared()), max_s=model.max_question_s)
                if said is talk.question:
                    check_speech(found[said.param], model.stages.voice_activity())
            except InvalidRequest as failure:
                failure.param = f"{said.param}.content.input_audio.data"
                raise
    return found


async def _exchange(turns: Turns, said: Said, recorded: Pcm | None, reply: str) -> Exchange:
    """An earlier turn: in words, or with the units of its recording where the model cannot write down what it hears."""
    if recorded is None:
        return Exchange(said.text, reply)
    if turns.model.stages.prompts.keeps_units:
        return Exchange(said.text, reply, await turns.units(recorded))
    report = await turns.run(Ask(TurnOptions(task="transcribe", speak=False), recorded), _nothing)
    return Exchange(" ".join(filter(None, (said.text, report.transcript))), reply)


async def _nothing(event: TurnEvent) -> None:
    """What is heard is read from the report."""
