"""The speech side of the recipe: alignment, augmentation, labels, error counts, a running average, the losses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from model.evaluation.scores import error_rate, words
from model.training import augment, synth
from model.training.edit_distance import distance
from model.training.g2p import SIL, UNIT_ID, Phonetic
from model.training.synth import Utterance, align
from model.training.tokenizer_train import align_pairs, frame_labels, settle, unit_errors
from model.training.trainer import young_average


def test_align_gives_spaces_and_short_marks_to_the_unit_before() -> None:
    phones = Phonetic(
        units=("h", "I", "sil", "j", "u"), teacher="hˈI, ju", spans=((0, 1), (1, 3), (3, 4), (5, 6), (6, 7))
    )
    #                     pad h  ˈ  I  ,  _  j  u  pad
    ids, lengths = align(phones, np.array([9, 2, 1, 4, 5, 1, 2, 6, 8]))
    assert ids == [UNIT_ID[u] for u in ("sil", "h", "I", "sil", "j", "u", "sil")]
    assert lengths == [9, 2, 5, 6, 2, 6, 8]
    ids, lengths = align(phones, np.array([9, 2, 1, 4, 1, 1, 2, 6, 8]))
    assert ids == [UNIT_ID[u] for u in ("sil", "h", "I", "j", "u", "sil")]
    assert sum(lengths) == 34


def test_frame_labels_are_taken_in_the_middle() -> None:
    labels = frame_labels([5, 6], [2, 2], 6, before=320)
    assert labels.tolist() == [UNIT_ID[SIL], 5, 5, 6, 6, 6]
    assert frame_labels([5], [1], 4, before=0).tolist() == [5, UNIT_ID[SIL], UNIT_ID[SIL], UNIT_ID[SIL]]


def test_settle_moves_labels_and_cuts_the_last_unit() -> None:
    labels = np.array([0, 0, 0, 7, 7, *[8] * 30, 0, 0], np.int16)
    settled = settle(labels, early=2, longest=5)
    assert settled[:12].tolist() == [0, 7, 7, 8, 8, 8, 8, 8, 0, 0, 0, 0]
    assert len(settled) == len(labels)


def test_errors_tell_phones_from_tones() -> None:
    errors = unit_errors(["n_", "i3", "h_", "ao3"], ["n_", "i2", "sil", "h_", "ao3"])
    assert errors == {"phone": 0, "unit": 1, "total": 4, "tone": 1, "tones": 2}
    assert align_pairs("abc", "ac") == [(0, 0), (2, 1)]


def test_distance_and_words() -> None:
    assert distance("kitten", "sitting") == 3
    assert words("It's 3 o'clock!", "en") == ["it", "is", "three", "oclock"]
    assert error_rate([("a b", "a c")], "en") == pytest.approx(0.5)


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_spoiled_speech_is_finite_bounded_and_tells_its_delay(hard: bool, seed: int) -> None:
    pcm = np.sin(np.arange(16_000) * 0.05).astype(np.float32)
    heard, before = augment.augment(pcm, np.random.default_rng(seed), babble=pcm[::-1].copy(), hard=hard)
    assert heard.dtype == np.float32
    assert len(heard) >= len(pcm) + before
    assert np.isfinite(heard).all()
    assert np.abs(heard).max() <= 1.0001


def test_noise_is_mixed_at_its_level() -> None:
    pcm = np.ones(8000, np.float32)
    noise = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    rest = augment.mix(pcm, noise, 10.0) - pcm
    assert 10 * np.log10(1 / np.mean(rest**2)) == pytest.approx(10.0, abs=0.1)


def test_the_average_is_useful_from_the_first_steps() -> None:
    module = torch.nn.Linear(1, 1, bias=False)
    average = torch.optim.swa_utils.AveragedModel(module, multi_avg_fn=young_average())
    module.weight.data.fill_(0.0)
    average.update_parameters(module)
    module.weight.data.fill_(1.0)
    for _ in range(20):
        average.update_parameters(module)
    assert float(average.module.weight.detach()) > 0.9


def test_what_was_said_least_is_said_first() -> None:
    pytest.importorskip("jieba"), pytest.importorskip("pypinyin")
    order = list(synth.rarest_first(["妈妈。", "妈妈妈。", "爸爸。"]))
    assert sorted(order) == sorted(["妈妈。", "妈妈妈。", "爸爸。"])
    assert order.index("爸爸。") == 1  # after one of mothers, before the other


def test_the_sentences_that_the_vocoder_is_judged_by_are_kept_out_of_its_plan() -> None:
    rows = Path("tests/data/vocoder/held_out.tsv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 46
    assert [row for row in rows if not synth.held_out(row.split("\t")[1])] == []


def test_the_plan_is_written_where_no_directory_is_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pairs.json").write_text("[]")
    monkeypatch.setattr(synth, "plan", lambda pairs, voices, lines: [Utterance("train", "af_heart", 1.0, "Hi.")])
    monkeypatch.setattr(synth, "Teacher", lambda *files: None)
    monkeypatch.setattr(synth, "synthesize", lambda *everything, **more: None)
    manifest = tmp_path / "data" / "manifest.tsv"
    files = {"kokoro": "k", "voices": "v", "pairs": str(tmp_path / "pairs.json"), "text": str(manifest), "out": "o"}
    monkeypatch.setattr("sys.argv", ["synth", *(word for name, file in files.items() for word in (f"--{name}", file))])
    synth.main()
    assert list(synth.read_manifest(manifest)) == [Utterance("train", "af_heart", 1.0, "Hi.")]
