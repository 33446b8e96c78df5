"""Documents of a bundle that continues a text model, composed as they are needed, in the very prompts that serve it.

Speech is never needed: what is heard are the units of a text through the noise model, what is said its clean units. Pairs of units and text
come bare, without a chat around them: most of what there is to learn, for the fewest tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

from model.profile import Profile
from model.prompts.interleaved import Prompts
from model.prompts.plain_text import PlainText
from model.training.backbone.calling import Called, called, lacking, some_tools
from model.training.backbone.instructed import instructed
from model.training.backbone.known import everyday, refusal_of, refused
from model.training.backbone.talks import talked
from model.training.backbone.texts import Spoken, Texts, has_scored_sentence
from model.training.domains import LANGS, Lang, draw, interpret
from model.training.domains import Exchange as DomainExchange
from model.training.lm_data import TEXT_WEIGHT, UNIT_WEIGHT, answer_units, spoken_units
from model.training.noise import UnitNoise
from model.training.segments import segments
from model.training.shards import Document
from streaming.stages import Exchange, TurnOptions
from streaming.tools import Tool

Mixture = Mapping[str, float]
"""Share of each kind of document: `hear` (units, then text), `say` (text, then units), `answer` (a spoken question), `understand` (the
same up to where the answer is spoken), `type` (a typed question), `interpret`, `chat` (written question and answer, as the base knows them:
against forgetting), `call` (a question with tools at hand)."""

KINDS = ("hear", "say", "answer", "understand", "type", "interpret", "chat", "call")
IN_WRITING = "Answer in writing only."
TOOL_SHARES: Mixture = {"called": 0.45, "result": 0.21, "unneeded": 0.2, "lacking": 0.14}
"""Of the questions with tools at hand."""
TYPED_WITH_TOOLS = 0.3
FULL_CHAIN = 0.05
"""Share of the answers whose text comes before all of their speech, as it is asked for then."""
ASSISTANTS: Mapping[Lang, tuple[str, ...]] = {
    "en": (
        "You are a helpful assistant.",
        "You are a voice assistant. Use the tools.",
        "Help the user with the tools you have.",
    ),
    "zh": ("你是一个语音助手。", "你是乐于助人的助手。", "请用工具帮助用户。"),
}
MADE_SHARES: Mixture = {"domains": 0.42, "everyday": 0.18, "talked": 0.17, "instructed": 0.15, "refused": 0.08}
"""Of the exchanges that are composed: worlds, open questions, conversations, instructions, what cannot be known."""
DOMAIN_SHARES: Mixture = {
    "talk": 0.18, "facts": 0.14, "stories": 0.03, "sums": 0.14, "counting": 0.06, "comparing": 0.04, "calendar": 0.04, "capitals": 0.08, "colours": 0.03,
    "opposites": 0.04, "times": 0.08, "spelling": 0.02, "follow_up": 0.06, "repeat": 0.06,
}  # fmt: skip
"""Of the exchanges that are composed; `unknown` is not there: this model answers anything."""


class Composer:
    """Draws texts and writes them as documents. `composed`: share of questions that come from `domains` where there are exchanges too."""

    def __init__(
        self, profile: Profile, lm_directory: Path, texts: Texts, noise: UnitNoise, composed: float = 0.4
    ) -> None:
        self.texts, self.noise, self.composed = texts, noise, composed
        self._prompts = Prompts(profile, lm_directory)
        self._text = PlainText.load(lm_directory)
        self._unit_of = {token: unit for unit, token in enumerate(self._prompts.unit_ids(range(profile.n_units)))}
        names = profile.tokens
        self.question, self.answer = (self._text.token(str(name)) for name in (names.question, names.answer))
        self.speech_start, self.speech_end = self._text.token(names.speech_start), self._text.token(names.speech_end)
        self.bos, self.end_of_turn = self._text.token(names.bos), self._text.token(profile.stop_tokens[0])

    def document(self, rng: Random, mixture: Mixture, *, candidates: int = 1) -> Document:
        """One document; of sentences to hear the shortest of `candidates`, so that learning can begin with easy ones."""
        kind = rng.choices(list(mixture), list(mixture.values()))[0]
        lang = rng.choice(LANGS)
        if kind in ("hear", "say"):
            sentence = min((self._sentence(rng, lang) for _ in range(candidates)), key=len)
            return self.heard(sentence, rng) if kind == "hear" else self.said(sentence)
        if kind == "interpret":
            return self._interpreted(rng, lang)
        if kind == "chat":
            return self.chat(self._exchange(rng, lang))
        if kind == "call":
            return self._with_tools(rng, lang)
        full_chain = rng.random() < FULL_CHAIN
        document = self.turn(self._exchange(rng, lang), rng, typed=kind == "type", full_chain=full_chain)
        return document.until(self.speech_start) if kind == "understand" else document

    def heard_prompt(self, units: list[int]) -> list[int]:
        """Ids in front of a transcript that nothing else was asked for."""
        head, tail = self._prompts.speech_prompt(TurnOptions(task="transcribe"), ())
        return [*head, *self._prompts.unit_ids(units), *tail]

    def said_prompt(self, sentence: str) -> list[int]:
        """Ids in front of the units of `sentence`."""
        return self._prompts.text_prompt(sentence, TurnOptions(task="read"), ())

    @property
    def first_unit(self) -> int:
        """The token of unit 0; all below are the base's."""
        return min(self._unit_of)

    def text_of(self, ids: list[int]) -> str:
        """What is written in `ids`, without control tokens and the marks around a transcript."""
        text = self._text.decode([token for token in ids if token < self._text.size])
        return text.removeprefix(":").removesuffix("; ").strip()

    def units_of(self, ids: list[int]) -> list[int]:
        """Units among `ids`."""
        return [self._unit_of[token] for token in ids if token in self._unit_of]

    def heard(self, sentence: str, rng: Random) -> Document:
        """Noisy units, then text."""
        document = Document()
        document.add(self.heard_prompt(self.noise.hear(rng, list(spoken_units(sentence)))), 0)
        document.add([self.question, *self._text.encode(f": {sentence}; "), self.answer], TEXT_WEIGHT)
        return document

    def said(self, sentence: str) -> Document:
        """Text, then its units."""
        document = Document()
        document.add(self.said_prompt(sentence), 0)
        document.add([*self._prompts.unit_ids(spoken_units(sentence)), self.speech_end, self.end_of_turn], UNIT_WEIGHT)
        return document

    def turn(
        self,
        spoken: Spoken,
        rng: Random,
        *,
        typed: bool = False,
        task: str = "answer",
        tools: tuple[Tool, ...] = (),
        full_chain: bool = False,
    ) -> Document:
        """A question, and its answer piece by piece in text and speech, or all of it in text before all of it in speech."""
        options = TurnOptions(
            task=task,  # type: ignore[arg-type]
            reply_language=spoken.reply_language,  # type: ignore[arg-type]
            instructions=spoken.instructions,
            tools=tools,
            schedule="full_chain" if full_chain else "interleaved",
        )
        document = self._asked(spoken.question, spoken.before, options, rng, typed=typed)
        document.add([self.answer], TEXT_WEIGHT)
        return self._answered(document, [spoken.answer] if full_chain else segments(spoken.answer))

    def call(self, called: Called, rng: Random, *, typed: bool = False, instructions: str = "") -> Document:
        """A question, and the call of a tool in place of an answer."""
        assert called.call is not None
        options = TurnOptions(tools=called.tools, instructions=instructions)
        document = self._asked(called.question, called.before, options, rng, typed=typed)
        document.add(self._prompts.call_opening(), TEXT_WEIGHT)
        for text in (f"{called.call.name} ", called.call.arguments):  # apart, as they are asked for
            document.add(self._text.encode(text), TEXT_WEIGHT)
        document.add([self.end_of_turn], TEXT_WEIGHT)
        return document

    def result(self, called: Called, instructions: str = "") -> Document:
        """The answer to a question whose call has been answered."""
        assert called.call is not None
        options = TurnOptions(tools=called.tools, instructions=instructions, calls=(called.call,))
        history = [Exchange(asked, told) for asked, told in called.before]
        document = Document()
        document.add(self._prompts.text_prompt(called.question, options, history), 0)
        return self._answered(document, segments(called.answer))

    def _asked(
        self, question: str, before: tuple[tuple[str, str], ...], options: TurnOptions, rng: Random, *, typed: bool
    ) -> Document:
        """The prompt of a question, and its transcript."""
        history = [Exchange(asked, told) for asked, told in before]
        document = Document()
        if typed:
            document.add(self._prompts.text_prompt(question, options, history), 0)
        else:
            head, tail = self._prompts.speech_prompt(options, history)
            heard = self.noise.hear(rng, list(spoken_units(question)))
            document.add([*head, *self._prompts.unit_ids(heard), *tail], 0)
        document.add([self.question, *self._text.encode(f": {question}; ")], TEXT_WEIGHT)
        return document

    def _answered(self, document: Document, pieces: list[str]) -> Document:
        """`document` with an answer in pieces, each in text and in speech."""
        for at, piece in enumerate(pieces):
            document.add([*self._text.encode((": " if at == 0 else "") + piece), self.speech_start], TEXT_WEIGHT)
            units = answer_units(piece, last=at == len(pieces) - 1)
            document.add([*self._prompts.unit_ids(units), self.speech_end], UNIT_WEIGHT)
        document.add([self.end_of_turn], TEXT_WEIGHT)
        return document

    def _with_tools(self, rng: Random, lang: Lang) -> Document:
        """A question with tools at hand: one is called, or its result told, or lacks an argument, or none is needed."""
        if not self._prompts.call_opening():
            raise ValueError("the profile has no prompt.tools, the format that calls are trained in")
        shape = rng.choices(list(TOOL_SHARES), list(TOOL_SHARES.values()))[0]
        typed = rng.random() < TYPED_WITH_TOOLS
        if shape == "unneeded":
            while refusal_of((spoken := self._exchange(rng, lang)).question):
                pass  # what is refused without tools may be what one of them does
            return self.turn(spoken, rng, typed=typed, tools=some_tools(rng, lang))
        if shape == "lacking":
            lacks = lacking(rng, lang)
            return self.turn(Spoken(lacks.question, lacks.answer), rng, typed=typed, tools=lacks.tools)
        instructions = rng.choice(ASSISTANTS[rng.choice(LANGS)]) if rng.random() < 0.3 else ""
        if shape == "called":
            return self.call(called(rng, lang), rng, typed=typed, instructions=instructions)
        return self.result(called(rng, lang), instructions)

    def chat(self, spoken: Spoken) -> Document:
        """A question and its answer in writing alone, without the marks of speech; an instruction of its own tells it from `type`."""
        instructions = f"{IN_WRITING} {spoken.instructions}".strip()
        options = TurnOptions(reply_language=spoken.reply_language, instructions=instructions)  # type: ignore[arg-type]
        history = [Exchange(asked, told) for asked, told in spoken.before]
        document = Document()
        document.add(self._prompts.text_prompt(spoken.question, options, history), 0)
        document.add([*self._text.encode(spoken.answer), self.end_of_turn], TEXT_WEIGHT)
        return document

    def _sentence(self, rng: Random, lang: Lang) -> str:
        if self.texts.files[lang] and rng.random() >= self.composed / 2:
            return self.texts.sentence(rng, lang)
        return self._composed(rng, lang).question

    def _exchange(self, rng: Random, lang: Lang) -> Spoken:
        known = self.texts.exchanges[lang]
        return self._made(rng, lang) if not known or rng.random() < self.composed else rng.choice(known)

    def _made(self, rng: Random, lang: Lang) -> Spoken:
        """One that is composed and so answered rightly, of what `MADE_SHARES` names."""
        make: Mapping[str, Callable[[], Spoken]] = {
            "domains": lambda: self._composed(rng, lang),
            "everyday": lambda: everyday(rng, lang),
            "talked": lambda: talked(rng, lang),
            "instructed": lambda: instructed(rng, lang).spoken,
            "refused": lambda: refused(rng, lang),
        }
        while True:
            spoken = make[rng.choices(list(MADE_SHARES), list(MADE_SHARES.values()))[0]]()
            if not any(map(has_scored_sentence, spoken.questions)):
                return spoken

    def _composed(self, rng: Random, lang: Lang) -> Spoken:
        while True:
            exchange = draw(rng, rng.choices(list(DOMAIN_SHARES), list(DOMAIN_SHARES.values()))[0])
            if exchange.question_lang == lang and not _is_scored(exchange):
                break
        same = exchange.question_lang == exchange.answer_lang
        free = exchange.names_language or same
        wanted = "auto" if free and rng.random() < 0.8 else exchange.answer_lang
        before = () if exchange.before is None else (exchange.before,)
        return Spoken(exchange.question, exchange.answer, before, reply_language=wanted)

    def _interpreted(self, rng: Random, lang: Lang) -> Document:
        while _is_scored(exchange := interpret(rng, lang, "zh" if lang == "en" else "en")):
            pass
        spoken = Spoken(exchange.question, exchange.answer, reply_language=exchange.answer_lang)
        return self.turn(spoken, rng, task="translate").until(self.speech_start)


def _is_scored(exchange: DomainExchange) -> bool:
    return has_scored_sentence(exchange.question) or has_scored_sentence(exchange.answer)
