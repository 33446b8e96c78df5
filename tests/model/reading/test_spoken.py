"""Text as it is written, and what is said: one table for each kind of thing that people and programs send."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.bundle import find_bundle
from model.prompts.plain_text import PlainText
from model.reading.spoken import Reader, _pieces

PLAIN = PlainText.load(find_bundle("cslm-mini").lm)
READER = Reader(("en", "zh"), lambda word: len(PLAIN.encode(f" {word}")))

CASES = {
    "case and full stops": [
        ("two plus three is five and the capital of france is paris", "Two plus three is five and the capital of France is Paris."),
        ("TWO PLUS THREE IS FIVE", "Two plus three is five."),
        ("WHAT IS TWO PLUS THREE?", "What is two plus three?"),
        ("what is two plus three", "What is two plus three?"),
        ("hello world how are you", "Hello world how are you."),
        ("i'm from china", "I'm from China."),
        ("john and i went", "John and I went."),
        ("Two plus three is five.", "Two plus three is five."),
        ("He is VERY happy.", "He is very happy."),
        ("iPhone", "iPhone."),
        ("Yes!!!", "Yes!"),
        ("No!!!!!!!!", "No!"),
        ("so..... well", "So, well."),
        ("A ====== B", "A equals B."),
        ("Really?!", "Really?"),
        ("Wait... what?", "Wait, what?"),
        ("Well — yes.", "Well, yes."),
        ("Hello\nWorld", "Hello.\nWorld."),
        ("one line\nthat goes on", "One line that goes on."),
    ],
    "markup": [
        ("# Heading\n\n- one\n- **two**\n", "Heading.\nOne.\nTwo."),
        ("1. First do this.\n2. Then that.", "One. First do this.\nTwo. Then that."),
        ("**What** is the capital of _France_?", "What is the capital of France?"),
        ("[a link](https://a.b/c) here", "A link here."),
        ("Use `cslm serve` now.", "Use cslm serve now."),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "A.\nB.\nOne.\nTwo."),
        ("<p>Hello <b>world</b>.</p>", "Hello world."),
        ("<speak>Hello <emphasis>big</emphasis> world</speak>", "Hello big world."),
        ("fish &amp; chips", "Fish and chips."),
        ("<script>alert(1)</script>Hello.", "Hello."),
        ("a < b and c > d", "A is less than b and c is greater than d."),
        ("snake_case_name", "Snake case name."),
    ],
    "quotes, marks and forms": [
        ('"Hello," he said.', "Hello, he said."),
        ("“Quoted” text", "Quoted text."),
        ("It’s here.", "It's here."),
        ("(in brackets)", "In brackets."),
        ("\ufeffHello there.", "Hello there."),
        ("Hel\u200blo\u00a0there.", "Hello there."),
        ("Ｈｅｌｌｏ， ｗｏｒｌｄ！", "Hello, world!"),
        ("ﬁve ﬂags", "Five flags."),
        ("Café Müller in Łódź", "Cafe Muller in Lodz."),
    ],
    "addresses": [
        ("Visit https://example.com now.", "Visit example dot com now."),
        ("See www.example.com.", "See example dot com."),
        ("Mail bob@example.com.", "Mail bob at example dot com."),
        ("node.js is old", "Node dot js is old."),
    ],
    "numbers": [
        ("The value is 1,234.5 today.", "The value is one thousand two hundred thirty-four point five today."),
        ("I have 1234 apples.", "I have one thousand two hundred thirty-four apples."),
        ("1,000 people", "One thousand people."),
        ("12345", "Twelve thousand three hundred forty-five."),
        ("0.05", "Zero point zero five."),
        (".5", "Zero point five."),
        ("007", "Zero zero seven."),
        ("It is -5 today.", "It is minus five today."),
        ("No. 5 is alive.", "Number five is alive."),
        ("We are #1!", "We are number one!"),
        ("The 1st, 2nd and 23rd.", "The first, second and twenty-third."),
        ("1/2", "One half."),
        ("3 1/2 cups", "Three and a half cups."),
        ("2/3 of it", "Two thirds of it."),
        ("½ cup", "One half cup."),
        ("50% of people.", "Fifty percent of people."),
        ("10-20%", "Ten to twenty percent."),
        ("2-3 days", "Two to three days."),
        ("24/7", "Twenty-four seven."),
        ("v2.0.1", "Version two point zero point one."),
        ("score 3:2", "Score three to two."),
        ("10 x 10", "Ten by ten."),
        ("1.5x faster", "One point five times faster."),
        ("12345678901234", "One two three four five six seven eight nine zero one two three four."),
    ],
    "sums": [
        ("What is 2+3?", "What is two plus three?"),
        ("what's 5-3", "What's five minus three?"),
        ("2 x 3 = 6", "Two times three equals six."),
        ("8÷2=4", "Eight divided by two equals four."),
        ("What is 6/2?", "What is six divided by two?"),
        ("x² + y^2", "X squared plus y squared."),
        ("5 > 3", "Five is greater than three."),
    ],
    "money": [
        ("I have $3.50.", "I have three dollars and fifty cents."),
        ("$1", "One dollar."),
        ("$0.99", "Ninety-nine cents."),
        ("$1,234.56", "One thousand two hundred thirty-four dollars and fifty-six cents."),
        ("$1.5 million", "One point five million dollars."),
        ("£20m", "Twenty million pounds."),
        ("5€ or €7", "Five euros or seven euros."),
        ("100 USD", "One hundred dollars."),
        ("50¢", "Fifty cents."),
    ],
    "dates and times": [
        ("The date is 2026-11-30.", "The date is November thirtieth, twenty twenty-six."),
        ("11/30/2026", "November thirtieth, twenty twenty-six."),
        ("30/11/2026", "November thirtieth, twenty twenty-six."),
        ("Nov 30, 2026", "November thirtieth, twenty twenty-six."),
        ("30 November 2026", "The thirtieth of November, twenty twenty-six."),
        ("May 3rd", "May third."),
        ("Meet me on 12/5.", "Meet me on December fifth."),
        ("in 1905", "In nineteen oh five."),
        ("the 1990s", "The nineteen nineties."),
        ("1914-1918", "Nineteen fourteen to nineteen eighteen."),
        ("It is 3:15 pm.", "It is three fifteen P M."),
        ("at 3:05", "At three oh five."),
        ("at 3:00", "At three o'clock."),
        ("at 7 a.m.", "At seven A M."),
        ("10:30-11:30", "Ten thirty to eleven thirty."),
        ("2026-13-45", "Thirteen forty-five twenty twenty-six."),
    ],
    "units": [
        ("He ran 5 km in 20 min.", "He ran five kilometers in twenty minutes."),
        ("1 kg", "One kilogram."),
        ("3.2 kg", "Three point two kilograms."),
        ("60 mph", "Sixty miles per hour."),
        ("25°C", "Twenty-five degrees Celsius."),
        ("It is -5 °F.", "It is minus five degrees Fahrenheit."),
        ("5m²", "Five square meters."),
        ("5 kWh", "Five kilowatt hours."),
        ("8GB", "Eight gigabytes."),
        ("5'11\"", "Five foot eleven."),
    ],
    "telephone numbers": [
        ("Call 555-123-4567 now.", "Call five five five, one two three, four five six seven now."),
        ("(800) 555-1234", "Eight zero zero, five five five, one two three four."),
        ("+1 555 123 4567", "Plus one, five five five, one two three, four five six seven."),
        ("call 911", "Call nine one one."),
    ],
    "abbreviations and letters": [
        ("Dr. Smith is here.", "Doctor Smith is here."),
        ("I saw Dr. Smith and Mrs. Jones, e.g. today.", "I saw Doctor Smith and Missus Jones, for example today."),
        ("apples, pears, etc.", "Apples, pears, et cetera."),
        ("St. Louis on Main St.", "Saint Louis on Main Street."),
        ("the U.S.A. today", "The U S A today."),
        ("The BBC news", "The B B C news."),
        ("H2O and MP3", "H two O and M P three."),
        ("COVID-19", "C O V I D nineteen."),
        ("R&D", "R and D."),
        ("C++ and C#", "C plus plus and C sharp."),
        ("and/or", "And or."),
        ("mother-in-law", "Mother-in-law."),
    ],
    "Mandarin": [
        ("你好", "你好。"),
        ("你好吗", "你好吗？"),
        ("二加三等于几", "二加三等于几？"),
        ("我有3个苹果。", "我有三个苹果。"),
        ("我有2只猫。", "我有两只猫。"),
        ("2加3等于几？", "二加三等于几？"),
        ("今天是2026年11月30日。", "今天是二零二六年十一月三十日。"),
        ("他生于2026-11-30。", "他生于二零二六年十一月三十日。"),
        ("下午3:15", "下午三点十五分。"),
        ("价格是￥35.5元。", "价格是三十五点五元。"),
        ("价格：100,000元", "价格：十万元。"),
        ("50%的人", "百分之五十的人。"),
        ("5-3=2对吗", "五减三等于二对吗？"),
        ("气温-5℃", "气温负五摄氏度。"),
        ("第5名跑了5km", "第五名跑了五公里。"),
        ("１２３个人", "一百二十三个人。"),
        ("繁體中文測試", "繁体中文测试。"),
        ("你好,世界!", "你好，世界！"),
        ("**你好**", "你好。"),
        ("“你好”", "你好。"),
        ("我用iPhone 15。", "我用iPhone 十五。"),
        ("Hello，我有2只猫。", "Hello，我有两只猫。"),
        ("I have 3 cats. 我有3只猫。", "I have three cats. 我有三只猫。"),
        ("嗯。。。", "嗯。"),
    ],
}  # fmt: skip

NOTHING = [
    "....",
    "." * 4000,
    "[" * 4000,
    "",
    "...",
    "?",
    "!",
    "---",
    "***",
    "<b></b>",
    "&nbsp;",
    "\u200b\u200d",
    "，。",
    "\ufeff",
    "()",
    "' '",
]

LOST = [
    ("😂😂😂", "", ("😂😂😂",)),
    ("👍🏽 👨‍👩‍👧 🇫🇷", "", ("👍🏽", "👨‍👩‍👧", "🇫🇷")),
    ("Hi 😂 there.", "Hi there.", ("😂",)),
    ("مرحبا", "", ("مرحبا",)),
    ("Hello, สวัสดี world", "Hello, world.", ("สวัสดี",)),
    ("Привет, мир.", "", ("Привет", "мир")),
    ("こんにちは 한국어", "", ("こんにちは", "한국어")),
    ("Visit https://example.com/a?b=c now.", "Visit example dot com now.", ("/a?b=c",)),
    ("```python\nprint(1)\n```\nThat is code.", "That is code.", ("print(1)",)),
]


@pytest.mark.parametrize(
    ("written", "said"), [pytest.param(*case, id=f"{kind}-{case[0]}") for kind, cases in CASES.items() for case in cases]
)  # fmt: skip
def test_text_is_said_in_words(written: str, said: str) -> None:
    form = READER.spoken(written)
    assert (form.text, form.dropped) == (said, ())


@pytest.mark.parametrize("written", NOTHING)
def test_marks_alone_are_nothing_to_say(written: str) -> None:
    form = READER.spoken(written)
    assert (form.text, form.dropped) == ("", ())


@pytest.mark.parametrize(("written", "said", "dropped"), LOST)
def test_what_cannot_be_said_is_dropped_and_told(written: str, said: str, dropped: tuple[str, ...]) -> None:
    form = READER.spoken(written)
    assert (form.text, form.dropped) == (said, dropped)


def test_a_language_that_the_model_does_not_speak_is_dropped() -> None:
    form = Reader(("en",)).spoken("Hello 你好 there")
    assert (form.text, form.dropped) == ("Hello there.", ("你好",))


SAYABLE = set(string.ascii_letters + " \n'-,.?!;:，。？！；：、")


@settings(max_examples=300)
@given(st.text(max_size=120) | st.text("0123456789.,:/-+%$€#*x= apmkgC°年月日个元\n", max_size=40))
def test_no_text_leaves_a_digit_or_a_symbol(written: str) -> None:
    said = READER.spoken(written).text
    odd = {char for char in said if char not in SAYABLE and not "\u3400" <= char <= "\u9fff" and char < "\U00020000"}
    assert not odd


@settings(max_examples=200)
@given(st.lists(st.sampled_from(sorted({said for cases in CASES.values() for _, said in cases})), max_size=3))
def test_what_is_said_is_said_the_same_again(lines: list[str]) -> None:
    said = READER.spoken("\n".join(lines)).text
    assert READER.spoken(said).text == said


def test_a_text_without_end_takes_a_time_that_grows_with_its_length() -> None:
    """With the square of it, these would take longer than a test may, during which nothing else of the process runs."""
    for unit in ("a", "1", "_a", "-", "?!", ". ", '"', "a@", "a.b", "<!--"):
        READER.spoken((unit * 200_000)[:200_000])


@pytest.mark.parametrize("unit", ["今天是2020年5月3日", "一百个苹果，"])
def test_chinese_without_full_stops_is_read_in_short_pieces(unit: str) -> None:
    line = unit * 300
    pieces = list(_pieces(line))
    assert "".join(pieces) == line
    assert max(map(len, pieces)) <= 100
    assert "，" not in line or all(piece.endswith("，") for piece in pieces)


def test_only_short_texts_are_taken_for_markup() -> None:
    assert READER.spoken("<b>so</b> " * 100).text == READER.spoken("so " * 100).text
    assert READER.spoken("<b>so</b> " * 1_000).text != READER.spoken("so " * 1_000).text
