"""Measures which units a trained encoder confuses, on a teacher that imitates many speakers. The language model trains on these mistakes.

    python -m model.training.confusions --kokoro kokoro.onnx --voices voices/ --text sentences.txt --encoder bundle/encoder \\
        --work heard/ --out confusions.json

The teacher speaks sentences in all its voices, half of the time in a voice of another language, at speeds from 0.8 to 1.35. Most
sentences are said with habits of speakers (`model.training.accents`). The encoder hears each three times, twice of them in noise
(`model.training.augment`). What it heard is kept in `--work`, and the next run continues there. A text may also be a manifest of
`synth`: the last column of each line is read.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import torch

from model.encoders.whisper_ctc import SAMPLE_RATE, WhisperCtc
from model.training.accents import said_by
from model.training.augment import augment
from model.training.backbone.texts import is_held_out, language_of
from model.training.domains import LANGS, Lang
from model.training.g2p import ENGLISH_IDS, INVENTORY, SIL, UNIT_ID, is_tone_unit, phonetic, to_ids
from model.training.manifests import kept_lines
from model.training.noise import ANY, Confusions, neighbours
from model.training.synth import Teacher

COPIES = 3
HABITS_SHARE, OTHER_VOICES_SHARE = 0.6, 0.5
MOST_WRONG = 0.35
"""Share of wrong units above which an utterance is not counted: its alignment says little about what was confused."""
PRIOR_UNITS, PRIOR_HEARD = 20.0, 8.0
"""Weight of the priors: of the unit's kind, in occurrences, and of the expected mistakes, in mistakes."""
ANY_SHARE = 0.4
"""Share of substitutions by any unit in the prior; the rest are by phonetic neighbours."""
LENGTHS: dict[Lang, tuple[int, int]] = {"en": (20, 75), "zh": (7, 22)}
"""Characters of a sentence, at least and at most."""
Heard = tuple[int, tuple[int, ...]]
"""A unit that was said, and the units that were heard instead; the same unit where it was right, none where it was missed."""
_VOWELS = frozenset(UNIT_ID[name] for name in "AIOWYæɑɔəɛɜiɪʊʌu")
_NEAR = {UNIT_ID[name]: {UNIT_ID[other]: w for other, w in near.items()} for name, near in neighbours().items()}


# --- speaking and hearing


class Utterance(NamedTuple):
    """What the teacher says, and how. `phonemes`: in the teacher's alphabet; `speed`: 1 is its own."""

    text: str
    voice: str
    speed: float
    phonemes: str


def utterances(texts: Sequence[str], voices: Sequence[str], rng: Random) -> Iterator[Utterance]:
    """English and Mandarin alternately, without end."""
    by_language = {lang: [t for t in texts if language_of(t) == lang and _fits(t, lang)] for lang in LANGS}
    native = {"en": [v for v in voices if v[0] in "ab"], "zh": [v for v in voices if v[0] == "z"]}
    while True:
        for lang in LANGS:
            others = [v for v in voices if v not in native[lang]]
            voice = rng.choice(others if others and rng.random() < OTHER_VOICES_SHARE else native[lang])
            text, speed = rng.choice(by_language[lang]), round(rng.uniform(0.8, 1.35), 2)
            phonemes = phonetic(text).teacher
            said = said_by(rng, phonemes, lang) if rng.random() < HABITS_SHARE else phonemes
            yield Utterance(text, voice, speed, said)


def _fits(text: str, lang: Lang) -> bool:
    least, most = LENGTHS[lang]
    return least <= len(text) <= most and not is_held_out(text)


def hear(encoder: WhisperCtc, teacher: Teacher, said: Iterable[Utterance], kept: Path) -> list[dict[str, Any]]:
    """`COPIES` objects for each utterance, with the unit ids `want` and `got`. Each is appended to the JSON lines of `kept`, and those
    that are there already are not made again.
    """
    import soxr
    from tqdm import tqdm

    lines, babble = kept_lines(kept), np.zeros(SAMPLE_RATE, np.float32)
    for number, (text, voice, speed, phonemes) in enumerate(tqdm(list(said), mininterval=10)):
        if number < len(lines) // COPIES:
            continue
        pcm = soxr.resample(teacher.speak(phonemes, voice, speed)[0], 24_000, SAMPLE_RATE)
        for copy in range(COPIES):
            noisy, _ = augment(pcm, np.random.default_rng((number, copy)), babble=babble, hard=copy > 0)
            got = [int(unit) for unit in encoder.encode(noisy)]
            lines.append({"text": text, "voice": voice, "want": to_ids(text), "got": got})
        with kept.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines[-COPIES:])
        babble = np.concatenate([babble, pcm])[-4 * SAMPLE_RATE :]
    return lines


# --- counting


def aligned(want: Sequence[int], got: Sequence[int]) -> list[Heard]:
    """For each wanted unit what was heard instead, in the cheapest alignment (Levenshtein; a neighbour costs less than another unit).

    Inserted units belong to the wanted unit before them; those at the beginning belong to the first one.
    """
    cost = np.zeros((len(want) + 1, len(got) + 1))
    cost[:, 0], cost[0] = np.arange(len(want) + 1), np.arange(len(got) + 1)
    for i, wanted in enumerate(want, start=1):
        for j, heard in enumerate(got, start=1):
            cost[i, j] = min(cost[i - 1, j - 1] + _instead(wanted, heard), cost[i - 1, j] + 1, cost[i, j - 1] + 1)
    found, more, i, j = list[Heard](), tuple[int, ...](), len(want), len(got)
    while i:
        if j and cost[i, j] == cost[i - 1, j - 1] + _instead(want[i - 1], got[j - 1]):
            i, j = i - 1, j - 1
            found.append((want[i], (got[j], *more)))
            more = ()
        elif cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
            found.append((want[i], more))
            more = ()
        else:
            j -= 1
            more = (got[j], *more)
    if found:
        found[-1] = (found[-1][0], (*got[:j], *more, *found[-1][1]))
    return found[::-1]


