"""Training documents of the language model: rendering, loss weights, the mixture of kinds.

No speech is needed. Question units are the phonetic units of the text through the noise model; answer units are the clean ones. The
kinds of document follow the paper's stages (arXiv 2604.11096, section 3): ASR, TTS and text first, then spoken questions and
answers.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from tqdm import tqdm

from model.prompts.plain_text import PlainText
from model.training.corpora import chat_sentences
from model.training.domains import DOMAINS, LANGS, Exchange, Lang, draw, interpret, number
from model.training.g2p import INVENTORY, to_ids
from model.training.noise import UnitNoise, load_confusions
from model.training.segments import segments
from model.training.shards import Document, write_shard
from model.training.text_tokenizer import build_tokenizer, save_tokenizer

TEXT_WEIGHT, UNIT_WEIGHT = 2, 1


class Renderer:
    """Token ids of prompts and replies, exactly as the bundle's profile describes them."""

    def __init__(self, profile: dict[str, Any], text: PlainText) -> None:
        self.profile, self.text = profile, text
        names = profile["tokens"]
        self.question, self.answer = text.token(names["question"]), text.token(names["answer"])
        self.speech_start, self.speech_end = text.token(names["speech_start"]), text.token(names["speech_end"])
        self.unit = [text.token(names["unit"].format(index=i)) for i in range(profile["n_units"])]
        self.bos, self.end_of_turn = text.token(names["bos"]), text.token(profile["stop_tokens"][0])
        self.header = text.token("<|start_header_id|>"), text.token("<|end_header_id|>")

    def speech(self, units: Iterable[int]) -> list[int]:
        """`<sosp>` units `<eosp>`."""
        return [self.speech_start, *(self.unit[u] for u in units), self.speech_end]

    def prompt(
        self, template: str, said: str | list[int], *, suffix: str = "", before: tuple[str, str] | None = None
    ) -> list[int]:
        """The user turn with `said` (text, or unit ids) in `template`, up to where the reply starts.

        before: question and answer of the turn before, told as text.
        """
        if isinstance(said, str):
            content = self.text.encode(template.replace("{input}", said) + suffix)
        else:
            head, tail = template.split("{input}")
            content = [*self.text.encode(head), *self.speech(said), *self.text.encode(tail + suffix)]
        turns = [self.bos] * self.profile["prompt"]["bos_count"]
        for role, text in zip(("user", "assistant"), before or (), strict=False):
            turns += [*self._head(role), *self.text.encode(text), self.end_of_turn]
        return [*turns, *self._head("user"), *content, self.end_of_turn, *self._head("assistant")]

    def _head(self, role: str) -> list[int]:
        return [self.header[0], *self.text.encode(role), self.header[1], *self.text.encode("\n\n")]

    def reply(self, question: str, answer: str, *, full_chain: bool = False) -> Document:
        """The assistant's turn: transcript of the question, then text and speech of the answer, segment by segment."""
        document = Document()
        document.add([self.question, *self.text.encode(f": {question}; "), self.answer], TEXT_WEIGHT)
        pieces = [answer] if full_chain else segments(answer)
        for at, piece in enumerate(pieces):
            document.add(self.text.encode((": " if at == 0 else "") + piece), TEXT_WEIGHT)
            spoken = answer_units(piece, last=at == len(pieces) - 1)
            document.add([self.speech_start], TEXT_WEIGHT)
            document.add((self.unit[u] for u in spoken), UNIT_WEIGHT)
            document.add([self.speech_end], TEXT_WEIGHT)
        document.add([self.end_of_turn], TEXT_WEIGHT)
        return document


@lru_cache(maxsize=100_000)
def answer_units(piece: str, *, last: bool) -> tuple[int, ...]:
    """Units of one segment; the pause at its end is kept unless it is the last one."""
    return tuple(to_ids(piece.strip(), trim=last))


@lru_cache(maxsize=100_000)
def spoken_units(text: str) -> tuple[int, ...]:
    """Units of a whole utterance, without pauses at the ends."""
    return tuple(to_ids(text))


# --- kinds of document

Mixture = dict[str, float]
"""Share of each domain among the questions of a phase."""

PHASES: dict[str, dict[str, Any]] = {
    "read": {
        "kinds": {"speech": 0.60, "text": 0.05, "full_chain": 0.05, "listen": 0.10, "speak": 0.10, "read": 0.10},
        "domains": {"repeat": 0.40, "unknown": 0.12, "translate": 0.06},
    },
    "answer": {
        "kinds": {
            "speech": 0.21,
            "understand": 0.29,
            "text": 0.03,
            "full_chain": 0.03,
            "interpret": 0.03,
            "listen": 0.20,
            "speak": 0.05,
            "read": 0.16,
        },
        "domains": {"repeat": 0.10, "unknown": 0.07, "translate": 0.06},
    },
}
"""Two phases of one run: reading and speaking first, then mostly answering. What `domains` leaves is shared by `_REST`.

`understand` is `speech` up to where the answer would be spoken: most of what there is to learn, for three quarters of the tokens."""

