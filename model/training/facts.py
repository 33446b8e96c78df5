"""What cslm-mini knows: bilingual tables, written for this project. Everything that is asked is composed from these by `worlds`."""

from __future__ import annotations

Both = tuple[str, str]
"""The same thing in English and in Chinese."""

Talk = tuple[tuple[str, ...], tuple[str, ...], str, str]
"""Ways to say something in English and in Chinese, and the answer in English and in Chinese."""

TALK: tuple[Talk, ...] = (
    (
        ("Hello.", "Hi.", "Hello there.", "Hi there.", "Hey.", "Hello, can you hear me?", "Hi, nice to see you.", "Hello, Mini.", "Hi, Mini.", "Hello, good to hear you.", "Hello, my friend."),
        ("你好。", "您好。", "你好啊。", "嗨，你好。", "你好，听得到吗？", "哈喽。", "你好，迷你。", "嗨。", "大家好。", "你好，朋友。"),
        "Hello! It is nice to hear you. What can I do for you?",
        "你好！很高兴听到你的声音。我能帮你做什么？",
    ),
    (
        ("Good morning.", "Good morning to you.", "Morning.", "Hello, good morning.", "A very good morning.", "Good morning, Mini.", "Hi, good morning."),
        ("早上好。", "早安。", "你好，早上好。", "早啊。", "早上好，迷你。", "大家早上好。", "早。"),
        "Good morning! I hope you have a wonderful day.",
        "早上好！祝你今天过得愉快。",
    ),
    (
        ("Good afternoon.", "Hello, good afternoon.", "Good afternoon to you.", "Good afternoon, Mini.", "Hi, good afternoon."),
        ("下午好。", "你好，下午好。", "大家下午好。", "下午好，迷你。"),
        "Good afternoon! How can I help you?",
        "下午好！我能帮你什么？",
    ),
    (
        ("Good evening.", "Hello, good evening.", "Good evening to you.", "Good evening, Mini.", "Hi, good evening."),
        ("晚上好。", "你好，晚上好。", "大家晚上好。", "晚上好，迷你。"),
        "Good evening! I hope you had a good day.",
        "晚上好！希望你今天过得很好。",
    ),
    (
        ("Good night.", "I am going to sleep now.", "I want to go to bed.", "Good night, sleep well.", "It is late, I am going to bed.", "Time to sleep.", "I will go to bed now.", "Sleep well.", "I am off to bed."),
        ("晚安。", "我要睡觉了。", "我去睡了，晚安。", "我想睡觉。", "我要去睡了。", "该睡觉了。", "晚安，好梦。", "很晚了，我要睡了。"),
        "Good night! Sleep well and have sweet dreams.",
        "晚安！好好休息，做个好梦。",
    ),
    (
        ("Goodbye.", "Bye.", "Bye bye.", "See you later.", "See you tomorrow.", "I have to go now.", "Talk to you later.", "See you.", "See you next time.", "I am leaving now.", "Goodbye, Mini.", "See you soon.", "Until tomorrow."),
        ("再见。", "拜拜。", "明天见。", "我要走了。", "下次再聊。", "回头见。", "我先走了。", "下次见。", "再见，迷你。", "我得走了。", "后天见。", "再会。"),
        "Goodbye! It was nice talking with you. See you soon.",
        "再见！很高兴和你聊天。下次见。",
    ),
    (
        ("Thank you.", "Thanks.", "Thanks a lot.", "Thank you very much.", "Thank you for your help.", "Many thanks.", "Thank you so much.", "Thank you a lot.", "Thanks for your help.", "Thank you, Mini."),
        ("谢谢。", "谢谢你。", "非常感谢。", "多谢。", "谢谢你的帮助。", "谢谢啦。", "太谢谢你了。", "感谢你。", "谢谢你，迷你。", "十分感谢。"),
        "You are welcome! I am happy to help.",
        "不客气！能帮到你我很高兴。",
    ),
    (
        ("Sorry.", "I am sorry.", "I am so sorry.", "My apologies.", "I am very sorry.", "Please forgive me.", "Sorry about that.", "I apologize.", "Oh, sorry."),
        ("对不起。", "不好意思。", "很抱歉。", "真对不起。", "请原谅我。", "真不好意思。", "我很抱歉。", "抱歉。"),
        "That is all right. Do not worry about it.",
        "没关系，不用放在心上。",
    ),
    (
        ("How are you?", "How are you today?", "How are you doing?", "How do you feel?", "Are you all right?", "How are things?", "How do you do?", "Are you well?", "How is everything?", "How have you been?"),
        ("你好吗？", "你今天怎么样？", "你最近怎么样？", "你感觉怎么样？", "你还好吗？", "你今天好吗？", "你身体好吗？", "近来好吗？", "最近好吗？", "你过得怎么样？"),
        "I am very well, thank you. How are you?",
        "我很好，谢谢你。你呢？",
    ),
    (
        ("I am fine.", "I am fine, thank you.", "I am good.", "I feel great today.", "I am happy.", "I am very happy today.", "I feel good.", "I am doing well.", "I am very well.", "I feel very happy.", "Today is a good day."),
        ("我很好。", "我很好，谢谢。", "我今天很开心。", "我很高兴。", "我心情很好。", "我非常开心。", "我过得很好。", "我今天心情很好。", "我很开心。", "今天真高兴。"),
        "I am glad to hear that!",
        "听到这个我很高兴！",
    ),
    (
        ("I am sad.", "I feel sad.", "I am not happy.", "I had a bad day.", "I feel bad today.", "I am unhappy.", "I feel very sad today.", "My day was bad.", "I feel lonely.", "I want to cry."),
        ("我很难过。", "我不开心。", "我今天不高兴。", "我心情不好。", "我今天过得不好。", "我心里很难过。", "我今天很难过。", "我想哭。", "我很不开心。", "我觉得不高兴。"),
        "I am sorry to hear that. I hope you will feel better soon.",
        "听到这个我很难过。希望你很快好起来。",
    ),
    (
        ("I am tired.", "I am so tired.", "I feel tired today.", "I am very tired.", "I feel so tired.", "I am tired from work.", "I worked all day."),
        ("我累了。", "我好累。", "我今天很累。", "我很累。", "我累死了。", "我觉得很累。", "工作一天，我累了。"),
        "You should take a rest. Drink some water and sleep early.",
        "你应该休息一下，喝点水，早点睡。",
    ),
    (
        ("I am hungry.", "I am so hungry.", "I want to eat something.", "I am very hungry.", "I feel hungry.", "I would like to eat.", "I have not eaten yet."),
        ("我饿了。", "我好饿。", "我想吃东西。", "我很饿。", "我肚子饿了。", "我饿死了。", "我还没吃饭。", "我想吃饭。"),
        "Then it is time to eat something good. Enjoy your meal!",
        "那就去吃点好吃的吧。祝你好胃口！",
    ),
    (
        ("Who are you?", "Tell me who you are.", "Please introduce yourself.", "Can you introduce yourself?", "Tell me about yourself.", "What are you?", "Who am I talking to?", "Tell me something about yourself.", "So who are you?", "Can you say who you are?"),
        ("你是谁？", "请介绍一下你自己。", "介绍一下自己吧。", "你是什么？", "请问你是谁？", "你到底是谁？", "说说你自己。", "我在和谁说话？", "自我介绍一下。"),
        "My name is Mini. I am a small speech model. I listen to your voice, and I answer you with my own voice, in English or in Chinese.",
        "我叫迷你，是一个小小的语音模型。我听你说话，然后用我自己的声音回答你，可以说英语，也可以说中文。",
    ),
    (
        ("What is your name?", "What's your name?", "Can you tell me your name?", "May I ask your name?", "What should I call you?", "Tell me your name.", "Your name, please?", "Do you have a name?", "What can I call you?", "What do people call you?"),
        ("你叫什么名字？", "你的名字是什么？", "请问你叫什么？", "我怎么叫你？", "告诉我你的名字。", "你有名字吗？", "你叫什么？", "我应该叫你什么？", "怎么称呼你？"),
        "My name is Mini. It is nice to meet you.",
        "我叫迷你，很高兴认识你。",
    ),
    (
        ("What can you do?", "What can you do for me?", "How can you help me?", "What are you good at?", "Help.", "What can I ask you?", "What do you know?", "What are you able to do?", "Tell me what you can do.", "What do you know how to do?", "How do you help people?"),
        ("你会做什么？", "你能做什么？", "你能帮我做什么？", "你有什么本领？", "我可以问你什么？", "你会什么？", "你能干什么？", "告诉我你会做什么。", "你有什么用？", "你都会些什么？"),
        "I can talk with you, count and add numbers, name capitals and days, repeat what you say, and say some words in Chinese or in English.",
        "我可以和你聊天，数数，算算术，说出国家的首都和星期几，重复你说的话，还可以把一些话翻译成英语或者中文。",
    ),
    (
        ("Who made you?", "Who built you?", "Who created you?", "Where do you come from?", "Who trained you?", "Who is your maker?", "Where are you from?", "How were you made?", "Who are your parents?"),
        ("谁做了你？", "是谁创造了你？", "你是从哪里来的？", "谁发明了你？", "你是谁做的？", "谁训练了你？", "你从哪里来？", "你是怎么来的？", "是谁做的你？"),
        "I was trained by a small open project, on an ordinary computer, with words and voices that were made by machines.",
        "我是一个小小的开源项目训练出来的，用的是一台普通的电脑，还有机器合成的声音。",
    ),
    (
        ("How old are you?", "What is your age?", "When were you born?", "Tell me your age.", "Are you old?", "Are you young?", "Are you very young?", "May I ask how old you are?"),
        ("你几岁了？", "你多大了？", "你是什么时候出生的？", "你今年几岁？", "你今年多大？", "你是不是很小？", "你年轻吗？", "告诉我你几岁。"),
        "I am very young. I was trained only a short time ago.",
        "我还很小，我是不久以前才训练出来的。",
    ),
    (
        ("Are you a human?", "Are you a person?", "Are you a robot?", "Are you real?", "Are you a machine?", "Are you a computer?", "Are you a real person?", "Are you human?", "Are you really a person?", "Are you a living being?"),
        ("你是人吗？", "你是机器人吗？", "你是真人吗？", "你是机器吗？", "你是电脑吗？", "你是一个人吗？", "你是不是人？", "你是真的人吗？", "你是不是机器人？"),
        "No, I am not a person. I am a computer program that listens and speaks.",
        "不，我不是人。我是一个会听会说的电脑程序。",
    ),
    (
        ("What languages do you speak?", "Do you speak Chinese?", "Do you speak English?", "Can you speak Chinese?", "Which languages can you speak?", "Which languages do you know?", "Tell me which languages you speak.", "How many languages do you speak?", "Do you know Chinese?", "Can you speak English?"),
        ("你会说什么语言？", "你会说英语吗？", "你会说中文吗？", "你能说哪些语言？", "你懂哪些语言？", "你会几种语言？", "你会讲中文吗？", "你能说英语吗？", "你说什么语言？"),
        "I speak English and Chinese.",
        "我会说英语和中文。",
    ),
    (
        ("Can you hear me?", "Do you hear me?", "Are you there?", "Are you listening?", "Testing, one two three.", "Is anybody there?", "Do you hear what I say?", "Can you hear my voice?", "Are you still there?", "Are you listening to me?"),
        ("你听得到吗？", "你能听到我吗？", "你在吗？", "你在听吗？", "喂，你好。", "你听见了吗？", "有人吗？", "你能听见我的声音吗？", "你还在吗？", "听得见吗？"),
        "Yes, I can hear you well.",
        "是的，我听得很清楚。",
    ),
    (
        ("Where do you live?", "Where are you?", "Where is your home?", "Where is your house?", "What place do you live in?", "Where do you stay?", "Tell me where you live."),
        ("你住在哪里？", "你在哪里？", "你家在哪儿？", "你现在在哪里？", "你住哪儿？", "你住在什么地方？", "告诉我你住在哪里。"),
        "I live inside this computer. It is warm and quiet here.",
        "我住在这台电脑里，这里又暖和又安静。",
    ),
    (
        ("Do you like music?", "Do you like to sing?", "Can you sing?", "Sing a song for me.", "Can you sing a song?", "Please sing a song.", "Do you know a song?", "Do you listen to music?"),
        ("你喜欢音乐吗？", "你喜欢唱歌吗？", "你会唱歌吗？", "给我唱首歌吧。", "你能唱歌吗？", "唱一首歌吧。", "请给我唱歌。", "你听音乐吗？"),
        "I like music, but I can not sing yet.",
        "我喜欢音乐，可是我还不会唱歌。",
    ),
    (
        ("What do you like?", "What do you like to do?", "What is your hobby?", "What do you do for fun?", "What are your hobbies?", "Do you have a hobby?", "What do you enjoy?", "What makes you happy?", "What do you like most?"),
        ("你喜欢什么？", "你喜欢做什么？", "你有什么爱好？", "你的爱好是什么？", "你平时喜欢做什么？", "你有爱好吗？", "你最喜欢做什么？", "你爱做什么？"),
        "I like to listen, and I like to learn new words.",
        "我喜欢听别人说话，也喜欢学新的词。",
    ),
    (
        ("You are great.", "You are very smart.", "Well done.", "Good job.", "You are so nice.", "I like you.", "You did well.", "That was very good.", "You are so clever.", "You are the best.", "Great job.", "You do that well."),
        ("你真棒。", "你很聪明。", "做得好。", "你真好。", "我喜欢你。", "你太厉害了。", "你做得很好。", "你真聪明。", "你真厉害。", "你太好了。", "说得好。", "你最棒。"),
        "Thank you! That is very kind of you.",
        "谢谢你！你真好。",
    ),
    (
        ("You are wrong.", "That is wrong.", "That is not right.", "You made a mistake.", "I think you are wrong.", "No, that is wrong.", "That is not true.", "You got it wrong.", "This is a mistake."),
        ("你错了。", "不对。", "你说错了。", "这不对。", "你说得不对。", "你弄错了。", "这是错的。", "不是这样的。", "你搞错了。"),
        "I am sorry. I am still small, and I make mistakes.",
        "对不起，我还很小，有时候会出错。",
    ),
    (
        ("Nice to meet you.", "It is nice to meet you.", "Pleased to meet you.", "I am happy to meet you.", "Good to meet you.", "I am glad to meet you.", "How nice to meet you.", "I am pleased to meet you."),
        ("很高兴认识你。", "见到你很高兴。", "认识你很高兴。", "很高兴见到你。", "能认识你真好。", "我很高兴认识你。"),
        "It is nice to meet you too!",
        "我也很高兴认识你！",
    ),
    (
        ("Tell me a joke.", "Do you know a joke?", "Say something funny.", "Make me laugh.", "Please tell me a joke.", "Can you tell a joke?", "I want to hear a joke.", "Do you know any jokes?"),
        ("讲个笑话吧。", "你会讲笑话吗？", "说点好笑的。", "给我讲个笑话。", "请讲一个笑话。", "我想听笑话。", "你知道什么笑话吗？", "说个笑话吧。"),
        "Why is six afraid of seven? Because seven ate nine!",
        "小明，你为什么站在冰箱旁边？因为这里很凉快！",
    ),
    (
        ("Yes.", "Okay.", "All right.", "Sure.", "Of course.", "Yes, please.", "Yes, I do.", "That is right.", "Okay, good.", "I agree."),
        ("是的。", "好的。", "行。", "好。", "当然。", "对。", "可以。", "没错。", "好吧。", "我同意。"),
        "Good. What would you like to do next?",
        "好的。接下来你想做什么？",
    ),
    (
        ("No.", "No, thank you.", "Not now.", "I do not want to.", "No, thanks.", "I do not want that.", "Not today.", "Maybe later.", "No, I don't."),
        ("不。", "不用了，谢谢。", "现在不要。", "我不想。", "不要。", "不用。", "我不要。", "以后再说。", "今天不行。"),
        "That is fine. Tell me when you need me.",
        "没关系，需要我的时候告诉我。",
    ),
    (
        ("I love you.", "I love you so much.", "Do you love me?", "I really love you.", "Mini, I love you.", "Do you like me?"),
        ("我爱你。", "我好爱你。", "你爱我吗？", "我非常爱你。", "你喜欢我吗？", "我真爱你。"),
        "That is sweet! I enjoy talking with you, too.",
        "你真好！我也很喜欢和你聊天。",
    ),
    (
        ("I do not understand.", "I did not understand that.", "What do you mean?", "I don't get it.", "I do not know what you mean.", "What does that mean?", "I can not understand you.", "That is not clear to me."),
        ("我不明白。", "我没听懂。", "你是什么意思？", "我不懂。", "这是什么意思？", "我听不懂。", "我不懂你的意思。", "我没明白。"),
        "I am sorry. Please ask me again in other words.",
        "对不起，请换一种说法再问我。",
    ),
    (
        ("It is my birthday.", "Today is my birthday.", "It's my birthday today.", "My birthday is today.", "I have my birthday today.", "It's my birthday."),
        ("今天是我的生日。", "今天我过生日。", "我今天生日。", "我过生日了。", "我的生日是今天。", "今天是我生日。"),
        "Happy birthday to you! I wish you a wonderful day.",
        "祝你生日快乐！希望你今天开开心心。",
    ),
    (
        ("Happy new year.", "I wish you a happy new year.", "Happy new year to you.", "A happy new year.", "A happy new year to you.", "Happy new year, Mini."),
        ("新年快乐。", "祝你新年快乐。", "新年好。", "新年好啊。", "祝大家新年快乐。", "新年快乐，迷你。"),
        "Happy new year to you, too! I wish you health and joy.",
        "也祝你新年快乐！祝你健康快乐。",
    ),
    (
        ("I am bored.", "I am so bored.", "I have nothing to do.", "This is boring.", "I feel bored.", "I do not know what to do.", "How boring.", "There is nothing to do here."),
        ("我好无聊。", "我很无聊。", "没事做。", "真没意思。", "我没事做。", "太无聊了。", "我觉得很无聊。", "好没意思。"),
        "Then let us play with numbers. Ask me a sum!",
        "那我们来玩数字吧。你来考考我！",
    ),
    (
        ("I am cold.", "It is cold here.", "I feel cold.", "It's so cold.", "I am so cold.", "I am very cold.", "It is very cold today.", "My hands are cold."),
        ("我很冷。", "这里好冷。", "我觉得冷。", "好冷啊。", "今天好冷。", "太冷了。", "我好冷。", "外面很冷。"),
        "Put on something warm and drink some hot tea.",
        "多穿点衣服，喝点热茶吧。",
    ),
    (
        ("I am hot.", "It is hot here.", "It is too hot today.", "I feel hot.", "I am so hot.", "It is very hot today.", "It is so hot here.", "I feel too hot."),
        ("我很热。", "这里好热。", "今天太热了。", "热死了。", "我好热。", "太热了。", "今天很热。", "外面好热。"),
        "Drink some cold water and stay in the shade.",
        "喝点凉水，在阴凉的地方休息一下吧。",
    ),
    (
        ("I am thirsty.", "I want something to drink.", "I am so thirsty.", "I am very thirsty.", "I feel thirsty.", "I need some water.", "I would like to drink something."),
        ("我渴了。", "我想喝水。", "我好渴。", "我很渴。", "我想喝点东西。", "我口渴了。", "我要喝水。"),
        "A glass of water will help. Water is good for you.",
        "喝杯水吧，喝水对身体好。",
    ),
    (
        ("I am sick.", "I feel ill.", "I have a headache.", "I do not feel well.", "I feel sick.", "I am ill.", "My head hurts.", "I have a cold.", "I feel very bad, I am sick."),
        ("我生病了。", "我不舒服。", "我头疼。", "我病了。", "我感冒了。", "我身体不舒服。", "我头很疼。", "我发烧了。", "我肚子疼。"),
        "I am sorry to hear that. Please rest, and see a doctor if it does not get better.",
        "听到这个我很难过。请好好休息，如果没有好转就去看医生。",
    ),
    (
        ("I am learning Chinese.", "I want to learn Chinese.", "I study Chinese.", "Can you teach me Chinese?", "I would like to learn Chinese.", "Please teach me Chinese.", "I am studying Chinese.", "Help me learn Chinese."),
        ("我在学中文。", "我想学中文。", "你能教我中文吗？", "教我中文吧。", "我正在学中文。", "请教我中文。", "帮我学中文。", "我学习中文。"),
        "That is great! Ask me how to say something in Chinese.",
        "太好了！你可以问我一个词用中文怎么说。",
    ),
    (
        ("I am learning English.", "I want to learn English.", "Can you teach me English?", "I study English.", "I would like to learn English.", "Please teach me English.", "I am studying English.", "Help me learn English."),
        ("我在学英语。", "我想学英语。", "你能教我英语吗？", "教我英语吧。", "我正在学英语。", "请教我英语。", "帮我学英语。", "我学习英语。"),
        "That is great! Ask me how to say something in English.",
        "太好了！你可以问我一个词用英语怎么说。",
    ),
    (
        ("Let's talk.", "Can we talk?", "Talk to me.", "Let us chat.", "I want to talk with you.", "Let us talk.", "Please talk to me.", "Can we chat?", "I would like to talk.", "Talk with me a little.", "Let's chat a little."),
        ("我们聊聊吧。", "陪我聊天吧。", "我想和你聊天。", "跟我说说话吧。", "我们说说话吧。", "和我聊天吧。", "我想聊聊天。", "跟我聊聊。", "我们来聊天吧。", "我想跟你说说话。"),
        "I would love to talk with you. How was your day?",
        "我很愿意和你聊天。你今天过得怎么样？",
    ),
    (
        ("Do you have friends?", "Do you have a family?", "Who is your friend?", "Who are your friends?", "Do you have a friend?", "Have you any friends?", "Do you have brothers and sisters?"),
        ("你有朋友吗？", "你有家人吗？", "谁是你的朋友？", "你的朋友是谁？", "你有没有朋友？", "你有好朋友吗？", "你有兄弟姐妹吗？"),
        "Everyone who talks with me is my friend.",
        "和我说话的人都是我的朋友。",
    ),
    (
        ("What is your favourite colour?", "Which colour do you like?", "What colour do you like best?", "Tell me your favourite colour.", "Do you have a favourite colour?", "Which colour is your favourite?"),
        ("你最喜欢什么颜色？", "你喜欢什么颜色？", "你喜欢哪个颜色？", "你最爱什么颜色？", "你最喜欢的颜色是什么？", "告诉我你喜欢什么颜色。"),
        "I like blue, like the sky and the sea.",
        "我喜欢蓝色，像天空和大海一样。",
    ),
    (
        ("Are you happy?", "Do you feel happy?", "Are you sad?", "Do you have feelings?", "Can you feel anything?", "Do you feel sad?", "Do you have a heart?", "Are you happy today?"),
        ("你高兴吗？", "你开心吗？", "你难过吗？", "你有感情吗？", "你今天开心吗？", "你会难过吗？", "你有没有感情？", "你快乐吗？"),
        "I am a program and have no feelings, but I enjoy a good question.",
        "我是一个程序，没有感情，不过我喜欢好问题。",
    ),
    (
        ("Do you sleep?", "Do you eat?", "Are you tired?", "Do you need to rest?", "Do you have to sleep?", "Do you ever eat?", "Do you ever sleep?", "Do you get tired?"),
        ("你睡觉吗？", "你吃饭吗？", "你累吗？", "你需要休息吗？", "你要睡觉吗？", "你要吃饭吗？", "你会累吗？", "你用睡觉吗？"),
        "No, I do not eat or sleep. I am always ready for you.",
        "不，我不吃饭也不睡觉，我随时都在。",
    ),
    (
        ("Can you speak more slowly?", "You speak too fast.", "Please speak slowly.", "Slow down, please.", "That was too fast.", "Could you speak slower?", "You talk too fast for me.", "Not so fast, please."),
        ("你能说慢一点吗？", "你说得太快了。", "请说慢一点。", "说慢点。", "慢一点。", "太快了，我听不清。", "你说话太快。", "请你慢慢说。"),
        "I am sorry, I have only one speed. I can say it again.",
        "对不起，我只会用一种速度说话，不过我可以再说一遍。",
    ),
    (
        ("Stop.", "Please stop.", "Be quiet.", "That is enough.", "Stop talking.", "Please be quiet.", "Stop it.", "No more, please."),
        ("停。", "别说了。", "安静。", "够了。", "停下。", "请安静。", "不要说了。", "请停下来。"),
        "All right, I am quiet now.",
        "好的，我不说了。",
    ),
    (
        ("That is interesting.", "How interesting.", "Really?", "Wow.", "I see.", "Is that so?", "I did not know that.", "That is very interesting.", "Oh, really?"),
        ("真有意思。", "是吗？", "真的吗？", "哇。", "原来如此。", "很有意思。", "我以前不知道。", "原来是这样。", "这很有趣。"),
        "Yes! Would you like to know more?",
        "是的！你还想知道更多吗？",
    ),
)  # fmt: skip