def _instead(wanted: int, heard: int) -> float:
    return 0.0 if wanted == heard else 1.1 if heard in _NEAR[wanted] else 1.6


@dataclass
class _Counts:
    """How often a unit, or units of a kind, were said, and what was heard instead."""

    said: int = 0
    instead: Counter[tuple[int, ...]] = field(default_factory=Counter[tuple[int, ...]])

    @property
    def wrong(self) -> float:
        return self.instead.total() / max(1, self.said)

    def of_length(self, length: int) -> float:
        """Number of mistakes of `length` units: 0 is a deletion, 1 a substitution, 2 an insertion."""
        return float(sum(count for got, count in self.instead.items() if len(got) == length))


def table(heard: Iterable[Heard]) -> Confusions:
    """The mistakes of every unit, smoothed towards those of its kind (vowel, consonant, initial, final) and its phonetic neighbours."""
    units, kinds, languages = (defaultdict[Any, _Counts](_Counts) for _ in range(3))
    for unit, got in heard:
        spoken = tuple(name for name in got if name != UNIT_ID[SIL])
        for counts in (units[unit], kinds[_kind(unit)], languages[unit in ENGLISH_IDS]):
            if unit != UNIT_ID[SIL] and len(spoken) <= 2:
                counts.said += 1
                counts.instead.update([spoken] if spoken != (unit,) else [])
    return {
        name: _row(unit, units[unit], kinds[_kind(unit)], languages[unit in ENGLISH_IDS].wrong or 1.0)
        for unit, name in enumerate(INVENTORY)
        if name != SIL
    }


def _kind(unit: int) -> tuple[bool, bool]:
    return unit in ENGLISH_IDS, unit in _VOWELS or is_tone_unit(INVENTORY[unit])


def _row(unit: int, own: _Counts, kind: _Counts, mean: float) -> dict[str, float]:
    """Weights of what is heard instead of `unit`. Their sum is its error rate divided by `mean`, that of its language."""
    row, name = dict[str, float](), INVENTORY[unit]
    near = {
        INVENTORY[other]: (1 - ANY_SHARE) * weight / sum(_NEAR[unit].values()) for other, weight in _NEAR[unit].items()
    }
    for length, expected in enumerate(({"": 1.0}, near | {ANY: 1 - sum(near.values())}, {f"{name} {ANY}": 1.0})):
        seen = own.of_length(length)
        mistakes = (seen + PRIOR_UNITS * kind.of_length(length) / max(1, kind.said)) / (own.said + PRIOR_UNITS)
        heard = Counter({got: PRIOR_HEARD * share for got, share in expected.items()})
        heard.update({_names(got): count for got, count in own.instead.items() if len(got) == length})
        row |= {got: round(mistakes / mean * part / (seen + PRIOR_HEARD), 4) for got, part in heard.items()}
    return {got: weight for got, weight in row.items() if weight}


def _names(units: Iterable[int]) -> str:
    return " ".join(INVENTORY[unit] for unit in units)


def counted(lines: Iterable[dict[str, Any]]) -> list[list[Heard]]:
    """Alignments of the utterances with a share of wrong units of at most `MOST_WRONG`."""
    found = [aligned(line["want"], line["got"]) for line in lines]
    return [each for each in found if sum(got != (unit,) for unit, got in each) <= MOST_WRONG * len(each)]


def as_json(confusions: Confusions) -> str:
    """JSON with a line for each unit."""
    return json.dumps(confusions, ensure_ascii=False, separators=(",", ":")).replace('},"', '},\n"') + "\n"


def main() -> None:
    """Command line, see the module's head."""
    parser = argparse.ArgumentParser(description="confusions of the encoder")
    parser.add_argument("--kokoro", type=Path, required=True)
    parser.add_argument("--voices", type=Path, required=True)
    parser.add_argument("--text", type=Path, action="append", required=True, help="sentences, one a line")
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--utterances", type=int, default=300)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    texts = [line.split("\t")[-1] for path in args.text for line in path.read_text(encoding="utf-8").splitlines()]
    voices = sorted(path.stem for path in args.voices.glob("*.bin"))
    said = islice(utterances(texts, voices, Random(5)), args.utterances)
    lines = hear(WhisperCtc.load(args.encoder), Teacher(args.kokoro, args.voices), said, args.work / "heard.jsonl")
    chosen = counted(lines)
    args.out.write_text(as_json(table(h for each in chosen for h in each)), encoding="utf-8")
    rates = sorted(sum(got != (unit,) for unit, got in each) / len(each) for each in chosen)
    print(
        f"{len(chosen)} of {len(lines)} counted; wrong: median {rates[len(rates) // 2]:.0%}, nine in ten up to {rates[len(rates) * 9 // 10]:.0%}"
    )


if __name__ == "__main__":
    main()
