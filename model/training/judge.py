"""An independent listener: Whisper-base transcribes what was spoken, and the errors are counted.

    python -m model.training.judge --whisper whisper-base/ --bundle model/bundles/cslm-mini --sentences held_out.tsv

English: word error after lower-casing, numbers in words. Mandarin: error over syllables without tone, because a recognizer writes homophones.
The directory is a CTranslate2 model (`model.bin`, `config.json`, `tokenizer.json`, `vocabulary.txt`); needs `faster-whisper`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.training.g2p import spell_english, spell_mandarin


class Judge:
    """Whisper, greedy, one thread."""

    def __init__(self, directory: Path, *, threads: int = 1) -> None:
        from faster_whisper import WhisperModel

        self._model: Any = WhisperModel(str(directory), device="cpu", compute_type="int8", cpu_threads=threads)

    def transcribe(self, pcm: npt.NDArray[np.float32], sample_rate: int, language: str | None) -> str:
        """Text of float32 [T]; the language is detected if None."""
        import soxr

        heard = soxr.resample(np.asarray(pcm, np.float32), sample_rate, 16_000)
        segments, _ = self._model.transcribe(
            heard,
            language=language,
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return "".join(s.text for s in segments).strip()


def words(text: str, language: str) -> list[str]:
    """What is compared: English words, Mandarin toneless syllables."""
    if language == "zh":
        from pypinyin import lazy_pinyin

        return list(lazy_pinyin("".join(re.findall("[\u4e00-\u9fff]", spell_mandarin(_simplified(text))))))
    text = spell_english(text.lower().replace("’", "'")).replace("-", " ")
    return re.findall(r"[a-z]+", text.replace("'", ""))


def _simplified(text: str) -> str:
    try:
        import zhconv
    except ImportError:  # pinyin is nearly the same for both scripts
        return text
    return str(zhconv.convert(text, "zh-cn"))


def distance(got: Sequence[Any], want: Sequence[Any]) -> int:
    """Edit distance."""
    row = list(range(len(want) + 1))
    for i, g in enumerate(got, start=1):
        previous, row[0] = row[0], i
        for j, w in enumerate(want, start=1):
            previous, row[j] = row[j], min(previous + (g != w), row[j] + 1, row[j - 1] + 1)
    return row[-1]


def error_rate(pairs: Sequence[tuple[str, str]], language: str) -> float:
    """Errors per word (syllable) over pairs of (heard, meant)."""
    wrong = sum(distance(words(h, language), words(m, language)) for h, m in pairs)
    return wrong / max(1, sum(len(words(m, language)) for _, m in pairs))


def main() -> None:
    """Speak sentences (`language<TAB>text`) from their units through the bundle's vocoder and judge them."""
    import torch

    from model.training.g2p import to_ids
    from model.vocoder import Vocoder

    parser = argparse.ArgumentParser(description="how well the vocoder is understood")
    parser.add_argument("--whisper", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--sentences", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=10_000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    judge, vocoder = Judge(args.whisper), Vocoder.load(args.bundle / "vocoder")
    pairs: dict[str, list[tuple[str, str]]] = {}
    for row in args.sentences.read_text(encoding="utf-8").splitlines()[: args.limit]:
        language, text = row.split("\t")
        heard = judge.transcribe(vocoder.decode(to_ids(text, trim=False)), vocoder.sample_rate, language)
        pairs.setdefault(language, []).append((heard, text))
        print(f"{text} | {heard}")
    for language, heard_meant in pairs.items():
        print(f"{language}: {error_rate(heard_meant, language):.1%} of {len(heard_meant)} sentences")


if __name__ == "__main__":
    main()