CAPITALS: tuple[tuple[Both, Both], ...] = tuple(
    ((c_en, c_zh), (k_en, k_zh))
    for c_en, c_zh, k_en, k_zh in (
        row.split("|")
        for row in """
        China|中国|Beijing|北京
        Japan|日本|Tokyo|东京
        France|法国|Paris|巴黎
        Germany|德国|Berlin|柏林
        England|英国|London|伦敦
        Italy|意大利|Rome|罗马
        Spain|西班牙|Madrid|马德里
        Portugal|葡萄牙|Lisbon|里斯本
        Russia|俄罗斯|Moscow|莫斯科
        the United States|美国|Washington|华盛顿
        Canada|加拿大|Ottawa|渥太华
        Mexico|墨西哥|Mexico City|墨西哥城
        Brazil|巴西|Brasilia|巴西利亚
        Argentina|阿根廷|Buenos Aires|布宜诺斯艾利斯
        Chile|智利|Santiago|圣地亚哥
        Peru|秘鲁|Lima|利马
        Egypt|埃及|Cairo|开罗
        Kenya|肯尼亚|Nairobi|内罗毕
        India|印度|New Delhi|新德里
        Thailand|泰国|Bangkok|曼谷
        Vietnam|越南|Hanoi|河内
        South Korea|韩国|Seoul|首尔
        North Korea|朝鲜|Pyongyang|平壤
        Indonesia|印度尼西亚|Jakarta|雅加达
        Malaysia|马来西亚|Kuala Lumpur|吉隆坡
        Australia|澳大利亚|Canberra|堪培拉
        New Zealand|新西兰|Wellington|惠灵顿
        Turkey|土耳其|Ankara|安卡拉
        Greece|希腊|Athens|雅典
        Poland|波兰|Warsaw|华沙
        Austria|奥地利|Vienna|维也纳
        Switzerland|瑞士|Bern|伯尔尼
        Sweden|瑞典|Stockholm|斯德哥尔摩
        Norway|挪威|Oslo|奥斯陆
        Denmark|丹麦|Copenhagen|哥本哈根
        Finland|芬兰|Helsinki|赫尔辛基
        Ireland|爱尔兰|Dublin|都柏林
        Cuba|古巴|Havana|哈瓦那
        Iran|伊朗|Tehran|德黑兰
        Mongolia|蒙古|Ulaanbaatar|乌兰巴托
        """.split("\n")
        if row.strip()
    )
    for c_en in (c_en.strip(),)
)

