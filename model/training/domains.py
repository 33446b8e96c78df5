"""The closed domains of cslm-mini: questions and answers, composed anew for every example, in four directions.

A domain is a function (rng, question language, answer language) → `Exchange`. The `key` of an exchange names what is held out: the
operands of a sum, a sentence, a fact with its wording. `held_out(key)` splits keys by hash, so no generator can leak one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Literal

from model.training.corpora import held_out, sentence_pairs, short_pairs, word_pairs
from model.training.facts import CAPITALS, COLOURS, DAYS, FACTS, MONTHS, OPPOSITES, STORIES, TALK, UNKNOWN, Both, Talk
from model.training.written_numbers import english_number, mandarin_number

Lang = Literal["en", "zh"]
LANGS: tuple[Lang, Lang] = ("en", "zh")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and its answer, as written text with number words; `key` names what is held out.

    before: question and answer of the turn before, where there was one; names_language: the question itself says in which language to
    answer.
    """

    domain: str
    question: str
    answer: str
    question_lang: Lang
    answer_lang: Lang
    key: str
    before: tuple[str, str] | None = None
    names_language: bool = False


Domain = Callable[[Random, Lang, Lang], Exchange]


def number(n: int, lang: Lang) -> str:
    """`n` as written out: 23 → "twenty-three", "二十三"."""
    return re.sub(r"(ty) (?=[a-z])", r"\1-", english_number(n)) if lang == "en" else mandarin_number(n)


def capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _of(pair: Both, lang: Lang) -> str:
    return pair[LANGS.index(lang)]


def _ask(rng: Random, wordings: dict[Lang, tuple[str, ...]], lang: Lang, **slots: str) -> tuple[str, int]:
    which = rng.randrange(len(wordings[lang]))
    return capitalized(wordings[lang][which].format(**slots)), which


_OPENINGS: dict[Lang, tuple[str, ...]] = {
    "en": ("So, {a}", "Okay, {a}", "Well, {a}", "Hey Mini, {a}", "Excuse me, {a}", "Now, {a}", "Um, {a}", "Mini, {a}", "Please, {a}", "Tell me, {a}"),
    "zh": ("请问，{a}", "嗯，{a}", "迷你，{a}", "那么，{a}", "好，{a}", "你好，{a}", "我想问一下，{a}", "对了，{a}"),
}  # fmt: skip
_OPENING_SHARE = 0.12
_CAN_FOLLOW = re.compile(r"(What|Which|How|Who|Where|Can|Do|Is|Are|The|[a-z])\b|[\u4e00-\u9fff]")


def opened(rng: Random, exchange: Exchange) -> Exchange:
    """Sometimes with a word before the question, as people speak."""
    if rng.random() >= _OPENING_SHARE or not _CAN_FOLLOW.match(exchange.question):
        return exchange
    question = exchange.question
    if exchange.question_lang == "en":
        question = question[0].lower() + question[1:]
    return replace(exchange, question=rng.choice(_OPENINGS[exchange.question_lang]).format(a=question))


def _talk(domain: str, table: tuple[Talk, ...], rng: Random, q: Lang, a: Lang) -> Exchange:
    row = rng.randrange(len(table))
    wordings = table[row][LANGS.index(q)]
    which = rng.randrange(len(wordings))
    key = f"{domain}:{row}:{which}:{q}{a}"
    return Exchange(domain, wordings[which], table[row][2 + LANGS.index(a)], q, a, key)


def small_talk(rng: Random, q: Lang, a: Lang) -> Exchange:
    """Greetings, feelings, who the model is."""
    return _talk("talk", TALK, rng, q, a)


def facts(rng: Random, q: Lang, a: Lang) -> Exchange:
    """A few facts, some with long answers."""
    return _talk("facts", FACTS, rng, q, a)


def stories(rng: Random, q: Lang, a: Lang) -> Exchange:
    """What takes long to tell."""
    return _talk("stories", STORIES, rng, q, a)


