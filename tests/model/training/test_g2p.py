"""Text to units against hand-worked examples; Mandarin needs pypinyin and jieba, English espeak-ng."""

from __future__ import annotations

import pytest

from model.training import g2p, written_numbers


def zh(text: str, **kwargs: bool) -> str:
    pytest.importorskip("pypinyin")
    pytest.importorskip("jieba")
    return " ".join(g2p.to_units(text, **kwargs))


def en(text: str, **kwargs: bool) -> str:
    pytest.importorskip("phonemizer")
    pytest.importorskip("espeakng_loader")
    return " ".join(g2p.to_units(text, **kwargs))


def test_inventory_has_no_doubles() -> None:
    assert len(set(g2p.INVENTORY)) == len(g2p.INVENTORY) == 243
    assert g2p.INVENTORY[0] == g2p.SIL


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("你好", "n_ i2 h_ ao3"),  # 3-3
        ("不是，不好", "b_ u2 sh_ ih4 sil b_ u4 h_ ao3"),
        ("一样一天", "i2 iang4 i4 t_ ian1"),
        ("第一，十一", "d_ i4 i1 sil sh_ ih2 i1"),
        ("女儿", "n_ v3 er2"),
        ("知道", "zh_ ih1 d_ ao4"),
        ("3加5", "s_ an1 j_ ia1 u3"),
        ("2个", "l_ iang3 g_ e4"),
        ("2023年", "er4 l_ ing2 er4 s_ an1 n_ ian2"),
    ],
)
def test_mandarin(text: str, units: str) -> None:
    assert zh(text) == units


def test_english() -> None:
    assert en("Hello, world.") == "h ə l O sil w ɜ ɹ l d"
    assert en("judge") == "ʤ ʌ ʤ"
    assert en("3 + 5") == en("three plus five")
    assert en("Hello.", trim=False) == "h ə l O sil"


def test_both_languages_in_one_sentence() -> None:
    pytest.importorskip("pypinyin")
    assert "n_ i2 h_ ao3" in en("How do you say 你好 in English?")


def test_every_unit_has_its_piece_of_the_teachers_phonemes() -> None:
    pytest.importorskip("pypinyin")
    pytest.importorskip("phonemizer")
    for text in ("It's 5:30, Anna.", "我有三个苹果。"):
        phones = g2p.phonetic(text)
        assert all(phones.teacher[a:b].strip() for a, b in phones.spans)
        assert [b for _, b in phones.spans[:-1]] <= [a for a, _ in phones.spans[1:]]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (15, "fifteen"),
        (42, "forty two"),
        (105, "one hundred five"),
        (-3, "minus three"),
        (2000, "two thousand"),
    ],
)
def test_english_numbers(number: int, words: str) -> None:
    assert written_numbers.english_number(number) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "零"),
        (10, "十"),
        (15, "十五"),
        (105, "一百零五"),
        (110, "一百一十"),
        (1005, "一千零五"),
        (10_005, "一万零五"),
        (20_010, "二万零十"),
    ],
)
def test_mandarin_numbers(number: int, words: str) -> None:
    assert written_numbers.mandarin_number(number) == words


def test_times_and_years_in_english() -> None:
    assert written_numbers.spell_english("at 5:30").split() == ["at", "five", "thirty"]
    assert written_numbers.spell_english("in 1999").split() == ["in", "nineteen", "ninety", "nine"]
    assert written_numbers.spell_english("the 21st").split() == ["the", "twenty", "first"]
