"""A text model of the kind that is extended: byte-level BPE with Llama 3's chat tokens, a tiny Llama with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model.bundle import find_bundle
from model.profile import Profile

TEXTS = (
    "Please directly answer the questions in the user's speech. This is input: user assistant",
    "直接回答用户语音中的问题。 这是输入: ",
)


@pytest.fixture(scope="session")
def large_profile() -> Profile:
    """The shape of the 8B's prompts: two BOS, turns before, many units; eight of them here."""
    mini = find_bundle("cslm-mini").profile
    prompt = mini.prompt.model_copy(update={"bos_count": 2})
    stops = ("<|end_of_text|>", "<|eot_id|>")
    changed = {"prompt": prompt, "n_units": 8, "stop_tokens": stops, "tasks": {}, "pause_unit": None}
    return mini.model_copy(update=changed | {"full_chain_suffix": "", "name": "small-8b"})


@pytest.fixture(scope="session")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face directory without any unit or marker."""
    pytest.importorskip("torch")
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    )
    chat = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in chat])
    fast: Any = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=chat[0], eos_token=chat[4])
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        bos_token_id=fast.bos_token_id,
        eos_token_id=fast.eos_token_id,
    )
    directory = tmp_path_factory.mktemp("text-model")
    LlamaForCausalLM(config).save_pretrained(directory)
    fast.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def extended(text_model: Path, large_profile: Profile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The text model with the units and markers of `large_profile` in its vocabulary."""
    from model.training.extend import extend

    directory = tmp_path_factory.mktemp("extended")
    added, _ = extend(str(text_model), large_profile, directory)
    assert added == 8 + 4
    return directory
