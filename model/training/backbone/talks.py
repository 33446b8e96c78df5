"""Conversations of two to four turns whose last answer is known: what the asker told about himself, and questions that lean on the turn before."""

from __future__ import annotations

from random import Random

from model.training.backbone.texts import Spoken, kept, language_of
from model.training.domains import LANGS, Lang, draw

TOLD: dict[str, dict[Lang, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]]] = {
    "name": {
        "en": (("My name is {a}.", "I am {a}.", "Hello, I'm {a}.", "You can call me {a}."), ("Nice to meet you, {a}.", "Hello, {a}! It is good to hear you."), ("What is my name?", "Do you remember my name?", "Who am I?", "What did I say my name was?"), ("Your name is {a}.", "You are {a}.")),
        "zh": (("我叫{a}。", "我是{a}。", "你好，我叫{a}。", "你可以叫我{a}。"), ("很高兴认识你，{a}。", "你好，{a}！"), ("我叫什么名字？", "你还记得我的名字吗？", "我是谁？", "我刚才说我叫什么？"), ("你叫{a}。", "你是{a}。")),
    },
    "city": {
        "en": (("I live in {a}.", "I come from {a}.", "My home is in {a}."), ("{a} is a lovely place.", "How nice! I would like to know more about {a}."), ("Where do I live?", "Which city do I live in?", "Do you remember where I live?"), ("You live in {a}.",)),
        "zh": (("我住在{a}。", "我家在{a}。", "我是{a}人。"), ("{a}是个好地方。", "真好，我想多了解{a}。"), ("我住在哪里？", "我家在哪个城市？", "你还记得我住在哪儿吗？"), ("你住在{a}。",)),
    },
    "pet": {
        "en": (("I have a {a}.", "At home I have a {a}.", "I got a {a} last year."), ("That is wonderful! A {a} is good company.", "How lovely! Tell me about your {a}."), ("Which animal do I have?", "What pet do I have?", "Do you remember my pet?"), ("You have a {a}.",)),
        "zh": (("我养了一只{a}。", "我家有一只{a}。", "去年我养了一只{a}。"), ("真好，{a}是很好的伙伴。", "太可爱了，跟我说说你的{a}吧。"), ("我养了什么动物？", "我家有什么宠物？", "你还记得我养了什么吗？"), ("你养了一只{a}。",)),
    },
    "food": {
        "en": (("I love {a}.", "My favourite food is {a}.", "I like {a} best."), ("{a} is delicious!", "Good choice, many people like {a}."), ("What is my favourite food?", "What do I like to eat?", "Which food do I like best?"), ("You like {a}.", "Your favourite food is {a}.")),
        "zh": (("我最喜欢吃{a}。", "我爱吃{a}。", "我最喜欢的食物是{a}。"), ("{a}很好吃！", "好选择，很多人喜欢{a}。"), ("我最喜欢吃什么？", "我爱吃什么？", "你记得我喜欢吃什么吗？"), ("你最喜欢吃{a}。",)),
    },
    "colour": {
        "en": (("My favourite colour is {a}.", "I like the colour {a}.", "I think {a} is the most beautiful colour."), ("{a} is a beautiful colour.", "I like {a}, too."), ("What is my favourite colour?", "Which colour do I like?"), ("Your favourite colour is {a}.",)),
        "zh": (("我最喜欢{a}。", "我喜欢的颜色是{a}。", "我觉得{a}最好看。"), ("{a}很漂亮。", "我也喜欢{a}。"), ("我最喜欢什么颜色？", "我喜欢哪种颜色？"), ("你最喜欢{a}。",)),
    },
    "job": {
        "en": (("I am a {a}.", "I work as a {a}.", "My job is {a}."), ("That is an important job.", "Being a {a} must be interesting."), ("What is my job?", "What do I do for a living?", "Do you remember my job?"), ("You are a {a}.",)),
        "zh": (("我是一名{a}。", "我的工作是{a}。", "我当{a}。"), ("这是很重要的工作。", "当{a}一定很有意思。"), ("我的工作是什么？", "我是做什么的？", "你还记得我的职业吗？"), ("你是一名{a}。",)),
    },
}  # fmt: skip
"""What people tell: how, what is answered, how they ask for it later, and the answer then."""
VALUES: dict[str, dict[Lang, str]] = {
    "name": {"en": "Anna, Tom, Mary, Peter, Lucy, David, Emma, Jack, Sarah, Paul, Linda, Mark, Helen, John, Alice, Ben, Kate, Sam, Julia, Henry, Grace, Oliver, Nina, Robert, Clara, George", "zh": "小明、小红、李华、王芳、张伟、小丽、刘洋、陈静、小刚、赵敏、杨光、小雨、周杰、吴迪、小美、林涛、李娜、王强、小军、张丽、小芳、高山、何平、小雪、马林、孙悦"},
    "city": {"en": "London, Paris, Berlin, Boston, Chicago, Rome, Madrid, Tokyo, Vienna, Sydney, Dublin, Oslo, Toronto, Moscow, Athens, Prague, Lisbon, Seattle, Beijing, Shanghai", "zh": "北京、上海、广州、深圳、南京、西安、成都、武汉、杭州、天津、重庆、苏州、青岛、大连、长沙、昆明、厦门、济南、哈尔滨、沈阳"},
    "pet": {"en": "dog, cat, rabbit, bird, fish, horse, turtle, parrot, hamster, duck, snake, mouse", "zh": "狗、猫、兔子、小鸟、乌龟、鹦鹉、仓鼠、鸭子、小猪、羊、鸽子、金鱼"},
    "food": {"en": "pizza, rice, soup, chocolate, bread, cheese, noodles, fish, ice cream, chicken, pancakes, salad, apples, cake, potatoes, strawberries", "zh": "米饭、饺子、面条、火锅、包子、苹果、鱼、鸡肉、豆腐、西瓜、蛋糕、巧克力、牛肉、烤鸭、粥、草莓"},
    "colour": {"en": "red, blue, green, yellow, black, white, orange, purple, pink, brown, grey", "zh": "红色、蓝色、绿色、黄色、黑色、白色、橙色、紫色、粉色、灰色"},
    "job": {"en": "teacher, doctor, driver, nurse, cook, student, farmer, painter, writer, singer, waiter, baker, pilot, lawyer", "zh": "老师、医生、司机、护士、厨师、学生、农民、画家、作家、歌手、服务员、警察、律师、工人"},
}  # fmt: skip
_BETWEEN = ("talk", "facts", "sums", "capitals", "colours", "opposites", "calendar", "comparing")


