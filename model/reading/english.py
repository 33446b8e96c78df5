"""English as it is said: dates, times, money, measures, numbers, abbreviations and symbols in words.

WeTextProcessing, which reads Mandarin here (`model.reading.mandarin`), has an English grammar too. It is not used: it says 1,000
as "thousand", 1234 apples as "twelve thirty four apples", 1990s as "… ninety seconds", and gives up on `#5`, `5€` and `2×3`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from model.reading.numbers import cardinal, clock, decimal, digits, ordinal, plural, year

_MONTHS = "January February March April May June July August September October November December".split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_MONTH_OF = {name[:3].lower(): at for at, name in enumerate(_MONTHS, 1)}
_MONTH = r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)(?:[a-z]{0,6})\.?"
_NUMBER = r"(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d+))?"
_DASH = r"[-–—−]"
_BEFORE_YEARS = "[Ii]n|[Ss]ince|[Uu]ntil|[Bb]y|[Ff]rom|[Yy]ear|[Bb]efore|[Aa]fter|[A-Z][a-z]{2,8}"
_SUM = re.compile(r"\d\s*[=+×÷*]|[=+×÷*]\s*\d|\b(?:what is|what's|how much is|calculate|compute)\b", re.IGNORECASE)

_CURRENCIES = {
    "$": ("dollar", "cent"), "€": ("euro", "cent"), "£": ("pound", "penny"), "¥": ("yen", ""), "₹": ("rupee", ""),
    "₩": ("won", ""), "USD": ("dollar", "cent"), "EUR": ("euro", "cent"), "GBP": ("pound", "penny"),
    "JPY": ("yen", ""), "CNY": ("yuan", ""), "RMB": ("yuan", ""), "INR": ("rupee", ""),
}  # fmt: skip
_CURRENCY = "|".join(re.escape(sign) for sign in _CURRENCIES)
_SCALE = {"k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion", "tn": "trillion"}
_MAGNITUDE = "k|K|m|M|mn|b|B|bn|tn|thousand|million|billion|trillion"
_NO_PLURAL = frozenset(("yen", "yuan", "won", "hertz", "kilohertz", "megahertz", "gigahertz", "percent"))
_PLURALS = {"foot": "feet", "penny": "pence"}
_NOUN = re.compile(r"(?:(?<=square )|(?<=cubic )|(?<=kilowatt ))\w+|^(?!square|cubic|kilowatt )\w+")

_UNITS = {
    "km": "kilometer", "m": "meter", "cm": "centimeter", "mm": "millimeter", "mi": "mile", "ft": "foot", "yd": "yard",
    "kg": "kilogram", "g": "gram", "mg": "milligram", "lb": "pound", "lbs": "pound", "oz": "ounce", "L": "liter",
    "l": "liter", "ml": "milliliter", "mL": "milliliter", "h": "hour", "hr": "hour", "hrs": "hour", "min": "minute",
    "mins": "minute", "s": "second", "sec": "second", "secs": "second", "ms": "millisecond", "KB": "kilobyte",
    "kB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte", "Hz": "hertz", "kHz": "kilohertz",
    "MHz": "megahertz", "GHz": "gigahertz", "W": "watt", "kW": "kilowatt", "kWh": "kilowatt hour", "V": "volt",
    "dB": "decibel", "km/h": "kilometer per hour", "kph": "kilometer per hour", "mph": "mile per hour",
    "m/s": "meter per second", "m2": "square meter", "m²": "square meter", "km2": "square kilometer",
    "km²": "square kilometer", "m3": "cubic meter", "m³": "cubic meter", "sq ft": "square foot",
    "°C": "degree Celsius", "°F": "degree Fahrenheit", "°": "degree", "%": "percent",
}  # fmt: skip
_UNIT = "|".join(re.escape(unit) for unit in sorted(_UNITS, key=len, reverse=True))

_ABBREVIATIONS = {
    "Dr.": "Doctor", "Mr.": "Mister", "Mrs.": "Missus", "Ms.": "Miss", "Prof.": "Professor", "Jr.": "Junior",
    "Sr.": "Senior", "Gen.": "General", "Gov.": "Governor", "Sen.": "Senator", "Rep.": "Representative",
    "Lt.": "Lieutenant", "Capt.": "Captain", "Sgt.": "Sergeant", "Mt.": "Mount", "Ave.": "Avenue", "Rd.": "Road",
    "Blvd.": "Boulevard", "Inc.": "Incorporated", "Ltd.": "Limited", "Corp.": "Corporation", "vs.": "versus",
    "etc.": "et cetera", "e.g.": "for example", "i.e.": "that is", "approx.": "approximately", "dept.": "department",
    "Vol.": "Volume", "vol.": "volume", "pp.": "pages", "Fig.": "Figure", "fig.": "figure", "Tel.": "Telephone",
    "tel.": "telephone", "ext.": "extension", "est.": "estimated", "max.": "maximum", "w/": "with", "w/o": "without",
}  # fmt: skip
_ABBREVIATION = re.compile(
    r"(?<!\w)(?:" + "|".join(re.escape(short) for short in sorted(_ABBREVIATIONS, key=len, reverse=True)) + r")(?!\w)"
)
_SYMBOLS = {
    "&": "and", "@": "at", "+": "plus", "=": "equals", "×": "times", "÷": "divided by", "<": "is less than",
    ">": "is greater than", "≤": "is at most", "≥": "is at least", "≈": "is about", "≠": "is not",
    "±": "plus or minus", "°": "degrees", "%": "percent", "#": "number", "√": "the root of", "∞": "infinity",
    "π": "pi", "$": "dollars", "€": "euros", "£": "pounds", "¥": "yen", "¢": "cents", "²": "squared", "³": "cubed",
}  # fmt: skip


def in_words(text: str) -> str:
    """`text` without digits, abbreviations and symbols. Quotes, brackets and dashes are left to the caller."""
    text = _ABBREVIATION.sub(_abbreviation, text)
    summed = bool(_SUM.search(text))
    for pattern, say in _RULES:
        text = pattern.sub(say, text)
    dash, by = ("minus", "times") if summed else ("to", "by")
    text = re.sub(rf"(?<=\d)\s*{_DASH}\s*(?=\d)", f" {dash} ", text)
    text = re.sub(r"(?<=\d)\s*[xX×*]\s*(?=\d)", f" {by} ", text)
    for pattern, say in _REST:
        text = pattern.sub(say, text)
    return re.sub("|".join(map(re.escape, _SYMBOLS)), lambda m: f" {_SYMBOLS[m[0]]} ", text)


def _abbreviation(found: re.Match[str]) -> str:
    return _ABBREVIATIONS[found[0]] + _full_stop(found)


def _amount(whole: str, fraction: str | None) -> str:
    return decimal(whole.replace(",", ""), fraction or "")


def _counted(whole: str, fraction: str | None, noun: str) -> str:
    """ "1", "mile per hour" → "one mile per hour"; "2.5", "foot" → "two point five feet"."""
    if (whole, fraction) != ("1", None):
        noun = _NOUN.sub(lambda m: _PLURALS.get(m[0], m[0] if m[0] in _NO_PLURAL else m[0] + "s"), noun, count=1)
    return f"{_amount(whole, fraction)} {noun}"


def _money(sign: str, whole: str, fraction: str | None, scale: str | None) -> str:
    """$3.50 → "three dollars and fifty cents"; $1.5m → "one point five million dollars"."""
    unit, part = _CURRENCIES[sign]
    if scale:
        scale = _SCALE.get(scale.lower(), scale)
        return f"{_amount(whole, fraction)} {scale} {unit if unit in _NO_PLURAL else unit + 's'}"
    whole = whole.replace(",", "")
    if not fraction or len(fraction) != 2 or not part:
        return _counted(whole, fraction, unit)
    parts = [_counted(whole, None, unit)] if int(whole) else []
    parts += [_counted(str(int(fraction)), None, part)] if int(fraction) else []
    return " and ".join(parts) or _counted("0", None, unit)


def _date(month: int, day: int, of: str | None = None) -> str:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return " ".join(filter(None, (cardinal(month), cardinal(day), of and year(int(of)))))
    said = f"{_MONTHS[month - 1]} {ordinal(day)}"
    return f"{said}, {year(int(of) if len(of) == 4 else 2000 + int(of))}" if of else said


def _month_first(found: re.Match[str]) -> str:
    return _date(_MONTH_OF[found[1].lower()], int(found[2]), found[3])


def _day_first(found: re.Match[str]) -> str:
    said = f"the {ordinal(int(found[1]))} of {_MONTHS[_MONTH_OF[found[2].lower()] - 1]}"
    return f"{said}, {year(int(found[3]))}" if found[3] else said


def _slashed(found: re.Match[str]) -> str:
    """11/30/2026 as in America, 30/11/2026 as elsewhere."""
    first, second = int(found[1]), int(found[2])
    return _date(second, first, found[3]) if first > 12 else _date(first, second, found[3])


def _time(found: re.Match[str]) -> str:
    hour, minute, second, half = int(found[1]), int(found[2]), found[3], found[4]
    if hour > 24 or minute > 59:
        return f"{cardinal(hour)} to {cardinal(minute)}"
    said = cardinal(hour) if half and not minute else clock(hour, minute)
    if second:
        said += f" and {_counted(str(int(second)), None, 'second')}"
    return f"{said} {_half_of_day(half, found)}" if half else said


def _half_of_day(letters: str, found: re.Match[str]) -> str:
    return " ".join(letters.replace(".", "").upper()) + _full_stop(found)


_NO_END = re.compile(
    r"(?:(?<!\w)(?:"
    + "|".join(re.escape(s) for s in _ABBREVIATIONS if s[-1] == "." and s not in ("etc.", "Inc.", "Ltd.", "Corp."))
    + rf"|[Nn]os?\.|St\.|[A-Z]\.|{'|'.join(name[:3] for name in (*_MONTHS, *_DAYS))}\.))\s+$"
)  # fmt: skip


def abbreviated(text: str, end: int) -> bool:
    """Whether `text[:end]` ends with an abbreviation, whose full stop ends no sentence."""
    return bool(_NO_END.search(text[max(0, end - 12) : end]))


def _full_stop(found: re.Match[str]) -> str:
    """The full stop of an abbreviation that ends the text is that of its sentence, too."""
    return "." if found[0].endswith(".") and found.end() == len(found.string.rstrip()) else ""


def _fraction(found: re.Match[str]) -> str:
    whole, over, under = found[1], int(found[2]), int(found[3])
    if over >= under or not 2 <= under <= 1000:
        said = (
            f"{cardinal(over)} divided by {cardinal(under)}"
            if _SUM.search(found.string)
            else f"{cardinal(over)} {cardinal(under)}"
        )
        return f"{cardinal(int(whole))} {said}" if whole else said
    part = {2: "half", 4: "quarter"}.get(under) or ordinal(under)
    if over > 1:
        part = "halves" if under == 2 else part + "s"
    if not whole:
        return f"{cardinal(over)} {part}"
    return f"{cardinal(int(whole))} and " + (f"a {part}" if over == 1 else f"{cardinal(over)} {part}")


def _year(found: re.Match[str]) -> str:
    return found[1] + year(int(found[2]))


def _grouped(found: re.Match[str]) -> str:
    """A telephone number: digit by digit, a comma between its groups."""
    groups = re.findall(r"\d+", found[0])
    return ("plus " if found[0].lstrip().startswith("+") else "") + ", ".join(map(digits, groups))


def _dotted(found: re.Match[str]) -> str:
    return " point ".join(cardinal(int(part)) for part in found[0].split("."))


_Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]


def _rule(pattern: str, say: Callable[[re.Match[str]], str]) -> _Rule:
    return re.compile(pattern), say


_RULES: tuple[_Rule, ...] = (
    _rule(r"\bv(?=\d)", lambda m: "version "),
    # telephone numbers
    _rule(r"(?<!\w)\+\d{1,3}[\s(.-]*\d[\d\s().-]{5,}\d", _grouped),
    _rule(r"(?<![\d.])(?:\(\d{3}\)\s*|\d{3}[-.])\d{3}[-.]\d{4}(?!\d)", _grouped),
    _rule(r"(?<![\d-])\d{3}-\d{4}(?![\d-])", _grouped),
    _rule(r"(?<=\b[Cc]all )\d{3,}\b|(?<=\b[Dd]ial )\d{3,}\b", lambda m: digits(m[0])),
    # dates and years
    _rule(r"\b(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})\b", lambda m: _date(int(m[2]), int(m[3]), m[1])),
    _rule(r"\b(\d{1,2})/(\d{1,2})/(\d{4}|\d\d)\b", _slashed),
    _rule(rf"\b{_MONTH} (\d{{1,2}})(?:st|nd|rd|th)?\b(?!:)(?:,? (\d{{4}})\b)?", _month_first),
    _rule(rf"\b(\d{{1,2}})(?:st|nd|rd|th)? (?:of )?{_MONTH}(?![a-z])(?:,? (\d{{4}})\b)?", _day_first),
    _rule(r"(?<!\w)'?(\d{2}|1\d\d0|20\d0)s\b", lambda m: plural(year(int(m[1])))),
    _rule(rf"\b(1[1-9]\d\d|20\d\d)\s?{_DASH}\s?(1[1-9]\d\d|20\d\d)\b", lambda m: f"{year(int(m[1]))} to {year(int(m[2]))}"),
    _rule(rf"\b((?:{_BEFORE_YEARS}) )(1[1-9]\d\d|20\d\d)\b(?![.,]\d| (?:people|times|dollars|miles))", _year),
    _rule(r"(?<![\d.,$€£¥])(\b)(19\d\d|20\d\d)\b(?![.,]\d|\s*(?:%|people\b|times\b|[×*+=]))", _year),
    _rule(r"(?<=\b[Oo]n )(\d{1,2})/(\d{1,2})\b(?!/)", lambda m: _date(int(m[1]), int(m[2]))),
    # times
    _rule(rf"(?<=\d)\s?{_DASH}\s?(?=\d{{1,2}}:\d\d)|(?<=:\d\d)\s?{_DASH}\s?(?=\d)", lambda m: " to "),
    _rule(r"\b(\d{1,2}):(\d\d)(?::(\d\d))?(?:\s?([AaPp]\.?[Mm]\b\.?))?", _time),
    _rule(r"\b(\d{1,2})\s?([AaPp]\.?[Mm]\b\.?)", lambda m: f"{cardinal(int(m[1]))} {_half_of_day(m[2], m)}"),
    _rule(r"\b(\d+):(\d+)\b", lambda m: f"{cardinal(int(m[1]))} to {cardinal(int(m[2]))}"),
    # money and measures
    _rule(rf"({_CURRENCY})\s?{_NUMBER}(?:\s?({_MAGNITUDE})\b)?", lambda m: _money(m[1], m[2], m[3], m[4])),
    _rule(rf"\b{_NUMBER}\s?({_CURRENCY})(?!\w)", lambda m: _money(m[3], m[1], m[2], None)),
    _rule(rf"\b{_NUMBER}\s?¢", lambda m: _counted(m[1], m[2], "cent")),
    _rule(r"\b(\d)'\s?(\d{1,2})\"", lambda m: f"{cardinal(int(m[1]))} foot {cardinal(int(m[2]))}"),
    _rule(rf"(?<![\d.]){_DASH}(?=[\d.]+\s?(?:{_UNIT})(?!\w))", lambda m: "minus "),
    _rule(rf"\b{_NUMBER}\s?{_DASH}\s?(?=\d[\d.,]*\s?(?:{_UNIT})(?!\w))", lambda m: f"{_amount(m[1], m[2])} to "),
    _rule(rf"\b{_NUMBER}\s?({_UNIT})(?![\w/²³])", lambda m: _counted(m[1], m[2], _UNITS[m[3]])),
    # numbers
    _rule(r"\b[Nn]os?\.\s?(?=\d)|№\s?|#\s?(?=\d)", lambda m: "Number " if m[0][0] == "N" else "number "),
    _rule(r"\b(\d+)(?:st|nd|rd|th)\b", lambda m: ordinal(int(m[1]))),
    _rule(r"\b24/7\b", lambda m: "twenty-four seven"),
    _rule(r"(?<![\d/])(?:(\d+) )?(\d+)\s?/\s?(\d+)(?![\d/])", _fraction),
    _rule(r"\b\d+(?:\.\d+){2,}\b", _dotted),
    _rule(r"\bC#", lambda m: "C sharp"),
    _rule(r"\^\s?2\b", lambda m: " squared"),
    _rule(r"\^\s?3\b", lambda m: " cubed"),
    _rule(r"\^", lambda m: " to the power of "),
    _rule(r"~\s?(?=\d)", lambda m: "about "),
)  # fmt: skip
_REST: tuple[_Rule, ...] = (
    _rule(rf"(?<![\w)]){_DASH}(?=\d|\.\d)", lambda m: "minus "),
    _rule(r"(?<=\d)[xX]\b", lambda m: " times"),
    _rule(r"(?<!\w)(\d{1,3}(?:,\d{3})+)(?:\.(\d+))?(?!\d)", lambda m: _amount(m[1], m[2])),
    _rule(r"(?<![\d.])(\d*)\.(\d+)", lambda m: f" {_amount(m[1], m[2])} "),
    _rule(r"\d+", lambda m: f" {_amount(m[0], None)} "),
    _rule(rf"(?<=[A-Za-z]){_DASH}(?= [a-z]+\b)", lambda m: " "),
    _rule(r"\b(?:[A-Za-z]\.){2,}", lambda m: " ".join(m[0].replace(".", "").upper()) + _full_stop(m)),
    _rule(r"\bSt\.(?= [A-Z])", lambda m: "Saint"),
    _rule(r"(?<=[a-z] )St\.", lambda m: "Street"),
    _rule(rf"\b({'|'.join(name[:3] for name in _MONTHS)})\.", lambda m: _MONTHS[_MONTH_OF[m[1].lower()] - 1]),
    _rule(rf"\b({'|'.join(name[:3] for name in _DAYS)})\.", lambda m: next(d for d in _DAYS if d.startswith(m[1]))),
    _rule(r"(?<=\w)\.(?=[a-z]{2,})", lambda m: " dot "),
)  # fmt: skip
