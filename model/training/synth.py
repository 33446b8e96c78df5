"""Teacher speech: Kokoro-82M speaks sentences, and tells how long every unit lasts and its pitch.

    python -m model.training.synth --kokoro kokoro.onnx --voices voices/ --text manifest.tsv --out speech/ [--worker 0 --of 2]

`manifest.tsv` has lines `split<TAB>voice<TAB>speed<TAB>text`; `plan` makes one from sentence pairs. Resumable: an utterance that
exists is not made again. Each utterance is `<index>.npz` with

    pcm    int16 [T] at 24 kHz
    units  int16 [N]  unit ids (repeats merged), `sil` at both ends
    frames int16 [N]  length of each unit in frames of 25 ms; 600 * sum == T
    f0     float16 [2 * sum(frames)]  Hz at 80 Hz (12.5 ms); below 50 is unvoiced

and its manifest line in `text`. Kokoro: Apache-2.0, StyleTTS 2 (arXiv 2306.07691) with an iSTFTNet decoder.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.training.domains import DOMAINS, Lang, draw
from model.training.domains import held_out as never_repeated
from model.training.g2p import SIL, UNIT_ID, Phonetic, phonetic, to_ids

ENGLISH_VOICE, MANDARIN_VOICE = "af_heart", "zf_xiaoxiao"
HELD_OUT_VOICES = frozenset({"bf_emma", "am_michael", "zf_xiaoyi", "zm_yunyang"})
SAMPLES_PER_FRAME = 600
MIN_PAUSE_FRAMES = 3
OWN_SHARE = 0.7  # of the training utterances, in the two output voices
DOMAINS_SHARE = 0.4  # of the training utterances, out of the domains of questions and answers
_SYMBOLS = {
    ";": 1, ":": 2, ",": 3, ".": 4, "!": 5, "?": 6, " ": 16, "ʦ": 20, "ʨ": 21, "\uab67": 23, "A": 24, "I": 25, "O": 31,
    "T": 36, "W": 39, "Y": 41, "a": 43, "b": 44, "d": 46, "e": 47, "f": 48, "h": 50, "i": 51, "j": 52, "k": 53, "l": 54,
    "m": 55, "n": 56, "o": 57, "p": 58, "s": 61, "t": 62, "u": 63, "v": 64, "w": 65, "x": 66, "y": 67, "z": 68, "ɑ": 69,
    "æ": 72, "ɔ": 76, "ɕ": 77, "ð": 81, "ʤ": 82, "ə": 83, "ɚ": 85, "ɛ": 86, "ɜ": 87, "ɡ": 92, "ɥ": 99, "ɨ": 101, "ɪ": 102,
    "ŋ": 112, "θ": 119, "ɹ": 123, "ɻ": 126, "ʂ": 130, "ʃ": 131, "ʧ": 133, "ʊ": 135, "ʌ": 138, "ɤ": 140, "ʒ": 147, "ˈ": 156,
    "ˌ": 157, "ʰ": 162, "↓": 169, "→": 171, "↗": 172, "↘": 173, "ᵻ": 177,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Utterance:
    """One line of the manifest."""

    split: str
    voice: str
    speed: float
    text: str


class Teacher:
    """Kokoro-82M as ONNX, with its durations and pitch exposed as outputs."""

    def __init__(self, model: Path, voices: Path, *, threads: int = 1) -> None:
        import onnx
        import onnxruntime as ort

        graph = onnx.load(str(model))
        names = {o.name for o in graph.graph.output}
        for tap in ("/encoder/Clip_output_0", "/encoder/F0_proj/Conv_output_0"):
            if tap not in names:
                graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(tap))
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self._session: Any = ort.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._voices = voices

    def speak(self, phonemes: str, voice: str, speed: float = 1.0) -> tuple[npt.NDArray[Any], ...]:
        """(pcm float32 [T] 24 kHz, frames int [len(phonemes) + 2], f0 float32 [2 * sum(frames)])."""
        ids = [_SYMBOLS[c] for c in phonemes]
        style = np.fromfile(self._voices / f"{voice}.bin", dtype=np.float32).reshape(-1, 1, 256)[len(ids)]
        feed = {"tokens": np.array([[0, *ids, 0]]), "style": style, "speed": np.array([speed], dtype=np.float32)}
        pcm, frames, f0 = self._session.run(None, feed)
        return pcm.reshape(-1), frames.reshape(-1).astype(np.int64), f0.reshape(-1)


def align(phones: Phonetic, frames: npt.NDArray[np.int64]) -> tuple[list[int], list[int]]:
    """Units (ids, `sil` at both ends) and their lengths, from the teacher's frames per phoneme with its pad tokens at both ends.

    A space of `MIN_PAUSE_FRAMES` or more becomes a pause, a shorter one and a shorter mark belong to the unit before.
    """
    owner = np.full(len(phones.teacher), -1)
    for k, (start, end) in enumerate(phones.spans):
        owner[start:end] = k
    pieces = [(SIL, int(frames[0]))]
    for char, own in enumerate(owner):
        length = int(frames[char + 1])
        name = phones.units[own] if own >= 0 else SIL
        if name == SIL and length < MIN_PAUSE_FRAMES:
            name = pieces[-1][0]
        pieces.append((name, length))
    pieces.append((SIL, int(frames[-1])))
    ids, lengths = [], []
    for name, length in pieces:
        if ids and ids[-1] == UNIT_ID[name]:
            lengths[-1] += length
        elif length:
            ids.append(UNIT_ID[name])
            lengths.append(length)
    return ids, lengths


def synthesize(manifest: Path, out: Path, teacher: Teacher, *, worker: int = 0, of: int = 1) -> None:
    """Speak every line of `manifest` into `out`, in order, skipping what exists."""
    from tqdm import tqdm

    out.mkdir(parents=True, exist_ok=True)
    lines = list(read_manifest(manifest))
    for index in tqdm(range(worker, len(lines), of), mininterval=10):
        target = out / f"{index:06d}.npz"
        if target.exists():
            continue
        line = lines[index]
        phones = phonetic(line.text)
        if not 2 <= len(phones.teacher) <= 400:
            continue
        pcm, frames, f0 = teacher.speak(phones.teacher, line.voice, line.speed)
        ids, lengths = align(phones, frames)
        pcm16 = (np.clip(pcm, -1, 1) * 32767).astype(np.int16)[: SAMPLES_PER_FRAME * sum(lengths)]
        part = target.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(
                file,
                pcm=pcm16,
                units=np.array(ids, np.int16),
                frames=np.array(lengths, np.int16),
                f0=f0.astype(np.float16),
                text="\t".join((line.split, line.voice, f"{line.speed:.2f}", line.text)),
            )
        part.rename(target)


def read_manifest(path: Path) -> Iterator[Utterance]:
    """Lines of a manifest."""
    for row in path.read_text(encoding="utf-8").splitlines():
        split, voice, speed, text = row.split("\t")
        yield Utterance(split, voice, float(speed), text)


# --- a plan of what to say


def held_out(text: str) -> bool:
    """Whether a sentence is kept for tests (about 8%), by its hash, so that every stage agrees; also what nobody may repeat."""
    return hashlib.md5(text.strip().encode()).digest()[0] < 10 or never_repeated(f"repeat:{text.strip()}")


def plan(pairs: list[tuple[str, str]], voices: list[str], *, lines: int, seed: int = 7) -> list[Utterance]:
    """Every held-out voice on held-out sentences, then `lines` training utterances, of which any prefix has the same shares of voices and kinds.

    pairs: (Mandarin, English) sentences. The two output voices, `OWN_SHARE` of the utterances, say answers of the domains and the sentences whose units
    were said least; Mandarin, which has four times the units, twice as often as English. The others ask questions of the domains, and read.
    """
    rng = random.Random(seed)
    sentences = {
        "zh": [z for z, _ in pairs if not held_out(z) and len(z) < 30],
        "en": [e for _, e in pairs if not held_out(e) and len(e) < 90],
    }
    own = {"en": ENGLISH_VOICE, "zh": MANDARIN_VOICE}
    others = {
        language: [v for v in voices if v[0] in kinds and v not in HELD_OUT_VOICES]
        for language, kinds in (("en", "ab"), ("zh", "z"))
    }
    rare = {language: rarest_first(texts) for language, texts in sentences.items()}
    chosen = []
    for _ in range(lines):
        ours = rng.random() < OWN_SHARE
        language: Lang = "zh" if rng.random() < (2 / 3 if ours else 1 / 2) else "en"
        if rng.random() < DOMAINS_SHARE:
            text = _of_the_domains(rng, language, answer=ours)
        else:
            text = next(rare[language], None) if ours else None
            text = text or rng.choice(sentences[language])
        voice = own[language] if ours else rng.choice(others[language])
        chosen.append(Utterance("train", voice, 1.0 if ours else round(rng.uniform(0.9, 1.15), 2), text))
    return _test_plan(pairs, random.Random(seed)) + chosen


def _of_the_domains(rng: random.Random, language: Lang, *, answer: bool) -> str:
    while True:
        exchange = draw(rng, rng.choice([w for w in DOMAINS if w not in ("repeat", "translate", "stories")]))
        said, spoken = (
            (exchange.answer, exchange.answer_lang) if answer else (exchange.question, exchange.question_lang)
        )
        if spoken == language and not held_out(said):
            return said


def rarest_first(texts: Iterable[str]) -> Iterator[str]:
    """`texts` in such an order that each brings most units that were said seldom, for its length (greedy, as gains only fall)."""
    count: Counter[int] = Counter()

    def gain(units: Sequence[int]) -> float:
        return sum(1 / (1 + count[u]) for u in set(units)) / (3 + len(units))

    units = {text: to_ids(text) for text in texts}
    heap = [(-gain(said), text) for text, said in units.items()]
    heapify(heap)
    while heap:
        _, text = heappop(heap)
        now = -gain(units[text])
        if heap and now > heap[0][0]:
            heappush(heap, (now, text))
            continue
        count.update(units[text])
        yield text


def _test_plan(pairs: list[tuple[str, str]], rng: random.Random, each: int = 12) -> list[Utterance]:
    english = [e for _, e in pairs if held_out(e) and len(e) < 90]
    mandarin = [z for z, _ in pairs if held_out(z) and len(z) < 30]
    test = []
    for voice in sorted(HELD_OUT_VOICES):
        for text in rng.sample(mandarin if voice.startswith("z") else english, each):
            test.append(Utterance("test", voice, 1.0, text))
    rng.shuffle(test)
    return test


def main() -> None:
    """Command line, see the module's head."""
    parser = argparse.ArgumentParser(description="teacher speech with durations")
    parser.add_argument("--kokoro", type=Path, required=True)
    parser.add_argument("--voices", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True, help="manifest; made from --pairs if it does not exist")
    parser.add_argument("--pairs", type=Path, help="hsk-sentences-audio's sentences.json")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lines", type=int, default=6000)
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--of", type=int, default=1)
    args = parser.parse_args()
    if not args.text.exists():
        pairs = [(s["chinese"], s["translation"]["en"]) for s in json.loads(args.pairs.read_text(encoding="utf-8"))]
        lines = plan(pairs, sorted(p.stem for p in args.voices.glob("*.bin")), lines=args.lines)
        rows = "\n".join(f"{u.split}\t{u.voice}\t{u.speed}\t{u.text}" for u in lines)
        args.text.parent.mkdir(parents=True, exist_ok=True)
        args.text.write_text(rows + "\n", encoding="utf-8")
    synthesize(args.text, args.out, Teacher(args.kokoro, args.voices), worker=args.worker, of=args.of)


if __name__ == "__main__":
    main()