def remembered(rng: Random, lang: Lang, *, held: bool = False) -> Spoken:
    """The asker tells something, talks of other things in up to two turns, and asks what it was. `held`: with a value kept for evaluation."""
    kind = rng.choice(tuple(TOLD))
    value = rng.choice(kept(VALUES[kind][lang].split(", " if lang == "en" else "、"), held=held))
    telling, heard, asking, answers = TOLD[kind][lang]
    filled = lambda ways: _with(rng.choice(ways), value)  # noqa: E731
    between = [_aside(rng, lang) for _ in range(rng.choice((0, 0, 1, 2)))]
    return Spoken(rng.choice(asking), filled(answers), ((filled(telling), filled(heard)), *between))


def leaning(rng: Random, lang: Lang, *, held: bool = False) -> Spoken:
    """A question that the turn before explains, with up to two turns about other things in front of both."""
    while True:
        exchange = draw(rng, "follow_up", held=held)
        if exchange.question_lang == lang and exchange.before is not None:
            break
    asides = [_aside(rng, lang) for _ in range(rng.choice((0, 0, 1, 2)))]
    same = language_of(exchange.answer) == lang
    reply = "auto" if same or exchange.names_language else exchange.answer_lang
    return Spoken(exchange.question, exchange.answer, (*asides, exchange.before), reply_language=reply)


def _aside(rng: Random, lang: Lang) -> tuple[str, str]:
    while True:
        exchange = draw(rng, rng.choice(_BETWEEN))
        if exchange.question_lang == exchange.answer_lang == lang:
            return exchange.question, exchange.answer


def _with(template: str, value: str) -> str:
    said = template.replace("a {a}", "an {a}").format(a=value) if value[0] in "aeiou" else template.format(a=value)
    return said[0].upper() + said[1:]


def talked(rng: Random, lang: Lang, *, held: bool = False) -> Spoken:
    """Either of both."""
    assert lang in LANGS
    return (remembered if rng.random() < 0.5 else leaning)(rng, lang, held=held)