# --- numbers

_SUM: dict[str, dict[Lang, tuple[str, ...]]] = {
    "+": {
        "en": (
            "what is {a} plus {b}?", "how much is {a} plus {b}?", "{a} plus {b}?", "what is the sum of {a} and {b}?", "can you add {a} and {b}?",
            "please add {a} and {b}.", "tell me {a} plus {b}.", "what do you get when you add {a} and {b}?", "what's {a} plus {b}?", "{a} and {b} is what?",
        ),
        "zh": (
            "{a}加{b}等于多少？", "{a}加{b}是多少？", "请问{a}加{b}等于几？", "{a}加{b}等于几？", "算一下{a}加{b}。", "{a}加{b}得多少？", "你知道{a}加{b}等于多少吗？",
        ),
    },
    "-": {
        "en": (
            "what is {a} minus {b}?", "how much is {a} minus {b}?", "{a} minus {b}?", "tell me {a} minus {b}.", "what is left when you take {b} from {a}?",
            "what's {a} minus {b}?", "please subtract {b} from {a}.",
        ),
        "zh": ("{a}减{b}等于多少？", "{a}减{b}是多少？", "请问{a}减{b}等于几？", "{a}减{b}等于几？", "算一下{a}减{b}。", "{a}减去{b}还剩多少？"),
    },
    "*": {
        "en": ("what is {a} times {b}?", "how much is {a} times {b}?", "{a} times {b}?", "please multiply {a} by {b}.", "what's {a} times {b}?"),
        "zh": ("{a}乘以{b}等于多少？", "{a}乘以{b}是多少？", "请问{a}乘以{b}等于几？", "{a}乘{b}等于几？"),
    },
}  # fmt: skip
_SUM_ANSWER: dict[str, Both] = {
    "+": ("{a} plus {b} is {c}.", "{a}加{b}等于{c}。"),
    "-": ("{a} minus {b} is {c}.", "{a}减{b}等于{c}。"),
    "*": ("{a} times {b} is {c}.", "{a}乘以{b}等于{c}。"),
}


def _operands(rng: Random, op: str) -> tuple[int, int]:
    if op == "*":
        return rng.randint(1, 10), rng.randint(1, 10)
    size = rng.random()
    if size < 0.65:
        a, b = rng.randint(0, 12), rng.randint(0, 12)
    elif size < 0.85:
        a, b = rng.randint(10, 90), rng.randint(1, 10)
    else:
        a = rng.randint(0, 100)
        b = rng.randint(0, 100 - a)
    return (a, b) if op == "+" else (max(a, b), min(a, b))


def sums(rng: Random, q: Lang, a: Lang) -> Exchange:
    """Additions and subtractions with results up to 100, and the multiplication table."""
    op = rng.choices("+-*", (5, 3, 2))[0]
    x, y = _operands(rng, op)
    z = {"+": x + y, "-": x - y, "*": x * y}[op]
    question, _ = _ask(rng, _SUM[op], q, a=number(x, q), b=number(y, q))
    answer = _of(_SUM_ANSWER[op], a).format(a=number(x, a), b=number(y, a), c=number(z, a))
    return Exchange("sums", question, capitalized(answer), q, a, f"sums:{x}{op}{y}")


_COUNT: dict[Lang, tuple[str, ...]] = {
    "en": ("count from {a} to {b}.", "please count from {a} to {b}.", "can you count from {a} to {b}?", "start at {a} and count to {b}."),
    "zh": ("从{a}数到{b}。", "请从{a}数到{b}。", "你能从{a}数到{b}吗？", "从{a}开始，数到{b}。"),
}  # fmt: skip