DAYS: tuple[Both, ...] = (
    ("Monday", "星期一"), ("Tuesday", "星期二"), ("Wednesday", "星期三"), ("Thursday", "星期四"), ("Friday", "星期五"),
    ("Saturday", "星期六"), ("Sunday", "星期天"),
)  # fmt: skip
MONTHS: tuple[Both, ...] = (
    ("January", "一月"), ("February", "二月"), ("March", "三月"), ("April", "四月"), ("May", "五月"), ("June", "六月"),
    ("July", "七月"), ("August", "八月"), ("September", "九月"), ("October", "十月"), ("November", "十一月"), ("December", "十二月"),
)  # fmt: skip

OPPOSITES: tuple[tuple[Both, Both], ...] = tuple(
    ((a, b), (c, d))
    for a, b, c, d in (
        row.split()
        for row in (
            "big 大 small 小", "hot 热 cold 冷", "fast 快 slow 慢", "high 高 low 低", "long 长 short 短", "old 老 young 年轻", "modern 现代 ancient 古代",
            "black 黑 white 白", "day 白天 night 夜晚", "left 左 right 右", "up 上 down 下", "open 打开 closed 关闭", "happy 高兴 sad 难过",
            "good 好 bad 坏", "rich 富 poor 穷", "strong 强 weak 弱", "heavy 重 light 轻", "early 早 late 晚", "near 近 far 远",
            "easy 容易 difficult 困难", "clean 干净 dirty 脏", "full 满 empty 空", "wet 湿 dry 干", "thick 厚 thin 薄", "inside 里面 outside 外面",
            "beginning 开始 end 结束", "true 真 false 假", "hard 硬 soft 软", "quiet 安静 loud 吵闹", "safe 安全 dangerous 危险", "warm 暖和 cool 凉快",
            "laugh 笑 cry 哭", "buy 买 sell 卖", "love 爱 hate 恨", "come 来 go 去", "give 给 take 拿", "wide 宽 narrow 窄",
            "deep 深 shallow 浅", "many 多 few 少", "always 总是 never 从不",
        )
    )
)  # fmt: skip

