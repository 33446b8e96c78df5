"""Mandarin as it is said, by WeTextProcessing's grammar: numbers, dates, times, money and measures in characters."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

_BEFORE = (
    (re.compile(r"(?<=\d),(?=\d{3}(?!\d))"), ""),  # the grammar takes no separators of thousands
    (re.compile(r"[¥￥]\s?(?=[\d.]+\s?[万亿]?元)"), ""),
    (re.compile(r"(?<=\d)\s*[*xX]\s*(?=\d)"), "×"),
    (re.compile(r"\b(?:No\.?|#|№)\s?(?=\d)", re.IGNORECASE), "第"),
    (re.compile(r"(?<!\w)\+(?=\d{1,3}[\s-]?\d{3})"), "加"),
    (re.compile(r"(?<![\d/])(\d{1,3})/(\d{1,3})(?=\s*(?:等于|=|是多少))"), r"\1÷\2"),
)
_SYMBOLS = {
    "+": "加", "=": "等于", "×": "乘", "÷": "除以", "&": "和", "@": "艾特", "%": "百分号", "<": "小于", ">": "大于",
    "≤": "小于等于", "≥": "大于等于", "≈": "约等于", "±": "正负", "°": "度", "#": "井号", "$": "美元", "€": "欧元", "£": "英镑",
    "¥": "元",
    "²": "平方", "³": "立方", "π": "派", "√": "根号", "~": "到",
}  # fmt: skip
_HALF = ",.?!;:"
_FULL = "，。？！；："
_HAN = "\u3400-\u9fff"
_BESIDE_HAN = re.compile(rf"(?<=[{_HAN}])\s*([,.?!;:])\s*|\s*([,?!;:])\s*(?=[{_HAN}])")
_BETWEEN_HAN = re.compile(rf"(?<=[{_HAN}，。？！；：])[ \t]+(?=[{_HAN}])")


def in_words(text: str) -> str:
    """`text` without digits and symbols, its characters simplified, full-width punctuation beside characters."""
    for pattern, say in _BEFORE:
        text = pattern.sub(say, text)
    text = _grammar()(text)
    text = re.sub("|".join(map(re.escape, _SYMBOLS)), lambda m: _SYMBOLS[m[0]], text)
    text = _BESIDE_HAN.sub(lambda m: _FULL[_HALF.index(m[1] or m[2])], text)
    return _BETWEEN_HAN.sub("", text)


@cache
def _grammar() -> Any:
    from wetext import Normalizer

    normalize = Normalizer(lang="zh", operator="tn", traditional_to_simple=True).normalize

    def said(text: str) -> str:
        try:
            return str(normalize(text))
        except AssertionError:  # what the grammar has no reading for: piece by piece, so that only one stays as it is
            pieces = re.findall(r"\d+|\D+", text)
            return "".join(str(normalize(piece)) if piece.isdigit() else piece for piece in pieces)

    return said
