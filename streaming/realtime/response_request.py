"""What a response answers, and how: from the session's settings, its conversation and the overrides of one response."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from streaming.audio import MODEL_RATE_HZ
from streaming.errors import InvalidRequest
from streaming.realtime import messages as msg
from streaming.realtime.config import SessionConfig
from streaming.realtime.conversation import Conversation, Item
from streaming.realtime.items import check_characters, check_kind
from streaming.realtime.limits import SessionLimits, SessionModel
from streaming.realtime.responses import ResponseRequest
from streaming.realtime.settings import chosen_tools
from streaming.stages import TurnOptions
from streaming.turn import Question


def response_request(
    params: msg.ResponseParams,
    config: SessionConfig,
    model: SessionModel,
    conversation: Conversation,
    limits: SessionLimits,
    new_item: Callable[[msg.ClientItem, str], Item],
) -> ResponseRequest:
    """The request that `params` make. `new_item(shape, param)` makes the items that come with `input`.

    Raises InvalidRequest; the conversation is not changed.
    """
    output = config.audio.output
    if params.audio is not None:
        output = output.updated(params.audio.output)
    context = conversation
    if params.input is not None:
        for at, shape in enumerate(params.input):
            check_kind(model, shape, f"response.input.{at}")
        items = [_input_item(shape, at, conversation, new_item) for at, shape in enumerate(params.input)]
        check_characters(items, limits, "response.input")
        context = Conversation(items)
    voice = model.voice(output.voice, "response.audio.output.voice")
    model.check_reply_language(params.reply_language or config.reply_language, "response.reply_language")
    asked = context.last_question()
    calls = context.calls_for(asked) if asked else ()
    options = replace(_options(params, config, model, context, voice), calls=calls)
    return ResponseRequest(
        asked=asked,
        question=_question(asked, context, params.instructions, called=bool(calls)),
        options=options,
        answer=Item("assistant", spoken=options.speak, status="in_progress"),
        output=output,
        voice=voice,
        max_output_tokens=params.max_output_tokens or config.max_output_tokens,
        metadata=params.metadata,
        conversation_id=conversation.id if params.conversation == "auto" else None,
        transcribe=config.audio.input.transcription is not None and _holds(conversation, asked),
    )


def _question(asked: Item | None, context: Conversation, instructions: str | None, *, called: bool = False) -> Question:
    """What is asked; once it was `called` for, in the words that were heard of it."""
    if asked is None:
        if not instructions:
            raise InvalidRequest(
                "there is nothing to answer: commit audio or create a user message first, or say in `instructions` what "
                "to answer",
                code="nothing_to_answer",
            )
        return Question(text=instructions)
    history = context.history(until=asked)
    typed = context.typed_with(asked)
    if asked.encoding is None:
        return Question(text=typed, history=history)
    if called and asked.text:
        return Question(text=asked.said, history=history)
    return Question(asked.encoding.units(), typed, history, asked.encoding.samples / MODEL_RATE_HZ)


def _options(
    params: msg.ResponseParams, config: SessionConfig, model: SessionModel, context: Conversation, voice: str
) -> TurnOptions:
    modalities = params.output_modalities or config.output_modalities
    limit = params.max_output_tokens or config.max_output_tokens
    instructions = config.instructions if params.instructions is None else params.instructions
    tools = config.tools if params.tools is None else params.tools
    choice = config.tool_choice if params.tool_choice is None else params.tool_choice
    model.check_tools(tools, choice, "response")
    chosen_here = params.tool_choice is not None
    at_hand, must_call = chosen_tools(tools, choice, "response.tool_choice.name" if chosen_here else "response.tools")
    return TurnOptions(
        question_language=_spoken_language(config, model),
        reply_language=params.reply_language or config.reply_language,
        instructions="\n".join(part for part in (instructions, context.instructions()) if part),
        speak="audio" in modalities,
        voice=voice,
        temperature=config.temperature if params.temperature is None else params.temperature,
        max_tokens=limit if isinstance(limit, int) else None,
        apologise=True,
        playout_lead_s=None if config.playout_lead_ms is None else config.playout_lead_ms / 1000,
        tools=at_hand,
        must_call=must_call,
    )


def _spoken_language(config: SessionConfig, model: SessionModel) -> str:
    """What the client says that is spoken. A language that the model does not speak says nothing."""
    transcription = config.audio.input.transcription
    language = transcription.language if transcription else None
    return language if language in model.languages else "auto"


def _input_item(
    shape: msg.InputItem, at: int, conversation: Conversation, new_item: Callable[[msg.ClientItem, str], Item]
) -> Item:
    if isinstance(shape, msg.ItemReference):
        return conversation.get(shape.id, "retrieve", f"response.input.{at}.id")
    return new_item(shape, f"response.input.{at}")


def _holds(conversation: Conversation, item: Item | None) -> bool:
    return item is not None and item in conversation