MANDARIN_SHARE = 0.6
"""Of the questions: a wrong sound costs more in a syllable than in an English word."""

STRANGE_HISTORY_SHARE = 0.08
"""Of the questions that need no turn before: those that have one all the same."""

_READ_DOMAINS: Mixture = {
    "repeat": 0.0, "follow_up": 0.0, "unknown": 0.02, "sums": 0.35, "times": 0.25, "counting": 0.25, "comparing": 0.1, "spelling": 0.08, "translate": 0.2,
}  # fmt: skip
"""What the short text-only documents change in a phase's domains: whatever has to be computed, and pairs of words; a question costs a
tenth of a spoken turn there."""

_REST: Mixture = {
    "talk": 0.16, "facts": 0.14, "stories": 0.05, "sums": 0.13, "counting": 0.12, "comparing": 0.04, "calendar": 0.03, "capitals": 0.06, "colours": 0.03, "opposites": 0.05,
    "times": 0.10, "spelling": 0.03, "follow_up": 0.06,
}  # fmt: skip


def domain_shares(phase: str) -> Mixture:
    """Share of every domain in `phase`; they add up to 1."""
    named: Mixture = PHASES[phase]["domains"]
    rest = 1.0 - sum(named.values())
    return named | {domain: share * rest for domain, share in _REST.items()}


class Composer:
    """Draws exchanges and renders them as documents of a phase."""

    def __init__(self, renderer: Renderer, noise: UnitNoise, phase: str) -> None:
        self.renderer, self.noise = renderer, noise
        self.kinds: Mixture = PHASES[phase]["kinds"]
        self.domains = domain_shares(phase)

    def document(self, rng: Random) -> Document:
        """One document of a random kind."""
        kind = _pick(rng, self.kinds)
        if kind == "read":
            return self._facts(rng)
        if kind in ("listen", "speak"):
            return self._pair(rng, self._sentence(rng, listen=kind == "listen"), listen=kind == "listen")
        if kind == "interpret":
            question, answer = rng.choice(LANGS), rng.choice(LANGS)
            return self._turn(rng, interpret(rng, question, answer), kind)
        turn = self._turn(rng, self._exchange(rng), kind)
        return turn.until(self.renderer.speech_start) if kind == "understand" else turn

    def _exchange(self, rng: Random) -> Exchange:
        """A question and its answer; `MANDARIN_SHARE` of the questions are Mandarin."""
        domain, language = _pick(rng, self.domains), "zh" if rng.random() < MANDARIN_SHARE else "en"
        while (exchange := draw(rng, domain)).question_lang != language:
            pass
        return exchange

    def _turn(self, rng: Random, exchange: Exchange, kind: str) -> Document:
        template = choose_template(rng, self.renderer.profile, exchange)
        suffix = self.renderer.profile["full_chain_suffix"] if kind == "full_chain" else ""
        question = exchange.question
        said: str | list[int]
        if kind == "text":
            said = question = typed(rng, question)
        else:
            said = self.noise.hear(rng, list(spoken_units(question)))
        before = exchange.before
        if before is None and rng.random() < STRANGE_HISTORY_SHARE:
            other = draw(rng, _pick(rng, self.domains))
            before = other.question, other.answer
        document = Document()
        document.add(self.renderer.prompt(template, said, suffix=suffix, before=before), 0)
        reply = self.renderer.reply(question, exchange.answer, full_chain=kind == "full_chain")
        document.ids += reply.ids
        document.weights += reply.weights
        return document

    def _facts(self, rng: Random) -> Document:
        """Text only: a few questions and answers, many facts for few tokens."""
        r, document = self.renderer, Document()
        document.add([r.bos], 0)
        while len(document.ids) < 100:
            e = draw(rng, _pick(rng, self.domains | _READ_DOMAINS))
            document.add([r.question, *r.text.encode(f": {e.question}; "), r.answer], 0)
            document.add([*r.text.encode(f": {e.answer}"), r.end_of_turn], TEXT_WEIGHT)
        return document

    def _sentence(self, rng: Random, *, listen: bool) -> str:
        """Anything to hear or to say: of the chats, of the sentence pairs, of the domains."""
        kind = rng.random()
        if kind < 0.25 and chat_sentences():
            return rng.choice(chat_sentences())
        if kind < 0.6:
            return draw(rng, "repeat").answer
        exchange = self._exchange(rng)
        return exchange.question if listen else exchange.answer

    def _pair(self, rng: Random, sentence: str, *, listen: bool) -> Document:
        """ASR (units, then text) or TTS (text, then units) of one sentence; what was heard ends with the answer's marker, as in a turn."""
        r, document = self.renderer, Document()
        document.add([r.bos], 0)
        if listen:
            document.add(r.speech(self.noise.hear(rng, list(spoken_units(sentence)))), 0)
            document.add([r.question, *r.text.encode(f": {sentence}; "), r.answer], TEXT_WEIGHT)
        else:
            document.add([r.answer, *r.text.encode(f": {sentence}"), r.speech_start], 0)
            document.add((r.unit[u] for u in spoken_units(sentence)), UNIT_WEIGHT)
            document.add([r.speech_end, r.end_of_turn], UNIT_WEIGHT)
        return document


