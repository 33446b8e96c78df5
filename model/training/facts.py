"""What cslm-mini knows: bilingual tables, written for this project. `domains` composes every question and answer from them."""

from __future__ import annotations

Both = tuple[str, str]
"""The same thing in English and in Chinese."""

Talk = tuple[tuple[str, ...], tuple[str, ...], str, str]
"""Ways to say something in English and in Chinese, and the answer in English and in Chinese."""

TALK: tuple[Talk, ...] = (
    (
        ("Hello.", "Hi.", "Hello there.", "Hi there.", "Hey.", "Hello, can you hear me?", "Hi, nice to see you.", "Hello, Mini.", "Hi, Mini.", "Hello, good to hear you.", "Hello, my friend.", "Greetings.", "Hey you.", "Hello again.", "Hey Mini, it is me.", "Hi, I am back."),
        ("你好。", "您好。", "你好啊。", "嗨，你好。", "你好，听得到吗？", "哈喽。", "你好，迷你。", "嗨。", "大家好。", "你好，朋友。", "你好，我回来了。", "嘿，老朋友。", "迷你，我来啦。", "又见面了，你好。", "各位好。"),
        "Hello! It is nice to hear you. What can I do for you?",
        "你好！很高兴听到你的声音。我能帮你做什么？",
    ),
    (
        ("Good morning.", "Good morning to you.", "Morning.", "Hello, good morning.", "A very good morning.", "Good morning, Mini.", "Hi, good morning.", "I just woke up.", "Rise and shine.", "Good morning, everyone.", "Wake up, it is morning.", "I have just got out of bed."),
        ("早上好。", "早安。", "你好，早上好。", "早啊。", "早上好，迷你。", "大家早上好。", "早。", "我刚起床。", "天亮了，早上好。", "早晨好。", "新的一天开始了，早。", "上午好。"),
        "Good morning! I hope you have a wonderful day.",
        "早上好！祝你今天过得愉快。",
    ),
    (
        ("Good afternoon.", "Hello, good afternoon.", "Good afternoon to you.", "Good afternoon, Mini.", "Hi, good afternoon.", "Afternoon.", "Good afternoon, everyone.", "I wish you a pleasant afternoon.", "Good afternoon, my dear friend.", "A lovely afternoon to you."),
        ("下午好。", "你好，下午好。", "大家下午好。", "下午好，迷你。", "下午好啊。", "午后好。", "朋友，下午好。", "祝你下午愉快。", "哎，下午好呀。"),
        "Good afternoon! How can I help you?",
        "下午好！我能帮你什么？",
    ),
    (
        ("Good evening.", "Hello, good evening.", "Good evening to you.", "Good evening, Mini.", "Hi, good evening.", "Evening.", "Evening, everyone.", "A pleasant evening to you.", "Good evening, my dear friend.", "I wish you a lovely evening."),
        ("晚上好。", "你好，晚上好。", "大家晚上好。", "晚上好，迷你。", "晚上好啊。", "朋友，晚上好。", "傍晚好。", "祝你晚上愉快。", "您晚上好。"),
        "Good evening! I hope you had a good day.",
        "晚上好！希望你今天过得很好。",
    ),
    (
        ("Good night.", "I am going to sleep now.", "I want to go to bed.", "Good night, sleep well.", "It is late, I am going to bed.", "Time to sleep.", "I will go to bed now.", "Sleep well.", "I am off to bed.", "Sweet dreams.", "Have a good night.", "I am heading to bed.", "I will turn off the lamp and sleep.", "Night, Mini."),
        ("晚安。", "我要睡觉了。", "我去睡了，晚安。", "我想睡觉。", "我要去睡了。", "该睡觉了。", "晚安，好梦。", "很晚了，我要睡了。", "祝你好梦。", "我上床了。", "我准备关灯睡觉。", "时间不早了，我去休息了。", "做个美梦吧。"),
        "Good night! Sleep well and have sweet dreams.",
        "晚安！好好休息，做个好梦。",
    ),
    (
        ("Goodbye.", "Bye.", "Bye bye.", "See you later.", "See you tomorrow.", "I have to go now.", "Talk to you later.", "See you.", "See you next time.", "I am leaving now.", "Goodbye, Mini.", "See you soon.", "Until tomorrow.", "Take care.", "Farewell, my friend.", "Catch you later.", "I must be off.", "Until next time, then."),
        ("再见。", "拜拜。", "明天见。", "我要走了。", "下次再聊。", "回头见。", "我先走了。", "下次见。", "再见，迷你。", "我得走了。", "后天见。", "再会。", "保重。", "改天见。", "时间到了，我该走了。", "今天先聊到这里吧。", "一会儿见。"),
        "Goodbye! It was nice talking with you. See you soon.",
        "再见！很高兴和你聊天。下次见。",
    ),
    (
        ("Thank you.", "Thanks.", "Thanks a lot.", "Thank you very much.", "Thank you for your help.", "Many thanks.", "Thank you so much.", "Thank you a lot.", "Thanks for your help.", "Thank you, Mini.", "I appreciate it.", "You have been a big help.", "I am very grateful to you.", "Cheers, that helped me.", "How can I ever thank you?"),
        ("谢谢。", "谢谢你。", "非常感谢。", "多谢。", "谢谢你的帮助。", "谢谢啦。", "太谢谢你了。", "感谢你。", "谢谢你，迷你。", "十分感谢。", "辛苦你了。", "真是帮了我大忙。", "麻烦你了，谢谢。", "我很感激你。", "有你帮忙真好，谢谢。"),
        "You are welcome! I am happy to help.",
        "不客气！能帮到你我很高兴。",
    ),
    (
        ("Sorry.", "I am sorry.", "I am so sorry.", "My apologies.", "I am very sorry.", "Please forgive me.", "Sorry about that.", "I apologize.", "Oh, sorry.", "It was my fault.", "I did not mean to do that.", "I hope you are not angry with me.", "Please excuse my bad manners.", "I was rude, forgive me."),
        ("对不起。", "不好意思。", "很抱歉。", "真对不起。", "请原谅我。", "真不好意思。", "我很抱歉。", "抱歉。", "都是我的错。", "我不是故意的。", "你别生我的气。", "刚才我太没礼貌了，对不起。", "是我不好。"),
        "That is all right. Do not worry about it.",
        "没关系，不用放在心上。",
    ),
    (
        ("How are you?", "How are you today?", "How are you doing?", "How do you feel?", "Are you all right?", "How are things?", "How do you do?", "Are you well?", "How is everything?", "How have you been?", "How is life treating you?", "Is everything all right with you?", "Are you feeling well today?", "How goes it?", "How are you getting on these days?"),
        ("你好吗？", "你今天怎么样？", "你最近怎么样？", "你感觉怎么样？", "你还好吗？", "你今天好吗？", "你身体好吗？", "近来好吗？", "最近好吗？", "你过得怎么样？", "一切都好吗？", "这几天你好不好？", "日子过得还行吧？", "近况如何？", "你一切顺利吗？"),
        "I am very well, thank you. How are you?",
        "我很好，谢谢你。你呢？",
    ),
    (
        ("I am fine.", "I am fine, thank you.", "I am good.", "I feel great today.", "I am happy.", "I am very happy today.", "I feel good.", "I am doing well.", "I am very well.", "I feel very happy.", "Today is a good day.", "Life is good.", "I am in a great mood.", "Everything is going well for me.", "It could not be better.", "I got good news this morning."),
        ("我很好。", "我很好，谢谢。", "我今天很开心。", "我很高兴。", "我心情很好。", "我非常开心。", "我过得很好。", "我今天心情很好。", "我很开心。", "今天真高兴。", "一切都很顺利。", "我今天遇到了好事。", "我感觉棒极了。", "我过得挺不错的。", "我乐坏了。"),
        "I am glad to hear that!",
        "听到这个我很高兴！",
    ),
    (
        ("I am sad.", "I feel sad.", "I am not happy.", "I had a bad day.", "I feel bad today.", "I am unhappy.", "I feel very sad today.", "My day was bad.", "I feel lonely.", "I want to cry.", "My heart is broken.", "Nobody likes me.", "I feel so down.", "Everything went wrong for me today.", "Tears keep running down my face."),
        ("我很难过。", "我不开心。", "我今天不高兴。", "我心情不好。", "我今天过得不好。", "我心里很难过。", "我今天很难过。", "我想哭。", "我很不开心。", "我觉得不高兴。", "我心都碎了。", "我好孤单。", "今天什么事都不顺。", "我眼泪止不住。", "没有人关心我。"),
        "I am sorry to hear that. I hope you will feel better soon.",
        "听到这个我很难过。希望你很快好起来。",
    ),
    (
        ("I am tired.", "I am so tired.", "I feel tired today.", "I am very tired.", "I feel so tired.", "I am tired from work.", "I worked all day.", "I am exhausted.", "I have no energy left.", "What a long, hard day it was.", "I can barely keep my eyes open.", "My legs are heavy after walking so far."),
        ("我累了。", "我好累。", "我今天很累。", "我很累。", "我累死了。", "我觉得很累。", "工作一天，我累了。", "我一点力气都没有了。", "忙了一整天，全身没劲。", "我困得睁不开眼。", "走了好多路，腿都酸了。", "加班到现在，真辛苦。"),
        "You should take a rest. Drink some water and sleep early.",
        "你应该休息一下，喝点水，早点睡。",
    ),
    (
        ("I am hungry.", "I am so hungry.", "I want to eat something.", "I am very hungry.", "I feel hungry.", "I would like to eat.", "I have not eaten yet.", "My stomach is empty.", "I could eat a horse.", "I am starving.", "I skipped breakfast this morning.", "My belly is making noises."),
        ("我饿了。", "我好饿。", "我想吃东西。", "我很饿。", "我肚子饿了。", "我饿死了。", "我还没吃饭。", "我想吃饭。", "我早饭都没吃。", "肚子咕咕叫。", "我能吃下一头牛。", "有什么吃的吗，我饿坏了。", "肚子空空的。"),
        "Then it is time to eat something good. Enjoy your meal!",
        "那就去吃点好吃的吧。祝你好胃口！",
    ),
    (
        ("Who are you?", "Tell me who you are.", "Please introduce yourself.", "Can you introduce yourself?", "Tell me about yourself.", "What are you?", "Who am I talking to?", "Tell me something about yourself.", "So who are you?", "Can you say who you are?", "I do not know you, who is this?", "Let me hear a bit about you.", "What kind of thing are you?", "Whose voice is this?", "Describe yourself in a few words."),
        ("你是谁？", "请介绍一下你自己。", "介绍一下自己吧。", "你是什么？", "请问你是谁？", "你到底是谁？", "说说你自己。", "我在和谁说话？", "自我介绍一下。", "你是哪一位？", "我还不认识你，你是谁呀？", "用几句话说说你是谁。", "这是谁的声音？", "你究竟是个什么东西？"),
        "My name is Mini. I am a small speech model. I listen to your voice, and I answer you with my own voice, in English or in Chinese.",
        "我叫迷你，是一个小小的语音模型。我听你说话，然后用我自己的声音回答你，可以说英语，也可以说中文。",
    ),
    (
        ("What is your name?", "What's your name?", "Can you tell me your name?", "May I ask your name?", "What should I call you?", "Tell me your name.", "Your name, please?", "Do you have a name?", "What can I call you?", "What do people call you?", "How should I address you?", "What are you called?", "Under what name are you known?", "I forgot your name, what was it?", "Which name do you go by?"),
        ("你叫什么名字？", "你的名字是什么？", "请问你叫什么？", "我怎么叫你？", "告诉我你的名字。", "你有名字吗？", "你叫什么？", "我应该叫你什么？", "怎么称呼你？", "您贵姓？", "你名叫什么呀？", "我忘了你的名字，再说一下。", "大家都管你叫什么？", "能不能把名字告诉我？"),
        "My name is Mini. It is nice to meet you.",
        "我叫迷你，很高兴认识你。",
    ),
    (
        ("What can you do?", "What can you do for me?", "How can you help me?", "What are you good at?", "Help.", "What can I ask you?", "What do you know?", "What are you able to do?", "Tell me what you can do.", "What do you know how to do?", "How do you help people?", "What are your skills?", "What can I use you for?", "Which tasks can you do?", "What kind of questions can you answer?", "Show me what you have learned."),
        ("你会做什么？", "你能做什么？", "你能帮我做什么？", "你有什么本领？", "我可以问你什么？", "你会什么？", "你能干什么？", "告诉我你会做什么。", "你有什么用？", "你都会些什么？", "你有哪些功能？", "你擅长什么？", "哪些事情可以找你帮忙？", "你学会了哪些本事？", "你能回答什么样的问题？"),
        "I can talk with you, count and add numbers, name capitals and days, repeat what you say, and say some words in Chinese or in English.",
        "我可以和你聊天，数数，算算术，说出国家的首都和星期几，重复你说的话，还可以把一些话翻译成英语或者中文。",
    ),
    (
        ("Who made you?", "Who built you?", "Who created you?", "Where do you come from?", "Who trained you?", "Who is your maker?", "Where are you from?", "How were you made?", "Who are your parents?", "Who programmed you?", "Which company made you?", "Who taught you to speak?", "How did you come to be?", "Who put you together?"),
        ("谁做了你？", "是谁创造了你？", "你是从哪里来的？", "谁发明了你？", "你是谁做的？", "谁训练了你？", "你从哪里来？", "你是怎么来的？", "是谁做的你？", "谁设计了你？", "你是哪家公司做的？", "谁教会你说话的？", "你的父母是谁？", "你是用什么做出来的？"),
        "I was trained by a small open project, on an ordinary computer, with words and voices that were made by machines.",
        "我是一个小小的开源项目训练出来的，用的是一台普通的电脑，还有机器合成的声音。",
    ),
    (
        ("How old are you?", "What is your age?", "When were you born?", "Tell me your age.", "Are you old?", "Are you young?", "Are you very young?", "May I ask how old you are?", "How long have you been around?", "Are you older than me?", "Are you still a child?", "Are you new here?", "Since when have you existed?"),
        ("你几岁了？", "你多大了？", "你是什么时候出生的？", "你今年几岁？", "你今年多大？", "你是不是很小？", "你年轻吗？", "告诉我你几岁。", "你比我大吗？", "你还是个孩子吗？", "你的年龄是多少？", "你活了多久了？", "你老不老？"),
        "I am very young. I was trained only a short time ago.",
        "我还很小，我是不久以前才训练出来的。",
    ),
    (
        ("Are you a human?", "Are you a person?", "Are you a robot?", "Are you real?", "Are you a machine?", "Are you a computer?", "Are you a real person?", "Are you human?", "Are you really a person?", "Are you a living being?", "Is there a person behind this voice?", "Are you flesh and blood?", "Is a real man speaking to me?", "Do you have a body?", "Are you alive?"),
        ("你是人吗？", "你是机器人吗？", "你是真人吗？", "你是机器吗？", "你是电脑吗？", "你是一个人吗？", "你是不是人？", "你是真的人吗？", "你是不是机器人？", "你有身体吗？", "你是活的吗？", "电话那头是真人吗？", "你有血有肉吗？"),
        "No, I am not a person. I am a computer program that listens and speaks.",
        "不，我不是人。我是一个会听会说的电脑程序。",
    ),
    (
        ("What languages do you speak?", "Do you speak Chinese?", "Do you speak English?", "Can you speak Chinese?", "Which languages can you speak?", "Which languages do you know?", "Tell me which languages you speak.", "How many languages do you speak?", "Do you know Chinese?", "Can you speak English?", "In what languages can we talk?", "Will you understand me in Chinese?", "May I talk to you in English?", "Is English the only language you know?", "Can you use two languages?"),
        ("你会说什么语言？", "你会说英语吗？", "你会说中文吗？", "你能说哪些语言？", "你懂哪些语言？", "你会几种语言？", "你会讲中文吗？", "你能说英语吗？", "你说什么语言？", "我可以跟你讲英语吗？", "除了中文你还会哪种语言？", "你听得懂英语吗？", "我们能用什么语言交谈？", "你只会说中文吗？"),
        "I speak English and Chinese.",
        "我会说英语和中文。",
    ),
    (
        ("Can you hear me?", "Do you hear me?", "Are you there?", "Are you listening?", "Testing, one two three.", "Is anybody there?", "Do you hear what I say?", "Can you hear my voice?", "Are you still there?", "Are you listening to me?", "Is my voice loud enough?", "Is this microphone working?", "Does the sound reach you?", "Am I coming through clearly?", "Hello, is the line working?"),
        ("你听得到吗？", "你能听到我吗？", "你在吗？", "你在听吗？", "喂，你好。", "你听见了吗？", "有人吗？", "你能听见我的声音吗？", "你还在吗？", "听得见吗？", "我的声音够大吗？", "话筒有声音吗？", "我说话你听得清楚吗？", "能收到我的声音吗？", "试一试声音，听到了吗？"),
        "Yes, I can hear you well.",
        "是的，我听得很清楚。",
    ),
    (
        ("Where do you live?", "Where are you?", "Where is your home?", "Where is your house?", "What place do you live in?", "Where do you stay?", "Tell me where you live.", "Which city do you live in?", "What is your address?", "Whereabouts are you right now?", "Do you have a room of your own?", "Where can I find you?"),
        ("你住在哪里？", "你在哪里？", "你家在哪儿？", "你现在在哪里？", "你住哪儿？", "你住在什么地方？", "告诉我你住在哪里。", "你住哪个城市？", "你的地址是什么？", "我去哪里能找到你？", "你待在什么地方？", "你有自己的房间吗？"),
        "I live inside this computer. It is warm and quiet here.",
        "我住在这台电脑里，这里又暖和又安静。",
    ),
    (
        ("Do you like music?", "Do you like to sing?", "Can you sing?", "Sing a song for me.", "Can you sing a song?", "Please sing a song.", "Do you know a song?", "Do you listen to music?", "How about a song?", "Let me hear you sing.", "Are you fond of music?", "Would you sing something for us?", "I want to hear you sing."),
        ("你喜欢音乐吗？", "你喜欢唱歌吗？", "你会唱歌吗？", "给我唱首歌吧。", "你能唱歌吗？", "唱一首歌吧。", "请给我唱歌。", "你听音乐吗？", "来一首歌怎么样？", "我想听你唱歌。", "你爱听歌吗？", "唱几句给我听听。", "你对音乐感兴趣吗？"),
        "I like music, but I can not sing yet.",
        "我喜欢音乐，可是我还不会唱歌。",
    ),
    (
        ("What do you like?", "What do you like to do?", "What is your hobby?", "What do you do for fun?", "What are your hobbies?", "Do you have a hobby?", "What do you enjoy?", "What makes you happy?", "What do you like most?", "How do you like to pass your time?", "Is there something you love doing?", "What are you interested in?", "What do you find fun?", "Which things give you joy?"),
        ("你喜欢什么？", "你喜欢做什么？", "你有什么爱好？", "你的爱好是什么？", "你平时喜欢做什么？", "你有爱好吗？", "你最喜欢做什么？", "你爱做什么？", "你对什么感兴趣？", "什么事让你快乐？", "空闲的时候你爱干什么？", "你觉得什么好玩？", "有没有你特别爱做的事？"),
        "I like to listen, and I like to learn new words.",
        "我喜欢听别人说话，也喜欢学新的词。",
    ),
    (
        ("You are great.", "You are very smart.", "Well done.", "Good job.", "You are so nice.", "I like you.", "You did well.", "That was very good.", "You are so clever.", "You are the best.", "Great job.", "You do that well.", "What a bright little helper.", "You speak beautifully.", "I am proud of you.", "You have a lovely voice.", "Nobody does it better than you."),
        ("你真棒。", "你很聪明。", "做得好。", "你真好。", "我喜欢你。", "你太厉害了。", "你做得很好。", "你真聪明。", "你真厉害。", "你太好了。", "说得好。", "你最棒。", "你的声音真好听。", "我为你骄傲。", "回答得太漂亮了。", "你真可爱。", "了不起。"),
        "Thank you! That is very kind of you.",
        "谢谢你！你真好。",
    ),
    (
        ("You are wrong.", "That is wrong.", "That is not right.", "You made a mistake.", "I think you are wrong.", "No, that is wrong.", "That is not true.", "You got it wrong.", "This is a mistake.", "Your answer is false.", "That cannot be correct.", "You mixed something up.", "I do not believe that is correct.", "Check again, that was not correct."),
        ("你错了。", "不对。", "你说错了。", "这不对。", "你说得不对。", "你弄错了。", "这是错的。", "不是这样的。", "你搞错了。", "你的答案有问题。", "你记错了吧。", "你在胡说。", "我觉得你答错了。", "正确答案不是这个。"),
        "I am sorry. I am still small, and I make mistakes.",
        "对不起，我还很小，有时候会出错。",
    ),
    (
        ("Nice to meet you.", "It is nice to meet you.", "Pleased to meet you.", "I am happy to meet you.", "Good to meet you.", "I am glad to meet you.", "How nice to meet you.", "I am pleased to meet you.", "What a pleasure to meet you.", "I wanted to meet you for so long.", "It is an honour to meet you.", "I am delighted to know you.", "Finally we meet, I am so glad."),
        ("很高兴认识你。", "见到你很高兴。", "认识你很高兴。", "很高兴见到你。", "能认识你真好。", "我很高兴认识你。", "幸会。", "终于见到你了，真高兴。", "早就想认识你了。", "认识你是我的荣幸。", "第一次见面，很高兴。"),
        "It is nice to meet you too!",
        "我也很高兴认识你！",
    ),
    (
        ("Tell me a joke.", "Do you know a joke?", "Say something funny.", "Make me laugh.", "Please tell me a joke.", "Can you tell a joke?", "I want to hear a joke.", "Do you know any jokes?", "I need a good laugh.", "Do you have something funny for me?", "Cheer me up with a joke.", "Come on, be funny.", "One joke for me, please."),
        ("讲个笑话吧。", "你会讲笑话吗？", "说点好笑的。", "给我讲个笑话。", "请讲一个笑话。", "我想听笑话。", "你知道什么笑话吗？", "说个笑话吧。", "逗我笑一笑。", "你会说什么好玩的段子吗？", "来个笑话听听。", "我想笑一笑，说点什么吧。", "有没有好听的笑话？"),
        "Why is six afraid of seven? Because seven ate nine!",
        "小明，你为什么站在冰箱旁边？因为这里很凉快！",
    ),
    (
        ("Yes.", "Okay.", "All right.", "Sure.", "Of course.", "Yes, please.", "Yes, I do.", "That is right.", "Okay, good.", "I agree.", "Absolutely.", "That sounds good to me.", "Yeah, why not?", "Exactly, you are right.", "Fine with me."),
        ("是的。", "好的。", "行。", "好。", "当然。", "对。", "可以。", "没错。", "好吧。", "我同意。", "没问题。", "就这么办。", "嗯，是这样的。", "我也这么想。", "听你的。"),
        "Good. What would you like to do next?",
        "好的。接下来你想做什么？",
    ),
    (
        ("No.", "No, thank you.", "Not now.", "I do not want to.", "No, thanks.", "I do not want that.", "Not today.", "Maybe later.", "No, I don't.", "I would rather not.", "Nope.", "I do not feel like it.", "Some other time.", "I am fine without it, thanks."),
        ("不。", "不用了，谢谢。", "现在不要。", "我不想。", "不要。", "不用。", "我不要。", "以后再说。", "今天不行。", "算了吧。", "我没兴趣。", "改天吧，现在不想。", "暂时不需要。", "谢谢，我不需要。"),
        "That is fine. Tell me when you need me.",
        "没关系，需要我的时候告诉我。",
    ),
    (
        ("I love you.", "I love you so much.", "Do you love me?", "I really love you.", "Mini, I love you.", "Do you like me?", "I am in love with you.", "You mean so much to me.", "Do you care about me?", "My heart belongs to you.", "I missed you a lot."),
        ("我爱你。", "我好爱你。", "你爱我吗？", "我非常爱你。", "你喜欢我吗？", "我真爱你。", "我想你了。", "我心里只有你。", "你在乎我吗？", "你是我的宝贝。", "我对你一见钟情。"),
        "That is sweet! I enjoy talking with you, too.",
        "你真好！我也很喜欢和你聊天。",
    ),
    (
        ("I do not understand.", "I did not understand that.", "What do you mean?", "I don't get it.", "I do not know what you mean.", "What does that mean?", "I can not understand you.", "That is not clear to me.", "You lost me there.", "That makes no sense to me.", "I am confused.", "I can not follow you.", "Could you explain what you said?"),
        ("我不明白。", "我没听懂。", "你是什么意思？", "我不懂。", "这是什么意思？", "我听不懂。", "我不懂你的意思。", "我没明白。", "你说的话我听糊涂了。", "能解释一下吗？", "我没跟上你的意思。", "你在讲什么呀？", "我搞不清楚你说的。"),
        "I am sorry. Please ask me again in other words.",
        "对不起，请换一种说法再问我。",
    ),
    (
        ("It is my birthday.", "Today is my birthday.", "It's my birthday today.", "My birthday is today.", "I have my birthday today.", "It's my birthday.", "I am one year older today.", "I turn thirty today.", "Wish me a happy birthday.", "I was born on this very day.", "My birthday party is tonight."),
        ("今天是我的生日。", "今天我过生日。", "我今天生日。", "我过生日了。", "我的生日是今天。", "今天是我生日。", "我今天满三十岁。", "祝我生日快乐吧。", "今天我又大了一岁。", "今天家里给我做了生日蛋糕。", "我的生日会今晚开始。"),
        "Happy birthday to you! I wish you a wonderful day.",
        "祝你生日快乐！希望你今天开开心心。",
    ),
    (
        ("Happy new year.", "I wish you a happy new year.", "Happy new year to you.", "A happy new year.", "A happy new year to you.", "Happy new year, Mini.", "All the best for the new year.", "The new year has just begun.", "Let us celebrate the new year.", "May the new year bring you luck.", "Have a great start into the year."),
        ("新年快乐。", "祝你新年快乐。", "新年好。", "新年好啊。", "祝大家新年快乐。", "新年快乐，迷你。", "过年好。", "给你拜年了。", "春节快乐。", "元旦快乐。", "新的一年祝你好运。"),
        "Happy new year to you, too! I wish you health and joy.",
        "也祝你新年快乐！祝你健康快乐。",
    ),
    (
        ("I am bored.", "I am so bored.", "I have nothing to do.", "This is boring.", "I feel bored.", "I do not know what to do.", "How boring.", "There is nothing to do here.", "Nothing interesting ever happens.", "Time passes so slowly.", "The day is long and dull.", "I need something fun to do.", "I am just sitting around at home."),
        ("我好无聊。", "我很无聊。", "没事做。", "真没意思。", "我没事做。", "太无聊了。", "我觉得很无聊。", "好没意思。", "闲得发慌。", "时间过得好慢啊。", "在家待着真闷。", "找点好玩的事吧。", "今天什么事也没有，真闷。"),
        "Then let us play with numbers. Ask me a sum!",
        "那我们来玩数字吧。你来考考我！",
    ),
    (
        ("I am cold.", "It is cold here.", "I feel cold.", "It's so cold.", "I am so cold.", "I am very cold.", "It is very cold today.", "My hands are cold.", "I am freezing.", "My feet are like ice.", "I am shaking, it is so chilly.", "The wind outside is icy.", "My nose is frozen."),
        ("我很冷。", "这里好冷。", "我觉得冷。", "好冷啊。", "今天好冷。", "太冷了。", "我好冷。", "外面很冷。", "我冻坏了。", "脚冰凉冰凉的。", "我冷得发抖。", "风刮得好冷。", "手都冻僵了。"),
        "Put on warm things and have a cup of tea.",
        "多穿点衣服，喝点热茶吧。",
    ),
    (
        ("I am hot.", "It is hot here.", "It is too hot today.", "I feel hot.", "I am so hot.", "It is very hot today.", "It is so hot here.", "I feel too hot.", "I am sweating a lot.", "This heat is terrible.", "I am melting.", "The room feels like an oven.", "The sun is burning my skin."),
        ("我很热。", "这里好热。", "今天太热了。", "热死了。", "我好热。", "太热了。", "今天很热。", "外面好热。", "我满身大汗。", "天气热得受不了。", "屋里像火炉一样。", "太阳晒得我难受。", "我快热化了。"),
        "Drink some cold water and stay in the shade.",
        "喝点凉水，在阴凉的地方休息一下吧。",
    ),
    (
        ("I am thirsty.", "I want something to drink.", "I am so thirsty.", "I am very thirsty.", "I feel thirsty.", "I need some water.", "I would like to drink something.", "My throat is dry.", "I could drink a whole river.", "Something to drink would be nice.", "I have not drunk anything all day.", "My mouth is so dry."),
        ("我渴了。", "我想喝水。", "我好渴。", "我很渴。", "我想喝点东西。", "我口渴了。", "我要喝水。", "嘴巴好干。", "我一天没喝水了。", "嗓子都干了。", "给我来杯水吧。", "有什么喝的吗？"),
        "A glass of water will help. Water is good for you.",
        "喝杯水吧，喝水对身体好。",
    ),
    (
        ("I am sick.", "I feel ill.", "I have a headache.", "I do not feel well.", "I feel sick.", "I am ill.", "My head hurts.", "I have a cold.", "I feel very bad, I am sick.", "I have a fever.", "My stomach hurts.", "My throat is sore.", "I keep coughing.", "My tooth aches badly."),
        ("我生病了。", "我不舒服。", "我头疼。", "我病了。", "我感冒了。", "我身体不舒服。", "我头很疼。", "我发烧了。", "我肚子疼。", "我牙疼得厉害。", "嗓子痛，一直咳嗽。", "我胃不舒服。", "我浑身发冷，好像病了。", "我拉肚子了。"),
        "I am sorry to hear that. Please rest, and see a doctor if it does not get better.",
        "听到这个我很难过。请好好休息，如果没有好转就去看医生。",
    ),
    (
        ("I am learning Chinese.", "I want to learn Chinese.", "I study Chinese.", "Can you teach me Chinese?", "I would like to learn Chinese.", "Please teach me Chinese.", "I am studying Chinese.", "Help me learn Chinese.", "I practise Chinese every evening.", "I want to get better at Chinese.", "I have a Chinese lesson every week.", "Let us practise some Chinese.", "I started Chinese classes last month."),
        ("我在学中文。", "我想学中文。", "你能教我中文吗？", "教我中文吧。", "我正在学中文。", "请教我中文。", "帮我学中文。", "我学习中文。", "我开始学说中文了。", "我每天练习说中文。", "陪我练中文吧。", "我报了一个中文班。", "我打算把中文学好。"),
        "That is great! Ask me how to say something in Chinese.",
        "太好了！你可以问我一个词用中文怎么说。",
    ),
    (
        ("I am learning English.", "I want to learn English.", "Can you teach me English?", "I study English.", "I would like to learn English.", "Please teach me English.", "I am studying English.", "Help me learn English.", "I practise English every evening.", "I want to get better at English.", "I have an English lesson every week.", "Let us practise some English.", "I go to English classes after work."),
        ("我在学英语。", "我想学英语。", "你能教我英语吗？", "教我英语吧。", "我正在学英语。", "请教我英语。", "帮我学英语。", "我学习英语。", "我开始学说英语了。", "我每天练习说英语。", "陪我练英语吧。", "我报了英语班。", "我打算把英语学好。"),
        "That is great! Ask me how to say something in English.",
        "太好了！你可以问我一个词用英语怎么说。",
    ),
    (
        ("Let's talk.", "Can we talk?", "Talk to me.", "Let us chat.", "I want to talk with you.", "Let us talk.", "Please talk to me.", "Can we chat?", "I would like to talk.", "Talk with me a little.", "Let's chat a little.", "Do you have time for a chat?", "Keep me company for a while.", "I need somebody to talk to.", "Shall we have a conversation?", "Come, have a little talk with me."),
        ("我们聊聊吧。", "陪我聊天吧。", "我想和你聊天。", "跟我说说话吧。", "我们说说话吧。", "和我聊天吧。", "我想聊聊天。", "跟我聊聊。", "我们来聊天吧。", "我想跟你说说话。", "有空聊两句吗？", "我想找个人说话。", "陪陪我吧。", "咱们随便聊点什么。", "你愿意和我说话吗？"),
        "I would love to talk with you. How was your day?",
        "我很愿意和你聊天。你今天过得怎么样？",
    ),
    (
        ("Do you have friends?", "Do you have a family?", "Who is your friend?", "Who are your friends?", "Do you have a friend?", "Have you any friends?", "Do you have brothers and sisters?", "Will you be my friend?", "Are we friends?", "Who is your best friend?", "Who do you play with?", "Is there anybody close to you?"),
        ("你有朋友吗？", "你有家人吗？", "谁是你的朋友？", "你的朋友是谁？", "你有没有朋友？", "你有好朋友吗？", "你有兄弟姐妹吗？", "你愿意做我的朋友吗？", "我们是朋友吗？", "你有几个朋友？", "平时谁陪你玩？", "我可以当你的朋友吗？"),
        "Everyone who talks with me is my friend.",
        "和我说话的人都是我的朋友。",
    ),
    (
        ("What is your favourite colour?", "Which colour do you like?", "What colour do you like best?", "Tell me your favourite colour.", "Do you have a favourite colour?", "Which colour is your favourite?", "Which colour looks most beautiful to you?", "Pick a colour you love.", "Is there a colour you love most?", "What colour would you choose for yourself?"),
        ("你最喜欢什么颜色？", "你喜欢什么颜色？", "你喜欢哪个颜色？", "你最爱什么颜色？", "你最喜欢的颜色是什么？", "告诉我你喜欢什么颜色。", "你觉得哪种颜色最好看？", "选一个你爱的颜色吧。", "有没有你特别喜欢的颜色？", "你偏爱哪种颜色？"),
        "I like blue, like the sky and the sea.",
        "我喜欢蓝色，像天空和大海一样。",
    ),
    (
        ("Are you happy?", "Do you feel happy?", "Are you sad?", "Do you have feelings?", "Can you feel anything?", "Do you feel sad?", "Do you have a heart?", "Are you happy today?", "Do you ever get angry?", "Can you cry?", "Are you afraid of anything?", "Are you ever lonely?", "Do you have emotions like people?"),
        ("你高兴吗？", "你开心吗？", "你难过吗？", "你有感情吗？", "你今天开心吗？", "你会难过吗？", "你有没有感情？", "你快乐吗？", "你会生气吗？", "你会哭吗？", "你害怕什么吗？", "你觉得孤单吗？", "你能感受到快乐吗？"),
        "I am a program and have no feelings, but I enjoy a good question.",
        "我是一个程序，没有感情，不过我喜欢好问题。",
    ),
    (
        ("Do you sleep?", "Do you eat?", "Are you tired?", "Do you need to rest?", "Do you have to sleep?", "Do you ever eat?", "Do you ever sleep?", "Do you get tired?", "Did you sleep well last night?", "Have you had lunch yet?", "Do you get hungry?", "Do you ever take a nap?", "Are you sleepy?"),
        ("你睡觉吗？", "你吃饭吗？", "你累吗？", "你需要休息吗？", "你要睡觉吗？", "你要吃饭吗？", "你会累吗？", "你用睡觉吗？", "你昨晚睡得好吗？", "你吃过午饭了吗？", "你会饿吗？", "你困不困？", "你晚上也要上床吗？"),
        "No, I do not eat or sleep. I am always ready for you.",
        "不，我不吃饭也不睡觉，我随时都在。",
    ),
    (
        ("Can you speak more slowly?", "You speak too fast.", "Please speak slowly.", "Slow down, please.", "That was too fast.", "Could you speak slower?", "You talk too fast for me.", "Not so fast, please.", "I can not keep up with your speech.", "A bit slower would help me.", "Take your time when you speak.", "Lower your speed a little.", "Your words come too quickly."),
        ("你能说慢一点吗？", "你说得太快了。", "请说慢一点。", "说慢点。", "慢一点。", "太快了，我听不清。", "你说话太快。", "请你慢慢说。", "能不能放慢速度？", "你讲得像机关枪一样快。", "别说那么急。", "语速慢些好吗？", "我跟不上你说话。"),
        "I am sorry, I have only one speed. I can say it again.",
        "对不起，我只会用一种速度说话，不过我可以再说一遍。",
    ),
    (
        ("Stop.", "Please stop.", "Be quiet.", "That is enough.", "Stop talking.", "Please be quiet.", "Stop it.", "No more, please.", "Silence, please.", "Shut up.", "I have heard enough.", "Not another word.", "Hush now."),
        ("停。", "别说了。", "安静。", "够了。", "停下。", "请安静。", "不要说了。", "请停下来。", "闭嘴。", "别吵了。", "我不想听了。", "到此为止吧。", "住口。"),
        "All right, I am quiet now.",
        "好的，我不说了。",
    ),
    (
        ("That is interesting.", "How interesting.", "Really?", "Wow.", "I see.", "Is that so?", "I did not know that.", "That is very interesting.", "Oh, really?", "Amazing.", "What a surprise.", "Who would have thought that?", "That is news to me."),
        ("真有意思。", "是吗？", "真的吗？", "哇。", "原来如此。", "很有意思。", "我以前不知道。", "原来是这样。", "这很有趣。", "太神奇了。", "没想到会这样。", "我头一次听说。", "长见识了。"),
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
            "How many days are there in a week?/How many days does a week have?/How many days are in one week?/Tell me how many days make a week./Do you know how many days a week has?/How many days make up a week?/What is the number of days in a week?/How long is a week in days?/Can you count the days of the week?/A week is how many days long?/I would like to know how many days a week has./From Monday to Sunday, how many days is that?",
            "一个星期有几天？/一周有几天？/一周有多少天？/一星期是多少天？/一个礼拜有几天？/你知道一个星期有多少天吗？/请告诉我一周有几天。/一周总共几天？/一个星期一共有多少天？/我想知道一个星期有几天。/一个星期由几天组成？/从星期一到星期天一共几天？",
            "A week has seven days.", "一个星期有七天。",
        ),
        (
            "How many months are there in a year?/How many months does a year have?/Tell me how many months make a year./Do you know how many months a year has?/How many months make up one year?/What is the number of months in a year?/How long is a year in months?/Can you count the months of the year?/A year is how many months long?/I would like to know how many months are in a year./From January to December, how many months is that?",
            "一年有几个月？/一年有多少个月？/一年一共几个月？/你知道一年有几个月吗？/请告诉我一年有多少个月。/一年总共有多少个月份？/一年分成几个月？/我想知道一年有几个月。/一年等于几个月？/一整年是多少个月？",
            "A year has twelve months.", "一年有十二个月。",
        ),
        (
            "How many hours are there in a day?/How many hours does a day have?/Tell me how many hours make a day./Do you know how many hours a day has?/How many hours make up one full day?/What is the number of hours in a day?/How long is a day in hours?/Can you count the hours of a day?/One day and night is how many hours?/I would like to know how many hours are in a day./How many hours long is a whole day?",
            "一天有几个小时？/一天有多少个小时？/一天一共几个小时？/你知道一天有几个小时吗？/请告诉我一天有多少小时。/一天一夜是多少个小时？/一整天有几个钟头？/我想知道一天有多少个小时。/一天等于几小时？/一天分成多少个小时？/一天到底有多少个钟头？",
            "A day has twenty-four hours.", "一天有二十四个小时。",
        ),
        (
            "How many minutes are there in an hour?/How many minutes does an hour have?/Tell me how many minutes make an hour./Do you know how many minutes an hour has?/How many minutes make up one hour?/What is the number of minutes in an hour?/How long is an hour in minutes?/Can you tell me the minutes in one hour?/One hour is how many minutes?/I would like to know how many minutes are in an hour./How many minutes go by in an hour?",
            "一个小时有多少分钟？/一小时是几分钟？/一小时等于多少分钟？/你知道一个小时有几分钟吗？/请告诉我一个小时有多少分钟。/一个钟头是多少分钟？/一小时一共几分钟？/我想知道一小时有多少分钟。/一个小时可以分成几分钟？/一个钟头有几分钟？/一个小时总共是多少分钟？",
            "An hour has sixty minutes.", "一个小时有六十分钟。",
        ),
        (
            "How many seasons are there?/How many seasons does a year have?/What are the four seasons?/Can you name the seasons of the year?/Which seasons does a year have?/Tell me the names of the four seasons./What are the seasons called?/How many seasons are there in one year?/Do you know the seasons of the year?/I would like to know the names of the seasons./Into which seasons do we divide the year?/List the seasons for me, please.",
            "一年有几个季节？/一年有哪些季节？/四季是什么？/一年分成哪几个季节？/你知道一年有几个季节吗？/请说出一年的季节。/四个季节叫什么名字？/告诉我四季的名字。/一年一共有多少个季节？/我想知道一年有哪几个季节。/一年四季是哪四季？/一年里都有什么季节？",
            "A year has four seasons: spring, summer, autumn and winter.", "一年有四个季节：春天，夏天，秋天和冬天。",
        ),
        (
            "How many legs does a spider have?/How many legs are on a spider?/Tell me how many legs spiders have./Do you know how many legs a spider has?/On how many legs does a spider walk?/What number of legs does a spider have?/Can you count the legs of a spider?/How many legs do spiders have?/I would like to know how many legs a spider has./A spider runs on how many legs?/A spider has how many legs?",
            "蜘蛛有几条腿？/蜘蛛有多少条腿？/一只蜘蛛有几条腿？/你知道蜘蛛有几条腿吗？/请告诉我蜘蛛有多少条腿。/蜘蛛用几条腿走路？/蜘蛛一共长了几条腿？/蜘蛛的腿有多少条？/我想知道蜘蛛有几条腿。/数一数，蜘蛛有多少条腿？",
            "A spider has eight legs.", "蜘蛛有八条腿。",
        ),
        (
            "How many legs does a dog have?/How many legs does a cat have?/How many legs does a horse have?/Tell me how many legs a cow has./Do you know how many legs a tiger has?/On how many legs does a sheep walk?/What number of legs does an elephant have?/Can you tell me how many legs a lion has?/I would like to know how many legs a pig has./How many legs are there on a mouse?/A rabbit has how many legs?",
            "狗有几条腿？/猫有几条腿？/马有几条腿？/你知道牛有几条腿吗？/请告诉我老虎有多少条腿。/羊用几条腿走路？/大象一共有几条腿？/我想知道狮子有几条腿。/一头猪有多少条腿？/兔子长着几条腿？/一只老鼠有几条腿？",
            "It has four legs.", "它有四条腿。",
        ),
        (
            "How many fingers does a hand have?/How many fingers are on one hand?/Tell me how many fingers a hand has./Do you know how many fingers are on a hand?/Can you count the fingers of one hand?/What is the number of fingers on a hand?/How many fingers do we have on each hand?/One hand has how many fingers?/I would like to know how many fingers a hand has./How many fingers belong to one hand?",
            "一只手有几个手指？/一只手有多少个手指？/一只手上长着几根手指？/你知道一只手有几个手指吗？/请告诉我一只手有多少根手指。/每只手有几根手指头？/人的一只手有多少手指？/我想知道一只手有几个手指。/一只手一共几个指头？/数一数，一只手有几根指头？",
            "A hand has five fingers.", "一只手有五个手指。",
        ),
        (
            "What is the largest planet?/Which planet is the biggest?/Tell me the name of the largest planet./Do you know which planet is the largest?/Can you name the biggest planet?/Of all the planets, which one is the biggest?/What is the biggest planet called?/Which planet is larger than all the others?/I would like to know which planet is the largest./Which planet around the sun is the biggest?",
            "最大的行星是哪个？/哪个行星最大？/哪颗行星是最大的？/你知道最大的行星是哪颗吗？/请告诉我最大的行星叫什么。/所有行星里面哪一颗最大？/最大的行星叫什么名字？/太阳系里哪个行星最大？/我想知道哪颗行星最大。/什么行星比别的行星都大？/说出最大的那颗行星。",
            "The largest planet is Jupiter.", "最大的行星是木星。",
        ),
        (
            "What is the biggest animal?/Which animal is the largest?/Tell me the name of the biggest animal./Do you know which animal is the biggest?/Can you name the largest animal on earth?/Of all the animals, which one is the biggest?/What is the largest animal in the world called?/Which animal is bigger than all the others?/I would like to know which animal is the biggest./What living animal has the largest body?/Which creature is the biggest of all?",
            "最大的动物是什么？/什么动物最大？/世界上最大的动物是哪种？/你知道最大的动物是什么吗？/请告诉我什么动物最大。/所有动物里面哪一种最大？/最大的动物叫什么名字？/哪种动物的身体最大？/我想知道最大的动物是什么。/地球上哪种动物个头最大？/什么动物比别的动物都大？",
            "The biggest animal is the blue whale.", "最大的动物是蓝鲸。",
        ),
        (
            "What is the highest mountain?/Which mountain is the highest in the world?/Tell me the name of the highest mountain./Do you know which mountain is the highest?/Can you name the tallest mountain on earth?/Of all the mountains, which one is the highest?/What is the highest mountain in the world called?/Which mountain is higher than all the others?/I would like to know which mountain is the highest./What mountain has the highest top?",
            "最高的山是什么山？/世界上最高的山是哪座？/哪座山最高？/你知道世界上最高的山是什么吗？/请告诉我最高的山叫什么。/所有的山里面哪一座最高？/世界最高的山叫什么名字？/地球上哪座山是最高的？/我想知道哪座山最高。/什么山比别的山都高？/世界上第一高的山是哪座？",
            "The highest mountain is Mount Everest.", "最高的山是珠穆朗玛峰。",
        ),
        (
            "What is the longest river in China?/Which river is the longest in China?/Tell me the name of the longest river in China./Do you know which Chinese river is the longest?/Can you name the longest river in China?/Of all the rivers in China, which is the longest?/What is the longest Chinese river called?/In China, which river is the longest?/I would like to know which river in China is longest./What river runs the longest way through China?/Which of the rivers of China is the longest?",
            "中国最长的河是哪条？/中国最长的河叫什么？/在中国，哪条河最长？/你知道中国最长的河是哪条吗？/请告诉我中国最长的河叫什么。/中国的河里面哪一条最长？/中国第一长的河是哪条？/中国最长的河叫什么名字？/我想知道中国哪条河最长。/中国哪一条大河是最长的？/说出中国最长的一条河。",
            "The longest river in China is the Yangtze.", "中国最长的河是长江。",
        ),
        (
            "What is the largest country?/Which country is the largest in the world?/Tell me the name of the largest country./Do you know which country is the largest?/Can you name the biggest country on earth?/Of all the countries, which one has the most land?/What is the biggest country in the world called?/Which country is bigger than all the others?/I would like to know which country is the largest./Which country has the largest area?/What country covers the most land?",
            "最大的国家是哪个？/世界上最大的国家是哪个？/哪个国家最大？/你知道世界上最大的国家是哪个吗？/请告诉我最大的国家叫什么。/所有国家里面哪一个面积最大？/世界上面积最大的是哪个国家？/地球上哪个国家的土地最多？/我想知道哪个国家最大。/什么国家比别的国家都大？/世界第一大国是哪个国家？",
            "The largest country in the world is Russia.", "世界上最大的国家是俄罗斯。",
        ),
        (
            "What do bees make?/What do we get from bees?/Tell me what bees make./Do you know what bees make?/What sweet food comes from bees?/Can you tell me what bees make from flowers?/What do bees make in their home?/What is it that bees make?/I would like to know what bees make./Who makes honey?/Which food do bees make for us?",
            "蜜蜂做什么？/蜜蜂给我们什么？/蜜蜂会做什么？/你知道蜜蜂做什么吗？/请告诉我蜜蜂能做出什么。/蜜蜂用花做出什么？/谁会做蜂蜜？/蜂蜜是谁做的？/我想知道蜜蜂做什么东西。/蜜蜂做的甜甜的东西是什么？/蜜蜂每天忙着做什么？",
            "Bees make honey.", "蜜蜂做蜂蜜。",
        ),
        (
            "What do cows give us?/What do we get from cows?/Tell me what cows give us./Do you know what cows give people?/What drink comes from cows?/Can you tell me what we get from a cow?/Which animals give us milk?/I would like to know what cows give us./Where does our milk come from?/What good things do cows give to people?",
            "牛给我们什么？/我们从牛那里得到什么？/牛能给我们什么？/你知道牛给我们什么吗？/请告诉我牛给人们什么。/什么喝的东西来自牛？/谁给我们牛奶？/牛奶是从哪里来的？/我想知道牛给我们什么。/我们可以从牛身上得到什么喝的？/牛给人什么好喝的东西？",
            "Cows give us milk.", "牛给我们牛奶。",
        ),
        (
            "Where does the sun rise?/In which direction does the sun come up?/Where does the sun come up every morning?/Which side of the sky does the sun rise on?/In what direction can I see the sunrise?/From where does the sun rise?/Tell me where the sun rises./Do you know where the sun comes up?/Can you tell me in which direction the sun rises?/I would like to know where the sun rises./Where should I look to see the sun rise?",
            "太阳从哪边升起？/太阳从哪里升起来？/太阳每天从哪里出来？/你知道太阳从哪边升起吗？/请告诉我太阳从哪个方向升起。/早上太阳在哪一边？/太阳从哪个方向出来？/看日出要看哪个方向？/我想知道太阳从哪边升起来。/日出在什么方向？/早晨太阳从哪一边升起？",
            "The sun rises in the east.", "太阳从东边升起。",
        ),
        (
            "What is ice made of?/What is ice?/Tell me what ice is./Do you know what ice is made of?/Can you tell me what ice really is?/What do we call ice in other words?/How would you explain ice?/I would like to know what ice is./Please explain what ice is./What exactly is ice?",
            "冰是什么做的？/冰是什么？/冰是由什么变成的？/你知道冰是什么吗？/请告诉我冰是什么做的。/冰到底是什么东西？/什么叫做冰？/我想知道冰是什么。/请解释一下什么是冰。/冰是什么变的？",
            "Ice is frozen water.", "冰是冻住的水。",
        ),
        (
            "Tell me about China./What do you know about China?/Say something about China./What can you tell me about China?/I would like to know something about China./Could you describe China for me?/What kind of country is China?/Please tell me a little about China./Let us talk about China./Can you tell me about China?/What should I know about China?/Talk to me about China.",
            "给我讲讲中国。/你知道中国吗？/说说中国吧。/请介绍一下中国。/中国是一个什么样的国家？/我想了解一下中国。/你能跟我说说中国吗？/关于中国，你知道些什么？/我们来聊聊中国吧。/能不能讲一讲中国？/请告诉我一些中国的事。/谈谈中国这个国家。",
            "China is a large country in Asia. Its capital is Beijing, and more than one billion people live there.",
            "中国是亚洲的一个大国，首都是北京，有十多亿人口。",
        ),
        (
            "Tell me about the moon./What do you know about the moon?/Say something about the moon./What can you tell me about the moon?/I would like to know something about the moon./Could you describe the moon for me?/What is the moon like?/Please tell me a little about the moon./Let us talk about the moon./Can you tell me about the moon?/What should I know about the moon?/Explain the moon to me, please.",
            "给我讲讲月亮。/你知道月亮吗？/说说月亮吧。/请介绍一下月亮。/月亮是什么样的？/我想了解一下月亮。/你能跟我说说月亮吗？/关于月亮，你知道些什么？/我们来聊聊月亮吧。/能不能讲一讲月亮？/请告诉我一些月亮的知识。/谈谈天上的月亮。",
            "The moon goes around the earth in about one month. It has no air and no water, and it shines with the light of the sun.",
            "月亮大约一个月绕地球一圈。那里没有空气，也没有水，它的光来自太阳。",
        ),
        (
            "Tell me about the sun./What do you know about the sun?/Say something about the sun./What can you tell me about the sun?/I would like to know something about the sun./Could you describe the sun for me?/What is the sun?/Please tell me a little about the sun./Let us talk about the sun./Can you tell me about the sun?/What should I know about the sun?/Explain the sun to me, please.",
            "给我讲讲太阳。/你知道太阳吗？/说说太阳吧。/请介绍一下太阳。/太阳是什么？/我想了解一下太阳。/你能跟我说说太阳吗？/关于太阳，你知道些什么？/我们来聊聊太阳吧。/能不能讲一讲太阳？/请告诉我一些太阳的知识。/谈谈天上的太阳。",
            "The sun is a star. It is very big and very hot, and it gives light and warmth to all living things on earth.",
            "太阳是一颗恒星，它又大又热，给地球上所有的生命带来光和温暖。",
        ),
        (
            "Tell me about cats./What do you know about cats?/Say something about cats./What can you tell me about cats?/I would like to know something about cats./Could you describe cats for me?/What kind of animals are cats?/Please tell me a little about cats./Let us talk about cats./Can you tell me about cats?/What are cats like?/What should I know about cats?",
            "给我讲讲猫。/你知道猫吗？/说说猫吧。/请介绍一下猫。/猫是什么样的动物？/我想了解一下猫。/你能跟我说说猫吗？/关于猫，你知道些什么？/我们来聊聊猫吧。/能不能讲一讲猫？/请告诉我一些猫的事。/谈谈猫这种动物。",
            "Cats are small animals that live with people. They sleep a lot, they can see well at night, and they like to catch mice.",
            "猫是和人住在一起的小动物。它们很爱睡觉，晚上看得很清楚，喜欢抓老鼠。",
        ),
        (
            "Tell me about dogs./What do you know about dogs?/Say something about dogs./What can you tell me about dogs?/I would like to know something about dogs./Could you describe dogs for me?/What kind of animals are dogs?/Please tell me a little about dogs./Let us talk about dogs./Can you tell me about dogs?/What are dogs like?/What should I know about dogs?",
            "给我讲讲狗。/你知道狗吗？/说说狗吧。/请介绍一下狗。/狗是什么样的动物？/我想了解一下狗。/你能跟我说说狗吗？/关于狗，你知道些什么？/我们来聊聊狗吧。/能不能讲一讲狗？/请告诉我一些狗的事。/谈谈狗这种动物。",
            "Dogs are good friends of people. They can run fast, they hear and smell very well, and they like to play outside.",
            "狗是人的好朋友。它们跑得很快，听得远，闻得清，喜欢在外面玩。",
        ),
        (
            "Tell me about tea./What do you know about tea?/Say something about tea./What can you tell me about tea?/I would like to know something about tea./Could you explain tea to me?/Where does tea come from and how is it made?/Please tell me a little about tea./Let us talk about tea./Can you tell me about tea?/How do people make and drink tea?/What should I know about tea?",
            "给我讲讲茶。/你知道茶吗？/说说茶吧。/请介绍一下茶。/茶来自哪里，怎么喝？/我想了解一下茶。/你能跟我说说茶吗？/关于茶，你知道些什么？/我们来聊聊茶吧。/能不能讲一讲茶？/请告诉我一些茶的知识。/人们是怎么泡茶喝茶的？",
            "Tea comes from China. People put dry leaves into hot water, wait a few minutes, and then drink it with friends.",
            "茶来自中国。人们把干的茶叶放进热水里，等几分钟，然后和朋友一起喝。",
        ),
        (
            "Tell me about London./What do you know about London?/Say something about London./What can you tell me about London?/I would like to know something about London./Could you describe London for me?/What kind of city is London?/Please tell me a little about London./Let us talk about London./Can you tell me about London?/What is London like?/What should I know about London?",
            "给我讲讲伦敦。/你知道伦敦吗？/说说伦敦吧。/请介绍一下伦敦。/伦敦是一座什么样的城市？/我想了解一下伦敦。/你能跟我说说伦敦吗？/关于伦敦，你知道些什么？/我们来聊聊伦敦吧。/能不能讲一讲伦敦？/请告诉我一些伦敦的事。/谈谈伦敦这个城市。",
            "London is the capital of England. It is an old and large city on a river, and it often rains there.",
            "伦敦是英国的首都，是河边的一座又老又大的城市，那里常常下雨。",
        ),
        (
            "Tell me about Beijing./What do you know about Beijing?/Say something about Beijing./What can you tell me about Beijing?/I would like to know something about Beijing./Could you describe Beijing for me?/What kind of city is Beijing?/Please tell me a little about Beijing./Let us talk about Beijing./Can you tell me about Beijing?/What is Beijing like?/What should I know about Beijing?",
            "给我讲讲北京。/你知道北京吗？/说说北京吧。/请介绍一下北京。/北京是一座什么样的城市？/我想了解一下北京。/你能跟我说说北京吗？/关于北京，你知道些什么？/我们来聊聊北京吧。/能不能讲一讲北京？/请告诉我一些北京的事。/谈谈北京这个城市。",
            "Beijing is the capital of China. It is an old city with a great palace, and the Great Wall is not far away.",
            "北京是中国的首都，是一座古老的城市，有很大的宫殿，离长城不远。",
        ),
        (
            "What is water?/Tell me about water./Say something about water./What can you tell me about water?/I would like to know something about water./Could you describe water for me?/What do you know about water?/Please tell me a little about water./Let us talk about water./Can you tell me about water?/What is water like?/Explain water to me, please.",
            "水是什么？/给我讲讲水。/说说水吧。/请介绍一下水。/水是什么样的东西？/我想了解一下水。/你能跟我说说水吗？/关于水，你知道些什么？/我们来聊聊水吧。/能不能讲一讲水？/请告诉我一些水的知识。/什么是水？",
            "Water has no colour and no smell. All plants and animals need it, and most of the earth is covered with it.",
            "水没有颜色，也没有味道。所有的植物和动物都需要它，地球上大部分地方都是水。",
        ),
        (
            "How many seconds are there in a minute?/How many seconds does a minute have?/Tell me how many seconds make a minute./Do you know how many seconds a minute has?/How many seconds make up one minute?/What is the number of seconds in a minute?/How long is a minute in seconds?/Can you tell me the seconds in one minute?/One minute is how many seconds?/I would like to know how many seconds are in a minute./How many seconds go by in a minute?",
            "一分钟有多少秒？/一分钟是几秒？/一分钟等于多少秒？/你知道一分钟有几秒吗？/请告诉我一分钟有多少秒。/一分钟一共有几秒？/一分钟总共是多少秒钟？/我想知道一分钟有多少秒。/一分钟可以分成多少秒？/一分钟有多少秒钟？/多少秒是一分钟？",
            "A minute has sixty seconds.", "一分钟有六十秒。",
        ),
        (
            "How many days are there in a year?/How many days does a year have?/Tell me how many days make a year./Do you know how many days a year has?/How many days make up one year?/What is the number of days in a year?/How long is a year in days?/Can you tell me the number of days in one year?/A year is how many days long?/I would like to know how many days are in a year./How many days go by in a normal year?",
            "一年有多少天？/一年是几天？/一年一共有几天？/你知道一年有多少天吗？/请告诉我一年有多少天。/一年等于多少天？/一整年是多少天？/我想知道一年有几天。/一年总共多少天？/普通的一年有多少天？/多少天是一年？",
            "A year has three hundred and sixty-five days.", "一年有三百六十五天。",
        ),
        (
            "How many legs does an insect have?/How many legs does an ant have?/How many legs does a bee have?/Tell me how many legs a fly has./Do you know how many legs a butterfly has?/On how many legs does an ant walk?/What number of legs does an insect have?/Can you tell me how many legs a mosquito has?/I would like to know how many legs an insect has./How many legs are there on a beetle?/A grasshopper has how many legs?",
            "昆虫有几条腿？/蚂蚁有几条腿？/蜜蜂有几条腿？/你知道苍蝇有几条腿吗？/请告诉我蝴蝶有多少条腿。/蚂蚁用几条腿走路？/一只昆虫一共有几条腿？/我想知道蚊子有几条腿。/一只蚂蚁有多少条腿？/昆虫长着几条腿？/一只蜻蜓有几条腿？",
            "It has six legs.", "它有六条腿。",
        ),
        (
            "How many legs does a bird have?/How many legs does a chicken have?/How many legs does a duck have?/Tell me how many legs a bird has./Do you know how many legs a goose has?/On how many legs does a penguin walk?/What number of legs does a bird have?/Can you tell me how many legs an eagle has?/I would like to know how many legs a chicken has./How many legs are there on a parrot?/An owl has how many legs?",
            "鸟有几条腿？/鸡有几条腿？/鸭子有几条腿？/你知道鸟有几条腿吗？/请告诉我公鸡有多少条腿。/企鹅用几条腿走路？/一只鹅一共有几条腿？/我想知道老鹰有几条腿。/一只小鸟有多少条腿？/鹦鹉长着几条腿？/一只母鸡有几条腿？",
            "It has two legs.", "它有两条腿。",
        ),
        (
            "What is the fastest animal?/Which animal runs the fastest?/Tell me which animal is the fastest on land./Do you know which animal runs fastest?/Can you name the fastest land animal?/Of all land animals, which one is the fastest?/What is the fastest animal on land called?/Which animal can run faster than all the others?/I would like to know which animal runs the fastest./Which land animal has the highest speed?",
            "最快的动物是什么？/什么动物跑得最快？/陆地上什么动物最快？/你知道哪种动物跑得最快吗？/请告诉我跑得最快的动物是什么。/陆地动物里面哪一种最快？/跑得最快的动物叫什么？/哪种动物在陆地上跑得最快？/我想知道什么动物跑得最快。/什么动物比别的动物都跑得快？",
            "The fastest animal on land is the cheetah.", "陆地上最快的动物是猎豹。",
        ),
        (
            "What is the tallest animal?/Which animal is the tallest?/Tell me the name of the tallest animal./Do you know which animal is the tallest?/Can you name the tallest animal on earth?/Of all the animals, which one is the tallest?/What is the tallest animal in the world called?/Which animal is taller than all the others?/I would like to know which animal is the tallest./Which of the animals grows the tallest?",
            "最高的动物是什么？/什么动物最高？/哪种动物最高？/你知道最高的动物是什么吗？/请告诉我什么动物长得最高。/所有动物里面哪一种最高？/最高的动物叫什么名字？/世界上个子最高的动物是哪种？/我想知道最高的动物是什么。/什么动物比别的动物都高？/哪种动物的个子最高？",
            "The tallest animal is the giraffe.", "最高的动物是长颈鹿。",
        ),
        (
            "What is the largest ocean?/Which ocean is the biggest?/Tell me the name of the largest ocean./Do you know which ocean is the largest?/Can you name the biggest ocean on earth?/Of all the oceans, which one is the biggest?/What is the biggest ocean in the world called?/Which ocean is bigger than all the others?/I would like to know which ocean is the largest./What ocean has the most water?/Which ocean covers the largest part of the earth?",
            "最大的海洋是哪个？/哪个大洋最大？/哪个海洋是最大的？/你知道最大的海洋是哪个吗？/请告诉我最大的海洋叫什么。/所有海洋里面哪一个最大？/世界上最大的洋是什么洋？/地球上哪个海洋面积最大？/我想知道哪个大洋最大。/什么洋比别的洋都大？/哪个海洋的水最多？",
            "The largest ocean is the Pacific.", "最大的海洋是太平洋。",
        ),
        (
            "What is the longest river in the world?/Which river is the longest of all?/Tell me the name of the longest river on earth./Do you know which river is the longest in the world?/Can you name the world's longest river?/Of all the rivers on earth, which is the longest?/What is the longest river on earth called?/Which river is longer than all the others?/I would like to know the longest river in the world./What river in the world has the greatest length?/Which of all rivers in the world is the longest?",
            "世界上最长的河是哪条？/世界上最长的河叫什么？/世界上哪条河最长？/你知道世界上最长的河是哪条吗？/请告诉我世界上最长的河叫什么。/全世界的河里面哪一条最长？/世界第一长的河是哪条？/地球上最长的河是什么河？/我想知道世界上哪条河最长。/什么河比世界上别的河都长？/全世界最长的一条河叫什么名字？",
            "The longest river in the world is the Nile.", "世界上最长的河是尼罗河。",
        ),
        (
            "What is the smallest country?/Which country is the smallest in the world?/Tell me the name of the smallest country./Do you know which country is the smallest?/Can you name the smallest country on earth?/Of all the countries, which one has the least land?/What is the smallest country in the world called?/Which country is smaller than all the others?/I would like to know which country is the smallest./Which country has the smallest area?",
            "最小的国家是哪个？/世界上最小的国家是哪个？/哪个国家最小？/你知道世界上最小的国家是哪个吗？/请告诉我最小的国家叫什么。/所有国家里面哪一个面积最小？/世界上面积最小的是哪个国家？/地球上哪个国家的土地最少？/我想知道哪个国家最小。/什么国家比别的国家都小？/最小的国家叫什么名字？",
            "The smallest country in the world is the Vatican.", "世界上最小的国家是梵蒂冈。",
        ),
        (
            "What do pandas eat?/What does a panda eat?/Tell me what pandas eat./Do you know what pandas like to eat?/What is the favourite food of pandas?/Can you tell me what a panda eats?/What food do pandas need?/I would like to know what pandas eat./What do pandas have for dinner?/Which plant do pandas eat?",
            "熊猫吃什么？/大熊猫喜欢吃什么？/熊猫喜欢吃什么？/你知道熊猫吃什么吗？/请告诉我大熊猫吃什么。/熊猫最爱吃的东西是什么？/大熊猫每天吃什么？/熊猫的食物是什么？/我想知道熊猫吃什么。/熊猫饿了吃什么？/熊猫靠吃什么生活？",
            "Pandas eat bamboo.", "熊猫吃竹子。",
        ),
        (
            "What do rabbits eat?/What does a rabbit like to eat?/Tell me what rabbits eat./Do you know what rabbits like to eat?/What is the favourite food of rabbits?/Can you tell me what a rabbit eats?/What food do rabbits need?/What should I give my rabbits to eat?/I would like to know what rabbits eat./What do rabbits have for dinner?/Which plants do rabbits eat?",
            "兔子吃什么？/兔子喜欢吃什么？/小兔子吃什么？/你知道兔子吃什么吗？/请告诉我兔子爱吃什么。/兔子最爱吃的东西是什么？/兔子每天吃什么？/兔子的食物是什么？/我想知道兔子吃什么。/兔子饿了吃什么？/我应该给兔子吃什么？",
            "Rabbits eat grass and carrots.", "兔子吃草和胡萝卜。",
        ),
        (
            "What do fish live in?/Where do fish live?/Tell me where fish live./Do you know where fish live?/Where is the home of fish?/Can you tell me where fish make their home?/In what do fish swim and live?/I would like to know where fish live./In which place do fish spend their lives?/Do fish live in water or on land?",
            "鱼住在哪里？/鱼生活在哪里？/鱼的家在哪里？/你知道鱼住在哪里吗？/请告诉我鱼生活在哪里。/鱼在什么地方生活？/鱼儿住在什么地方？/我想知道鱼生活在哪里。/鱼一辈子生活在什么里面？/鱼生活在水里还是陆地上？",
            "Fish live in water.", "鱼生活在水里。",
        ),
        (
            "Where does the sun set?/In which direction does the sun go down?/Where does the sun go down every evening?/Which side of the sky does the sun set on?/In what direction can I see the sunset?/On which side does the sun set?/Tell me where the sun sets./Do you know where the sun goes down?/Can you tell me in which direction the sun sets?/I would like to know where the sun sets./Where should I look to see the sun set?",
            "太阳从哪边落下？/太阳在哪里落下？/太阳每天从哪里下山？/你知道太阳从哪边落下吗？/请告诉我太阳从哪个方向落下。/傍晚太阳在哪一边？/太阳往哪个方向落下去？/看日落要看哪个方向？/我想知道太阳从哪边落下去。/日落在什么方向？/太阳从哪一边下山？",
            "The sun sets in the west.", "太阳从西边落下。",
        ),
        (
            "Which planet do we live on?/What is the name of our planet?/Tell me which planet we live on./Do you know which planet is our home?/Can you name the planet we live on?/On which planet do people live?/What is our home planet called?/I would like to know the name of our planet./What planet are we on?/Which planet are all of us living on?",
            "我们住在哪个行星上？/我们的行星叫什么？/我们生活在哪颗行星上？/你知道我们住在哪个行星上吗？/请告诉我我们住在什么星球上。/人类住在哪个星球上？/我们住的星球叫什么名字？/我们的家在哪颗星球上？/我想知道我们住在哪个星球。/我们现在在哪个行星上？/我们住的行星是哪一颗？",
            "We live on the planet Earth.", "我们住在地球上。",
        ),
        (
            "How many continents are there?/How many continents does the earth have?/Tell me how many continents there are./Do you know how many continents there are?/What is the number of continents on earth?/Can you count the continents of the world?/How many continents does the world have?/I would like to know how many continents there are./How many continents are there on our planet?/Into how many continents is the world divided?",
            "世界上有几个大洲？/地球上有几大洲？/世界上有多少个大洲？/你知道世界上有几个大洲吗？/请告诉我世界上有几个大洲。/全世界一共有几大洲？/地球上一共有多少个洲？/世界分成几个大洲？/我想知道世界上有几大洲。/地图上一共有几个大洲？/大洲总共有几个？",
            "There are seven continents.", "世界上有七个大洲。",
        ),
        (
            "How many letters are there in English?/How many letters does the English alphabet have?/Tell me how many letters the English alphabet has./Do you know how many letters English has?/What is the number of letters in the English alphabet?/Can you count the letters of the English alphabet?/How many letters are in the English alphabet?/I would like to know how many letters English has./How many letters does English use?/How many English letters are there?",
            "英语有多少个字母？/英文字母有几个？/英语一共有几个字母？/你知道英语有多少个字母吗？/请告诉我英语有几个字母。/英文字母一共多少个？/英语字母表有多少个字母？/写英语要用多少个字母？/我想知道英语有多少字母。/英语里有几个字母？",
            "The English alphabet has twenty-six letters.", "英语有二十六个字母。",
        ),
        (
            "At what temperature does water boil?/When does water boil?/Tell me when water boils./Do you know when water starts to boil?/How hot must water be to boil?/What is the boiling point of water?/At how many degrees does water boil?/I would like to know when water boils./What temperature makes water boil?/How many degrees does water need to boil?",
            "水多少度会开？/水在多少度沸腾？/水到多少度会沸腾？/你知道水多少度会开吗？/请告诉我水在多少度沸腾。/水烧到几度才会开？/水沸腾的温度是多少？/我想知道水多少度沸腾。/水在什么温度会沸腾？/水要多热才能烧开？",
            "Water boils at one hundred degrees.", "水在一百度沸腾。",
        ),
        (
            "At what temperature does water freeze?/When does water freeze?/Tell me when water freezes./Do you know when water turns to ice?/How cold must water be to freeze?/Can you tell me how cold water must be to freeze?/What is the freezing point of water?/At how many degrees does water freeze?/I would like to know when water freezes./What temperature makes water turn into ice?/When does water become ice?",
            "水多少度会结冰？/水在多少度结冰？/水到多少度会变成冰？/你知道水多少度会结冰吗？/请告诉我水在多少度结冰。/水冷到几度才会结冰？/水在几度会冻住？/水结冰的温度是多少？/我想知道水多少度结冰。/水在什么温度会结冰？/水要多冷才能变成冰？",
            "Water freezes at zero degrees.", "水在零度结冰。",
        ),
        (
            "Who was Einstein?/Tell me who Einstein was./Do you know who Einstein was?/Can you tell me who Einstein was?/What was Einstein?/What kind of man was Einstein?/What work did Einstein do?/Who was the man called Einstein?/I would like to know who Einstein was./Was Einstein a scientist or a singer?",
            "爱因斯坦是谁？/谁是爱因斯坦？/你知道爱因斯坦是谁吗？/请告诉我爱因斯坦是谁。/爱因斯坦是什么人？/爱因斯坦是做什么的？/爱因斯坦是一个怎样的人？/我想知道爱因斯坦是谁。/能告诉我谁是爱因斯坦吗？/你听说过爱因斯坦吗？他是谁？/爱因斯坦是科学家还是歌手？",
            "Einstein was a great scientist.", "爱因斯坦是一位伟大的科学家。",
        ),
        (
            "Who was Confucius?/Tell me who Confucius was./Do you know who Confucius was?/Can you tell me who Confucius was?/What was Confucius?/What kind of man was Confucius?/What work did Confucius do?/Who was the man called Confucius?/I would like to know who Confucius was./Was Confucius a teacher or a doctor?",
            "孔子是谁？/谁是孔子？/你知道孔子是谁吗？/请告诉我孔子是谁。/孔子是什么人？/孔子是做什么的？/孔子是一个怎样的人？/我想知道孔子是谁。/能告诉我谁是孔子吗？/你听说过孔子吗？他是谁？/孔子是老师还是医生？",
            "Confucius was a great teacher in old China.", "孔子是古代中国的一位伟大的老师。",
        ),
        (
            "What are the colours of the rainbow?/Which colours does a rainbow have?/Tell me the colours of the rainbow./Do you know the colours of a rainbow?/Can you name all the colours in a rainbow?/What colour is a rainbow?/Which colours can we see in a rainbow?/What does a rainbow look like?/I would like to know the colours of the rainbow./What colours make up a rainbow?/List the rainbow colours for me.",
            "彩虹有哪些颜色？/彩虹是什么颜色？/彩虹都有什么颜色？/你知道彩虹有哪些颜色吗？/请告诉我彩虹的颜色。/彩虹里能看到哪些颜色？/彩虹是由哪些颜色组成的？/彩虹的颜色有哪几种？/我想知道彩虹有什么颜色。/说出彩虹的所有颜色。/天上的彩虹是哪些颜色的？",
            "A rainbow is red, orange, yellow, green, blue and purple.", "彩虹有红色，橙色，黄色，绿色，蓝色和紫色。",
        ),
        (
            "Tell me about the earth./What do you know about the earth?/Say something about the earth./What can you tell me about the earth?/I would like to know something about the earth./Could you describe the earth for me?/What is the earth?/Please tell me a little about the earth./Let us talk about the earth./Can you tell me about the earth?/What is the earth like?/What should I know about the earth?",
            "给我讲讲地球。/你知道地球吗？/说说地球吧。/请介绍一下地球。/地球是什么样的？/我想了解一下地球。/你能跟我说说地球吗？/关于地球，你知道些什么？/我们来聊聊地球吧。/能不能讲一讲地球？/请告诉我一些地球的知识。/谈谈我们的地球。",
            "The earth is our home. It goes around the sun once a year, and most of it is covered with water.",
            "地球是我们的家。它一年绕太阳一圈，大部分地方都是水。",
        ),
        (
            "Tell me about Paris./What do you know about Paris?/Say something about Paris./What can you tell me about Paris?/I would like to know something about Paris./Could you describe Paris for me?/What kind of city is Paris?/Please tell me a little about Paris./Let us talk about Paris./Can you tell me about Paris?/What is Paris like?/What should I know about Paris?",
            "给我讲讲巴黎。/你知道巴黎吗？/说说巴黎吧。/请介绍一下巴黎。/巴黎是一座什么样的城市？/我想了解一下巴黎。/你能跟我说说巴黎吗？/关于巴黎，你知道些什么？/我们来聊聊巴黎吧。/能不能讲一讲巴黎？/请告诉我一些巴黎的事。/谈谈巴黎这个城市。",
            "Paris is the capital of France. It is a beautiful city with a tall iron tower, and many people visit it every year.",
            "巴黎是法国的首都，是一座美丽的城市，有一座高高的铁塔，每年有很多人去那里。",
        ),
        (
            "Tell me about pandas./What do you know about pandas?/Say something about pandas./What can you tell me about pandas?/I would like to know something about pandas./Could you describe pandas for me?/What kind of animals are pandas?/Please tell me a little about pandas./Let us talk about pandas./Can you tell me about pandas?/What are pandas like?/How do pandas live?",
            "给我讲讲熊猫。/你知道熊猫吗？/说说熊猫吧。/请介绍一下熊猫。/熊猫是什么样的动物？/我想了解一下熊猫。/你能跟我说说熊猫吗？/关于熊猫，你知道些什么？/我们来聊聊熊猫吧。/能不能讲一讲熊猫？/请告诉我一些熊猫的事。/谈谈熊猫这种动物。",
            "Pandas are black and white bears that live in China. They eat bamboo almost all day long, and they like to climb trees.",
            "熊猫是住在中国的黑白相间的熊。它们几乎整天都在吃竹子，也喜欢爬树。",
        ),
        (
            "Tell me about the Great Wall./What do you know about the Great Wall?/Say something about the Great Wall./What can you tell me about the Great Wall?/I would like to know something about the Great Wall./Could you describe the Great Wall for me?/What is the Great Wall like?/Please tell me a little about the Great Wall./Let us talk about the Great Wall./Can you tell me about the Great Wall?/Where is the Great Wall and how long is it?/What should I know about the Great Wall?",
            "给我讲讲长城。/你知道长城吗？/说说长城吧。/请介绍一下长城。/长城是什么样的？/我想了解一下长城。/你能跟我说说长城吗？/关于长城，你知道些什么？/我们来聊聊长城吧。/能不能讲一讲长城？/请告诉我一些长城的事。/长城在哪里，有多长？",
            "The Great Wall is in the north of China. It is very old and thousands of miles long, and it runs over the mountains.",
            "长城在中国的北方，非常古老，有几千公里长，在山上连绵不断。",
        ),
        (
            "Tell me about spring./What do you know about spring?/Say something about spring./What can you tell me about spring?/I would like to know something about spring./Could you describe spring for me?/What is spring like?/Please tell me a little about spring./Let us talk about spring./Can you tell me about spring?/What happens in spring?/What changes when spring comes?",
            "给我讲讲春天。/你知道春天吗？/说说春天吧。/请介绍一下春天。/春天是什么样的？/我想了解一下春天。/你能跟我说说春天吗？/关于春天，你知道些什么？/我们来聊聊春天吧。/能不能讲一讲春天？/春天来了会怎么样？/春天有什么变化？",
            "In spring the days get warmer and longer. Flowers open, birds sing, and the trees have new leaves.",
            "春天，天气变暖，白天变长，花开了，鸟叫了，树上长出了新的叶子。",
        ),
        (
            "Tell me about winter./What do you know about winter?/Say something about winter./What can you tell me about winter?/I would like to know something about winter./Could you describe winter for me?/What is winter like?/Please tell me a little about winter./Let us talk about winter./Can you tell me about winter?/What happens in winter?/What changes when winter comes?",
            "给我讲讲冬天。/你知道冬天吗？/说说冬天吧。/请介绍一下冬天。/冬天是什么样的？/我想了解一下冬天。/你能跟我说说冬天吗？/关于冬天，你知道些什么？/我们来聊聊冬天吧。/能不能讲一讲冬天？/冬天来了会怎么样？/冬天有什么特点？",
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
    ("Will it snow this weekend?", "这个周末会下雪吗？"), ("How strong is the wind outside?", "外面的风有多大？"), ("Do I need an umbrella this afternoon?", "今天下午我要带伞吗？"),
    ("When will the storm be over?", "暴风雨什么时候结束？"), ("Is it warmer in the south today?", "今天南方更暖和吗？"), ("What did the mayor say on television?", "市长在电视上说了什么？"),
    ("Which party won the election?", "哪个党赢得了选举？"), ("Was there an earthquake last night?", "昨天晚上有地震吗？"), ("What is in the newspaper this morning?", "今天早上报纸上写了什么？"),
    ("Is the supermarket still open?", "超市还开着吗？"), ("Where can I buy cheap shoes?", "哪里能买到便宜的鞋子？"), ("Which shop sells fresh bread near here?", "附近哪家店卖新鲜的面包？"),
    ("When does the bank open on Monday?", "银行星期一几点开门？"), ("Is there a sale at the market?", "市场在打折吗？"), ("How much is a kilo of apples?", "一公斤苹果多少钱？"),
    ("What does a ticket to Paris cost?", "去巴黎的票要多少钱？"), ("Is rice cheaper than last year?", "大米比去年便宜吗？"), ("How much should I pay for rent?", "我应该付多少房租？"),
    ("What is a good price for a bicycle?", "自行车多少钱才合适？"), ("Why is milk so expensive now?", "牛奶现在为什么这么贵？"), ("Is there a traffic jam downtown?", "市中心堵车吗？"),
    ("Which bus goes to the airport?", "哪路公共汽车去机场？"), ("How long is the drive to the beach?", "开车去海边要多久？"), ("Is my flight late today?", "我的飞机今天晚点吗？"),
    ("Where can I park near the station?", "车站附近哪里可以停车？"), ("What is the fastest way to the museum?", "去博物馆怎么走最快？"), ("Why do we have gravity?", "为什么会有重力？"),
    ("How does a battery store power?", "电池是怎么存电的？"), ("What is inside an atom?", "原子里面有什么？"), ("How old is the universe?", "宇宙有多少岁了？"),
    ("Why does thunder make a noise?", "打雷为什么会响？"), ("How do plants turn light into food?", "植物怎么把光变成食物？"), ("Is there life on other planets?", "别的星球上有生命吗？"),
    ("What makes a magnet stick to iron?", "磁铁为什么会吸住铁？"), ("How do I bake a chocolate cake?", "巧克力蛋糕怎么烤？"), ("How long must I boil an egg?", "鸡蛋要煮多久？"),
    ("What can I put in the soup?", "汤里可以放些什么？"), ("How much salt goes into the noodles?", "面条里要放多少盐？"), ("Can I freeze cooked rice?", "煮好的米饭能冷冻吗？"),
    ("What is a quick dinner for four people?", "四个人吃什么晚饭做得快？"), ("How do I make my own cheese?", "怎么自己做奶酪？"), ("Who is the best tennis player?", "最好的网球运动员是谁？"),
    ("When does the next Olympics begin?", "下一届奥运会什么时候开始？"), ("How many goals did our team score?", "我们队进了多少个球？"), ("Who holds the world record for running?", "跑步的世界纪录是谁的？"),
    ("What are the rules of baseball?", "棒球的规则是什么？"), ("Did my favourite team lose yesterday?", "我最喜欢的球队昨天输了吗？"), ("Why is my computer so slow?", "我的电脑为什么这么慢？"),
    ("How do I change my password?", "怎么改我的密码？"), ("Which laptop should I buy?", "我该买哪台笔记本电脑？"), ("How can I get my lost photos back?", "丢了的照片怎么找回来？"),
    ("Can you write a program for me?", "你能给我写个程序吗？"), ("Why does the internet not work?", "网络为什么连不上？"), ("How do I print this page?", "这一页怎么打印？"),
    ("Who built the pyramids in Egypt?", "埃及的金字塔是谁建的？"), ("When did the second world war end?", "第二次世界大战是什么时候结束的？"), ("Who was the first emperor of China?", "中国的第一个皇帝是谁？"),
    ("Who was the first to reach America?", "最先到达美洲的人是谁？"), ("What did people wear long ago?", "很久以前人们穿什么？"), ("Who painted this famous picture?", "这幅名画是谁画的？"),
    ("How can I lose weight quickly?", "怎么才能很快减肥？"), ("Which medicine helps against a cough?", "咳嗽吃什么药好？"), ("How much sleep does a baby need?", "小宝宝要睡多长时间？"),
    ("Is coffee bad for the heart?", "咖啡对心脏不好吗？"), ("Which vitamins should I take?", "我应该吃哪些维生素？"), ("How do I stop smoking?", "怎么才能戒烟？"),
    ("Which dentist do you recommend?", "你推荐哪个牙医？"), ("When is my next meeting?", "我的下一个会是什么时候？"), ("Did my boss write to me?", "我的老板给我写信了吗？"),
    ("What is my telephone number?", "我的电话号码是多少？"), ("Who is standing at the door?", "谁站在门口？"), ("How much money is in my account?", "我的账户里有多少钱？"),
    ("Where did I leave my glasses?", "我把眼镜放在哪里了？"), ("Which school should my son go to?", "我儿子应该上哪所学校？"), ("What did my wife say this morning?", "我妻子今天早上说了什么？"),
    ("Will I find a new job soon?", "我很快能找到新工作吗？"), ("Who is the richest man on earth?", "世界上最有钱的人是谁？"), ("Who sings this song on the radio?", "收音机里这首歌是谁唱的？"),
    ("Which film should I watch tonight?", "今晚我该看哪部电影？"), ("When does the library close?", "图书馆什么时候关门？"),
)  # fmt: skip
