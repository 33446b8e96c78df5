"""Plain manifests: both forms, and what is said of bad ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.training.manifests import ManifestError, Row, kept_lines, read_manifest, read_recording, turns_before


def test_tsv_and_jsonl_say_the_same(tmp_path: Path) -> None:
    tsv, jsonl = tmp_path / "a.tsv", tmp_path / "a.jsonl"
    tsv.write_text(
        'audio\ttext\tlanguage\tspeaker\nclips/1.wav\tSay "hi".\ten\tanna\n\t你好。\tzh\t\n', encoding="utf-8"
    )
    jsonl.write_text(
        '{"audio": "clips/1.wav", "text": "Say \\"hi\\".", "language": "en", "speaker": "anna"}\n\n'
        '{"text": "你好。", "language": "zh"}\n',
        encoding="utf-8",
    )
    wanted = [Row('Say "hi".', "en", "anna", tmp_path / "clips/1.wav"), Row("你好。", "zh")]
    assert read_manifest(tsv) == read_manifest(jsonl) == wanted


def test_other_columns_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "Hi.", "language": "en", "answers": ["Hello."]}\n', encoding="utf-8")
    assert read_manifest(path)[0].more == {"answers": ["Hello."]}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "text,language\n", ".tsv or .jsonl"),
        ("a.tsv", "text\tlanguage\n", "has no rows"),
        ("a.tsv", "text\tlanguage\nhi\t\n", "a.tsv:2: `language`"),
        ("a.tsv", "text\tlanguage\nhi\ten\tmore\n", "a.tsv:2: more columns"),
        ("a.jsonl", "{\n", "a.jsonl:1: not JSON"),
        ("a.jsonl", "[1]\n", "a.jsonl:1: a row is a JSON object"),
        ("a.jsonl", '{"text": "hi", "language": "en", "audio": 3}\n', "`audio`"),
        ("a.jsonl", '{"language": "en"}\n', "a.jsonl:1: `text`"),
    ],
)
def test_a_bad_manifest_is_told_where(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match=said.replace("`", ".").replace("(", ".")):
        read_manifest(path)


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"no manifest .*nowhere\.tsv"):
        read_manifest(tmp_path / "nowhere.tsv")


def test_the_mark_that_spreadsheets_write_is_no_part_of_a_column(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("audio\ttext\tlanguage\n1.wav\tHi.\ten\n", encoding="utf-8-sig")
    assert read_manifest(path) == [Row("Hi.", "en", "", tmp_path / "1.wav")]
    path.write_text("text\tlanguage\n你\tzh\n", encoding="gb18030")
    with pytest.raises(ManifestError, match=r"a\.tsv is not UTF-8"):
        read_manifest(path)


def test_what_was_said_before_is_two_texts_a_turn() -> None:
    assert turns_before(Row("And?", "en", more={"before": ["Hi.", "Hello."]})) == (("Hi.", "Hello."),)
    turns = [["Hi.", "Hello."], ["How are you?", "Fine."]]
    assert turns_before(Row("And?", "en", more={"before": turns})) == (("Hi.", "Hello."), ("How are you?", "Fine."))
    assert turns_before(Row("And?", "en", more={"before": ""})) == turns_before(Row("And?", "en")) == ()
    for bad in ("ab", ["a"], ["a", 1], 3):
        with pytest.raises(ManifestError, match="“And\\?”: `before` is a question and its answer"):
            turns_before(Row("And?", "en", more={"before": bad}))


def test_a_recording_without_sound_is_none(tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.zeros(0), 16_000)
    with pytest.raises(ManifestError, match=r"a\.wav has no sound"):
        read_recording(tmp_path / "a.wav", 16_000)
    with pytest.raises(ManifestError, match=r"b\.wav: there is no such file"):
        read_recording(tmp_path / "b.wav", 16_000)


def test_a_line_that_was_cut_off_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    assert kept_lines(path) == []
    path.write_text('{"a": 1}\n{"a": ')
    assert kept_lines(path) == [{"a": 1}]
    assert path.read_text() == '{"a": 1}\n'