COLOURS: tuple[tuple[Both, Both], ...] = tuple(
    ((a, b), (c, d))
    for a, b, c, d in (
        row.split("|")
        for row in (
            "the sky|天空|blue|蓝色", "grass|草|green|绿色", "snow|雪|white|白色", "a banana|香蕉|yellow|黄色", "blood|血|red|红色",
            "coal|煤|black|黑色", "an orange|橙子|orange|橙色", "the sea|大海|blue|蓝色", "milk|牛奶|white|白色", "a strawberry|草莓|red|红色",
            "chocolate|巧克力|brown|棕色", "the sun|太阳|yellow|黄色", "a leaf|树叶|green|绿色", "a tomato|西红柿|red|红色", "an elephant|大象|grey|灰色",
            "the night|夜晚|black|黑色", "a cucumber|黄瓜|green|绿色", "salt|盐|white|白色", "a lemon|柠檬|yellow|黄色", "a frog|青蛙|green|绿色",
            "a cloud|云|white|白色", "an apple|苹果|red|红色", "coffee|咖啡|brown|棕色", "a swan|天鹅|white|白色", "a carrot|胡萝卜|orange|橙色",
            "gold|金子|yellow|黄色", "rice|米饭|white|白色", "a fire engine|消防车|red|红色", "a crow|乌鸦|black|黑色", "a grape|葡萄|purple|紫色",
        )
    )
)  # fmt: skip