def counting(rng: Random, q: Lang, a: Lang) -> Exchange:
    """Count up or down between two numbers, at most eleven of them."""
    low = rng.randint(1, 20) if rng.random() < 0.5 else rng.randint(20, 90)
    first, last = low, low + rng.randint(2, 10)
    if rng.random() < 0.45:
        first, last = last, first
    if first > last or low > 20 or rng.random() < 0.7:
        question, _ = _ask(rng, _COUNT, q, a=number(first, q), b=number(last, q))
    else:
        first, last = 1, last - first + 1
        question, _ = _ask(rng, _COUNT_TO, q, b=number(last, q))
    step = 1 if last > first else -1
    numbers = [number(n, a) for n in range(first, last + step, step)]
    answer = ", ".join(numbers) + "." if a == "en" else "，".join(numbers) + "。"
    return Exchange("counting", question, capitalized(answer), q, a, f"counting:{first}-{last}")


_COUNT_TO: dict[Lang, tuple[str, ...]] = {
    "en": ("count to {b}.", "can you count to {b}?", "please count to {b}."),
    "zh": ("数到{b}。", "请数到{b}。", "你能数到{b}吗？"),
}

_NEIGHBOUR: dict[str, dict[Lang, tuple[str, ...]]] = {
    "after": {
        "en": ("what number comes after {a}?", "which number comes after {a}?", "what comes after {a}?"),
        "zh": ("{a}后面是几？", "{a}的后面是什么数字？", "{a}之后是多少？"),
    },
    "before": {
        "en": ("what number comes before {a}?", "which number comes before {a}?", "what comes before {a}?"),
        "zh": ("{a}前面是几？", "{a}的前面是什么数字？", "{a}之前是多少？"),
    },
}
_BIGGER: dict[Lang, tuple[str, ...]] = {
    "en": ("which is bigger, {a} or {b}?", "which number is larger, {a} or {b}?", "what is more, {a} or {b}?"),
    "zh": ("{a}和{b}哪个大？", "{a}和{b}哪个更大？", "{a}大还是{b}大？"),
}


def comparing(rng: Random, q: Lang, a: Lang) -> Exchange:
    """Neighbours of a number, and which of two is bigger."""
    x = rng.randint(1, 99)
    if rng.random() < 0.5:
        side = rng.choice(("after", "before"))
        y = x + 1 if side == "after" else x - 1
        question, which = _ask(rng, _NEIGHBOUR[side], q, a=number(x, q))
        pattern = {
            "after": ("after {a} comes {b}.", "{a}后面是{b}。"),
            "before": ("before {a} comes {b}.", "{a}前面是{b}。"),
        }[side]
        answer = _of(pattern, a).format(a=number(x, a), b=number(y, a))
        return Exchange("comparing", question, capitalized(answer), q, a, f"{side}:{x}:{which}")
    y = rng.choice([n for n in range(1, 100) if n != x])
    question, _ = _ask(rng, _BIGGER, q, a=number(x, q), b=number(y, q))
    high, low = max(x, y), min(x, y)
    answer = _of(("{a} is bigger than {b}.", "{a}比{b}大。"), a).format(a=number(high, a), b=number(low, a))
    return Exchange("comparing", question, capitalized(answer), q, a, f"bigger:{x}:{y}")


# --- days, months, capitals, colours, opposites

_CALENDAR: dict[str, dict[Lang, tuple[str, ...]]] = {
    "day after": {
        "en": ("what day comes after {a}?", "which day comes after {a}?", "what is the day after {a}?", "today is {a}. What day is tomorrow?"),
        "zh": ("{a}后面是星期几？", "{a}的后一天是星期几？", "今天是{a}，明天是星期几？"),
    },
    "day before": {
        "en": ("what day comes before {a}?", "which day comes before {a}?", "what is the day before {a}?", "today is {a}. What day was yesterday?"),
        "zh": ("{a}前面是星期几？", "{a}的前一天是星期几？", "今天是{a}，昨天是星期几？"),
    },
    "month after": {
        "en": ("what month comes after {a}?", "which month comes after {a}?", "what is the month after {a}?"),
        "zh": ("{a}后面是几月？", "{a}的下一个月是几月？", "{a}之后是哪个月？"),
    },
    "month before": {
        "en": ("what month comes before {a}?", "which month comes before {a}?", "what is the month before {a}?"),
        "zh": ("{a}前面是几月？", "{a}的上一个月是几月？", "{a}之前是哪个月？"),
    },
}  # fmt: skip
_CALENDAR_ANSWER: dict[str, Both] = {
    "after": ("after {a} comes {b}.", "{a}后面是{b}。"),
    "before": ("before {a} comes {b}.", "{a}前面是{b}。"),
}


