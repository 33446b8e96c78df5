"""Digits and symbols of English and Chinese text as words."""

from __future__ import annotations

import re

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def english_number(n: int) -> str:
    """`n` in words: 42 → "forty two"; exact up to 10^12, digit by digit beyond."""
    if n < 0:
        return "minus " + english_number(-n)
    if n < 20:
        return _ONES[n]
    if n < 100:
        return _TENS[n // 10] + (f" {_ONES[n % 10]}" if n % 10 else "")
    for size, word in ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if size <= n < 10**12:
            return f"{english_number(n // size)} {word}" + (f" {english_number(n % size)}" if n % size else "")
    return " ".join(_ONES[int(d)] for d in str(n))


def _english_ordinal(n: int) -> str:
    head, _, last = english_number(n).rpartition(" ")
    last = _ORDINALS.get(last, last[:-1] + "ieth" if last.endswith("y") else last + "th")
    return f"{head} {last}".strip()


def _english_year(n: int) -> str:
    if n % 1000 < 10 or not 1000 <= n < 2100:
        return english_number(n)
    high, low = divmod(n, 100)
    return f"{english_number(high)} " + (
        "hundred" if low == 0 else f"oh {_ONES[low]}" if low < 10 else english_number(low)
    )


def _english_time(hour: int, minute: int) -> str:
    return f"{english_number(hour)} " + (
        "o'clock" if minute == 0 else f"oh {_ONES[minute]}" if minute < 10 else english_number(minute)
    )


def spell_english(text: str) -> str:
    """Digits and symbols of English text as words."""
    text = re.sub(r"(\d),(?=\d{3}\b)", r"\1", text)
    text = re.sub(r"\b(\d{1,2}):(\d\d)\b", lambda m: _english_time(int(m[1]), int(m[2])), text)
    text = re.sub(r"\b(\d+)(?:st|nd|rd|th)\b", lambda m: _english_ordinal(int(m[1])), text)
    text = re.sub(r"\$(\d+)", r"\1 dollars", text)
    text = re.sub(
        r"(\d+)\.(\d+)", lambda m: f"{english_number(int(m[1]))} point " + " ".join(_ONES[int(d)] for d in m[2]), text
    )
    text = re.sub(r"\b(in|year|since|of) (1[1-9]\d\d|20\d\d)\b", lambda m: f"{m[1]} {_english_year(int(m[2]))}", text)
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