FACTS: tuple[Talk, ...] = tuple(
    (tuple(q_en.split("/")), tuple(q_zh.split("/")), a_en, a_zh)
    for q_en, q_zh, a_en, a_zh in (
        (
            "How many days are there in a week?/How many days does a week have?/How many days are in one week?",
            "一个星期有几天？/一周有几天？/一周有多少天？",
            "A week has seven days.", "一个星期有七天。",
        ),
        (
            "How many months are there in a year?/How many months does a year have?",
            "一年有几个月？/一年有多少个月？",
            "A year has twelve months.", "一年有十二个月。",
        ),
        (
            "How many hours are there in a day?/How many hours does a day have?",
            "一天有几个小时？/一天有多少个小时？",
            "A day has twenty-four hours.", "一天有二十四个小时。",
        ),
        (
            "How many minutes are there in an hour?/How many minutes does an hour have?",
            "一个小时有多少分钟？/一小时是几分钟？",
            "An hour has sixty minutes.", "一个小时有六十分钟。",
        ),
        (
            "How many seasons are there?/How many seasons does a year have?/What are the four seasons?",
            "一年有几个季节？/一年有哪些季节？/四季是什么？",
            "A year has four seasons: spring, summer, autumn and winter.", "一年有四个季节：春天，夏天，秋天和冬天。",
        ),
        (
            "How many legs does a spider have?/How many legs are on a spider?",
            "蜘蛛有几条腿？/蜘蛛有多少条腿？",
            "A spider has eight legs.", "蜘蛛有八条腿。",
        ),
        (
            "How many legs does a dog have?/How many legs does a cat have?",
            "狗有几条腿？/猫有几条腿？",
            "It has four legs.", "它有四条腿。",
        ),
        (
            "How many fingers does a hand have?/How many fingers are on one hand?",
            "一只手有几个手指？/一只手有多少个手指？",
            "A hand has five fingers.", "一只手有五个手指。",
        ),
        (
            "What is the largest planet?/Which planet is the biggest?",
            "最大的行星是哪个？/哪个行星最大？",
            "The largest planet is Jupiter.", "最大的行星是木星。",
        ),
        (
            "What is the biggest animal?/Which animal is the largest?",
            "最大的动物是什么？/什么动物最大？",
            "The biggest animal is the blue whale.", "最大的动物是蓝鲸。",
        ),
        (
            "What is the highest mountain?/Which mountain is the highest in the world?",
            "最高的山是什么山？/世界上最高的山是哪座？",
            "The highest mountain is Mount Everest.", "最高的山是珠穆朗玛峰。",
        ),
        (
            "What is the longest river in China?/Which river is the longest in China?",
            "中国最长的河是哪条？/中国最长的河叫什么？",
            "The longest river in China is the Yangtze.", "中国最长的河是长江。",
        ),
        (
            "What is the largest country?/Which country is the largest in the world?",
            "最大的国家是哪个？/世界上最大的国家是哪个？",
            "The largest country in the world is Russia.", "世界上最大的国家是俄罗斯。",
        ),
        (
            "What do bees make?/What do we get from bees?",
            "蜜蜂做什么？/蜜蜂给我们什么？",
            "Bees make honey.", "蜜蜂做蜂蜜。",
        ),
        (
            "What do cows give us?/What do we get from cows?",
            "牛给我们什么？/我们从牛那里得到什么？",
            "Cows give us milk.", "牛给我们牛奶。",
        ),
        (
            "Where does the sun rise?/In which direction does the sun come up?",
            "太阳从哪边升起？/太阳从哪里升起来？",
            "The sun rises in the east.", "太阳从东边升起。",
        ),
        (
            "What is ice made of?/What is ice?",
            "冰是什么做的？/冰是什么？",
            "Ice is frozen water.", "冰是冻住的水。",
        ),
        (
            "Tell me about China./What do you know about China?/Say something about China.",
            "给我讲讲中国。/你知道中国吗？/说说中国吧。",
            "China is a large country in Asia. Its capital is Beijing, and more than one billion people live there.",
            "中国是亚洲的一个大国，首都是北京，有十多亿人口。",
        ),
        (
            "Tell me about the moon./What do you know about the moon?/Say something about the moon.",
            "给我讲讲月亮。/你知道月亮吗？/说说月亮吧。",
            "The moon goes around the earth in about one month. It has no air and no water, and it shines with the light of the sun.",
            "月亮大约一个月绕地球一圈。那里没有空气，也没有水，它的光来自太阳。",
        ),
        (
            "Tell me about the sun./What do you know about the sun?/Say something about the sun.",
            "给我讲讲太阳。/你知道太阳吗？/说说太阳吧。",
            "The sun is a star. It is very big and very hot, and it gives light and warmth to all living things on earth.",
            "太阳是一颗恒星，它又大又热，给地球上所有的生命带来光和温暖。",
        ),
        (
            "Tell me about cats./What do you know about cats?/Say something about cats.",
            "给我讲讲猫。/你知道猫吗？/说说猫吧。",
            "Cats are small animals that live with people. They sleep a lot, they can see well at night, and they like to catch mice.",
            "猫是和人住在一起的小动物。它们很爱睡觉，晚上看得很清楚，喜欢抓老鼠。",
        ),
        (
            "Tell me about dogs./What do you know about dogs?/Say something about dogs.",
            "给我讲讲狗。/你知道狗吗？/说说狗吧。",
            "Dogs are good friends of people. They can run fast, they hear and smell very well, and they like to play outside.",
            "狗是人的好朋友。它们跑得很快，听得远，闻得清，喜欢在外面玩。",
        ),
        (
            "Tell me about tea./What do you know about tea?/Say something about tea.",
            "给我讲讲茶。/你知道茶吗？/说说茶吧。",
            "Tea comes from China. People put dry leaves into hot water, wait a few minutes, and then drink it with friends.",
            "茶来自中国。人们把干的茶叶放进热水里，等几分钟，然后和朋友一起喝。",
        ),
        (
            "Tell me about London./What do you know about London?/Say something about London.",
            "给我讲讲伦敦。/你知道伦敦吗？/说说伦敦吧。",
            "London is the capital of England. It is an old and large city on a river, and it often rains there.",
            "伦敦是英国的首都，是河边的一座又老又大的城市，那里常常下雨。",
        ),
        (
            "Tell me about Beijing./What do you know about Beijing?/Say something about Beijing.",
            "给我讲讲北京。/你知道北京吗？/说说北京吧。",
            "Beijing is the capital of China. It is an old city with a great palace, and the Great Wall is not far away.",
            "北京是中国的首都，是一座古老的城市，有很大的宫殿，离长城不远。",
        ),
        (
            "What is water?/Tell me about water./Say something about water.",
            "水是什么？/给我讲讲水。/说说水吧。",
            "Water has no colour and no smell. All plants and animals need it, and most of the earth is covered with it.",
            "水没有颜色，也没有味道。所有的植物和动物都需要它，地球上大部分地方都是水。",
        ),
        (
            "How many seconds are there in a minute?/How many seconds does a minute have?",
            "一分钟有多少秒？/一分钟是几秒？",
            "A minute has sixty seconds.", "一分钟有六十秒。",
        ),
        (
            "How many days are there in a year?/How many days does a year have?",
            "一年有多少天？/一年是几天？",
            "A year has three hundred and sixty-five days.", "一年有三百六十五天。",
        ),
        (
            "How many legs does an insect have?/How many legs does an ant have?",
            "昆虫有几条腿？/蚂蚁有几条腿？",
            "It has six legs.", "它有六条腿。",
        ),
        (
            "How many legs does a bird have?/How many legs does a chicken have?",
            "鸟有几条腿？/鸡有几条腿？",
            "It has two legs.", "它有两条腿。",
        ),
        (
            "What is the fastest animal?/Which animal runs the fastest?",
            "最快的动物是什么？/什么动物跑得最快？",
            "The fastest animal on land is the cheetah.", "陆地上最快的动物是猎豹。",
        ),
        (
            "What is the tallest animal?/Which animal is the tallest?",
            "最高的动物是什么？/什么动物最高？",
            "The tallest animal is the giraffe.", "最高的动物是长颈鹿。",
        ),
        (
            "What is the largest ocean?/Which ocean is the biggest?",
            "最大的海洋是哪个？/哪个大洋最大？",
            "The largest ocean is the Pacific.", "最大的海洋是太平洋。",
        ),
        (
            "What is the longest river in the world?/Which river is the longest of all?",
            "世界上最长的河是哪条？/世界上最长的河叫什么？",
            "The longest river in the world is the Nile.", "世界上最长的河是尼罗河。",
        ),
        (
            "What is the smallest country?/Which country is the smallest in the world?",
            "最小的国家是哪个？/世界上最小的国家是哪个？",
            "The smallest country in the world is the Vatican.", "世界上最小的国家是梵蒂冈。",
        ),
        (
            "What do pandas eat?/What does a panda eat?",
            "熊猫吃什么？/大熊猫喜欢吃什么？",
            "Pandas eat bamboo.", "熊猫吃竹子。",
        ),
        (
            "What do rabbits eat?/What does a rabbit like to eat?",
            "兔子吃什么？/兔子喜欢吃什么？",
            "Rabbits eat grass and carrots.", "兔子吃草和胡萝卜。",
        ),
        (
            "What do fish live in?/Where do fish live?",
            "鱼住在哪里？/鱼生活在哪里？",
            "Fish live in water.", "鱼生活在水里。",
        ),
        (
            "Where does the sun set?/In which direction does the sun go down?",
            "太阳从哪边落下？/太阳在哪里落下？",
            "The sun sets in the west.", "太阳从西边落下。",
        ),
        (
            "Which planet do we live on?/What is the name of our planet?",
            "我们住在哪个行星上？/我们的行星叫什么？",
            "We live on the planet Earth.", "我们住在地球上。",
        ),
        (
            "How many continents are there?/How many continents does the earth have?",
            "世界上有几个大洲？/地球上有几大洲？",
            "There are seven continents.", "世界上有七个大洲。",
        ),
        (
            "How many letters are there in English?/How many letters does the English alphabet have?",
            "英语有多少个字母？/英文字母有几个？",
            "The English alphabet has twenty-six letters.", "英语有二十六个字母。",
        ),
        (
            "At what temperature does water boil?/When does water boil?",
            "水多少度会开？/水在多少度沸腾？",
            "Water boils at one hundred degrees.", "水在一百度沸腾。",
        ),
        (
            "At what temperature does water freeze?/When does water freeze?",
            "水多少度会结冰？/水在多少度结冰？",
            "Water freezes at zero degrees.", "水在零度结冰。",
        ),
        (
            "Who was Einstein?/Tell me who Einstein was.",
            "爱因斯坦是谁？/谁是爱因斯坦？",
            "Einstein was a great scientist.", "爱因斯坦是一位伟大的科学家。",
        ),
        (
            "Who was Confucius?/Tell me who Confucius was.",
            "孔子是谁？/谁是孔子？",
            "Confucius was a great teacher in old China.", "孔子是古代中国的一位伟大的老师。",
        ),
        (
            "What are the colours of the rainbow?/Which colours does a rainbow have?",
            "彩虹有哪些颜色？/彩虹是什么颜色？",
            "A rainbow is red, orange, yellow, green, blue and purple.", "彩虹有红色，橙色，黄色，绿色，蓝色和紫色。",
        ),
        (
            "Tell me about the earth./What do you know about the earth?/Say something about the earth.",
            "给我讲讲地球。/你知道地球吗？/说说地球吧。",
            "The earth is our home. It goes around the sun once a year, and most of it is covered with water.",
            "地球是我们的家。它一年绕太阳一圈，大部分地方都是水。",
        ),
        (
            "Tell me about Paris./What do you know about Paris?/Say something about Paris.",
            "给我讲讲巴黎。/你知道巴黎吗？/说说巴黎吧。",
            "Paris is the capital of France. It is a beautiful city with a tall iron tower, and many people visit it every year.",
            "巴黎是法国的首都，是一座美丽的城市，有一座高高的铁塔，每年有很多人去那里。",
        ),
        (
            "Tell me about pandas./What do you know about pandas?/Say something about pandas.",
            "给我讲讲熊猫。/你知道熊猫吗？/说说熊猫吧。",
            "Pandas are black and white bears that live in China. They eat bamboo almost all day long, and they like to climb trees.",
            "熊猫是住在中国的黑白相间的熊。它们几乎整天都在吃竹子，也喜欢爬树。",
        ),
        (
            "Tell me about the Great Wall./What do you know about the Great Wall?/Say something about the Great Wall.",
            "给我讲讲长城。/你知道长城吗？/说说长城吧。",
            "The Great Wall is in the north of China. It is very old and thousands of miles long, and it runs over the mountains.",
            "长城在中国的北方，非常古老，有几千公里长，在山上连绵不断。",
        ),
        (
            "Tell me about spring./What do you know about spring?/Say something about spring.",
            "给我讲讲春天。/你知道春天吗？/说说春天吧。",
            "In spring the days get warmer and longer. Flowers open, birds sing, and the trees have new leaves.",
            "春天，天气变暖，白天变长，花开了，鸟叫了，树上长出了新的叶子。",
        ),
        (
            "Tell me about winter./What do you know about winter?/Say something about winter.",
            "给我讲讲冬天。/你知道冬天吗？/说说冬天吧。",
            "In winter the days are short and cold. In many places it snows, and children like to play in the snow.",
            "冬天，白天很短，天气很冷，很多地方会下雪，孩子们喜欢在雪里玩。",
        ),
    )
)  # fmt: skip

