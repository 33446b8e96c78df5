"""Let the text model itself write what it is to be trained on: questions that people ask, and its answers in a sentence or two that can be spoken.

    python -m model.training backbone write --base BASE --texts data/texts --minutes 20

Appends to `exchanges-written.jsonl` in `--texts`. Questions are those of `sentences*.txt` and what the model asks about `TOPICS`; a part is answered under
instructions, in the other language, or after a turn before. What cannot be spoken, is too long, in the wrong language, or goes round in a loop is left out.
Needs vLLM.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from model.training.backbone.texts import Spoken, language_of, load_texts
from model.training.domains import LANGS, Lang

TOPICS: dict[Lang, str] = {
    "en": "cooking, breakfast, coffee, tea, fruit, vegetables, baking, restaurants, the weather, rain, summer, winter, snow, gardening, dogs, cats, birds, fish, wild animals, the ocean, the moon, the sun, stars, "
    "science, the human body, sleep, exercise, running, swimming, football, basketball, cycling, yoga, feeling sad, feeling happy, stress, friends, family, children, birthdays, gifts, weddings, holidays, travel, airports, "
    "trains, cars, money, saving, shopping, clothes, shoes, colours, music, the guitar, the piano, singing, films, television, books, stories, jokes, games, chess, school, homework, languages, words, history, "
    "countries, cities, mountains, rivers, jobs, interviews, the office, computers, phones, the internet, cleaning, laundry, tools, health, headaches, colds, teeth, doctors, time, mornings, evenings, weekends, hobbies, "
    "painting, photography, dancing, camping, hiking, the beach, healthy food, water, numbers, the meaning of life, dreams, love, luck, space, robots, art, museums, news, sports, maps, safety, the environment",
    "zh": "做饭、早餐、咖啡、茶、水果、蔬菜、饺子、面条、火锅、饭店、天气、下雨、夏天、冬天、春天、秋天、下雪、养花、小狗、猫、鸟、大熊猫、野生动物、大海、月亮、太阳、星星、科学、身体、睡觉、运动、跑步、游泳、足球、篮球、乒乓球、骑车、"
    "难过、高兴、压力、朋友、家人、孩子、父母、老人、生日、礼物、结婚、春节、中秋节、假期、旅游、机场、火车、地铁、开车、存钱、购物、衣服、鞋、颜色、音乐、吉他、钢琴、唱歌、电影、电视、书、故事、笑话、游戏、象棋、学校、作业、学英语、汉字、成语、历史、"
    "北京、上海、长城、国家、城市、高山、黄河、工作、面试、办公室、电脑、手机、上网、打扫、洗衣服、健康、头疼、感冒、牙齿、医生、时间、早上、晚上、周末、爱好、画画、照相、跳舞、爬山、海边、喝水、数字、人生的意义、梦想、爱情、运气、太空、机器人、艺术、博物馆、新闻、安全、环境",
}  # fmt: skip
ASK: dict[Lang, str] = {
    "en": "Write ten short and different questions that people ask a voice assistant about {topic}. One question a line, no numbers.",
    "zh": "写十个人们会问语音助手的、关于{topic}的简短问题。每行一个问题，各不相同，不要编号。",
}
SAY: dict[Lang, str] = {
    "en": "Write ten short and different sentences that people say in everyday life when they talk about {topic}. One sentence a line, no numbers.",
    "zh": "写十个人们在日常生活中谈到{topic}时会说的简短句子。每行一句，各不相同，不要编号。",
}
SPOKEN: dict[Lang, str] = {
    "en": "You are a friendly voice assistant. Answer in one short sentence of at most twenty words, without lists.",
    "zh": "你是一个友好的语音助手。请用一句不超过二十五个字的话回答，不要列表。",
}
INSTRUCTIONS: dict[Lang, tuple[str, ...]] = {
    "en": ("Answer very briefly.", "Answer in five words or fewer.", "Be cheerful.", "You are a pirate. Speak like one.", "You are a wise old teacher.", "Answer as if to a small child.", "You are a tour guide.",
           "Be polite and formal.", "You are a cook.", "Always end with a question."),
    "zh": ("请回答得非常简短。", "请用不超过十个字回答。", "请用高兴的语气回答。", "你是一位老师。", "请像对小朋友说话一样回答。", "你是一名导游。", "请礼貌、正式地回答。", "你是一位厨师。", "回答的最后请提一个问题。"),
}  # fmt: skip
FOLLOW: dict[Lang, tuple[str, ...]] = {
    "en": ("Why?", "Can you tell me more?", "Can you give me an example?", "Why is that?", "What else?", "Are you sure?", "How does that work?", "And what do you like best?"),
    "zh": ("为什么？", "能再多说一点吗？", "能举个例子吗？", "还有呢？", "你确定吗？", "那应该怎么做？", "你最喜欢哪个？"),
}  # fmt: skip
_UNWANTED = re.compile(
    r"\bAI\b|language model|program|developer|\bcode\b|Alibaba|Qwen|\d\.|人工智能|语言模型|编程|代码|程序|阿里|通义|http",
    re.IGNORECASE,
)


def speakable(text: str, language: Lang) -> str:
    """The first sentence or two of an answer, as they can be spoken in `language`; "" where there are none."""
    text = re.sub(r"\s+", " ", text.replace("’", "'").replace("“", '"').replace("”", '"').replace('"', "")).strip()
    most = 26 if language == "en" else 44
    kept = ""
    for sentence in re.findall(r".+?[.!?](?= |$)|.+?[。！？]", text):
        longer = f"{kept} {sentence.strip()}".strip() if language == "en" else kept + sentence.strip()
        if (len(longer.split()) if language == "en" else len(longer)) > most:
            break
        kept = longer
    alphabet = r"[A-Za-z0-9 ,.'?!;:-]+" if language == "en" else r"[\u4e00-\u9fff0-9，。？！、；：]+"
    if not re.fullmatch(alphabet, kept) or _UNWANTED.search(kept) or _loops(kept):
        return ""
    return kept


def _loops(text: str) -> bool:
    """Whether four words or eight characters come twice, or a word of some length three times."""
    english = language_of(text) == "en"
    parts, width = (re.findall(r"[a-z']+", text.lower()), 4) if english else (list(text), 8)
    runs = [tuple(parts[at : at + width]) for at in range(len(parts) - width + 1)]
    return len(runs) > len(set(runs)) or any(parts.count(part) > 2 for part in parts if len(part) > 3)


def lines_of(text: str, language: Lang) -> list[str]:
    """Questions or sentences that the model wrote, a line each."""
    found = []
    for line in text.splitlines():
        line = re.sub(r"^[\s\d.、)）*-]+", "", line).strip()
        if language_of(line) == language and (plain := speakable(line, language)) == line and 3 <= _length(plain) <= 22:
            found.append(line)
    return found


def _length(text: str) -> int:
    return len(text) if language_of(text) == "zh" else len(text.split())


@dataclass
class Writer:
    """The text model in vLLM."""

    base: str
    sequences: int = 64

    def __post_init__(self) -> None:
        from transformers import AutoTokenizer
        from vllm import LLM

        self.tokenizer: Any = AutoTokenizer.from_pretrained(self.base)
        self.llm = LLM(
            model=self.base, skip_tokenizer_init=True, max_model_len=1024, max_num_seqs=self.sequences, dtype="bfloat16", enforce_eager=True, kv_cache_memory_bytes=900 << 20,
            block_size=32, enable_prefix_caching=True, generation_config="vllm",
        )  # fmt: skip

    def write(self, chats: list[list[dict[str, str]]], most: int, temperature: float) -> list[str]:
        """A reply to each chat."""
        from vllm import SamplingParams

        stop = self.tokenizer.convert_tokens_to_ids("<|im_end|>")
        sampling = SamplingParams(
            max_tokens=most, temperature=temperature, top_p=0.95, stop_token_ids=[stop], detokenize=False
        )
        texts = [self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]
        prompts = [{"prompt_token_ids": self.tokenizer(text, add_special_tokens=False)["input_ids"]} for text in texts]
        out = self.llm.generate(prompts, sampling, use_tqdm=False)  # type: ignore[arg-type]
        return [self.tokenizer.decode(row.outputs[0].token_ids, skip_special_tokens=True) for row in out]

    def lines(self, rng: Random, ask: dict[Lang, str], count: int) -> list[str]:
        """Lines about random topics in both languages."""
        split = {"en": ", ", "zh": "、"}
        asked = [
            (lang, rng.choice(TOPICS[lang].split(split[lang])))
            for lang in (rng.choice(("en", "zh", "zh")) for _ in range(count))
        ]
        chats = [[{"role": "user", "content": ask[lang].format(topic=topic)}] for lang, topic in asked]
        replies = self.write(chats, 220, 0.9)
        return list(
            dict.fromkeys(
                line for (lang, _), reply in zip(asked, replies, strict=True) for line in lines_of(reply, lang)
            )
        )

    def answers(self, wanted: list[Spoken]) -> list[Spoken]:
        """`wanted` with answers, less those whose answer cannot be spoken."""
        replies = self.write([_chat(spoken) for spoken in wanted], 56, 0.0)
        answered = []
        for spoken, reply in zip(wanted, replies, strict=True):
            lang: Lang = _answer_language(spoken)
            if answer := speakable(reply, lang):
                answered.append(replace(spoken, answer=answer))
        return answered


def _answer_language(spoken: Spoken) -> Lang:
    return language_of(spoken.question) if spoken.reply_language == "auto" else spoken.reply_language  # type: ignore[return-value]


def _chat(spoken: Spoken) -> list[dict[str, str]]:
    lang = _answer_language(spoken)
    system = f"{SPOKEN[lang]} {spoken.instructions}".strip()
    chat = [{"role": "system", "content": system}]
    for asked, told in spoken.before:
        chat += [{"role": "user", "content": asked}, {"role": "assistant", "content": told}]
    asked = (
        spoken.question
        if language_of(spoken.question) == lang
        else f"{'请用中文回答' if lang == 'zh' else 'Answer in English'}: {spoken.question}"
    )
    return [*chat, {"role": "user", "content": asked}]


def varied(rng: Random, question: str) -> Spoken:
    """How a question is to be answered: mostly as it stands."""
    lang, kind = language_of(question), rng.random()
    if kind < 0.12:
        return Spoken(question, "", instructions=rng.choice(INSTRUCTIONS[lang]))
    if kind < 0.24:
        return Spoken(question, "", reply_language="zh" if lang == "en" else "en")
    return Spoken(question, "")


def followed(rng: Random, first: list[Spoken]) -> list[Spoken]:
    """Second questions after some of `first`."""
    plain = [spoken for spoken in first if spoken.reply_language == "auto" and not spoken.before]
    chosen = rng.sample(plain, len(plain) // 8)
    return [
        replace(s, question=rng.choice(FOLLOW[language_of(s.question)]), answer="", before=((s.question, s.answer),))
        for s in chosen
    ]


def _known_questions(rng: Random, texts: Path) -> dict[Lang, Iterator[str]]:
    known = load_texts(texts)
    found: dict[Lang, list[str]] = {
        lang: [s for s in known.sentences(lang) if s[-1] in "?？" and 3 <= _length(s) <= 16] for lang in LANGS
    }
    for questions in found.values():
        rng.shuffle(questions)
    return {lang: iter(questions) for lang, questions in found.items()}


def main(argv: list[str] | None = None) -> None:
    """See the module's head."""
    parser = argparse.ArgumentParser(prog="python -m model.training backbone write", description=main.__doc__)
    parser.add_argument("--base", required=True, help="directory of the whole text model, or its name on the hub")
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    rng, until = Random(args.seed), time.monotonic() + 60 * args.minutes
    known, writer = _known_questions(rng, args.texts), Writer(args.base)
    exchanges, sentences = args.texts / "exchanges-written.jsonl", args.texts / "sentences-written.txt"
    while time.monotonic() < until:
        questions = writer.lines(rng, ASK, 32)
        said = [*questions, *writer.lines(rng, SAY, 16)]
        questions += [question for lang in LANGS for _ in range(48) if (question := next(known[lang], None))]
        answered = writer.answers([varied(rng, question) for question in questions])
        answered += writer.answers(followed(rng, answered))
        with sentences.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in said)
        with exchanges.open("a", encoding="utf-8") as file:
            file.writelines(
                json.dumps({k: v for k, v in asdict(s).items() if v}, ensure_ascii=False) + "\n" for s in answered
            )
        print(f"{len(said)} lines, {len(answered)} answers", flush=True)


if __name__ == "__main__":
    main()
