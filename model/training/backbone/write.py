"""Let the text model itself write what it is to be trained on: questions that people ask, and its answers in a sentence or two that can be spoken.

    python -m model.training backbone write --base BASE --texts data/texts --minutes 20

Appends to `exchanges-written.jsonl` and `sentences-written.txt` in `--texts`. Questions are those of `sentences*.txt` and what the model asks about
`TOPICS`; a part is answered under instructions, translated, or goes on for up to three more turns. What a world of `domains` knows is
answered from there, what nobody could know honestly. `filters` says what is left out. Needs vLLM.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from model.training.backbone.filters import leaks, length, lines_of, sensible, speakable, stands_alone
from model.training.backbone.instructed import MANNERS
from model.training.backbone.known import DOUBTFUL, answer_of, refusal_of
from model.training.backbone.texts import Spoken, language_of, load_texts
from model.training.backbone.wordings import ASK, EXAMPLES, FOLLOW, SAY, SPOKEN, TOPICS, TRANSLATE
from model.training.domains import LANGS, Lang

MOST_TURNS = 4
LIKELY = -0.9
"""Mean log probability of a token of an answer, below which the model guesses."""
MOST_KNOWN: dict[Lang, int] = {"en": 64, "zh": 24}
"""Known questions in a round; most of them lean on what is not there, and are left out. Mandarin ones are of reviews and news."""
Chat = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A question to be answered; `manner`: the one of `MANNERS` that its instructions ask for."""

    spoken: Spoken
    manner: str = ""


@dataclass
class Writer:
    """The text model in vLLM."""

    base: str
    sequences: int = 128

    def __post_init__(self) -> None:
        from transformers import AutoTokenizer
        from vllm import LLM

        self.tokenizer: Any = AutoTokenizer.from_pretrained(self.base)
        self.llm = LLM(
            model=self.base, skip_tokenizer_init=True, max_model_len=1024, max_num_seqs=self.sequences, dtype="bfloat16", enforce_eager=True, kv_cache_memory_bytes=900 << 20,
            block_size=32, enable_prefix_caching=True, generation_config="vllm",
        )  # fmt: skip

    def write(self, chats: list[Chat], most: int, temperature: float) -> list[tuple[str, float]]:
        """A reply to each chat, and the mean log probability of its tokens."""
        from vllm import SamplingParams

        stop = self.tokenizer.convert_tokens_to_ids("<|im_end|>")
        sampling = SamplingParams(
            max_tokens=most, temperature=temperature, top_p=0.95, stop_token_ids=[stop], detokenize=False, logprobs=0
        )
        texts = [self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]
        prompts = [{"prompt_token_ids": self.tokenizer(text, add_special_tokens=False)["input_ids"]} for text in texts]
        out = [row.outputs[0] for row in self.llm.generate(prompts, sampling, use_tqdm=False)]  # type: ignore[arg-type]
        return [
            (
                self.tokenizer.decode(row.token_ids, skip_special_tokens=True),
                (row.cumulative_logprob or 0.0) / max(1, len(row.token_ids)),
            )
            for row in out
        ]

    def lines(self, rng: Random, ask: dict[Lang, tuple[str, str, str]], count: int) -> list[str]:
        """Lines about random topics in both languages."""
        split: dict[Lang, str] = {"en": ", ", "zh": "、"}
        chosen = rng.choices(LANGS, (1, 3), k=count)  # fewer of the Mandarin ones stand the rules
        chats = []
        for lang in chosen:
            wording, about, lines = ask[lang]
            topic = rng.choice(TOPICS[lang].split(split[lang]))
            told = [wording.format(topic=about), lines, wording.format(topic=topic)]
            chats.append(_turns(told))
        replies = self.write(chats, 150, 0.7)
        return list(
            dict.fromkeys(
                line for lang, (reply, _) in zip(chosen, replies, strict=True) for line in lines_of(reply, lang)
            )
        )

    def translated(self, told: list[Spoken]) -> list[Spoken]:
        """`told` with its answers in the other language: truer than what so small a model answers in a language that it was not asked in."""
        chats, langs = list[Chat](), list[Lang]()
        for spoken in told:
            lang = language_of(spoken.answer)
            other = LANGS[1 - LANGS.index(lang)]
            shown = zip((a for _, a in EXAMPLES[lang]), (a for _, a in EXAMPLES[other]), strict=True)
            turns = [said for a, b in shown for said in (TRANSLATE[other].format(a=a), b)]
            chats.append(_turns([*turns, TRANSLATE[other].format(a=spoken.answer)]))
            langs.append(other)
        replies = self.write(chats, 48, 0.0)
        return [
            replace(spoken, answer=answer, reply_language=lang)
            for spoken, lang, (reply, likely) in zip(told, langs, replies, strict=True)
            if likely > LIKELY
            and (answer := speakable(reply, lang))
            and not leaks("", answer, lang, [a for _, a in EXAMPLES[lang]])
        ]

    def answers(self, wanted: list[Wanted]) -> list[Spoken]:
        """`wanted` with answers, less those whose answer is not worth learning."""
        known = [(one, _known(one.spoken.question)) for one in wanted if not one.manner]
        open_ = [one for one in wanted if one.manner] + [one for one, answer in known if answer is None]
        replies = self.write([_chat(one) for one in open_], 40, 0.0)
        answered = [replace(one.spoken, answer=answer) for one, answer in known if answer is not None]
        for one, (reply, likely) in zip(open_, replies, strict=True):
            answer = speakable(reply, language_of(one.spoken.question))
            if answer and likely > LIKELY and _worth(one, answer):
                answered.append(replace(one.spoken, answer=answer))
        return answered


