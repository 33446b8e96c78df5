"""Which questions and answers of a small text model are worth learning: rules that anybody can repeat, no second model."""

from __future__ import annotations

import re
from collections.abc import Iterable

from model.training.backbone.texts import language_of
from model.training.domains import Lang

LONGEST: dict[Lang, int] = {"en": 26, "zh": 44}
"""Words of an English answer, characters of a Mandarin one."""
_ALPHABET: dict[Lang, str] = {"en": r"[A-Za-z0-9 ,.'?!;:-]+", "zh": r"[\u4e00-\u9fff0-9，。？！、；：]+"}
_UNWANTED = re.compile(
    r"\bAI\b|language model|assistant|program|developer|\bcode\b|Alibaba|Qwen|\d\.|http|(can|am un|unable).{0,6} (assist|help) (you )?with that|"
    r"人工智能|语言模型|助手|编程|代码|程序|阿里|通义|无法(回答|提供|帮)|不能(回答|提供)",
    re.IGNORECASE,
)
_FIGURE = re.compile(
    r"\d|\b(hundred|thousand|million|billion|percent|degrees)\b|[一二三四五六七八九十几两]+(百|千|万|亿|度|公里|米|岁|年|个月)"
)
_NAME = re.compile(r"(?<=[a-z,;:] )(?!I\b|I')[A-Z][\w']+")
_LIVED = re.compile(
    r"\bI (went|was|have been|visited|saw|ate|did|had|met|bought|lived)\b|\b[Mm]y (wife|husband|mother|father|mom|dad|family|house|dog|cat|boss|friends?)\b|"
    r"我(曾|去过|昨天|小时候|家|爸|妈|的(妈|爸|家|朋友|老婆|丈夫|孩子))"
)
"""A machine that says so lies."""
_UNTOLD = re.compile(
    r"\b(it|its|that|this|these|those|they|them|their|he|she|him|his|her|there|here|ones?|then|either|both|other|others|else|so|question)\b|[他她它这那您]|上面|以下|问题：",
    re.IGNORECASE,
)
_OPENS = re.compile(
    r"(what|why|how|do|does|is|are|can|could|should|would|will|which|if)\b(?!.*\b(still|did|was|were|went|you guys|you from)\b)|[\u4e00-\u9fff](?!.*([^超]过[^程年节]|到底|还是|又))",
    re.IGNORECASE | re.DOTALL,
)
_ASKS_KNOWLEDGE = re.compile(
    r"\bwhy\b|为什么|为何|\b(second|third|(four|fif|six|seven|eigh|nin|ten)th)\b|\bhow (many|much|old|far|tall|long|big|often)\b|\b(who|when|where|which (year|country|city)|what (year|time|date|day)|name of|called)\b|"
    r"多少|几|谁|多[远高大长久重]|什么时候|哪(一年|年|里|儿|个国家)|何时|叫什么",
    re.IGNORECASE,
)
_COMMON: dict[Lang, frozenset[str]] = {
    "en": frozenset(
        "a an the and or but of to in on at for with from by as is are was were be been am do does did can could will would should may might must have has had not no yes i you your we our us my me it its this that "
        "these those they them their he she his her there what which who how why when where if so than then too very more most some any all just also like make makes get it's i'm you're don't".split()
    ),
    "zh": frozenset(
        "的了是在有和我你们会能要可以这那个一不也都就很吗呢吧啊什么怎样为因所以到来去上下里人他她它对用把被让给从与或以及其更最还又"
    ),
}


def speakable(text: str, language: Lang) -> str:
    """The first sentence or two of an answer, as they can be spoken in `language`; "" where there are none."""
    text = re.sub(r"\s+", " ", text.replace("’", "'").replace("“", '"').replace("”", '"').replace('"', "")).strip()
    kept = ""
    for sentence in re.findall(r".+?[.!?](?= |$)|.+?[。！？]", text):
        longer = f"{kept} {sentence.strip()}".strip() if language == "en" else kept + sentence.strip()
        if length(longer, language) > LONGEST[language]:
            break
        kept = longer
    if not re.fullmatch(_ALPHABET[language], kept) or _UNWANTED.search(kept) or loops(kept):
        return ""
    return kept


def length(text: str, language: Lang) -> int:
    """English words, Mandarin characters."""
    return len(text.split()) if language == "en" else len(text)


def loops(text: str) -> bool:
    """Whether four words or eight characters come twice, or a word of some length three times."""
    english = language_of(text) == "en"
    parts, width = (re.findall(r"[a-z']+", text.lower()), 4) if english else (list(text), 8)
    runs = [tuple(parts[at : at + width]) for at in range(len(parts) - width + 1)]
    return len(runs) > len(set(runs)) or any(parts.count(part) > 2 for part in parts if len(part) > 3)


def content(text: str, language: Lang) -> list[str]:
    """What a text is about: English words or Chinese characters, without those that every text has."""
    parts = re.findall(r"[a-z']+", text.lower()) if language == "en" else re.findall(r"[\u4e00-\u9fff]", text)
    return [part for part in parts if part not in _COMMON[language]]


def stands_alone(question: str) -> bool:
    """Whether a question is understood without what was said before, and does not ask for a name, a date, a figure or a reason: those are what
    so small a model gets wrong, and the reasons that it asks for are mostly of what is not so ("Why does tea make people ill?")."""
    asks = question[-1:] in {"?", "？"} and _OPENS.match(question) is not None
    return asks and not _UNTOLD.search(question) and not _ASKS_KNOWLEDGE.search(question)


def sensible(question: str, answer: str, language: Lang) -> bool:
    """No nonsense by five rules: an answer in `language` brings no figure and no name that was not asked about, claims no life of its own, adds
    something to the question, and says nothing twice."""
    if (_FIGURE.search(answer) and not _FIGURE.search(question)) or _LIVED.search(answer):
        return False
    if any(name not in question for name in _NAME.findall(answer)):
        return False
    said = content(answer, language)
    if language == "en":
        twice = [word for word in said if len(word) > 3]
    else:
        han = "".join(re.findall(r"[\u4e00-\u9fff]+", answer))
        twice = [han[at : at + 2] for at in range(len(han) - 1) if not set(han[at : at + 2]) & _COMMON["zh"]]
    if len(twice) > len(set(twice)):
        return False
    new = set(said) - set(content(question, language))
    return len(new) >= {"en": 2, "zh": 3}[language] or (len(said) <= 3 and len(new) >= 1)


def leaks(question: str, answer: str, language: Lang, examples: Iterable[str]) -> bool:
    """Whether an answer repeats what an example said: three words or six characters in a row that the question does not bring along."""
    width = {"en": 3, "zh": 6}[language]
    asked, *told = (_runs(text, language, width) for text in (question, *examples))
    return bool((_runs(answer, language, width) - asked) & set().union(*told))


def _runs(text: str, language: Lang, width: int) -> set[tuple[str, ...]]:
    parts = re.findall(r"[a-z']+", text.lower()) if language == "en" else re.findall(r"[\u4e00-\u9fff]", text)
    return {tuple(parts[at : at + width]) for at in range(len(parts) - width + 1)}


def lines_of(text: str, language: Lang) -> list[str]:
    """Questions or sentences that the model wrote, a line each."""
    found = []
    for line in text.splitlines():
        line = re.sub(r"^[\s\d.、)）*-]+|^\w+[:：]", "", line).strip()
        if language_of(line) == language and speakable(line, language) == line and 3 <= length(line, language) <= 18:
            found.append(line)
    return found
