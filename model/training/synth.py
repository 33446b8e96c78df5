"""Teacher speech: Kokoro-82M speaks sentences, and tells how long every unit lasts and its pitch.

    python -m model.training.synth --kokoro kokoro.onnx --voices voices/ --text manifest.tsv --out speech/ [--worker 0 --of 2]

`manifest.tsv` has lines `split<TAB>voice<TAB>speed<TAB>text`; `plan` makes one from sentence pairs. Resumable: an utterance that
exists is not made again. Each utterance is `<index>.npz` with

    pcm    int16 [T] at 24 kHz
    units  int16 [N]  unit ids (repeats merged), `sil` at both ends
    frames int16 [N]  length of each unit in frames of 25 ms; 600 * sum == T
    f0     float16 [2 * sum(frames)]  Hz at 80 Hz (12.5 ms); below 50 is unvoiced

and its manifest line in `text`. Kokoro: Apache-2.0, StyleTTS 2 (arXiv 2306.07691) with an iSTFTNet decoder.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.training.g2p import SIL, UNIT_ID, Phonetic, phonetic
from model.training.worlds import held_out as never_repeated

ENGLISH_VOICE, MANDARIN_VOICE = "af_heart", "zf_xiaoxiao"
HELD_OUT_VOICES = frozenset({"bf_emma", "am_michael", "zf_xiaoyi", "zm_yunyang"})
SAMPLES_PER_FRAME = 600
MIN_PAUSE_FRAMES = 3
OWN_SHARE = 0.7  # of the training utterances, in the two output voices
_SYMBOLS = {
    ";": 1, ":": 2, ",": 3, ".": 4, "!": 5, "?": 6, " ": 16, "ʦ": 20, "ʨ": 21, "\uab67": 23, "A": 24, "I": 25, "O": 31,
    "T": 36, "W": 39, "Y": 41, "a": 43, "b": 44, "d": 46, "e": 47, "f": 48, "h": 50, "i": 51, "j": 52, "k": 53, "l": 54,
    "m": 55, "n": 56, "o": 57, "p": 58, "s": 61, "t": 62, "u": 63, "v": 64, "w": 65, "x": 66, "y": 67, "z": 68, "ɑ": 69,
    "æ": 72, "ɔ": 76, "ɕ": 77, "ð": 81, "ʤ": 82, "ə": 83, "ɚ": 85, "ɛ": 86, "ɜ": 87, "ɡ": 92, "ɥ": 99, "ɨ": 101, "ɪ": 102,
    "ŋ": 112, "θ": 119, "ɹ": 123, "ɻ": 126, "ʂ": 130, "ʃ": 131, "ʧ": 133, "ʊ": 135, "ʌ": 138, "ɤ": 140, "ʒ": 147, "ˈ": 156,
    "ˌ": 157, "ʰ": 162, "↓": 169, "→": 171, "↗": 172, "↘": 173, "ᵻ": 177,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Utterance:
    """One line of the manifest."""

    split: str
    voice: str
    speed: float
    text: str


class Teacher:
    """Kokoro-82M as ONNX, with its durations and pitch exposed as outputs."""

    def __init__(self, model: Path, voices: Path, *, threads: int = 1) -> None:
        import onnx
        import onnxruntime as ort

        graph = onnx.load(str(model))
        names = {o.name for o in graph.graph.output}
        for tap in ("/encoder/Clip_output_0", "/encoder/F0_proj/Conv_output_0"):
            if tap not in names:
                graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(tap))
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self._session: Any = ort.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._voices = voices

    def speak(self, phonemes: str, voice: str, speed: float = 1.0) -> tuple[npt.NDArray[Any], ...]:
        """(pcm float32 [T] 24 kHz, frames int [len(phonemes) + 2], f0 float32 [2 * sum(frames)])."""
        ids = [_SYMBOLS[c] for c in phonemes]
        style = np.fromfile(self._voices / f"{voice}.bin", dtype=np.float32).reshape(-1, 1, 256)[len(ids)]
        feed = {"tokens": np.array([[0, *ids, 0]]), "style": style, "speed": np.array([speed], dtype=np.float32)}
        pcm, frames, f0 = self._session.run(None, feed)
        return pcm.reshape(-1), frames.reshape(-1).astype(np.int64), f0.reshape(-1)


def align(phones: Phonetic, frames: npt.NDArray[np.int64]) -> tuple[list[int], list[int]]:
    """Units (ids, `sil` at both ends) and their lengths, from the teacher's frames per phoneme with its pad tokens at both ends.

    A space of `MIN_PAUSE_FRAMES` or more becomes a pause, a shorter one and a shorter mark belong to the unit before.
    """
    owner = np.full(len(phones.teacher), -1)
    for k, (start, end) in enumerate(phones.spans):
        owner[start:end] = k
    pieces = [(SIL, int(frames[0]))]
    for char, own in enumerate(owner):
        length = int(frames[char + 1])
        name = phones.units[own] if own >= 0 else SIL
        if name == SIL and length < MIN_PAUSE_FRAMES:
            name = pieces[-1][0]
        pieces.append((name, length))
    pieces.append((SIL, int(frames[-1])))
    ids, lengths = [], []
    for name, length in pieces:
        if ids and ids[-1] == UNIT_ID[name]:
            lengths[-1] += length
        elif length:
            ids.append(UNIT_ID[name])
            lengths.append(length)
    return ids, lengths


def synthesize(manifest: Path, out: Path, teacher: Teacher, *, worker: int = 0, of: int = 1) -> None:
    """Speak every line of `manifest` into `out`, in order, skipping what exists."""
    from tqdm import tqdm

    out.mkdir(parents=True, exist_ok=True)
    lines = list(read_manifest(manifest))
    for index in tqdm(range(worker, len(lines), of), mininterval=10):
        target = out / f"{index:06d}.npz"
        if target.exists():
            continue
        line = lines[index]
        phones = phonetic(line.text)
        if not 2 <= len(phones.teacher) <= 400:
            continue
        pcm, frames, f0 = teacher.speak(phones.teacher, line.voice, line.speed)
        ids, lengths = align(phones, frames)
        pcm16 = (np.clip(pcm, -1, 1) * 32767).astype(np.int16)[: SAMPLES_PER_FRAME * sum(lengths)]
        part = target.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(
                file,
                pcm=pcm16,
                units=np.array(ids, np.int16),
                frames=np.array(lengths, np.int16),
                f0=f0.astype(np.float16),
                text="\t".join((line.split, line.voice, f"{line.speed:.2f}", line.text)),
            )
        part.rename(target)


def read_manifest(path: Path) -> Iterator[Utterance]:
    """Lines of a manifest."""
    for row in path.read_text(encoding="utf-8").splitlines():
        split, voice, speed, text = row.split("\t")
        yield Utterance(split, voice, float(speed), text)


# --- a plan of what to say


def held_out(text: str) -> bool:
    """Whether a sentence is kept for tests (about 8%), by its hash, so that every stage agrees; also what nobody may repeat."""
    return hashlib.md5(text.strip().encode()).digest()[0] < 10 or never_repeated(f"repeat:{text.strip()}")


def plan(pairs: list[tuple[str, str]], voices: list[str], *, lines: int, seed: int = 7) -> list[Utterance]:
    """`lines` training utterances, `OWN_SHARE` in the two output voices, then every held-out voice on held-out sentences in front.

    pairs: (Mandarin, English) sentences. Any prefix is a fair sample.
    """
    rng = random.Random(seed)
    english = [e for _, e in pairs if not held_out(e) and len(e) < 90]
    mandarin = [z for z, _ in pairs if not held_out(z) and len(z) < 30]
    others = {
        "en": [v for v in voices if v[:2] in {"af", "am", "bf", "bm"} and v not in HELD_OUT_VOICES],
        "zh": [v for v in voices if v[:2] in {"zf", "zm"} and v not in HELD_OUT_VOICES],
    }
    chosen = []
    for i in range(lines):
        language = "en" if i % 2 else "zh"
        own = ENGLISH_VOICE if language == "en" else MANDARIN_VOICE
        voice = own if rng.random() < OWN_SHARE else rng.choice(others[language])
        speed = 1.0 if voice == own else round(rng.uniform(0.9, 1.15), 2)
        if rng.random() < 0.4:
            text = rng.choice(_SMALL_WORLD[language])(rng)
        else:
            text = rng.choice(english if language == "en" else mandarin)
        chosen.append(Utterance("train", voice, speed, text))
    return _test_plan(pairs, rng) + chosen


def _test_plan(pairs: list[tuple[str, str]], rng: random.Random, each: int = 12) -> list[Utterance]:
    english = [e for _, e in pairs if held_out(e) and len(e) < 90]
    mandarin = [z for z, _ in pairs if held_out(z) and len(z) < 30]
    test = []
    for voice in sorted(HELD_OUT_VOICES):
        for text in rng.sample(mandarin if voice.startswith("z") else english, each):
            test.append(Utterance("test", voice, 1.0, text))
    rng.shuffle(test)
    return test


def _n(rng: random.Random) -> int:
    return rng.choice((rng.randint(0, 20), rng.randint(0, 99), rng.randint(0, 999)))


_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")  # fmt: skip
_PLACES = (
    ("France", "Paris", "法国", "巴黎"), ("China", "Beijing", "中国", "北京"), ("Japan", "Tokyo", "日本", "东京"),
    ("Germany", "Berlin", "德国", "柏林"), ("Italy", "Rome", "意大利", "罗马"), ("Spain", "Madrid", "西班牙", "马德里"),
    ("England", "London", "英国", "伦敦"), ("Russia", "Moscow", "俄罗斯", "莫斯科"), ("Egypt", "Cairo", "埃及", "开罗"),
    ("India", "New Delhi", "印度", "新德里"), ("Canada", "Ottawa", "加拿大", "渥太华"), ("Brazil", "Brasilia", "巴西", "巴西利亚"),
    ("Australia", "Canberra", "澳大利亚", "堪培拉"), ("Thailand", "Bangkok", "泰国", "曼谷"), ("Vietnam", "Hanoi", "越南", "河内"),
    ("Greece", "Athens", "希腊", "雅典"), ("Korea", "Seoul", "韩国", "首尔"), ("Mexico", "Mexico City", "墨西哥", "墨西哥城"),
)  # fmt: skip
_THINGS = ["apple", "banana", "cat", "dog", "bird", "fish", "table", "chair", "window", "river", "mountain", "flower", "tree", "book", "pencil", "computer", "phone", "train", "bicycle", "coffee", "water", "rice", "bread", "school", "teacher", "doctor", "friend", "mother", "father", "sister", "brother", "music", "garden", "weather", "summer", "winter", "village", "market", "kitchen"]  # fmt: skip
_COLOURS = ["red", "blue", "green", "yellow", "white", "black", "orange", "purple", "pink", "brown", "grey"]
_OPPOSITES = ["big", "small", "hot", "cold", "fast", "slow", "tall", "short", "happy", "sad", "old", "young", "new", "good", "bad", "early", "late", "open", "closed", "light", "dark", "heavy", "easy", "difficult", "clean", "dirty"]  # fmt: skip
_ZH_THINGS = ["苹果", "香蕉", "猫", "狗", "鸟", "鱼", "桌子", "椅子", "窗户", "河", "山", "花", "树", "书", "铅笔", "电脑", "手机", "火车", "自行车", "咖啡", "水", "米饭", "面包", "学校", "老师", "医生", "朋友", "妈妈", "爸爸", "姐姐", "弟弟", "音乐", "花园", "天气", "夏天", "冬天", "村子", "市场", "厨房"]  # fmt: skip
_ZH_COLOURS = ["红色", "蓝色", "绿色", "黄色", "白色", "黑色", "橙色", "紫色", "粉色", "棕色", "灰色"]
_ZH_OPPOSITES = [
    "大",
    "小",
    "热",
    "冷",
    "快",
    "慢",
    "高",
    "矮",
    "高兴",
    "难过",
    "老",
    "年轻",
    "新",
    "好",
    "坏",
    "早",
    "晚",
    "开",
    "关",
    "亮",
    "暗",
    "重",
    "轻",
    "容易",
    "困难",
    "干净",
    "脏",
]
_SAY = (
    "Hello!", "Hi there.", "Good morning.", "Good evening.", "How are you today?", "I'm fine, thank you.", "Nice to meet you.",
    "What is your name?", "Who are you?", "What can you do?", "Thank you very much.", "You are welcome.", "Goodbye, see you tomorrow.",
    "I am a small speech model.", "I can speak English and Chinese.", "I'm sorry, I don't know that yet.", "Can you help me?",
    "Please say that again.", "Good night.", "See you later.", "How old are you?", "Where are you from?", "Tell me a joke.",
    "I understand.", "Yes, of course.", "No, not really.", "What time is it?", "What day is it today?", "Let's count to ten.",
)  # fmt: skip
_ZH_SAY = (
    "你好！", "您好。", "早上好。", "晚上好。", "你今天怎么样？", "我很好，谢谢你。", "很高兴认识你。", "你叫什么名字？", "你是谁？", "你会做什么？",
    "非常感谢。", "不客气。", "再见，明天见。", "我是一个小小的语音模型。", "我会说英语和中文。", "对不起，这个我还不知道。", "你能帮我吗？", "请再说一遍。",
    "晚安。", "回头见。", "你多大了？", "你是哪里人？", "给我讲个笑话。", "我明白了。", "当然可以。", "现在几点了？", "今天星期几？", "我们从一数到十。",
)  # fmt: skip
_SMALL_WORLD: dict[str, list[Any]] = {
    "en": [
        lambda r: f"What is {_n(r)} {r.choice(['plus', 'minus', 'times', 'and'])} {_n(r)}?",
        lambda r: f"{_n(r)} {r.choice(['plus', 'minus', 'times'])} {_n(r)} {r.choice(['is', 'equals'])} {_n(r)}.",
        lambda r: (
            f"{r.choice(['What day comes after', 'The day before'])} {r.choice(_DAYS)}{r.choice(['.', '?', ' is ' + r.choice(_DAYS) + '.'])}"
        ),
        lambda r: (
            f"{r.choice(['The month after', 'Before'])} {r.choice(_MONTHS)} {r.choice(['is', 'comes'])} {r.choice(_MONTHS)}."
        ),
        lambda r: f"What is the capital of {r.choice(_PLACES)[0]}?",
        lambda r: (lambda p: f"The capital of {p[0]} is {p[1]}.")(r.choice(_PLACES)),
        lambda r: f"It is {r.randint(1, 12)}:{r.choice([0, 5, 10, 15, 20, 30, 45, 50]):02d} now.",
        lambda r: (
            f"{r.choice(['Repeat after me,', 'Say', 'Please say'])} the {r.choice(_COLOURS)} {r.choice(_THINGS)}."
        ),
        lambda r: (
            f"{r.choice(['The opposite of', 'What is the opposite of'])} {r.choice(_OPPOSITES)} {r.choice(['is ' + r.choice(_OPPOSITES), ''])}".strip()
            + "."
        ),
        lambda r: f"How do you say {r.choice(_THINGS)} in Chinese?",
        lambda r: f"{r.choice(_THINGS)}, {r.choice(_THINGS)}, {r.choice(_COLOURS)}, {r.choice(_OPPOSITES)}, {_n(r)}.",
        lambda r: f"You said {r.choice(_THINGS)} and {r.choice(_THINGS)}.",
        lambda r: r.choice(_SAY),
        lambda r: f"{r.choice(_SAY)} {r.choice(_SAY)}",
    ],
    "zh": [
        lambda r: f"{_n(r)}{r.choice(['加', '减', '乘以'])}{_n(r)}{r.choice(['等于多少', '是多少', '等于几'])}？",
        lambda r: f"{_n(r)}{r.choice(['加', '减', '乘以'])}{_n(r)}等于{_n(r)}。",
        lambda r: (
            f"星期{r.choice('一二三四五六日')}{r.choice(['后面', '前面', '的后一天'])}是星期{r.choice('一二三四五六几天')}。"
        ),
        lambda r: f"{r.randint(1, 12)}月{r.choice(['后面', '前面'])}是{r.randint(1, 12)}月{r.choice(['。', '吗？'])}",
        lambda r: f"{r.choice(_PLACES)[2]}的首都是{r.choice(['哪里', '什么', '什么地方'])}？",
        lambda r: (lambda p: f"{p[2]}的首都是{p[3]}。")(r.choice(_PLACES)),
        lambda r: (
            f"现在{r.choice(['上午', '下午', '晚上', ''])}{r.randint(1, 12)}点{r.choice(['', '半', '一刻', str(r.randint(10, 59)) + '分'])}。"
        ),
        lambda r: f"{r.choice(['请跟我说', '跟我读', '请说'])}，{r.choice(_ZH_COLOURS)}的{r.choice(_ZH_THINGS)}。",
        lambda r: f"{r.choice(_ZH_OPPOSITES)}的反义词是{r.choice([*_ZH_OPPOSITES, '什么'])}。",
        lambda r: f"{r.choice(_ZH_THINGS)}用英语怎么说？",
        lambda r: (
            f"{r.choice(_ZH_THINGS)}，{r.choice(_ZH_THINGS)}，{r.choice(_ZH_COLOURS)}，{r.choice(_ZH_OPPOSITES)}，{_n(r)}。"
        ),
        lambda r: f"你说的是{r.choice(_ZH_THINGS)}和{r.choice(_ZH_THINGS)}。",
        lambda r: r.choice(_ZH_SAY),
        lambda r: f"{r.choice(_ZH_SAY)}{r.choice(_ZH_SAY)}",
    ],
}


def main() -> None:
    """Command line, see the module's head."""
    parser = argparse.ArgumentParser(description="teacher speech with durations")
    parser.add_argument("--kokoro", type=Path, required=True)
    parser.add_argument("--voices", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True, help="manifest; made from --pairs if it does not exist")
    parser.add_argument("--pairs", type=Path, help="hsk-sentences-audio's sentences.json")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lines", type=int, default=6000)
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--of", type=int, default=1)
    args = parser.parse_args()
    if not args.text.exists():
        pairs = [(s["chinese"], s["translation"]["en"]) for s in json.loads(args.pairs.read_text(encoding="utf-8"))]
        lines = plan(pairs, sorted(p.stem for p in args.voices.glob("*.bin")), lines=args.lines)
        rows = "\n".join(f"{u.split}\t{u.voice}\t{u.speed}\t{u.text}" for u in lines)
        args.text.write_text(rows + "\n", encoding="utf-8")
    synthesize(args.text, args.out, Teacher(args.kokoro, args.voices), worker=args.worker, of=args.of)


if __name__ == "__main__":
    main()