def calendar(rng: Random, q: Lang, a: Lang) -> Exchange:
    """The day or month after or before another."""
    kind = rng.choice(tuple(_CALENDAR))
    unit, side = kind.split()
    names = DAYS if unit == "day" else MONTHS
    x = rng.randrange(len(names))
    y = (x + (1 if side == "after" else -1)) % len(names)
    question, which = _ask(rng, _CALENDAR[kind], q, a=_of(names[x], q))
    answer = _of(_CALENDAR_ANSWER[side], a).format(a=_of(names[x], a), b=_of(names[y], a))
    return Exchange("calendar", question, capitalized(answer), q, a, f"{kind}:{x}:{which}:{q}{a}")


_CAPITAL: dict[Lang, tuple[str, ...]] = {
    "en": ("what is the capital of {a}?", "what's the capital of {a}?", "which city is the capital of {a}?", "tell me the capital of {a}.", "do you know the capital of {a}?"),
    "zh": ("{a}的首都是哪里？", "{a}的首都是什么？", "请问{a}的首都是哪里？", "{a}首都在哪里？", "你知道{a}的首都吗？"),
}  # fmt: skip
_CITY: dict[Lang, tuple[str, ...]] = {
    "en": ("which country is {a} the capital of?", "{a} is the capital of which country?", "{a} is the capital of what country?", "which country has {a} as its capital?"),
    "zh": ("{a}是哪个国家的首都？", "哪个国家的首都是{a}？", "{a}是哪国的首都？", "请问{a}是哪个国家的首都？"),
}  # fmt: skip


def capitals(rng: Random, q: Lang, a: Lang) -> Exchange:
    """Capitals of forty countries, and countries of capitals."""
    row = rng.randrange(len(CAPITALS))
    country, city = CAPITALS[row]
    forward = rng.random() < 0.6
    question, which = _ask(rng, _CAPITAL if forward else _CITY, q, a=_of(country if forward else city, q))
    pattern = (
        ("the capital of {a} is {b}.", "{a}的首都是{b}。")
        if forward
        else ("{b} is the capital of {a}.", "{b}是{a}的首都。")
    )
    answer = _of(pattern, a).format(a=_of(country, a), b=_of(city, a))
    return Exchange("capitals", question, capitalized(answer), q, a, f"capitals:{row}:{forward}:{which}:{q}{a}")


_COLOUR: dict[Lang, tuple[str, ...]] = {
    "en": (
        "what colour is {a}?",
        "what is the colour of {a}?",
        "which colour does {a} have?",
        "do you know what colour {a} is?",
    ),
    "zh": ("{a}是什么颜色？", "{a}是什么颜色的？", "请问{a}是什么颜色？", "你知道{a}是什么颜色吗？"),
}
_OPPOSITE: dict[Lang, tuple[str, ...]] = {
    "en": (
        "what is the opposite of {a}?",
        "what's the opposite of {a}?",
        "tell me the opposite of {a}.",
        "which word is the opposite of {a}?",
    ),
    "zh": ("{a}的反义词是什么？", "{a}的反面是什么？", "请问{a}的反义词是什么？", "什么是{a}的反义词？"),
}


