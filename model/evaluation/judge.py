"""An independent recognizer: Whisper transcribes the spoken answers, and shares no weight with the bundle.

The directory is a CTranslate2 model (`model.bin`, `config.json`, `tokenizer.json`, `vocabulary.txt`), for example of
Whisper-base (arXiv 2212.04356, MIT). docs/evaluation.md describes how to get one. Needs `faster-whisper`
(requirements/judge.txt).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.evaluation.sets import EvaluationError

MANNER = "beam of 5, numbers in words"
_BEAM, _NO_WORDS = 5, frozenset("0123456789%$£+=")
_FILES = ("model.bin", "config.json", "tokenizer.json")
Pcm = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Heard:
    """What the judge understood when told the language, and the likeliest of the languages it was offered."""

    text: str
    language: str


class Judge:
    """Whisper with its authors' beam, and no second try at a higher temperature: the same audio gives the same text.

    It may write no digits: what it makes of numbers cannot be read back ("九点过六个小时" becomes "9.6個小時").
    """

    def __init__(self, directory: Path, *, threads: int = 1) -> None:
        missing = [name for name in _FILES if not (directory / name).is_file()]
        if missing:
            raise EvaluationError(
                f"{directory} is not a CTranslate2 directory of Whisper: it lacks {', '.join(missing)}"
            )
        from faster_whisper import WhisperModel

        self._model: Any = WhisperModel(str(directory), device="cpu", compute_type="int8", cpu_threads=threads)
        tokenizer = self._model.hf_tokenizer
        texts = (
            (number, tokenizer.decode([number])) for number in range(tokenizer.get_vocab_size(with_added_tokens=False))
        )
        self._unwritten = [-1, *(number for number, text in texts if _NO_WORDS & set(text))]

    def transcribe(self, pcm: Pcm, sample_rate: int, language: str | None) -> str:
        """Text of float32 [T]; the language is detected if None."""
        segments, _ = self._model.transcribe(
            _at_16_khz(pcm, sample_rate),
            language=language,
            beam_size=_BEAM,
            suppress_tokens=self._unwritten,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return "".join(s.text for s in segments).strip()

    def hear(self, pcm: Pcm, sample_rate: int, language: str, languages: Sequence[str]) -> Heard:
        """Transcript of float32 [T] in `language`, and which of `languages` it sounds like. Nothing is heard in no audio."""
        if not pcm.size:
            return Heard("", "")
        _, _, chances = self._model.detect_language(_at_16_khz(pcm, sample_rate))
        likely = max((chance, name) for name, chance in chances if name in languages or name == language)[1]
        return Heard(self.transcribe(pcm, sample_rate, language), likely)


def _at_16_khz(pcm: Pcm, sample_rate: int) -> Pcm:
    import soxr

    return np.asarray(soxr.resample(np.asarray(pcm, np.float32), sample_rate, 16_000), np.float32)
