"""Duration predictor and plots."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import pytest

torch = pytest.importorskip("torch")

from model.training import durations, plot
from model.vocoders.flow_hift import durations as served


def test_runs_and_their_lengths() -> None:
    assert durations.runs([7, 7, 7, 2, 7]) == ([7, 2, 7], [3, 1, 1])
    assert durations.runs([]) == ([], [])


def test_durations_that_follow_from_the_unit_are_learnt(tmp_path: Path) -> None:
    rng = Random(0)
    units = [[rng.randrange(6) for _ in range(20)] for _ in range(64)]
    lengths = {0: 1, 1: 1, 2: 2, 3: 3, 4: 5, 5: 8}
    lines = [{"codes": [u for u in row for _ in range(lengths[u])]} for row in units]
    path = tmp_path / "codes.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    utterances = durations.read_codes(path, 6)
    predictor = durations.train(list(utterances), 6, epochs=40, batch=16, rate=3e-3)
    error, length = durations.error_of(predictor, utterances)
    assert error < 1.0  # equal neighbours were merged, so that a run is sometimes longer than its unit tells
    assert 0.8 < length < 1.1
    served.save(predictor, tmp_path)
    loaded = served.load(tmp_path, 6)
    assert loaded is not None
    assert loaded.frames([0, 5, 2], 0, 3) == predictor.frames([0, 5, 2], 0, 3)


def test_what_fills_a_batch_up_is_nothing_to_the_predictor() -> None:
    torch.manual_seed(0)
    predictor = served.DurationPredictor(6).eval()
    utterances = [([1, 2, 3, 4, 5, 1], [1] * 6), ([3, 2], [2, 2]), ([5], [1])]
    units, _, there = durations.padded(utterances)
    for (alone, _), row, kept in zip(utterances, predictor(units, there), there, strict=True):
        assert torch.allclose(row[kept], predictor(torch.tensor([alone]))[0], atol=1e-6)


def test_bad_codes_are_told_where(tmp_path: Path) -> None:
    path = tmp_path / "codes.jsonl"
    path.write_text('{"codes": [1]}\n{"codes": [9]}\n')
    with pytest.raises(ValueError, match=r"codes\.jsonl:2: expected units below 9"):
        durations.read_codes(path, 9)
    path.write_text('{"units": [1, 2], "frames": [3]}\n')
    with pytest.raises(ValueError, match=r"codes\.jsonl:1"):
        durations.read_codes(path, 9)
    for bad in ('{"units": [1, 2]}', '{"units": [1], "frames": [0]}', '{"frames": [1]}'):
        path.write_text(bad)
        with pytest.raises(ValueError, match=r"codes\.jsonl:1: expected units"):
            durations.read_codes(path, 9)
    path.write_text('{"codes": [1, 1]}\n')
    with pytest.raises(SystemExit, match="one utterance is not enough"):
        durations.main(["train", "--codes", str(path), "--out", str(tmp_path)])
    path.write_text("")
    with pytest.raises(ValueError, match="no utterances"):
        durations.read_codes(path, 9)


def test_curves_become_a_drawing(tmp_path: Path) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "loss.svg"
    log.write_text('{"step": 1, "loss": 4.0}\n{"step": 2, "heldout": {}}\n{"step": 3, "loss": 2.0}\n')
    plot.main([str(log), "--out", str(out)])
    (line,) = ElementTree.parse(out).getroot().findall("{http://www.w3.org/2000/svg}polyline")
    assert line.attrib["points"] == "64.0,16.0 704.0,356.0"  # from top left to bottom right
    assert plot.smoothed([(0, 4.0), (1, 2.0)], 0.5) == [(0, 4.0), (1, 3.0)]
    with pytest.raises(SystemExit, match="no line has both 'step' and 'colour'"):
        plot.main([str(log), "--y", "colour", "--out", str(out)])
    with pytest.raises(SystemExit, match=r"plot: .*nowhere\.jsonl"):
        plot.main([str(tmp_path / "nowhere.jsonl"), "--out", str(out)])


def test_codes_of_recordings_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np
    import soundfile

    from model.encoders.s3 import weights
    from tests.released.speech_tokenizer import random_network

    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "a.wav", 0.1 * rng.standard_normal(8000), 16_000)
    soundfile.write(tmp_path / "b.wav", 0.1 * rng.standard_normal(6000), 8000)
    manifest, codes = tmp_path / "m.tsv", tmp_path / "codes.jsonl"
    manifest.write_text("audio\ttext\tlanguage\na.wav\tHi.\ten\nb.wav\tHo.\ten\n")
    monkeypatch.setattr(weights, "load_network", lambda directory: random_network())
    durations.main(["codes", "--encoder", "e", "--manifest", str(manifest), "--codes", str(codes)])
    first = codes.read_text()
    rows = [json.loads(line) for line in first.splitlines()]
    assert [len(row["codes"]) for row in rows] == [13, 19]  # 25 a second
    durations.main(["codes", "--encoder", "e", "--manifest", str(manifest), "--codes", str(codes)])
    assert codes.read_text() == first
    assert len(durations.read_codes(codes, 4096)) == 2
    with pytest.raises(SystemExit):
        durations.main(["train", "--codes", str(codes)])
