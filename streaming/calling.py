"""How a model calls a tool: an answer that turns into a call is left, and the call is asked for piece by piece.

First the name, among those declared; then the arguments, in the tool's schema. An engine that can constrain what is written lets
nothing else be written; of another, what was written is looked at afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from streaming.stages import Constraint, LanguageModel, PromptWriter, Stages, TurnOptions
from streaming.tools import ArgumentsDelta, CallBegun, Tool, ToolCall, fits

_NAME_TOKENS = 64


@dataclass(frozen=True, slots=True)
class WrittenCall:
    """`tokens`: of its name and arguments; `cut_off`: the arguments met the limit of tokens."""

    call: ToolCall
    tokens: int
    cut_off: bool


class CallWatch:
    """Lets ids of an answer pass until it turns into a call, by the mark of one; with `must_call`, at the latest before the answer.

    `written`: what passed; `calls`: a call is to be asked for behind it. Any split of the ids lets the same through.
    """

    def __init__(self, options: TurnOptions, opening: Sequence[int], answer: int | None) -> None:
        wanted = bool(options.tools) and not options.calls
        self._mark = opening[0] if wanted and opening else None
        self._answer, self._must_call = answer, options.must_call
        self.written: list[int] = []
        self.calls = False

    def passed(self, ids: Sequence[int]) -> list[int]:
        """Those of the next ids that are part of the answer."""
        if self.calls:
            return []
        for at, token in enumerate(ids):
            if self._mark is None:
                break
            if token == self._answer and not self._must_call:
                self._mark = None  # it answers, and calls nothing any more
            elif token in (self._mark, self._answer):
                self.calls, ids = True, ids[:at]
                break
        self.written += ids
        return list(ids)

    def ended(self) -> None:
        """The model has written all. Where it had to call and did not, it calls now."""
        self.calls = self.calls or (self._mark is not None and self._must_call)


async def write_call(
    stages: Stages,
    prompt: Sequence[int],
    options: TurnOptions,
    emit: Callable[[CallBegun | ArgumentsDelta], Awaitable[None]],
) -> WrittenCall | None:
    """The call that the model makes behind `prompt`, told as it is written. None where it names no tool."""
    lm, prompts, tools = stages.lm, stages.prompts, {tool.name: tool for tool in options.tools}
    ids = [*prompt, *prompts.call_opening()]
    name = next(iter(tools)) if len(tools) == 1 else await _named(lm, prompts, ids, options)
    if name not in tools:
        return None
    await emit(CallBegun(name))
    named = prompts.text_ids(f"{name} ")
    ids += named
    schema = Constraint(schema=json.dumps(schema_of(tools[name])))
    sampling = replace(prompts.sampling(options, len(ids)), temperature=0.0, constraint=schema)
    arguments, tokens, decode = "", 0, prompts.text_decoder()
    async with aclosing(lm.generate(ids, sampling)) as written:
        async for fresh in written:
            tokens += len(fresh)
            if text := "".join(map(decode, fresh)):
                arguments += text
                await emit(ArgumentsDelta(text))
    return WrittenCall(ToolCall(name, arguments), len(named) + tokens, cut_off=tokens >= sampling.max_tokens)


async def _named(lm: LanguageModel, prompts: PromptWriter, prompt: Sequence[int], options: TurnOptions) -> str:
    """The name that the model writes, which a space ends."""
    names = Constraint(choices=tuple(f"{tool.name} " for tool in options.tools))
    sampling = replace(prompts.sampling(options, len(prompt)), temperature=0.0, constraint=names)
    sampling = replace(sampling, max_tokens=min(sampling.max_tokens, _NAME_TOKENS))
    text, decode = "", prompts.text_decoder()
    async with aclosing(lm.generate(prompt, sampling)) as written:
        async for fresh in written:
            text += "".join(map(decode, fresh))
            if " " in text:
                break
    return text.partition(" ")[0]


def schema_of(tool: Tool) -> dict[str, object]:
    """JSON Schema of the arguments: an object, with no parameter that was not declared unless the tool says so."""
    return {"type": "object", "properties": {}, "additionalProperties": False, **tool.parameters}


def follows(tools: Iterable[Tool], call: ToolCall) -> bool:
    """Whether a call is what the tool of its name takes."""
    return any(tool.name == call.name and fits(schema_of(tool), call.arguments) for tool in tools)