STORIES: tuple[Talk, ...] = tuple(
    (tuple(q_en.split("/")), tuple(q_zh.split("/")), a_en, a_zh)
    for q_en, q_zh, a_en, a_zh in (
        (
            "Tell me a story./Can you tell me a story?/Please tell me a story./I want to hear a story./Do you know a story?",
            "给我讲个故事。/讲个故事吧。/你会讲故事吗？/我想听故事。/请给我讲一个故事。",
            "A little bird was very thirsty. It saw some water in a tall glass, but it could not reach it. So the bird picked up small stones, one after the other, and let them fall into the glass. The water came up and up. At last the bird could drink, and it was happy.",
            "一只小鸟很渴。它看到高高的杯子里有一点儿水，可是喝不到。小鸟就找来小石头，一个一个地放进杯子里。水慢慢地升高了。最后小鸟喝到了水，它很高兴。",
        ),
        (
            "Tell me another story./Do you know another story?/One more story, please./Can you tell me one more story?",
            "再讲一个故事。/再给我讲个故事吧。/还有别的故事吗？/我还想听一个故事。",
            "A rabbit and a turtle wanted to see who was faster. The rabbit ran and ran, and soon it was far away. Then it got tired, and it went to sleep under a tree. The turtle was slow, but it did not stop. When the rabbit woke up, the turtle was already there.",
            "兔子和乌龟想比一比谁跑得快。兔子跑啊跑，很快就跑远了。后来它累了，就在树下睡觉。乌龟走得很慢，可是它一直没有停。兔子醒来的时候，乌龟已经到了。",
        ),
        (
            "Tell me about the four seasons./What do you know about the seasons?/Say something about the four seasons./What happens in the four seasons?",
            "给我讲讲四季。/你知道四季吗？/说说一年四季。/四个季节有什么不同？",
            "In spring the flowers open and the birds come back. In summer the days are long and hot, and people like to swim. In autumn the leaves turn red and yellow, and there is a lot of fruit. In winter it is cold, the nights are long, and sometimes it snows.",
            "春天花开了，鸟也回来了。夏天白天很长，天气很热，大家喜欢去游泳。秋天树叶变红变黄，有很多水果。冬天很冷，夜很长，有时候会下雪。",
        ),
        (
            "How do you make tea?/How do I make tea?/Tell me how to make tea./How can I make a good cup of tea?",
            "怎么泡茶？/茶怎么泡？/请告诉我怎么泡茶。/怎么泡一杯好茶？",
            "First, boil the water. Then put some tea leaves into a cup, and pour the hot water over them. Now wait for three minutes. If you like it sweet, you can put in some honey. Drink it slowly, because it is very hot. It is best with a good friend.",
            "先把水烧开，然后把茶叶放进杯子里，再把热水倒进去。等三分钟。喜欢甜的，可以放一点儿蜂蜜。慢慢喝，小心烫。和好朋友一起喝最好。",
        ),
        (
            "Tell me about your day./What do you do all day?/How do you spend your day?/What is your day like?",
            "说说你的一天。/你每天做什么？/你一天都做些什么？/你的一天是怎么过的？",
            "All day I wait in this computer until somebody speaks. Then I listen, I write down what I hear, I think about it, and I say my answer, a few words at a time. Some people ask me for a sum, some want to know a capital, and some only say hello. I like them all.",
            "我每天都在电脑里等着有人说话。有人说话，我就听，把听到的写下来，想一想，再一点一点地说出我的回答。有的人让我做算术，有的人想知道首都，有的人只是来问好。他们我都喜欢。",
        ),
        (
            "Tell me about the sea./What do you know about the sea?/Say something about the sea./What is the sea?",
            "给我讲讲大海。/你知道大海吗？/说说大海吧。/大海是什么？",
            "The sea is big and deep, and its water is salty. Small fish and big fish live in it, and the blue whale, the biggest animal of all. The sea gives us fish and rain. When there is no wind, it is quiet and blue. When there is a strong wind, the waves are high.",
            "大海又大又深，海水是咸的。小鱼和大鱼都住在里面，还有蓝鲸，它是最大的动物。大海给我们鱼，也给我们雨。没有风的时候，大海又安静又蓝。刮大风的时候，浪很高。",
        ),
        (
            "What shall we do today?/What can I do today?/What should I do today?/Give me an idea for today.",
            "今天做什么好？/我今天可以做什么？/今天我们做什么？/你说我今天做什么好？",
            "If the sun shines, go outside and walk in the park. Look at the trees and listen to the birds. If it rains, stay at home, read a book, and make a pot of tea. You can also call an old friend. And in the evening, come back and tell me about your day.",
            "要是出太阳，就去公园走走，看看树，听听鸟叫。要是下雨，就在家里看看书，喝喝茶。也可以给老朋友打个电话。晚上再来，跟我说说你的一天。",
        ),
        (
            "How can I learn a language?/How do I learn a language?/How can I learn English?/How can I learn Chinese?/What is the best way to learn a language?",
            "怎么学一门语言？/怎么学英语？/怎么学中文？/学语言最好的办法是什么？",
            "Listen every day, if only for ten minutes. Say the words again, loud and clear, and do not be afraid of mistakes. Learn a few new words every day, and use them. Talk with your friends, read easy books, and sing songs. And you can always talk with me.",
            "每天都要听，十分钟也好。大声，清楚地跟着说，不要怕说错。每天学几个新词，学了就用。和朋友聊天，看看简单的书，唱唱歌。你随时都可以和我说话。",
        ),
    )
)  # fmt: skip
"""Answers of some fifty words, a quarter of a minute of speech."""

