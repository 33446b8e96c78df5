"""Renders training documents for any bundle, in the prompts that serve it: token ids, and which of them are learned.

The kinds are those of arXiv 2604.11096, section 3: recognition, synthesis, translation and text instructions for the continual
pre-training; spoken questions and answers for the fine-tuning, interleaved, full chain, or without the transcript of the question.
A prompt is never learned; all of a reply is. The caller provides the units, from recordings or from text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal, cast

from model.profile import Profile
from model.prompts.interleaved import Prompts
from model.prompts.plain_text import PlainText
from model.training.g2p import merge
from model.training.shards import Document
from streaming.stages import Exchange, TurnOptions

Variant = Literal["interleaved", "full_chain", "no_tq"]
VARIANTS: tuple[Variant, ...] = ("interleaved", "full_chain", "no_tq")

WORDINGS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "asr": {
        "en": (
            "Please transcribe the speech into text. This is input: {input}.",
            "Write down what is said here: {input}",
            "What does the speaker say? {input}",
            "Convert this speech to text. {input}",
            "Listen, and give the words: {input}",
        ),
        "zh": (
            "请将这段语音转写成文字。 这是输入: {input}。",
            "请写下这段话：{input}",
            "说话人说了什么？{input}",
            "把下面的语音转换成文字：{input}",
            "听写：{input}",
        ),
    },
    "tts": {
        "en": (
            "Please convert the text into speech. This is input: {input}",
            "Read this aloud: {input}",
            "Say the following text. {input}",
            "How does this sound when it is spoken? {input}",
            "Speak: {input}",
        ),
        "zh": (
            "请将这段文字转换成语音。 这是输入: {input}",
            "请朗读：{input}",
            "把下面的文字读出来：{input}",
            "这句话怎么念？{input}",
            "请说：{input}",
        ),
    },
    "mt": {
        "en": (
            "Please translate the text into English. This is input: {input}",
            "How is this said in English? {input}",
            "Give the English for: {input}",
            "Translate to English: {input}",
        ),
        "zh": (
            "请把这段文字翻译成中文。 这是输入: {input}",
            "这句话用中文怎么说？{input}",
            "给出中文译文：{input}",
            "翻译成中文：{input}",
        ),
    },
    "text": {"any": ("{input}",)},
}
"""How the tasks of pre-training are asked for, by the language of the text (`mt`: of the translation); one is drawn for each row."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Some words of an answer and their units; the next segment's text brings its own space."""

    text: str
    units: Sequence[int]


class Scribe:
    """Writes documents in the format of one bundle."""

    def __init__(self, profile: Profile, lm_directory: Path) -> None:
        self.profile = profile
        self._text = PlainText.load(lm_directory)
        self._names: dict[str, str] = {}
        asked = [w for by_language in WORDINGS.values() for wordings in by_language.values() for w in wordings]
        asked += [w for by_question in profile.templates.values() for w in by_question.values()]
        self._names = {wording: f"wording {number}" for number, wording in enumerate(dict.fromkeys(asked))}
        templates = {name: {"default": wording} for wording, name in self._names.items()}
        self._prompts = Prompts(
            profile.model_copy(update={"templates": templates, "history_turns": max(1, profile.history_turns)}),
            lm_directory,
        )
        names = profile.tokens
        self._question, self._answer, self._start, self._end = (
            self._text.token(name) for name in (names.question, names.answer, names.speech_start, names.speech_end)
        )
        self._end_of_turn = self._text.token(profile.prompt.assistant_turn.split("{content}")[1])

    # --- continual pre-training

    def recognition(self, rng: Random, units: Sequence[int], text: str, language: str) -> Document:
        """ASR: speech in, text out."""
        return self._document(self._spoken(self._wording(rng, "asr", language), units), self._text.encode(text))

    def synthesis(self, rng: Random, text: str, units: Sequence[int], language: str) -> Document:
        """TTS: text in, speech out."""
        return self._document(self._written(self._wording(rng, "tts", language), text), self._speech(units))

    def translation(self, rng: Random, text: str, meant: str, language: str) -> Document:
        """MT: text in, text in `language` out."""
        return self._document(self._written(self._wording(rng, "mt", language), text), self._text.encode(meant))

    def instruction(self, rng: Random, text: str, answer: str) -> Document:
        """Text in, text out, as it stands."""
        return self._document(self._written(self._wording(rng, "text", "any"), text), self._text.encode(answer))

    # --- fine-tuning

    def turn(
        self,
        question: Sequence[int] | str,
        transcript: str,
        answer: Sequence[Segment],
        direction: tuple[str, str],
        *,
        variant: Variant = "interleaved",
        before: Sequence[tuple[str, str]] = (),
    ) -> Document:
        """A spoken question (units) or a typed one, and its answer in text and speech; `direction`: languages of both."""
        wording = self._profile_wording(direction)
        options = self._options(wording, full_chain=variant == "full_chain")
        history = [Exchange(asked, told) for asked, told in before]
        if isinstance(question, str):
            prompt = self._prompts.text_prompt(question, options, history)
        else:
            head, tail = self._prompts.speech_prompt(options, history)
            prompt = [*head, *self._prompts.unit_ids(merge(question)), *tail]
        reply = [] if variant == "no_tq" else [self._question, *self._text.encode(f": {transcript}; ")]
        reply.append(self._answer)
        for at, segment in enumerate(_chained(answer) if variant == "full_chain" else answer):
            reply += [*self._text.encode((": " if at == 0 else "") + segment.text), *self._speech(segment.units)]
        return self._document(prompt, reply)

    def _profile_wording(self, direction: tuple[str, str]) -> str:
        asked, wanted = direction
        by_question = self.profile.templates.get(wanted)
        if by_question is None:
            accepted = ", ".join(self.profile.templates)
            raise ValueError(f"{self.profile.name} has no wording for answers in {wanted!r}; accepted: {accepted}")
        return by_question.get(asked) or by_question["default"]

    def _wording(self, rng: Random, task: str, language: str) -> str:
        by_language = WORDINGS[task]
        if language not in by_language:
            raise ValueError(f"task {task} has no wording in {language!r}; accepted: {', '.join(by_language)}")
        return rng.choice(by_language[language])

    def _options(self, wording: str, *, full_chain: bool = False) -> TurnOptions:
        schedule: Any = "full_chain" if full_chain else "interleaved"
        return TurnOptions(reply_language=cast(Any, self._names[wording]), schedule=schedule)

    def _spoken(self, wording: str, units: Sequence[int]) -> list[int]:
        head, tail = self._prompts.speech_prompt(self._options(wording), ())
        return [*head, *self._prompts.unit_ids(merge(units)), *tail]

    def _written(self, wording: str, text: str) -> list[int]:
        return self._prompts.text_prompt(text, self._options(wording), ())

    def _speech(self, units: Sequence[int]) -> list[int]:
        return [self._start, *self._prompts.unit_ids(merge(units)), self._end]

    def _document(self, prompt: Sequence[int], reply: Sequence[int]) -> Document:
        document = Document()
        document.add(prompt, 0)
        document.add([*reply, self._end_of_turn], 1)
        return document


def _chained(answer: Sequence[Segment]) -> list[Segment]:
    """All text, then all speech."""
    return [Segment("".join(s.text for s in answer), [unit for s in answer for unit in s.units])]
