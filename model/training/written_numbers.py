"""Digits and symbols of English and Chinese text as words."""

from __future__ import annotations

import re

from model.reading import numbers


def english_number(n: int) -> str:
    """`n` in words without hyphens: 42 → "forty two"."""
    return _unhyphened(numbers.cardinal(n))


def _unhyphened(words: str) -> str:
    return words.replace("-", " ")


def spell_english(text: str) -> str:
    """Digits and symbols of English text as words."""
    text = re.sub(r"(\d),(?=\d{3}\b)", r"\1", text)
    text = re.sub(r"\b(\d{1,2}):(\d\d)\b", lambda m: _unhyphened(numbers.clock(int(m[1]), int(m[2]))), text)
    text = re.sub(r"\b(\d+)(?:st|nd|rd|th)\b", lambda m: _unhyphened(numbers.ordinal(int(m[1]))), text)
    text = re.sub(r"\$(\d+)", r"\1 dollars", text)
    text = re.sub(r"(\d+)\.(\d+)", lambda m: f"{english_number(int(m[1]))} point {numbers.digits(m[2])}", text)
    text = re.sub(
        r"\b(in|year|since|of) (1[1-9]\d\d|20\d\d)\b", lambda m: f"{m[1]} {_unhyphened(numbers.year(int(m[2])))}", text
    )
    text = re.sub(r"(^|[=+×÷*/(]\s*)-\s*(?=\d)", r"\1minus ", text)
    for symbol, word in (
        ("+", "plus"),
        ("=", "equals"),
        ("×", "times"),
        ("÷", "divided by"),
        ("%", "percent"),
        ("&", "and"),
        ("@", "at"),
    ):
        text = text.replace(symbol, f" {word} ")
    text = re.sub(r"(?<=\d)\s*-\s*(?=\d)", " minus ", text)
    return re.sub(r"\d+", lambda m: f" {english_number(int(m[0]))} ", text)


_DIGITS = "零一二三四五六七八九"


def mandarin_number(n: int) -> str:
    """`n` in characters: 105 → 一百零五; exact up to 10^12, digit by digit beyond."""
    if n < 0:
        return "负" + mandarin_number(-n)
    if n >= 10**12:
        return "".join(_DIGITS[int(d)] for d in str(n))
    for size, word in ((10**8, "亿"), (10**4, "万")):
        if n >= size:
            rest = n % size
            gap = "零" if 0 < rest < size // 10 else ""
            return mandarin_number(n // size) + word + (gap + mandarin_number(rest) if rest else "")
    words = _mandarin_below_10000(n)
    return words[1:] if words.startswith("一十") else words


def _mandarin_below_10000(n: int) -> str:
    if n == 0:
        return "零"
    text, zero = "", False
    for size, word in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = n // size % 10
        if digit:
            text += ("零" if zero and text else "") + _DIGITS[digit] + word
        zero = digit == 0
    return text


def spell_mandarin(text: str) -> str:
    """Digits and symbols of Chinese text as characters."""
    text = re.sub(r"(\d),(?=\d{3}\b)", r"\1", text)
    text = re.sub(r"(\d{4})(?=年)", lambda m: "".join(_DIGITS[int(d)] for d in m[1]), text)
    text = re.sub(r"(\d{1,2}):00", lambda m: mandarin_number(int(m[1])) + "点", text)
    text = re.sub(
        r"(\d{1,2}):(\d\d)",
        lambda m: f"{mandarin_number(int(m[1]))}点{'零' if m[2][0] == '0' else ''}{mandarin_number(int(m[2]))}分",
        text,
    )
    text = re.sub(
        r"(\d+)\.(\d+)", lambda m: mandarin_number(int(m[1])) + "点" + "".join(_DIGITS[int(d)] for d in m[2]), text
    )
    text = re.sub(r"(\d+)%", lambda m: "百分之" + mandarin_number(int(m[1])), text)
    text = re.sub(r"(?<![\d.])2(?=[个只本条张杯块件位点天年岁双把辆次倍种])", "两", text)
    for symbol, word in (("+", "加"), ("=", "等于"), ("×", "乘以"), ("÷", "除以")):
        text = text.replace(symbol, word)
    text = re.sub(r"(?<=\d)\s*-\s*(?=\d)", "减", text)
    return re.sub(r"\d+", lambda m: mandarin_number(int(m[0])), text)