def colours(rng: Random, q: Lang, a: Lang) -> Exchange:
    """Colours of familiar things."""
    row = rng.randrange(len(COLOURS))
    thing, colour = COLOURS[row]
    question, which = _ask(rng, _COLOUR, q, a=_of(thing, q))
    answer = _of(("{a} is {b}.", "{a}是{b}的。"), a).format(a=_of(thing, a), b=_of(colour, a))
    return Exchange("colours", question, capitalized(answer), q, a, f"colours:{row}:{which}:{q}{a}")


def opposites(rng: Random, q: Lang, a: Lang) -> Exchange:
    """Opposites, from either side."""
    row, swap = rng.randrange(len(OPPOSITES)), rng.random() < 0.5
    x, y = OPPOSITES[row][::-1] if swap else OPPOSITES[row]
    question, which = _ask(rng, _OPPOSITE, q, a=_of(x, q))
    answer = _of(("the opposite of {a} is {b}.", "{a}的反面是{b}。"), a).format(a=_of(x, a), b=_of(y, a))
    return Exchange("opposites", question, capitalized(answer), q, a, f"opposites:{row}{swap}:{which}:{q}{a}")


_TIME_LATER: dict[Lang, tuple[str, ...]] = {
    "en": ("what time is {b} after {a}?", "what time is it {b} after {a}?", "it is {a}. What time is it in {b}?"),
    "zh": ("{a}过{b}是几点？", "{a}再过{b}是几点？", "现在{a}，过{b}是几点？"),
}
_TIME_EARLIER: dict[Lang, tuple[str, ...]] = {
    "en": ("what time is {b} before {a}?", "what time is it {b} before {a}?", "it is {a}. What time was it {b} ago?"),
    "zh": ("{a}的{b}之前是几点？", "{a}往前{b}是几点？", "现在{a}，{b}以前是几点？"),
}


def clock(hour: int, half: bool, lang: Lang) -> str:
    """A time on the dial: "five o'clock", "half past five", "五点", "五点半"."""
    if lang == "en":
        return f"half past {number(hour, lang)}" if half else f"{number(hour, lang)} o'clock"
    return f"{'两' if hour == 2 else number(hour, lang)}点{'半' if half else ''}"


def _hours(n: int, lang: Lang) -> str:
    if lang == "en":
        return f"{number(n, lang)} hour{'s' if n > 1 else ''}"
    return f"{'两' if n == 2 else number(n, lang)}个小时"


def times(rng: Random, q: Lang, a: Lang) -> Exchange:
    """Hours before and after a time of the clock."""
    hour, half, hours, later = rng.randint(1, 12), rng.random() < 0.5, rng.randint(1, 6), rng.random() < 0.5
    then = (hour - 1 + (hours if later else -hours)) % 12 + 1
    question, which = _ask(rng, _TIME_LATER if later else _TIME_EARLIER, q, a=clock(hour, half, q), b=_hours(hours, q))
    pattern = (
        ("{b} after {a} it is {c}.", "{a}过{b}是{c}。")
        if later
        else ("{b} before {a} it is {c}.", "{a}的{b}之前是{c}。")
    )
    answer = _of(pattern, a).format(a=clock(hour, half, a), b=_hours(hours, a), c=clock(then, half, a))
    return Exchange("times", question, capitalized(answer), q, a, f"times:{hour}{half}{hours}{later}{which}")


_SPELL: dict[Lang, tuple[str, ...]] = {
    "en": ("how do you spell {a}?", "how is {a} spelled?", "can you spell {a}?", "please spell {a}.", "spell {a}."),
    "zh": ("{b}的英语怎么拼？", "{b}用英语怎么拼写？", "请拼写{b}的英语。"),
}


@cache
def _spellable() -> tuple[Both, ...]:
    return tuple(p for p in word_pairs(2) if re.fullmatch("[a-z]{2,7}", p[0]))