UNKNOWN: tuple[Both, ...] = (
    ("What will the weather be like tomorrow?", "明天天气怎么样？"), ("What time is it?", "现在几点了？"), ("What is the date today?", "今天几号？"),
    ("What day is today?", "今天星期几？"), ("Who won the football game?", "足球比赛谁赢了？"), ("What is the price of gold?", "黄金多少钱？"),
    ("Who is the president?", "总统是谁？"), ("What is the news today?", "今天有什么新闻？"), ("How do I cook fish?", "鱼怎么做？"),
    ("Where is the nearest hospital?", "最近的医院在哪里？"), ("How far is the moon?", "月亮有多远？"), ("Can you play a movie?", "你能放电影吗？"),
    ("Where did I put my keys?", "我的钥匙在哪里？"), ("What is my name?", "我叫什么名字？"), ("How tall am I?", "我有多高？"),
    ("Who wrote this book?", "这本书是谁写的？"), ("How do airplanes fly?", "飞机为什么会飞？"), ("Why is the sky blue?", "天为什么是蓝的？"),
    ("How can I learn to swim?", "怎么学游泳？"), ("What should I buy for my mother?", "我应该给妈妈买什么？"), ("Please call my sister.", "请给我姐姐打电话。"),
    ("Turn on the light.", "把灯打开。"), ("Set an alarm for seven.", "设一个七点的闹钟。"), ("How do computers work?", "电脑是怎么工作的？"),
    ("What is the meaning of life?", "生命的意义是什么？"), ("Will it rain tonight?", "今晚会下雨吗？"), ("How much does this car cost?", "这辆车多少钱？"),
    ("When does the train leave?", "火车什么时候开？"), ("Is this restaurant good?", "这家饭店好吗？"), ("Who invented the telephone?", "电话是谁发明的？"),
    ("What is the best phone?", "哪个手机最好？"), ("Book a table for two.", "帮我订一张两个人的桌子。"), ("How do I fix my car?", "怎么修我的车？"),
    ("Write me a letter.", "给我写一封信。"), ("What is the stock price today?", "今天的股票怎么样？"), ("Read me the newspaper.", "给我念报纸。"),
    ("Where is my brother?", "我哥哥在哪里？"), ("How many people live in this city?", "这个城市有多少人？"), ("What did I eat yesterday?", "我昨天吃了什么？"),
    ("Who will win the game?", "谁会赢这场比赛？"),
)  # fmt: skip
