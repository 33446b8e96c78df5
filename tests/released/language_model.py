"""`ICTNLP/CSLM-SFT` in small: a Llama checkpoint of 132,356 tokens, in shards, with the tokenizer's files.

The tokenizer is Llama 3's kind (byte-level BPE, the same pre-tokenizer, `ignore_merges`), extended as cslm-8b's is believed to be.
Its 128,000 base tokens are the 256 bytes, the words of the prompts *at the ids they have in Llama 3*, and fillers.

The weights are random but for a chain that is planted into them: behind each token of the chain the next is almost certain. So a
turn has a known answer, while every layer, shard and sampling step is real.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

BASE, SPECIALS, UNITS = 128_000, 256, 4096
FIRST_UNIT = BASE + SPECIALS
SOSP, EOSP, QUESTION, ANSWER = (FIRST_UNIT + UNITS + place for place in range(4))
BOS, END, EOM, EOT, HEADER, HEADER_END = 128_000, 128_001, 128_008, 128_009, 128_006, 128_007

WORDS = {
    " ": 220, "\n\n": 271, "user": 882, "assistant": 78191, "system": 9125, "Please": 5618, " directly": 6089,
    " answer": 4320, " the": 279, " questions": 4860, " in": 304, " user": 1217, "'s": 596, " speech": 8982, " English": 6498,
    " This": 1115, " is": 374, " input": 1988, " What": 3639, " two": 1403, " plus": 5636, " one": 832, " How": 2650,
    " do": 656, " I": 358, " wrap": 15411, " a": 264, " present": 3118, " neatly": 63266, " To": 2057, " start": 1212,
    " by": 555, " wrapping": 42295,
}  # fmt: skip
CHINESE = {
    "。": 1811, "用": 11883, "用户": 20600, "是": 21043, "输入": 32296, "语": 73981, "音": 79785, "问题": 87219,
    "中的": 105363, "中文": 108891, "直接": 109467, "回答": 113925, " 这": 122255,
}  # fmt: skip
_SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CHAT_TEMPLATE = (  # of the first Llama 3 release: the assistant's header follows, asked for or not
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + "
    "'<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
)


def _byte_characters() -> list[str]:
    """The visible character that byte-level BPE writes for each byte, in the order of GPT-2's table; [byte]."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    table = {byte: chr(byte) for byte in visible} | {byte: chr(256 + place) for place, byte in enumerate(hidden)}
    return [table[byte] for byte in range(256)]


def _spelled(text: str) -> str:
    characters = _byte_characters()
    return "".join(characters[byte] for byte in text.encode())


def special_tokens() -> list[str]:
    """The 256 special tokens of Llama 3.1, in order of their ids."""
    named = {
        0: "<|begin_of_text|>", 1: "<|end_of_text|>", 4: "<|finetune_right_pad_id|>", 6: "<|start_header_id|>",
        7: "<|end_header_id|>", 8: "<|eom_id|>", 9: "<|eot_id|>", 10: "<|python_tag|>",
    }  # fmt: skip
    reserved = iter(range(SPECIALS))
    return [named.get(place) or f"<|reserved_special_token_{next(reserved)}|>" for place in range(SPECIALS)]


def _vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    characters = _byte_characters()
    visible = [character for byte, character in enumerate(characters) if ord(character) == byte]
    taken = {name: place for place, name in enumerate([*visible, *(c for c in characters if c not in visible)])}
    taken |= {_spelled(word): place for word, place in (WORDS | CHINESE).items() if len(_spelled(word)) > 1}
    merges, pieces = list[tuple[str, str]](), list[str]()
    for word in CHINESE:
        letters = [_spelled(letter) for letter in word]
        for letter in letters:
            for end in range(1, len(letter)):
                merges.append((letter[:end], letter[end]))
                pieces.append(letter[: end + 1])
        for end in range(1, len(letters)):
            merges.append(("".join(letters[:end]), letters[end]))
            pieces.append("".join(letters[: end + 1]))
    spare = (place for place in range(BASE - 1, 0, -1) if place not in set(taken.values()))
    for piece in pieces:
        if piece not in taken:
            taken[piece] = next(spare)
    used = set(taken.values())
    fillers = {f"\N{TAMIL LETTER A}{place}": place for place in range(BASE) if place not in used}
    ordered = sorted(set(merges), key=lambda pair: (len(pair[0]) + len(pair[1]), merges.index(pair)))
    return taken | fillers, ordered


def write_tokenizer(directory: Path, *, without: str | None = None, chat_template: str = CHAT_TEMPLATE) -> None:
    """`tokenizer.json` and `tokenizer_config.json`. `without`: a token to leave out."""
    vocabulary, merges = _vocabulary()
    description = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": _SPLIT}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        ]},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<|begin_of_text|>": {"id": "<|begin_of_text|>", "ids": [BOS], "tokens": ["<|begin_of_text|>"]}}},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
                  "vocab": vocabulary, "merges": [list(pair) for pair in merges]},
    }  # fmt: skip
    tokenizer = Tokenizer.from_str(json.dumps(description))
    tokenizer.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in special_tokens()])
    names = [*(f"<{unit}>" for unit in range(UNITS)), "<sosp>", "<eosp>", "[question]", "[answer]"]
    tokenizer.add_tokens([AddedToken(name, normalized=True) for name in names if name != without])
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|eot_id|>",
        "model_max_length": 4096,
        "clean_up_tokenization_spaces": True,
        "model_input_names": ["input_ids", "attention_mask"],
        "chat_template": chat_template,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def write_language_model(directory: Path, chain: Sequence[int], *, shard: str = "40MB", **changes: Any) -> None:
    """All of `lm/`. `chain`: ids, none twice but the last, each of which the model writes behind the one before."""
    assert len(set(chain[:-1])) == len(chain) - 1
    directory.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "vocab_size": ANSWER + 1, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 64, "max_position_embeddings": 131_072,
        "rms_norm_eps": 1e-5, "bos_token_id": BOS, "eos_token_id": [END, EOM, EOT], "tie_word_embeddings": False,
        "rope_parameters": {"rope_type": "llama3", "rope_theta": 500_000.0, "factor": 8.0, "low_freq_factor": 1.0,
                            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192},
    }  # fmt: skip
    model = LlamaForCausalLM(LlamaConfig(**(sizes | changes)))
    with torch.no_grad():
        embedding = model.get_input_embeddings().weight.normal_()
        head = model.get_output_embeddings().weight
        for token, following in pairwise(chain):
            head[following] += 3 * embedding[token] / embedding[token].norm()
    model.to(torch.bfloat16).save_pretrained(directory, max_shard_size=shard)
    released = {
        "bos_token_id": BOS, "eos_token_id": [END, EOM, EOT], "do_sample": True, "temperature": 0.6, "top_p": 0.9,
    }  # fmt: skip
    (directory / "generation_config.json").write_text(json.dumps(released), encoding="utf-8")
    write_tokenizer(directory)