def _turns(said: list[str]) -> Chat:
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(said)]


def _known(question: str) -> str | None:
    """An answer that needs no model, or None."""
    lang = language_of(question)
    if refusal := refusal_of(question):
        return refusal.said[lang][len(question) % len(refusal.said[lang])]
    return answer_of(question, lang)


def _worth(one: Wanted, answer: str) -> bool:
    spoken, lang = one.spoken, language_of(one.spoken.question)
    said = " ".join([spoken.question, *(text for turn in spoken.before for text in turn)])
    examples = [text for _, text in EXAMPLES[lang]]
    if (one.manner and not MANNERS[one.manner].obeyed(answer, lang)) or leaks(said, answer, lang, examples):
        return False
    return (one.manner == "short" or sensible(said, answer, lang)) and not DOUBTFUL.search(spoken.question + answer)


def _chat(one: Wanted) -> Chat:
    """The manner that is wanted, by instruction or example; the turns before; the question."""
    spoken, lang = one.spoken, language_of(one.spoken.question)
    turns = () if one.manner or spoken.before else EXAMPLES[lang]
    told = [said for turn in (*turns, *spoken.before) for said in turn]
    system = {"role": "system", "content": f"{SPOKEN[lang]} {spoken.instructions}".strip()}
    return [system, *_turns([*told, spoken.question])]


def varied(rng: Random, question: str) -> Wanted:
    """How a question is to be answered: mostly as it stands."""
    lang = language_of(question)
    if rng.random() < 0.15 and _known(question) is None:
        manner = rng.choice([name for name in MANNERS if name not in ("numbers", "english", "chinese")])
        instructions = rng.choice(MANNERS[manner].wordings[lang][:-1])  # the last is for evaluation
        return Wanted(Spoken(question, "", instructions=instructions), manner)
    return Wanted(Spoken(question, ""))


def followed(rng: Random, first: list[Spoken]) -> list[Wanted]:
    """What is asked next after some of `first`."""
    plain = [
        s for s in first
        if not s.instructions and len(s.before) < MOST_TURNS - 1 and not refusal_of(s.question)
    ]  # fmt: skip
    chosen = rng.sample(plain, len(plain) // (2 if any(s.before for s in plain) else 4))
    asked = [(s, [f for f in FOLLOW[language_of(s.question)] if f not in {q for q, _ in s.before}]) for s in chosen]
    return [
        Wanted(replace(s, question=rng.choice(ways), answer="", before=(*s.before, (s.question, s.answer))))
        for s, ways in asked
    ]


def _known_questions(rng: Random, texts: Path) -> dict[Lang, Iterator[str]]:
    known = load_texts(texts)
    found: dict[Lang, list[str]] = {
        lang: [s for s in known.sentences(lang) if s[-1] in "?？" and 3 <= length(s, lang) <= 16] for lang in LANGS
    }
    for questions in found.values():
        rng.shuffle(questions)
    return {lang: iter(questions) for lang, questions in found.items()}


def _is_asked(question: str) -> bool:
    return question[-1] in "?？" and bool(
        refusal_of(question) or answer_of(question, "en") or (stands_alone(question) and not DOUBTFUL.search(question))
    )


def main(argv: list[str] | None = None) -> None:
    """See the module's head."""
    parser = argparse.ArgumentParser(prog="python -m model.training backbone write", description=main.__doc__)
    parser.add_argument("--base", required=True, help="directory of the whole text model, or its name on the hub")
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    rng, until = Random(args.seed), time.monotonic() + 60 * args.minutes
    known, writer = _known_questions(rng, args.texts), Writer(args.base)
    exchanges, sentences = args.texts / "exchanges-written.jsonl", args.texts / "sentences-written.txt"
    asked = set[str]()
    while time.monotonic() < until:
        written = writer.lines(rng, ASK, 48)
        said = [*written, *writer.lines(rng, SAY, 16)]
        questions = [
            *written,
            *(q for lang, most in MOST_KNOWN.items() for _ in range(most) if (q := next(known[lang], None))),
        ]
        new = [q for q in dict.fromkeys(questions) if q not in asked and _is_asked(q)]
        asked.update(new)
        answered = last = writer.answers([varied(rng, question) for question in new])
        for _ in range(MOST_TURNS - 1):
            last = writer.answers(followed(rng, last))
            answered = [*answered, *last]
        plain = [s for s in answered if not s.instructions]
        answered += writer.translated(rng.sample(plain, len(plain) // 3))
        with sentences.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in said)
        with exchanges.open("a", encoding="utf-8") as file:
            file.writelines(
                json.dumps({k: v for k, v in asdict(s).items() if v and v != "auto"}, ensure_ascii=False) + "\n"
                for s in answered
            )
        print(f"{len(said)} lines, {len(answered)} answers to {len(new)} questions", flush=True)


if __name__ == "__main__":
    main()
