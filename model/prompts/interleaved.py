"""Prompts as token ids, and the parser of the answers, in the bundle's own format (see `model.profile`)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from model.profile import Profile
from model.prompts import PromptFormat
from model.prompts.declared import called, declared
from model.prompts.plain_text import PlainText
from model.reading.spoken import Reader
from streaming.errors import BundleError, InvalidRequest
from streaming.interleave import AnswerParser, Detokenizer, InterleaveParser, Markers
from streaming.sentences import sentences
from streaming.spoken import SpokenForm
from streaming.stages import Exchange, Sampling, Task, TurnOptions
from streaming.telling import told
from streaming.tools import ToolCall

Piece = str | int
"""Plain text, or the id of a control token."""

_SHORT_CHARACTERS = 4_000
_LONG_TEXTS = ThreadPoolExecutor(1, thread_name_prefix="long texts")
"""Where long texts are read, one after the other: they take seconds, for which short ones do not wait."""

_UNITS = -1
_CONTROL_TOKEN = re.compile(r"<\|[^|\s]+\|>")


class Prompts:
    """Writes prompts and reads answers. Only the bundle's templates may name control tokens; text of users never can."""

    _unlearned: Mapping[Task, str] = {"translate": "translate speech", "read": "read text aloud"}
    """What a model cannot do unless its profile has a wording for it."""

    @property
    def keeps_units(self) -> bool:
        """Whether earlier spoken questions are passed as units. They are not: the model writes transcripts."""
        return False

    def __init__(self, profile: Profile, lm_directory: Path) -> None:
        self._profile = profile
        try:
            self._plain = PlainText.load(lm_directory)
            self._tokenizer = Tokenizer.from_file(str(lm_directory / "tokenizer.json"))
        except Exception as error:
            raise BundleError(f"{lm_directory / 'tokenizer.json'} cannot be read: {error}") from error
        names = profile.tokens
        self._unit_ids = [self._id(names.unit.format(index=unit)) for unit in range(profile.n_units)]
        self._unit_of = {token: unit for unit, token in enumerate(self._unit_ids)}
        known = [name for name in profile.optional_stop_tokens if name in self._plain.names()]
        self._stop_ids = tuple(self._id(name) for name in (*profile.stop_tokens, *known))
        self._enough = self._read_markers()
        self._control = re.compile("|".join(re.escape(name) for name in self._template_tokens()))
        self._check_control_tokens()
        self._reader = Reader(profile.languages, lambda word: len(self._plain.encode(f" {word}")))

    def _read_markers(self) -> Mapping[Task, tuple[int, ...]]:
        """Learn the ids by which answers are read. Returns those behind which, whatever the wording, a task needs nothing more."""
        names = self._profile.tokens
        if names.question is None or names.answer is None:
            raise BundleError(
                f"{self._profile.name}: interleaved answers have tokens.question and tokens.answer", param="tokens"
            )
        self._markers = Markers(
            question=self._id(names.question),
            answer=self._id(names.answer),
            speech_start=self._id(names.speech_start),
            speech_end=self._id(names.speech_end),
        )
        return {"transcribe": (self._markers.answer,), "read": (self._markers.speech_end,)}

    def speech_prompt(
        self, options: TurnOptions, history: Sequence[Exchange], text: str = ""
    ) -> tuple[list[int], list[int]]:
        """Ids before and after the units of a spoken question; `text` was typed beside it and stands before the units."""
        before, after = self._profile.speech_input.split("{units}")
        typed: list[Piece] = [text, " "] if text else []
        ids = self._render([*typed, *self._pieces(before), _UNITS, *self._pieces(after)], options, history)
        at = ids.index(_UNITS)
        return ids[:at], ids[at + 1 :]

    def text_prompt(self, text: str, options: TurnOptions, history: Sequence[Exchange]) -> list[int]:
        """Ids of a typed question, or of a text to read. Markers written in `text` stay text."""
        return self._render([text], options, history)

    def opening(self, options: TurnOptions) -> list[int]:
        """The marker that the prompt ends with, where the answer lacks it."""
        if options.calls and (mark := self.answer_mark()) is not None:
            return [mark]
        if options.task not in self._profile.tasks:
            return []
        wording, names = self._wording(options), self._profile.tokens
        return [self._id(n) for n in (names.question, names.answer, names.speech_start) if n and wording.endswith(n)]

    async def spoken_form(self, text: str, options: TurnOptions) -> SpokenForm:
        """`text` in words, for the tasks of `spoken_tasks`; as it stands for the others."""
        if options.task not in self._profile.spoken_tasks:
            return SpokenForm(text)
        lane = _LONG_TEXTS if len(text) > _SHORT_CHARACTERS else None
        return await asyncio.get_running_loop().run_in_executor(lane, self._reader.spoken, text)

    def sorry(self, language: str) -> str:
        """What is said aloud in `language` where there is no answer."""
        return self._profile.sorry.get(language, "") if "read" in self._profile.tasks else ""

    def sentences(self, text: str) -> list[str]:
        """What of `text` is read aloud at a time."""
        return sentences(text, self._profile.read_columns)

    def pause(self) -> list[int]:
        """Ids of the silence between two sentences read aloud; none where the bundle names no unit for it."""
        unit, names = self._profile.pause_unit, self._profile.tokens
        return [] if unit is None else [self._id(names.speech_start), self._unit_ids[unit], self._id(names.speech_end)]

    def call_opening(self) -> list[int]:
        """What a call of a tool begins with, its first id the mark of one; nothing where the profile has no format of calls."""
        shape = self._profile.prompt.tools
        return self._encoded(self._pieces(shape.call.partition("{content}")[0])) if shape else []

    def answer_mark(self) -> int | None:
        """The id behind which an answer follows."""
        name = self._profile.tokens.answer
        return None if name is None else self._id(name)

    def text_ids(self, text: str) -> list[int]:
        """Ids of plain text."""
        return self._plain.encode(text)

    def text_decoder(self) -> Detokenizer:
        """A decoder of one run of text."""
        return self._detokenizer()

    def unit_ids(self, units: Sequence[int]) -> list[int]:
        """Token ids of speech units."""
        return [self._unit_ids[unit] for unit in units]

    def sampling(self, options: TurnOptions, prompt_tokens: int) -> Sampling:
        """The bundle's sampling with the asker's overrides. Raises InvalidRequest naming what is out of range."""
        defaults, limit = self._profile.sampling, self._profile.max_model_len
        room = limit - prompt_tokens
        if room < 1:
            raise InvalidRequest(
                f"the question has {prompt_tokens} tokens; the limit of {self._profile.name} is {limit}",
                code="context_length_exceeded",
            )
        temperature = defaults.temperature if options.temperature is None else options.temperature
        top_p = defaults.top_p if options.top_p is None else options.top_p
        wanted = defaults.max_new_tokens if options.max_tokens is None else options.max_tokens
        if not 0 <= temperature <= 2:
            raise InvalidRequest(f"temperature is {temperature}; accepted: 0 to 2", param="temperature")
        if not 0 < top_p <= 1:
            raise InvalidRequest(f"top_p is {top_p}; accepted: above 0, up to 1", param="top_p")
        if wanted < 1:
            raise InvalidRequest(f"max_tokens is {wanted}; accepted: 1 or more", param="max_tokens")
        most = min(wanted, room, defaults.max_new_tokens)
        return Sampling(
            temperature, top_p, defaults.top_k, most, (*self._stop_ids, *self._enough.get(options.task, ()))
        )

    def parser(self) -> AnswerParser:
        """A parser for one answer."""
        return InterleaveParser(self._markers, self._unit_of, self._detokenizer)

    def _detokenizer(self) -> Detokenizer:
        stream = DecodeStream(skip_special_tokens=True)
        return lambda token: stream.step(self._tokenizer, token) or ""

    def _render(self, content: list[Piece], options: TurnOptions, history: Sequence[Exchange]) -> list[int]:
        profile, shape, wording = self._profile, self._profile.prompt, self._wording(options)
        if wording.startswith(profile.tokens.bos):
            return self._encoded(self._filled(wording, "{input}", content))
        pieces = self._pieces(profile.tokens.bos) * shape.bos_count
        always = shape.system.get("speech" if _UNITS in content else "text", "")
        instructions = options.instructions if profile.supports_instructions else ""
        tools = shape.tools.declared.format(tools=declared(options.tools)) if shape.tools and options.tools else ""
        if shape.system_turn and (system := "\n".join(filter(None, (always, instructions, tools)))):
            pieces += self._filled(shape.system_turn, "{content}", [system])
        earlier = [(asked, exchange) for exchange in history if (asked := self._asked(exchange))]
        for asked, exchange in told(earlier, profile.history_turns):
            pieces += self._filled(shape.user_turn, "{content}", asked) + self._calls(exchange.calls)
            pieces += self._filled(shape.assistant_turn, "{content}", [exchange.answer])
        pieces += self._filled(shape.user_turn, "{content}", self._filled(wording, "{input}", content))
        pieces += self._calls(options.calls) + self._pieces(shape.generation_prompt)
        return self._encoded(pieces) + (self.opening(options) if options.calls else [])

    def _calls(self, calls: Sequence[ToolCall]) -> list[Piece]:
        """Calls and what came of them; nothing where the model knows no tools."""
        shape = self._profile.prompt.tools
        if shape is None:
            return []
        pieces = list[Piece]()
        for call in calls:
            pieces += self._filled(shape.call, "{content}", [called(call)])
            pieces += self._filled(shape.result, "{content}", [call.output or ""])
        return pieces

    def _asked(self, exchange: Exchange) -> list[Piece]:
        """The question of an earlier turn; nothing where the model cannot be told it."""
        return [exchange.question] if exchange.question else []

    def _wording(self, options: TurnOptions) -> str:
        task = self._profile.tasks.get(options.task)
        if task is not None:
            return self._task_wording(task, options)
        if options.task in self._unlearned:
            raise InvalidRequest(
                f"{self._profile.name} was not trained to {self._unlearned[options.task]}",
                code="unsupported_task",
                param="task",
            )
        wordings = self._profile.templates.get(options.reply_language)
        if wordings is None:
            accepted = ", ".join(self._profile.templates)
            raise InvalidRequest(
                f"{self._profile.name} cannot reply in {options.reply_language!r}; accepted: {accepted}",
                param="reply_language",
            )
        suffix = self._profile.full_chain_suffix if options.schedule == "full_chain" else ""
        return (wordings.get(options.question_language) or wordings["default"]) + suffix

    def _task_wording(self, wordings: Mapping[str, str], options: TurnOptions) -> str:
        wording = wordings.get(options.reply_language) or wordings.get("default")
        if wording is None:
            raise InvalidRequest(
                f"{self._profile.name} cannot {options.task} into {options.reply_language!r}; "
                f"accepted: {', '.join(wordings)}",
                param="reply_language",
            )
        return wording

    def _filled(self, template: str, field: str, value: Sequence[Piece]) -> list[Piece]:
        before, after = template.split(field)
        return [*self._pieces(before), *value, *self._pieces(after)]

    def _pieces(self, template: str) -> list[Piece]:
        """A trusted template: its control tokens as ids, the rest as text."""
        pieces: list[Piece] = []
        at = 0
        for found in self._control.finditer(template):
            pieces += [template[at : found.start()], self._plain.token(found.group())]
            at = found.end()
        return [*pieces, template[at:]]

    def _encoded(self, pieces: list[Piece]) -> list[int]:
        ids: list[int] = []
        text = ""
        for piece in [*pieces, None]:
            if isinstance(piece, str):
                text += piece
                continue
            if text:
                ids += self._plain.encode(text)
                text = ""
            if piece is not None:
                ids.append(piece)
        return ids

    def _template_tokens(self) -> list[str]:
        """Control tokens that the templates use: all added tokens but the units, longest first."""
        units = {self._profile.tokens.unit.format(index=unit) for unit in range(self._profile.n_units)}
        return sorted(self._plain.names() - units, key=len, reverse=True)

    def _check_control_tokens(self) -> None:
        """A control token that the tokenizer lacks would reach the model spelled out as text."""
        shape = self._profile.prompt
        lost = [piece for piece in self._pieces(self._profile.tokens.bos) if isinstance(piece, str) and piece]
        turns = (shape.system_turn or "", shape.user_turn, shape.assistant_turn, shape.generation_prompt)
        for template in (self._profile.speech_input, *turns):
            for piece in self._pieces(template):
                lost += _CONTROL_TOKEN.findall(piece) if isinstance(piece, str) else []
        for name in lost:
            self._id(name)

    def _id(self, name: str) -> int:
        try:
            return self._plain.token(name)
        except KeyError:
            raise BundleError(
                f"the tokenizer of {self._profile.name} has no token {name}", code="wrong_text_tokenizer", param=name
            ) from None


KIND: PromptFormat = Prompts
