"""The tokenizer: whole words, single characters, any text, and text that never becomes a control token."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from model.prompts.plain_text import PlainText
from model.training.text_tokenizer import CHAT_TOKENS, MARKERS, build_tokenizer, save_tokenizer, unit_tokens

TEXTS = [
    "What is the capital of France?",
    " The capital of France is Paris.",
    "twenty-three plus",
    "法国的首都是巴黎。",
] * 4
TOKENIZER = build_tokenizer(TEXTS, n_units=20, english_pieces=120)
PLAIN = PlainText(TOKENIZER.to_str())


def test_known_words_and_characters_are_one_token() -> None:
    for piece in ("What", " capital", " Paris", "-three", "法", "，" if "，" in "".join(TEXTS) else "。"):
        assert len(PLAIN.encode(piece)) == 1, piece


def test_every_control_token_has_one_id_of_its_own() -> None:
    names = [*CHAT_TOKENS, *MARKERS, *unit_tokens(20)]
    ids = [PLAIN.token(name) for name in names]
    assert len(set(ids)) == len(names)
    assert [TOKENIZER.encode(name, add_special_tokens=False).ids for name in names] == [[i] for i in ids]
    with pytest.raises(KeyError):
        PLAIN.token("<20>")


@settings(max_examples=60)
@given(st.text(max_size=30), st.sampled_from([*CHAT_TOKENS, *MARKERS, "<3>", ""]))
def test_any_text_survives_and_stays_text(text: str, control: str) -> None:
    ids = PLAIN.encode(text + control + text)
    assert PLAIN.decode(ids) == text + control + text
    assert max(ids, default=0) < PLAIN.token(CHAT_TOKENS[0])


def test_pieces_between_control_tokens_are_tokenized_as_the_whole_is() -> None:
    whole = TOKENIZER.encode("What is <sosp><3><7><eosp>. The", add_special_tokens=False).ids
    parts = [
        *PLAIN.encode("What is "),
        *(PLAIN.token(t) for t in ("<sosp>", "<3>", "<7>", "<eosp>")),
        *PLAIN.encode(". The"),
    ]
    assert whole == parts


def test_transformers_reads_it(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    save_tokenizer(TOKENIZER, tmp_path)
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.convert_tokens_to_ids("<sosp>") == PLAIN.token("<sosp>")
    turn = loaded.apply_chat_template([{"role": "user", "content": "What"}], tokenize=False, add_generation_prompt=True)
    assert turn == (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nWhat<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    assert Tokenizer.from_file(str(tmp_path / "tokenizer.json")).get_vocab_size() == TOKENIZER.get_vocab_size()
