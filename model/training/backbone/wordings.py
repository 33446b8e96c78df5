"""What the text model is asked, in words: topics, instructions, and examples of the manner that is wanted."""

from __future__ import annotations

from model.training.domains import Lang

TOPICS: dict[Lang, str] = {
    "en": "cooking, breakfast, coffee, tea, fruit, vegetables, baking, restaurants, rain, summer, winter, snow, gardening, dogs, cats, birds, fish, wild animals, the ocean, the moon, the sun, stars, "
    "science, the human body, sleep, exercise, running, swimming, football, basketball, cycling, yoga, feeling sad, feeling happy, stress, friends, family, children, birthdays, gifts, weddings, holidays, travel, airports, "
    "trains, cars, saving money, shopping, clothes, shoes, colours, music, the guitar, the piano, singing, films, television, books, stories, jokes, games, chess, school, homework, languages, words, history, "
    "big cities, mountains, rivers, jobs, interviews, the office, computers, phones, the internet, cleaning, laundry, tools, health, headaches, colds, teeth, mornings, evenings, weekends, hobbies, "
    "painting, photography, dancing, camping, hiking, the beach, healthy food, water, the meaning of life, dreams, love, luck, space, robots, art, museums, sports, the environment",
    "zh": "做饭、早餐、咖啡、茶、水果、蔬菜、饺子、面条、火锅、下雨、夏天、冬天、春天、秋天、下雪、养花、小狗、猫、鸟、大熊猫、野生动物、大海、月亮、太阳、星星、科学、身体、睡觉、运动、跑步、游泳、足球、篮球、乒乓球、骑车、"
    "难过、高兴、压力、朋友、家人、孩子、父母、老人、生日、礼物、结婚、春节、中秋节、假期、旅游、机场、火车、地铁、开车、存钱、购物、衣服、鞋、颜色、音乐、吉他、钢琴、唱歌、电影、电视、书、故事、笑话、游戏、象棋、学校、作业、学英语、汉字、成语、历史、"
    "长城、大城市、高山、黄河、工作、面试、办公室、电脑、手机、上网、打扫、洗衣服、健康、头疼、感冒、牙齿、早上、晚上、周末、爱好、画画、照相、跳舞、爬山、海边、喝水、人生的意义、梦想、爱情、运气、太空、机器人、艺术、博物馆、安全、环境",
}  # fmt: skip
ASK: dict[Lang, tuple[str, str, str]] = {
    "en": (
        "Write eight short and different questions that somebody asks a friend about {topic}. One question a line, no numbers.",
        "rain",
        "Why does it rain?\nDo you like walking in the rain?\nHow do clouds make rain?\nWhat can we do on a rainy day?\nWhy does rain smell good?\nIs rain good for plants?\nHow can I keep my shoes dry?\nWhat do birds do when it rains?",
    ),
    "zh": (
        "写八个朋友之间会问的、关于{topic}的简短问题。每行一个问题，各不相同，不要编号。",
        "下雨",
        "为什么会下雨？\n你喜欢下雨天吗？\n下雨天可以做什么？\n雨水对植物有好处吗？\n下雨的时候小鸟在哪里？\n怎么让鞋子不湿？\n为什么雨后空气很清新？\n下雨天开车要注意什么？",
    ),
}
"""What is asked for lines, and an example: its topic and its lines."""
SAY: dict[Lang, tuple[str, str, str]] = {
    "en": (
        "Write eight short and different sentences that people say in everyday life when they talk about {topic}. One sentence a line, no numbers.",
        "bread",
        "I bought fresh bread this morning.\nThis bread is still warm.\nMy grandmother baked her own bread.\nCan you cut the bread, please?\nWe have no bread left for breakfast.\nThe bakery closes early on Sundays.\nI like my toast with honey.\nThe smell of bread makes me hungry.",
    ),
    "zh": (
        "写八个人们在日常生活中谈到{topic}时会说的简短句子。每行一句，各不相同，不要编号。",
        "苹果",
        "这个苹果又大又红。\n我每天早上吃一个苹果。\n苹果多少钱一斤？\n妈妈买了很多苹果。\n把苹果洗干净再吃。\n我更喜欢吃甜的苹果。\n冰箱里还有两个苹果。\n秋天的苹果最好吃。",
    ),
}
SPOKEN: dict[Lang, str] = {
    "en": "You are a warm and honest friend who talks. Answer in one short sentence of at most twenty words. No lists.",
    "zh": "你是一个热情、诚实的朋友，正在和人说话。请用一句不超过二十五个字的中文回答，不要列表。",
}
EXAMPLES: dict[Lang, tuple[tuple[str, str], ...]] = {
    "en": (
        ("Why do cats purr?", "Cats purr when they feel calm and safe."),
        ("I had a bad day.", "I'm sorry to hear that. Do you want to tell me what happened?"),
        (
            "How can I remember new words?",
            "Say them aloud, use them in a sentence, and look at them again the next day.",
        ),
    ),
    "zh": (
        ("猫为什么会打呼噜？", "猫觉得平静和安全的时候，就会打呼噜。"),
        ("我今天心情不好。", "真抱歉听到这个，你愿意跟我说说发生了什么吗？"),
        ("怎么记住新单词？", "大声读出来，造一个句子，第二天再复习一遍。"),
    ),
}
"""Turns that show the manner; line by line the answers translate each other."""
FOLLOW: dict[Lang, tuple[str, ...]] = {
    "en": ("Why?", "Can you tell me more?", "Can you give me an example?", "Why is that?", "What else?", "How does that work?"),
    "zh": ("为什么？", "能再多说一点吗？", "能举个例子吗？", "还有呢？", "那应该怎么做？"),
}  # fmt: skip
TRANSLATE: dict[Lang, str] = {"en": "Translate into English: {a}", "zh": "翻译成中文：{a}"}