def spelling(rng: Random, q: Lang, a: Lang) -> Exchange:
    """Letters of a common English word; the answer is in English letters whatever was asked for."""
    row = rng.randrange(len(_spellable()))
    en, zh = _spellable()[row]
    question, which = _ask(rng, _SPELL, q, a=en, b=zh)
    letters = ", ".join(en.upper())
    answer = capitalized(f"{en} is spelled {letters}.") if a == "en" else f"{zh}的英语是{letters}。"
    return Exchange("spelling", question, answer, q, a, f"spelling:{row}:{which}:{q}{a}")


# --- follow-ups: what is asked makes sense only after the turn before

_AND_IN: dict[Lang, dict[Lang, tuple[str, ...]]] = {
    "zh": {"en": ("And in Chinese?", "Now say it in Chinese.", "In Chinese, please."), "zh": ("中文呢？", "请用中文说。", "用中文怎么说？")},
    "en": {"en": ("And in English?", "Now say it in English.", "In English, please."), "zh": ("英语呢？", "请用英语说。", "用英语怎么说？")},
}  # fmt: skip
_THEN_SUM: dict[str, dict[Lang, tuple[str, ...]]] = {
    "+": {"en": ("plus {b}?", "and plus {b}?", "now add {b}."), "zh": ("再加{b}呢？", "加{b}呢？", "再加{b}等于多少？")},
    "-": {"en": ("minus {b}?", "and minus {b}?", "now subtract {b}."), "zh": ("再减{b}呢？", "减{b}呢？", "再减{b}等于多少？")},
}  # fmt: skip
_AND_OF: dict[Lang, tuple[str, ...]] = {
    "en": ("and of {a}?", "what about {a}?", "and {a}?", "how about {a}?"),
    "zh": ("那{a}呢？", "{a}呢？", "那么{a}呢？"),
}
_AND_NEXT: dict[str, dict[Lang, tuple[str, ...]]] = {
    "after": {
        "en": ("and after that?", "and the next one?", "and then?"),
        "zh": ("再后面呢？", "然后呢？", "下一个呢？"),
    },
    "before": {"en": ("and before that?", "and the one before?"), "zh": ("再前面呢？", "再上一个呢？")},
}
_AGAIN: dict[Lang, tuple[str, ...]] = {
    "en": ("Say that again, please.", "Can you repeat that?", "Sorry, what did you say?", "Again, please."),
    "zh": ("请再说一遍。", "再说一次。", "你说什么？", "能再说一遍吗？"),
}


def _follow_number(rng: Random, q: Lang, a: Lang) -> tuple[Exchange, str, str, str]:
    first = sums(rng, q, a)
    x, op, y = re.fullmatch(r"sums:(\d+)([-+*])(\d+)", first.key).groups()  # type: ignore[union-attr]
    so_far = {"+": int(x) + int(y), "-": int(x) - int(y), "*": int(x) * int(y)}[op]
    sign = rng.choice("+-") if so_far else "+"
    more = rng.randint(1, max(1, min(10, so_far if sign == "-" else 100 - so_far)))
    question, _ = _ask(rng, _THEN_SUM[sign], q, b=number(more, q))
    result = so_far + more if sign == "+" else so_far - more
    answer = _of(_SUM_ANSWER[sign], a).format(a=number(so_far, a), b=number(more, a), c=number(result, a))
    return first, question, answer, f"{first.key}{sign}{more}"


def _follow_row(rng: Random, q: Lang, a: Lang) -> tuple[Exchange, str, str, str]:
    domain = rng.choice((capitals, colours, opposites))
    first = domain(rng, q, a)
    while True:
        then = domain(rng, q, a)
        if domain is not capitals or ":True:" in then.key:
            break
    while domain is capitals and ":True:" not in first.key:
        first = domain(rng, q, a)
    row = int(re.findall(r"\d+", then.key)[0])
    table: dict[Domain, Callable[[], Both]] = {
        capitals: lambda: CAPITALS[row][0],
        colours: lambda: COLOURS[row][0],
        opposites: lambda: OPPOSITES[row][1 if "True" in then.key else 0],
    }
    question, which = _ask(rng, _AND_OF, q, a=_of(table[domain](), q))
    return first, question, then.answer, f"{then.key}:{which}"


