"""Manifests to documents: units of recordings, kept; and what a row may lack."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest
import soundfile

from model.profile import Profile
from model.training.manifests import ManifestError, Row
from model.training.prepare import FromRecordings, FromText, beside, documents, main, write_documents
from model.training.rendering import Scribe
from model.training.shards import Document, read_shard


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(8000), 8000)
    return path


def source(tmp_path: Path, calls: list[int], encoder: str = "e") -> FromRecordings:
    def encode(pcm: np.ndarray) -> list[int]:
        calls.append(pcm.size)
        return [3, 3, 1] if pcm.size > 1 else []

    return FromRecordings(encode, 16_000, tmp_path / "units.jsonl", encoder)


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
    assert write_documents(tmp_path, "x", iter(made), each=20).startswith("x: 2 documents, ")
    read = [(ids.tolist(), weights.tolist()) for ids, weights in read_shard(tmp_path / "x-0.npz")]
    assert read == [(d.ids, d.weights) for d in made]


def test_documents_are_written_shard_after_shard_and_those_of_an_earlier_run_go(tmp_path: Path) -> None:
    def some(count: int) -> Iterator[Document]:
        return (Document([132_355, number], [0, 1]) for number in range(count))  # the ids of the 8B need 32 bits

    assert write_documents(tmp_path, "asr", some(5), each=2) == "asr: 5 documents, 10 tokens"
    (tmp_path / "asr-mine2.npz").touch()
    write_documents(tmp_path, "asr", some(3), each=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["asr-0.npz", "asr-1.npz", "asr-mine2.npz"]
    assert [ids.tolist() for n in (0, 1) for ids, _ in read_shard(tmp_path / f"asr-{n}.npz")] == [
        [132_355, n] for n in range(3)
    ]


def test_an_error_half_way_leaves_the_documents_of_before(tmp_path: Path) -> None:
    def some(count: int, *, broken: bool) -> Iterator[Document]:
        yield from (Document([number, number], [0, 1]) for number in range(count))
        if broken:
            raise ManifestError("row 5 lacks `answer`")

    write_documents(tmp_path, "s2s", some(3, broken=False), each=2)
    with pytest.raises(ManifestError):
        write_documents(tmp_path, "s2s", some(5, broken=True), each=2)
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == ["s2s-0.npz", "s2s-1.npz"]
    assert len(read_shard(tmp_path / "s2s-0.npz") + read_shard(tmp_path / "s2s-1.npz")) == 3
    write_documents(tmp_path, "s2s", some(1, broken=False), each=2)
    assert [path.name for path in tmp_path.iterdir()] == ["s2s-0.npz"]


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


def test_what_was_recorded_anew_or_heard_by_another_encoder_is_not_taken_from_what_was_kept(
    tmp_path: Path, recording: Path
) -> None:
    calls: list[int] = []
    source(tmp_path, calls).said("Hi.", recording)
    source(tmp_path, calls, encoder="f").said("Hi.", recording)
    assert len(calls) == 2
    os.utime(recording, (1, 1))
    source(tmp_path, calls).said("Hi.", recording)
    assert len(calls) == 3
    soundfile.write(recording, np.zeros(1), 16_000)
    with pytest.raises(ManifestError, match=r"a\.wav: the encoder finds no units in it"):
        source(tmp_path, calls).said("Hi.", recording)


def test_a_language_without_wording_or_sounds_is_told(
    tmp_path: Path, recording: Path, large_profile: Profile, extended: Path
) -> None:
    scribe, more = Scribe(large_profile, extended), {"translation": "Salut.", "translation_language": "fr"}
    for task, row in (("asr", Row("Salut.", "fr", "", recording)), ("mt", Row("Hi.", "en", more=more))):
        with pytest.raises(ValueError, match=f"task {task} has no wording in 'fr'; accepted: en, zh"):
            list(documents(scribe, source(tmp_path, []), task, [row], Random(0), "interleaved"))
    with pytest.raises(ManifestError, match="does not support 'fr'; accepted: en, zh"):
        FromText().heard(Random(0), Row("Salut.", "fr"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to prepare: give --asr, --tts"),
        (["--segments", "--asr", "{m}"], "--segments needs --s2s"),
        (["--asr", "{m}", "--copies", "0"], "--copies and --documents are at least 1"),
        (["--asr", "{m}"], r"2 recordings are missing, the first is .*1\.wav"),
        (["--asr", "{m}", "--units", "text", "--bundle", "nowhere"], "there is no bundle 'nowhere'"),
        (["--asr", "{m}", "--units", "text", "--confusions", "no.json"], r"no\.json"),
    ],
)
def test_a_command_that_cannot_be_followed_says_why(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "m.tsv"
    manifest.write_text("audio\ttext\tlanguage\n1.wav\tHi.\ten\n2.wav\tHo.\ten\n", encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        main([*(each.format(m=manifest) for each in arguments), "--out", str(tmp_path / "out")])
    assert re.search(said, f"{capsys.readouterr().err}{stopped.value}")
