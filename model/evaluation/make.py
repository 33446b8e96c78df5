"""Makes the held-out sets of cslm-mini: manifests, and their recordings.

    python -m model.evaluation.make write --sets tests/data/eval --sentences sentences.json --spoken manifest.tsv
    python -m model.evaluation.make speak --sets tests/data/eval --kokoro kokoro.onnx --voices voices/

`write` draws the sets anew from what is held out, all but the long and the open one. It needs hsk-sentences-audio's sentences;
`--spoken` is the plan of the teacher's speech, whose sentences are left out. `speak` makes the missing recordings in voices that
no part of the model was trained on, and resumes where it stopped. Any beginning of a set is a fair sample of it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from model.training.backbone.instructed import MANNERS, core, instructed
from model.training.backbone.talks import leaning, remembered
from model.training.backbone.texts import Spoken, language_of
from model.training.corpora import SENTENCES_VARIABLE, held_out, sentence_pairs
from model.training.domains import (
    DOMAINS,
    LANGS,
    Exchange,
    Lang,
    draw,
    interpret,
)

VOICES: dict[Lang, tuple[str, str]] = {"en": ("bf_emma", "am_michael"), "zh": ("zf_xiaoyi", "zm_yunyang")}
DIRECTIONS: tuple[tuple[Lang, Lang], ...] = (("en", "en"), ("zh", "zh"), ("en", "zh"), ("zh", "en"))
OTHER_DOMAINS = ("follow_up", "spelling", "translate")
"""Asked in `more.jsonl`: they need the turn before, or answer with letters or words that are not a closed domain."""
OPEN_DOMAINS = ("repeat",)
"""Measured by `repeat.jsonl`, whose answers are open."""
LONG_DOMAINS = ("stories",)
"""Asked in `long.jsonl`, in wordings written by hand."""
OWN_LICENCE = "recording: Apache-2.0"
SOURCE = {
    "source": "Kokoro-82M v1.0",
    "licence": "recording: Apache-2.0; sentences of hsk-sentences-audio: CC-BY-SA-4.0",
}
TRAINING_DRAWS = 60_000
Row = dict[str, Any]


def questions(name: str, domains: Sequence[str], each: int, seed: int = 11) -> list[Row]:
    """`each` held-out questions a direction, the domains in turn, directions alternating; fewer where the domains have no more."""
    rng = Random(seed)
    drawn = [_drawn(rng, list(domains), direction, each) for direction in DIRECTIONS]
    turns = [exchanges[at] for at in range(each) for exchanges in drawn if at < len(exchanges)]
    return [_question(name, number, e) for number, e in enumerate(turns)]


def _drawn(
    rng: Random, domains: list[str], direction: tuple[Lang, Lang], each: int, tries: int = 400
) -> list[Exchange]:
    """Different questions of one direction; a domain that gives no new one in `tries` draws is left out from then on."""
    chosen: dict[tuple[str, Any], Exchange] = {}
    while domains and len(chosen) < each:
        for domain in list(domains):
            draws = (draw(rng, domain, held=True) for _ in range(tries))
            new = next(
                (
                    e
                    for e in draws
                    if (e.question_lang, e.answer_lang) == direction and (e.question, e.before) not in chosen
                ),
                None,
            )
            if new is None:
                domains.remove(domain)
            elif len(chosen) < each:
                chosen[new.question, new.before] = new
    return list(chosen.values())


def _question(name: str, number: int, e: Exchange) -> Row:
    voice, before = VOICES[e.question_lang][number // len(DIRECTIONS) % 2], e.before
    row = {
        "audio": f"audio/{name}-{e.question_lang}-{e.answer_lang}-{number:03d}.flac",
        "text": e.question,
        "language": e.question_lang,
        "speaker": voice,
        "task": "question",
        "reply_language": e.answer_lang,
        "answers": [e.answer],
        "world": e.domain,
        "key": e.key,
    }
    return row | ({"before": list(before)} if before else {}) | SOURCE


def sentences(each: int, spoken: set[str], seed: int = 13) -> dict[str, list[Row]]:
    """`each` sentences a language to read and as many to repeat; none of them in training documents or in `spoken`."""
    trained = _training_text()
    rng = Random(seed)
    rows: dict[str, list[Row]] = {"read": [], "repeat": []}
    for language in LANGS:
        known = {pair[LANGS.index(language)] for pair in sentence_pairs()}
        fresh = sorted(s for s in known if held_out(f"repeat:{s}") and s not in spoken and s not in trained)
        rng.shuffle(fresh)
        if len(fresh) < 2 * each:
            raise SystemExit(f"only {len(fresh)} unseen sentences in {language!r}; wanted {2 * each}")
        for number, text in enumerate(fresh[:each]):
            rows["read"].append(_sentence("read", number, text, text, language))
        for number, text in enumerate(fresh[each : 2 * each]):
            asked = rng.choice(REQUESTS[language]).format(text)
            rows["repeat"].append(_sentence("repeat", number, asked, text, language))
    return {name: [row for pair in zip(*_halves(found), strict=True) for row in pair] for name, found in rows.items()}


REQUESTS: dict[Lang, tuple[str, ...]] = {
    "en": ("Repeat after me: {}", "Please repeat after me: {}", "Please say: {}"),
    "zh": ("跟我说：{}", "请跟我说：{}", "请重复：{}"),
}


def _halves(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    return rows[: len(rows) // 2], rows[len(rows) // 2 :]


def conversations(each: int, seed: int = 19) -> list[Row]:
    """`each` questions a language that lean on up to three turns before them; what they are about is held out."""
    rng, rows = Random(seed), list[Row]()
    for number in range(each):
        for lang in LANGS:
            spoken = (remembered if number % 2 else leaning)(rng, lang, held=True)
            # A greeting has no right answer.
            while not core(spoken.answer) or len(re.findall("[.。]", spoken.answer)) > 1:
                spoken = leaning(rng, lang, held=True)
            rows.append(_judged("follow", number, lang, spoken) | {"sense": [[core(spoken.answer)]]})
    return rows


def instructions(each: int, asked: Sequence[Row], seed: int = 23) -> list[Row]:
    """`each` questions a language under instructions in held-out wordings, half of them questions of `asked`, which are open."""
    rng, rows = Random(seed), list[Row]()
    manners = [name for name in MANNERS if name not in ("numbers", "english", "chinese")]
    for number in range(each):
        for lang in LANGS:
            if number % 2:
                drawn = instructed(rng, lang, held=True)
                row = _judged("obey", number, lang, drawn.spoken)
                rows.append(row | {"manner": drawn.manner, "sense": [[drawn.core]]})
                continue
            of = rng.choice([row for row in asked if row["language"] == row["reply_language"] == lang])
            manner = manners[number // 2 % len(manners)]
            spoken = Spoken(of["text"], "", instructions=MANNERS[manner].wordings[lang][-1])
            sense = [] if manner == "short" else of["sense"]
            judged = {"manner": manner, "keep": of["keep"], "sense": sense}
            rows.append(_judged("obey", number, lang, spoken) | judged)
    return rows


def _judged(name: str, number: int, lang: Lang, spoken: Spoken) -> Row:
    answer = language_of(spoken.answer) if spoken.answer else lang
    row = {
        "audio": f"audio/{name}-{lang}-{number:03d}.flac",
        "text": spoken.question,
        "language": lang,
        "speaker": VOICES[lang][number % 2],
        "task": "open",
        "reply_language": answer,
        "before": [list(turn) for turn in spoken.before],
        "instructions": spoken.instructions,
        "answers": [spoken.answer] if spoken.answer else [],
    }
    return {name: value for name, value in row.items() if value} | {"source": SOURCE["source"], "licence": OWN_LICENCE}


def _sentence(task: str, number: int, asked: str, text: str, language: Lang) -> Row:
    return {
        "audio": f"audio/{task}-{language}-{number:03d}.flac",
        "text": asked,
        "language": language,
        "speaker": VOICES[language][number % 2],
        "task": task,
        **({"answers": [text]} if task == "repeat" else {}),
        "key": f"repeat:{text}",
    } | SOURCE


def _training_text() -> str:
    """What training documents may quote: many draws of every domain and of what is interpreted, one after the other."""
    rng, each = Random(17), TRAINING_DRAWS // len(DOMAINS)
    exchanges = [draw(rng, domain) for domain in DOMAINS for _ in range(each)]
    exchanges += [interpret(rng, rng.choice(LANGS), rng.choice(LANGS)) for _ in range(each)]
    return "\n".join(f"{e.question}\n{e.answer}" for e in exchanges)


def write(directory: Path, *, each: int, read: int, spoken: set[str]) -> None:
    """`questions`, `more`, `read`, `repeat`, `follow` and `obey`, each `.jsonl`, into `directory`, which has `open.jsonl`."""
    directory.mkdir(parents=True, exist_ok=True)
    closed = [domain for domain in DOMAINS if domain not in OTHER_DOMAINS + OPEN_DOMAINS + LONG_DOMAINS]
    sets = {"questions": questions("questions", closed, each), "more": questions("more", OTHER_DOMAINS, read // 2)}
    asked = [json.loads(line) for line in (directory / "open.jsonl").read_text(encoding="utf-8").splitlines()]
    sets |= {"follow": conversations(read), "obey": instructions(read, asked)}
    for name, rows in (sets | sentences(read, spoken)).items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (directory / f"{name}.jsonl").write_text(lines, encoding="utf-8")
        print(f"{name}: {len(rows)}")


def unspoken(directory: Path, *, limit: int | None = None) -> Iterator[tuple[Path, str, str]]:
    """(path, text, voice) of rows in synthetic voices without a recording; of each set the first `limit` rows."""
    voices = {voice for pair in VOICES.values() for voice in pair}
    for manifest in sorted(directory.glob("*.jsonl")):
        for line in manifest.read_text(encoding="utf-8").splitlines()[:limit]:
            row = json.loads(line)
            path = directory / row["audio"]
            if row["speaker"] in voices and not path.exists():
                yield path, row["text"], row["speaker"]


def speak(directory: Path, kokoro: Path, voices: Path, *, limit: int | None = None) -> None:
    """Record what has no recording yet: FLAC at 16 kHz."""
    import numpy as np
    import soundfile
    import soxr
    from tqdm import tqdm

    from model.training.g2p import phonetic
    from model.training.synth import Teacher

    teacher = Teacher(kokoro, voices)
    for path, text, voice in tqdm(list(unspoken(directory, limit=limit)), mininterval=10):
        pcm = soxr.resample(teacher.speak(phonetic(text).teacher, voice)[0], 24_000, 16_000)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        soundfile.write(part, np.clip(pcm, -1, 1), 16_000, format="FLAC", subtype="PCM_16")
        part.rename(path)


def main(argv: list[str] | None = None) -> None:
    """Command line, see the module's head."""
    parser = argparse.ArgumentParser(prog="python -m model.evaluation.make", description=main.__doc__)
    parser.add_argument("step", choices=("write", "speak"))
    parser.add_argument("--sets", type=Path, default=Path("tests/data/eval"))
    parser.add_argument("--sentences", type=Path, help="hsk-sentences-audio's sentences.json")
    parser.add_argument("--spoken", type=Path, help="manifest of the teacher's training speech")
    parser.add_argument("--questions", type=int, default=100, help="questions a direction")
    parser.add_argument("--read", type=int, default=40, help="sentences a language to read, and to repeat")
    parser.add_argument("--kokoro", type=Path)
    parser.add_argument("--voices", type=Path)
    parser.add_argument("--limit", type=int, help="record only the first so many of every set")
    args = parser.parse_args(argv)
    if args.step == "write":
        if args.sentences:
            os.environ[SENTENCES_VARIABLE] = str(args.sentences)
        lines = args.spoken.read_text(encoding="utf-8").splitlines() if args.spoken else []
        spoken = {line.split("\t")[-1] for line in lines if line.startswith("train")}
        write(args.sets, each=args.questions, read=args.read, spoken=spoken)
    elif args.kokoro is None or args.voices is None:
        parser.error("speak needs --kokoro and --voices")
    else:
        speak(args.sets, args.kokoro, args.voices, limit=args.limit)


if __name__ == "__main__":
    main()