def _follow_order(rng: Random, q: Lang, a: Lang) -> tuple[Exchange, str, str, str]:
    first = calendar(rng, q, a)
    kind, x = first.key.split(":")[:2]
    unit, side = kind.split()
    names, step = (DAYS if unit == "day" else MONTHS), (1 if side == "after" else -1)
    y, z = (int(x) + step) % len(names), (int(x) + 2 * step) % len(names)
    question, which = _ask(rng, _AND_NEXT[side], q)
    answer = _of(_CALENDAR_ANSWER[side], a).format(a=_of(names[y], a), b=_of(names[z], a))
    return first, question, answer, f"{first.key}:{which}"


def _follow_language(rng: Random, q: Lang, a: Lang) -> tuple[Exchange, str, str, str]:
    other: Lang = "zh" if a == "en" else "en"
    domain = rng.choice((sums, capitals, colours, opposites, calendar, facts, comparing, times, small_talk))
    state = rng.getstate()
    first = domain(rng, q, a)
    rng.setstate(state)
    then = domain(rng, q, other)  # the same draw, answered in the other language
    question = rng.choice(_AND_IN[other][q])
    return first, question, then.answer, f"{first.key}:{other}"


def _follow_again(rng: Random, q: Lang, a: Lang) -> tuple[Exchange, str, str, str]:
    first = DOMAINS[rng.choice(("talk", "facts", "sums", "capitals", "calendar", "repeat", "counting"))](rng, q, a)
    question = rng.choice(_AGAIN[q])
    return first, question, first.answer, f"again:{first.key}"


_FOLLOWS = (_follow_number, _follow_row, _follow_order, _follow_language, _follow_again)


def follow_up(rng: Random, q: Lang, a: Lang) -> Exchange:
    """A second question that needs the first and its answer, which are in `before`."""
    while True:
        first, question, answer, key = rng.choices(_FOLLOWS, (4, 3, 2, 3, 1))[0](rng, q, a)
        if not held_out(first.key):
            break
    said = "zh" if re.search("[\u4e00-\u9fff]", answer) else "en"
    before = first.question, first.answer
    named = any(question in asks for ways in _AND_IN.values() for asks in ways.values())
    return Exchange("follow_up", capitalized(question), capitalized(answer), q, said, f"follow_up:{key}", before, named)


# --- open vocabulary: repeat, translate, and what is not known

_REPEAT: dict[Lang, tuple[str, ...]] = {
    "en": ("Repeat after me: {a}", "Please repeat after me: {a}", "Say this: {a}", "Please say: {a}", "Repeat: {a}", "Can you repeat this? {a}"),
    "zh": ("跟我说：{a}", "请跟我说：{a}", "请重复：{a}", "跟我读：{a}", "请重复一遍：{a}", "重复我的话：{a}"),
}  # fmt: skip
_HOW_TO_SAY: dict[tuple[Lang, Lang], tuple[str, ...]] = {
    ("en", "zh"): ("How do you say {a} in Chinese?", "What is {a} in Chinese?", "Please say {a} in Chinese.", "Translate {a} into Chinese."),
    ("zh", "en"): ("{a}用英语怎么说？", "{a}的英语怎么说？", "请用英语说{a}。", "把{a}翻译成英语。"),
}  # fmt: skip
_NOT_KNOWN: Both = (
    "I am sorry, I do not know that yet. I am still learning.",
    "对不起，这个我还不知道。我还在学习。",
)
_NO_ANSWER: Both = (
    "Well, I heard you, but I cannot answer that yet.",
    "我听到了，可是我还不知道怎么回答。",
)


