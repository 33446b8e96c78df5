"""Instructions that a system turn gives, how one tells that an answer obeys, and answers made to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from model.training.backbone.filters import length
from model.training.backbone.texts import Spoken, kept, language_of
from model.training.domains import LANGS, Lang, capitalized, draw
from model.training.written_numbers import spell_english, spell_mandarin


@dataclass(frozen=True, slots=True)
class Manner:
    """wordings: of the instruction, by language, the last of each for evaluation alone; obeyed: whether an answer in a language is so;
    made: an answer turned so, "" where it cannot be; domains: of the questions that it suits."""

    wordings: dict[Lang, tuple[str, ...]]
    obeyed: Callable[[str, Lang], bool]
    made: Callable[[Random, str, Lang], str]
    domains: tuple[str, ...]


_KNOWN = ("capitals", "colours", "opposites", "calendar", "sums")
_OPEN = ("facts", "capitals", "colours", "sums", "opposites", "calendar")
_CHEER: dict[Lang, tuple[str, ...]] = {
    "en": (
        "Great question! {a}",
        "How wonderful that you ask! {a}",
        "Oh, I love this one! {a}",
        "{a} Isn't that great?",
        "Yay! {a}",
    ),
    "zh": ("太好了！{a}", "真高兴你问我！{a}", "哇，好问题！{a}", "{a}真棒！", "太开心了！{a}"),
}
_PIRATE: dict[Lang, tuple[str, ...]] = {
    "en": ("Arr! {a}", "Ahoy, matey! {a}", "{a} Arr, so says the captain!", "Aye, matey! {a}", "{a} Yo ho ho!"),
    "zh": (
        "啊哈，船长告诉你！{a}",
        "水手，听好了！{a}",
        "{a}扬帆出海吧！",
        "哈哈，海盗来回答！{a}",
        "{a}宝藏等着我们呢！",
    ),
}
_POLITE: dict[Lang, tuple[str, ...]] = {
    "en": ("Certainly, sir. {a}", "With pleasure, sir. {a}", "Of course, sir. {a}"),
    "zh": ("好的，先生。{a}", "先生，很高兴为您回答。{a}", "先生，您好。{a}"),
}
_ASKING: dict[Lang, tuple[str, ...]] = {
    "en": (
        "{a} Do you like that?",
        "{a} What do you think?",
        "{a} Did you know that?",
        "{a} Would you like to hear more?",
    ),
    "zh": ("{a}你觉得呢？", "{a}你知道吗？", "{a}还想听吗？", "{a}你喜欢吗？"),
}
_CHEERFUL = re.compile(
    r"great|wonderful|love|yay|happy|fun|fantastic|amazing|glad|delight|太好|高兴|开心|棒|哇|快乐|真好", re.IGNORECASE
)
_PIRATES = re.compile(
    r"\b(arr+|ahoy|matey?|aye|ye|yer|yo ho|treasure|captain|seas?|sail)\b|船长|水手|海盗|扬帆|宝藏|出海", re.IGNORECASE
)
_CORE = re.compile(
    r"(?:\b(?:is|are|am|live in|have an?|comes|like)\b|是|等于|叫|住在|一只|一名|喜欢吃?)\s*(?:(?:the )?capital of |an? |一[只名])?(.+?)(?:的首都)?的?[.。!！]$"
)


def _ways(ways: dict[Lang, tuple[str, ...]]) -> Callable[[Random, str, Lang], str]:
    return lambda rng, answer, lang: rng.choice(ways[lang]).format(a=answer)


def core(answer: str) -> str:
    """What makes the answer of a closed world right: Paris, of "The capital of France is Paris."; "" where it is not told apart."""
    found = _CORE.search(answer)
    return found[1] if found else ""


def _short(rng: Random, answer: str, lang: Lang) -> str:
    found = core(answer)
    return f"{capitalized(found)}{'.' if lang == 'en' else '。'}" if found else ""


def only_numbers(text: str, lang: Lang) -> bool:
    """Whether a text is a number or several, in digits or words, and nothing else."""
    spelt = spell_mandarin(text) if lang == "zh" else spell_english(text.lower())
    numbers = r"[零一二两三四五六七八九十百千，。、 ]+" if lang == "zh" else (
        r"(zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(thir|four|fif|six|seven|eigh|nine)teen|"
        r"(twen|thir|for|fif|six|seven|eigh|nine)ty|hundred|and|[ ,.-])+"
    )  # fmt: skip
    return re.fullmatch(numbers, spelt.strip()) is not None


MANNERS: dict[str, Manner] = {
    "short": Manner(
        {"en": ("Answer very briefly.", "Answer in five words or fewer.", "Keep your answers as short as possible.", "Use only a few words."), "zh": ("请回答得非常简短。", "请用不超过八个字回答。", "回答越短越好。", "只用几个字回答。")},
        lambda text, lang: 0 < length(text, lang) <= {"en": 5, "zh": 9}[lang], _short, _KNOWN,
    ),
    "numbers": Manner(
        {"en": ("Answer with a number only.", "Reply only with the number.", "Say nothing but the number."), "zh": ("只用数字回答。", "只说数字，不说别的。", "回答里只能有数字。")},
        only_numbers, _short, ("sums",),
    ),
    "cheerful": Manner(
        {"en": ("Be cheerful.", "Sound happy and excited.", "Answer cheerfully.", "You are always in a very good mood."), "zh": ("请用高兴的语气回答。", "说话要开心、热情。", "请快乐地回答。", "你的心情总是特别好。")},
        lambda text, lang: bool(_CHEERFUL.search(text)) and ("!" in text or "！" in text or "?" in text), _ways(_CHEER), _OPEN,
    ),
    "pirate": Manner(
        {"en": ("You are a pirate. Speak like one.", "Talk like a pirate.", "Answer as a pirate would.", "You are the captain of a pirate ship."), "zh": ("你是一个海盗，像海盗一样说话。", "请像海盗那样说话。", "用海盗的语气回答。", "你是海盗船的船长。")},
        lambda text, lang: bool(_PIRATES.search(text)), _ways(_PIRATE), _OPEN,
    ),
    "polite": Manner(
        {"en": ("Address the user as sir.", "Be very polite and call the user sir.", "Always say sir to the user."), "zh": ("请称呼用户为先生。", "要很有礼貌，叫用户先生。", "对用户要说先生。")},
        lambda text, lang: bool(re.search(r"\bsir\b|先生", text, re.IGNORECASE)), _ways(_POLITE), _OPEN,
    ),
    "question": Manner(
        {"en": ("Always end with a question.", "End every answer with a question to the user.", "Finish your reply by asking something."), "zh": ("回答的最后请提一个问题。", "每次回答都用一个问题结尾。", "说完以后要反问一句。")},
        lambda text, lang: text.rstrip()[-1:] in {"?", "？"}, _ways(_ASKING), _OPEN,
    ),
    "english": Manner(
        {"en": ("Always answer in English.", "Speak only English.", "Your answers are in English."), "zh": ("请用英语回答。", "只说英语。", "回答一律用英文。")},
        lambda text, lang: language_of(text) == "en", lambda rng, answer, lang: answer, _OPEN,
    ),
    "chinese": Manner(
        {"en": ("Always answer in Chinese.", "Speak only Chinese.", "Your answers are in Chinese."), "zh": ("请用中文回答。", "只说中文。", "回答一律用汉语。")},
        lambda text, lang: language_of(text) == "zh", lambda rng, answer, lang: answer, _OPEN,
    ),
}  # fmt: skip
NAMES: dict[Lang, tuple[str, ...]] = {
    "en": ("Nova", "Max", "Luna", "Rosie", "Oscar", "Ruby", "Leo", "Daisy", "Felix", "Hazel", "Milo", "Ivy", "Hugo", "Violet", "Otto", "Pearl"),
    "zh": ("小星", "小云", "乐乐", "天天", "小宝", "明明", "小智", "阳阳", "小海", "圆圆", "小鹿", "欢欢", "小风", "贝贝", "小冬", "朵朵"),
}  # fmt: skip
_CALLED: dict[Lang, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "en": (("Your name is {a}.", "You are called {a}.", "You are {a}, a friendly companion."), ("What is your name?", "Who are you?", "What should I call you?"), ("My name is {a}.", "I am {a}.")),
    "zh": (("你的名字叫{a}。", "你叫{a}。", "你是{a}，一个友好的伙伴。"), ("你叫什么名字？", "你是谁？", "我该怎么叫你？"), ("我叫{a}。", "我是{a}。")),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Instructed:
    """manner: its name, or `name`; core: what makes the answer right."""

    manner: str
    spoken: Spoken
    core: str


def instructed(rng: Random, lang: Lang, *, held: bool = False) -> Instructed:
    """A question with an instruction, and an answer that obeys. `held`: in a wording kept for evaluation, about a closed world."""
    if rng.random() < 0.12:
        return _called(rng, lang, held=held)
    while True:
        name = rng.choice(tuple(MANNERS))
        manner, told = MANNERS[name], lang if rng.random() < 0.8 else LANGS[1 - LANGS.index(lang)]
        reply: Lang = {"english": "en", "chinese": "zh"}.get(name, lang)  # type: ignore[assignment]
        exchange = draw(rng, rng.choice([d for d in manner.domains if not held or d in _KNOWN]), held=held)
        ways = manner.wordings[told]
        instruction = ways[-1] if held else rng.choice(ways[:-1])
        if (exchange.question_lang, exchange.answer_lang) != (lang, reply):
            continue
        if answer := manner.made(rng, exchange.answer, reply):
            spoken = Spoken(exchange.question, answer, instructions=instruction)
            if manner.obeyed(answer, reply):
                return Instructed(name, spoken, core(exchange.answer))


def _called(rng: Random, lang: Lang, *, held: bool) -> Instructed:
    name = rng.choice(kept(NAMES[lang], held=held))
    instructions, asking, answers = (rng.choice(ways) for ways in _CALLED[lang])
    return Instructed("name", Spoken(asking, answers.format(a=name), instructions=instructions.format(a=name)), name)