def _pick(rng: Random, shares: Mixture) -> str:
    return rng.choices(list(shares), list(shares.values()))[0]


def choose_template(rng: Random, profile: dict[str, Any], exchange: Exchange) -> str:
    """A wording that asks for the language of the answer; every wording meets both input languages.

    Asking how a word is said in the other language is answered in that language whatever the wording.
    """
    wanted = exchange.answer_lang
    if exchange.domain == "interpret":
        return str(profile["tasks"]["translate"][wanted])
    if exchange.names_language:
        wanted = rng.choice(("en", "zh"))
    free = exchange.names_language or exchange.answer_lang == exchange.question_lang
    if free and rng.random() < 0.4:
        return str(profile["templates"]["auto"]["default"])
    wordings = profile["templates"][wanted]
    return str(wordings[rng.choice(("en", "zh"))])


def typed(rng: Random, question: str) -> str:
    """`question` as people type: sometimes small letters, sometimes no mark at the end."""
    if rng.random() < 0.3:
        question = question.lower()
    return question.rstrip(".?!。？！") if rng.random() < 0.3 else question


# --- the stage


def build_text_side(bundle: Path, *, examples_per_domain: int = 1500) -> None:
    """Writes the tokenizer into `bundle/lm`, from examples of every domain and all number words."""
    rng = Random(0)
    texts = [" user", "\n\n", "user", "assistant", *(str(t) for t in _template_texts(bundle))]
    langs: tuple[Lang, ...] = ("en", "zh")
    texts += [
        f" {number(n, lang)} {number(n, lang).capitalize()}" for n in range(101) for lang in langs for _ in range(9)
    ]
    for domain in DOMAINS:
        for _ in range(examples_per_domain):
            e = draw(rng, domain)
            texts += [e.question, f" {e.question}", f" {e.answer}"]
    save_tokenizer(build_tokenizer(texts, n_units=len(INVENTORY)), bundle / "lm")


def _template_texts(bundle: Path) -> Iterator[str]:
    profile = json.loads((bundle / "profile.json").read_text(encoding="utf-8"))
    for wordings in profile["templates"].values():
        for wording in wordings.values():
            yield from [wording.replace("{input}", "") + profile["full_chain_suffix"]] * 20


def load_renderer(bundle: Path) -> Renderer:
    """The renderer of a bundle directory that has `profile.json` and `lm/tokenizer.json`."""
    profile = json.loads((bundle / "profile.json").read_text(encoding="utf-8"))
    if profile["n_units"] != len(INVENTORY):
        raise ValueError(f"profile.json says {profile['n_units']} units, g2p has {len(INVENTORY)}")
    return Renderer(profile, PlainText.load(bundle / "lm"))


def main(argv: list[str] | None = None) -> None:
    """Tokenizer, then shards of documents; existing files are kept."""
    parser = argparse.ArgumentParser(prog="python -m model.training text", description=main.__doc__)
    parser.add_argument("--bundle", type=Path, default=Path("model/bundles/cslm-mini"))
    parser.add_argument("--out", type=Path, default=Path("data/lm"), help="directory of the shards")
    parser.add_argument("--shards", type=int, default=40, help="shards a phase")
    parser.add_argument("--phases", nargs="+", choices=tuple(PHASES), default=list(PHASES))
    parser.add_argument("--documents", type=int, default=2000, help="documents a shard")
    parser.add_argument("--confusions", type=Path, help="measured unit confusions (JSON) instead of the default ones")
    args = parser.parse_args(argv)
    if not (args.bundle / "lm" / "tokenizer.json").exists():
        build_text_side(args.bundle)
    renderer, noise = load_renderer(args.bundle), UnitNoise(load_confusions(args.confusions))
    args.out.mkdir(parents=True, exist_ok=True)
    for phase in tqdm([p for _ in range(args.shards) for p in args.phases], desc="lm documents", unit="shard"):
        number_of_phase = len(list(args.out.glob(f"{phase}-*[0-9].npz")))
        if number_of_phase >= args.shards:
            continue
        composer, rng = Composer(renderer, noise, phase), Random(f"{phase}-{number_of_phase}")
        write_shard(
            args.out / f"{phase}-{number_of_phase:04d}.npz", (composer.document(rng) for _ in range(args.documents))
        )


if __name__ == "__main__":
    main()
