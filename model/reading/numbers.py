"""English numbers in words, as the training text has them."""

from __future__ import annotations

ONES = tuple(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen".split()
)
TENS = tuple("zero ten twenty thirty forty fifty sixty seventy eighty ninety".split())
SCALES = ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
_ORDINALS = dict(
    zip(
        "one two three five eight nine twelve".split(),
        "first second third fifth eighth ninth twelfth".split(),
        strict=True,
    )
)


def cardinal(n: int) -> str:
    """`n` in words: 42 → "forty-two", -3 → "minus three"; exact below 10^12, digit by digit beyond."""
    if n < 0:
        return "minus " + cardinal(-n)
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10] + (f"-{ONES[n % 10]}" if n % 10 else "")
    for size, word in SCALES:
        if size <= n < 10**12:
            return f"{cardinal(n // size)} {word}" + (f" {cardinal(n % size)}" if n % size else "")
    return digits(str(n))


def digits(text: str) -> str:
    """Each digit by its name: "911" → "nine one one"."""
    return " ".join(ONES[int(digit)] for digit in text)


def decimal(whole: str, fraction: str = "") -> str:
    """3.14 → "three point one four"; a whole number that begins with zeros is said digit by digit."""
    said = digits(whole) if len(whole) > 1 and whole.startswith("0") else cardinal(int(whole or "0"))
    return f"{said} point {digits(fraction)}" if fraction else said


def ordinal(n: int) -> str:
    """21 → "twenty-first"."""
    words = cardinal(n)
    at = max(words.rfind(" "), words.rfind("-")) + 1
    last = words[at:]
    return words[:at] + _ORDINALS.get(last, last[:-1] + "ieth" if last.endswith("y") else last + "th")


def plural(words: str) -> str:
    """Plural of a number in words: "nineteen ninety" → "nineteen nineties"."""
    return words[:-1] + "ies" if words.endswith("y") else words + "s"


def year(n: int) -> str:
    """1905 → "nineteen oh five", 2026 → "twenty twenty-six", 2001 → "two thousand one"."""
    if n % 1000 < 10 or not 1000 <= n < 2100:
        return cardinal(n)
    high, low = divmod(n, 100)
    return f"{cardinal(high)} " + ("hundred" if low == 0 else f"oh {ONES[low]}" if low < 10 else cardinal(low))


def clock(hour: int, minute: int) -> str:
    """3:05 → "three oh five", 3:00 → "three o'clock"."""
    return f"{cardinal(hour)} " + (
        "o'clock" if minute == 0 else f"oh {ONES[minute]}" if minute < 10 else cardinal(minute)
    )
