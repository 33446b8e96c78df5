"""Plain manifests: both forms, and what is said of bad ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.training.manifests import ManifestError, Row, read_manifest


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
        ("a.tsv", "text\tlanguage\n", "holds no rows"),
        ("a.tsv", "text\tlanguage\nhi\t\n", "a.tsv:2: `language`"),
        ("a.tsv", "text\tlanguage\nhi\ten\tmore\n", "a.tsv:2: more columns"),
        ("a.jsonl", "{\n", "a.jsonl:1: no JSON"),
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
