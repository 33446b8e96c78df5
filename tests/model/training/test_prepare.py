"""Manifests to documents: units of recordings, kept; and what a row may lack."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest
import soundfile

from model.profile import Profile
from model.training.lm_data import read_shard
from model.training.manifests import ManifestError, Row
from model.training.prepare import FromRecordings, beside, documents, write_documents
from model.training.rendering import Scribe


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(8000), 8000)
    return path


def source(tmp_path: Path, calls: list[int]) -> FromRecordings:
    def encode(pcm: np.ndarray) -> list[int]:
        calls.append(pcm.size)
        return [3, 3, 1]

    return FromRecordings(encode, 16_000, tmp_path / "units.jsonl")


def test_a_recording_is_encoded_once(tmp_path: Path, recording: Path) -> None:
    calls: list[int] = []
    for _ in range(2):
        assert source(tmp_path, calls).heard(Random(0), Row("Hi.", "en", audio=recording)) == [3, 3, 1]
    assert calls == [16_000]
    with pytest.raises(ManifestError, match="has no recording; give one"):
        source(tmp_path, calls).heard(Random(0), Row("Hi.", "en"))
    (tmp_path / "b.wav").write_bytes(b"none")
    with pytest.raises(ManifestError, match=r"b\.wav"):
        source(tmp_path, calls).said("Hi.", tmp_path / "b.wav")


def test_rows_become_documents(tmp_path: Path, recording: Path, large_profile: Profile, extended: Path) -> None:
    scribe, units = Scribe(large_profile, extended), source(tmp_path, [])
    row = Row("Hi?", "en", "anna", recording, {"answer": "Yes.", "answer_language": "zh", "answer_audio": ["a.wav"]})
    made = list(documents(scribe, units, "s2s", [beside(tmp_path / "m.jsonl", row)], Random(0), "interleaved"))
    made += documents(scribe, units, "asr", [row], Random(0), "interleaved")
    path = tmp_path / "x-0.npz"
    write_documents(path, made)
    assert [(ids.tolist(), weights.tolist()) for ids, weights in read_shard(path)] == [(d.ids, d.weights) for d in made]


def test_ids_above_65535_are_kept(tmp_path: Path) -> None:
    from model.training.lm_data import Document

    write_documents(tmp_path / "x.npz", [Document([132_355, 7], [0, 1])])
    assert read_shard(tmp_path / "x.npz")[0][0].tolist() == [132_355, 7]


@pytest.mark.parametrize(
    ("task", "more", "said"),
    [
        ("mt", {}, "lacks `translation`"),
        ("text", {"answer": " "}, "lacks `answer`"),
        ("s2s", {"answer": "Yes.", "answer_audio": ["a.wav", "b.wav"]}, "2 recordings for 1 segments: Yes."),
    ],
)
def test_what_a_row_lacks_is_told(
    task: str,
    more: dict[str, object],
    said: str,
    tmp_path: Path,
    recording: Path,
    large_profile: Profile,
    extended: Path,
) -> None:
    row = Row("Hi?", "en", "anna", recording, json.loads(json.dumps(more)))
    scribe = Scribe(large_profile, extended)
    with pytest.raises(ManifestError, match=said):
        list(documents(scribe, source(tmp_path, []), task, [row], Random(0), "interleaved"))