def _words(rng: Random, lang: Lang) -> str:
    chosen = [_of(rng.choice(word_pairs()), lang) for _ in range(rng.randint(1, 5))]
    return capitalized(" ".join(chosen)) + "." if lang == "en" else "".join(chosen) + "。"


def repeat(rng: Random, q: Lang, a: Lang) -> Exchange:
    """Say what was said, open vocabulary: sentences, words in any order. In the other language, a short sentence translated."""
    if a != q:
        pair = rng.choice(short_pairs())
        question = rng.choice(_REPEAT[q]).format(a=_of(pair, q))
        return Exchange("repeat", question, _of(pair, a), q, a, f"translate:{pair[1]}:{q}")
    said = _of(rng.choice(sentence_pairs()), q) if rng.random() < 0.7 else _words(rng, q)
    question = rng.choice(_REPEAT[q]).format(a=said)
    return Exchange("repeat", question, said, q, q, f"repeat:{said}")


def translate(rng: Random, q: Lang, a: Lang) -> Exchange:
    """How a word or short sentence is said in the other language; the answer is in that language."""
    other: Lang = "zh" if q == "en" else "en"
    pair = rng.choice(word_pairs(2) if rng.random() < 0.5 else short_pairs())
    said, meant = _of(pair, q), _of(pair, other)
    question = rng.choice(_HOW_TO_SAY[q, other]).format(a=said.rstrip(".!?。！？"))
    answer = meant if re.search(r"[.!?。！？]$", meant) else capitalized(meant) + ("." if other == "en" else "。")
    return Exchange("translate", question, answer, q, other, f"translate:{pair[1]}:{q}", names_language=True)


def interpret(rng: Random, q: Lang, a: Lang) -> Exchange:
    """No question: a sentence or word that is to be said in `a`, as an interpreter does; in the language it came in it stays what it is."""
    while True:
        pair = rng.choice(sentence_pairs(3) if rng.random() < 0.75 else word_pairs(2))
        key = f"translate:{pair[1]}:{q}"
        if not held_out(key) and not any(held_out(f"repeat:{text}") for text in pair):
            break
    mark = {"en": ".", "zh": "。"}
    said, meant = (
        capitalized(text) if text[-1] in ".!?。！？" else capitalized(text) + mark[lang]
        for text, lang in ((_of(pair, q), q), (_of(pair, a), a))
    )
    return Exchange("interpret", said, meant, q, a, key)


def unknown(rng: Random, q: Lang, a: Lang) -> Exchange:
    """Anything else: an honest "I don't know that yet"."""
    if rng.random() < 0.5:
        row = rng.randrange(len(UNKNOWN))
        return Exchange("unknown", _of(UNKNOWN[row], q), _of(_NOT_KNOWN, a), q, a, f"unknown:{row}:{q}{a}")
    said = _of(rng.choice(sentence_pairs()), q)
    answer = _of(_NOT_KNOWN if said[-1] in "?？" else _NO_ANSWER, a)
    return Exchange("unknown", said, answer, q, a, f"repeat:{said}")


DOMAINS: dict[str, Domain] = {
    "talk": small_talk,
    "facts": facts,
    "stories": stories,
    "sums": sums,
    "counting": counting,
    "comparing": comparing,
    "calendar": calendar,
    "capitals": capitals,
    "colours": colours,
    "opposites": opposites,
    "times": times,
    "spelling": spelling,
    "follow_up": follow_up,
    "repeat": repeat,
    "translate": translate,
    "unknown": unknown,
}


def draw(rng: Random, domain: str, *, held: bool = False) -> Exchange:
    """A random exchange of `domain`, from the held-out keys if `held`, else never from them."""
    while True:
        question, answer = rng.choice(LANGS), rng.choice(LANGS)
        if domain == "repeat" and rng.random() < 0.7:
            answer = question
        exchange = DOMAINS[domain](rng, question, answer)
        if held_out(exchange.key) == held:
            return exchange if held or domain in ("talk", "repeat", "unknown") else opened(rng, exchange)
