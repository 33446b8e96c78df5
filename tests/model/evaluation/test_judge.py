"""What the judge asks of Whisper; a stand-in for the package, for its weights are not in the repository."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from model.evaluation.judge import Judge
from model.evaluation.sets import EvaluationError

PIECES = ["a", "7", " 12", "九", "%", " nine", "3点"]


class Whisper:
    """Writes down how it was asked."""

    asked: dict[str, Any]

    def __init__(self, directory: str, **options: Any) -> None:
        self.hf_tokenizer = SimpleNamespace(
            decode=lambda ids: PIECES[ids[0]], get_vocab_size=lambda with_added_tokens: len(PIECES)
        )

    def transcribe(self, pcm: np.ndarray, **asked: Any) -> tuple[list[Any], None]:
        Whisper.asked = asked
        return [SimpleNamespace(text=" nine"), SimpleNamespace(text=" times ")], None


def test_numbers_can_only_be_written_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = ModuleType("faster_whisper")
    package.WhisperModel = Whisper  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "faster_whisper", package)
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / name).touch()
    assert Judge(tmp_path).transcribe(np.zeros(1600, np.float32), 16_000, "en") == "nine times"
    assert Whisper.asked["suppress_tokens"] == [-1, 1, 2, 4, 6]
    assert Whisper.asked["language"] == "en"


def test_a_directory_without_a_judge_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"lacks model\.bin"):
        Judge(tmp_path)
