"""A text model to continue: byte-level BPE with ChatML's tokens, a tiny Qwen2 with random weights, and a profile of its prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from model.bundle import BUNDLES

if TYPE_CHECKING:
    from model.training.backbone.documents import Composer

TEXTS = (
    "What is the weather like today? I like tea, and the weather is fine. user assistant system",
    "今天天气怎么样？我喜欢喝茶。",
)
PROFILE = BUNDLES / "cslm-small"


@pytest.fixture(scope="session")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face directory without any unit or marker; its last BPE tokens are what may be dropped."""
    pytest.importorskip("torch")
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    )
    chat = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|unused|>")
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in chat])
    fast: Any = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(fast) + 8, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        max_position_embeddings=512, tie_word_embeddings=True, bos_token_id=fast.pad_token_id, eos_token_id=fast.eos_token_id,
    )  # fmt: skip
    directory = tmp_path_factory.mktemp("text-model")
    Qwen2ForCausalLM(config).save_pretrained(directory)
    fast.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def profile_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The profile of cslm-small."""
    directory = tmp_path_factory.mktemp("profile")
    (directory / "profile.json").write_text((PROFILE / "profile.json").read_text(encoding="utf-8"), encoding="utf-8")
    return directory


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences in both languages, of which some are held out, and exchanges with all that one may have."""
    directory = tmp_path_factory.mktemp("texts")
    things = (
        "tea",
        "rice",
        "fish",
        "music",
        "rain",
        "the sea",
        "my dog",
        "the sun",
        "winter",
        "good books",
        "red shoes",
        "old trains",
    )
    lines = [f"I {verb} {thing}." for verb in ("like", "want", "know", "see") for thing in things]
    lines += [
        f"我{verb}{thing}。"
        for verb in ("喜欢", "想要", "知道", "看见")
        for thing in ("茶", "米饭", "鱼", "音乐", "雨", "大海", "小狗", "太阳", "冬天", "好书")
    ]
    (directory / "sentences.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows: list[dict[str, object]] = [
        {"question": "Do you like tea?", "answer": "Yes, I like tea, and I like rice."},
        {"question": "你喜欢茶吗？", "answer": "喜欢。", "before": [["你好。", "你好！"]]},
        {"question": "Is it raining?", "answer": "今天不下雨。", "reply_language": "zh"},
        {"question": "今天热吗？", "answer": "很热！", "instructions": "请用高兴的语气回答。"},
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (directory / "exchanges.jsonl").write_text(text, encoding="utf-8")
    return directory


@pytest.fixture(scope="module")
def begun(text_model: Path, profile_directory: Path, texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's beginning: pruned, extended, nothing learned."""
    from model.backbone.base import load_base
    from model.profile import load_profile
    from model.training.backbone.start import fresh, start

    out, base = tmp_path_factory.mktemp("begun"), load_base(str(text_model))
    start(base, profile_directory, fresh(base, load_profile(profile_directory), texts, {"base": "tiny"}), out)
    return out


@pytest.fixture(scope="module")
def composer(begun: Path, texts: Path) -> Composer:
    """Documents of those texts alone."""
    from model.profile import load_profile
    from model.training.backbone.documents import Composer
    from model.training.backbone.texts import load_texts
    from model.training.noise import UnitNoise

    return Composer(load_profile(begun), begun / "lm", load_texts(texts), UnitNoise(), composed=0.0)
