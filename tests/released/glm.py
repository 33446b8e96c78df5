"""GLM-4-Voice in small: its three repositories as they are believed to be released, and the bundle that `cslm pull` makes of them.

`glm-4-voice-9b` is a ChatGLM of 168,960 rows with the names of its tensors, tiktoken's ranks as tokenizer, special tokens at the ids
they have there: 151329 `<|endoftext|>` to 151346, reserved ones up to 152352, and `<|audio_0|>` to `<|audio_16383|>` from 152353 on.
The base vocabulary is the 256 bytes, a few words and fillers; the ids of words are ours. The weights are random but for a chain that is
planted into them, as in `tests.released.language_model`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import save_file

from model.pull import PullOptions, pull
from model.vocoders.flow_hift.config import save_config
from tests.released.decoder import small_config, write_decoder
from tests.released.whisper_vq import random_encoder, write_tokenizer

BASE, FIRST_UNIT, UNITS, ROWS = 151_329, 152_353, 16_384, 168_960
NAMED = [
    "<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>",
    "<|observation|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>",
    "<|begin_of_audio|>", "<|end_of_audio|>", "<|begin_of_transcription|>", "<|end_of_transcription|>",
]  # fmt: skip
END, GMASK, SOP, SYSTEM, USER, ASSISTANT, OBSERVATION, AUDIO, AUDIO_END = (
    BASE + NAMED.index(name)
    for name in (
        "<|endoftext|>", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>",
        "<|begin_of_audio|>", "<|end_of_audio|>",
    )
)  # fmt: skip
WORDS = [
    "User", " will", " provide", " you", " with", " a", " speech", " text", " instruction", " Do", " it", " step", " by",
    " First", " think", " about", " the", " and", " respond", " in", " interleaved", " manner", " token", " tokens",
    " followed", " audio", "13", "26", "streaming", "_transcription", "Two", " plus", " one", " is", " three", " not",
    " more", " less", "你好", "，", "世界", "。",
]  # fmt: skip
TEXT = "Two plus one is three, not more and"
SPOKEN = [(37 * place + 5) % UNITS for place in range(60)]


def ranks() -> dict[bytes, int]:
    """tiktoken's ranks: bytes, the words and all that they are merged from, fillers."""
    found = {bytes([byte]): byte for byte in range(256)}
    for word in WORDS:
        data = word.encode()
        for end in range(2, len(data) + 1):
            found.setdefault(data[:end], len(found))
    return found | {f"\N{TAMIL LETTER A}{place}".encode(): place for place in range(len(found), BASE)}


def write_text_tokenizer(directory: Path, *, without: str | None = None) -> None:
    """`tokenizer.model` and `tokenizer_config.json`. `without`: a token to leave out."""
    directory.mkdir(parents=True, exist_ok=True)
    lines = (f"{base64.b64encode(token).decode()} {rank}" for token, rank in ranks().items())
    (directory / "tokenizer.model").write_text("\n".join(lines) + "\n", encoding="ascii")
    reserved = [f"<|reserved_{place}|>" for place in range(BASE + len(NAMED), FIRST_UNIT)]
    names = [*NAMED, *reserved, *(f"<|audio_{unit}|>" for unit in range(UNITS))]
    config = {
        "tokenizer_class": "ChatGLM4Tokenizer",
        "auto_map": {"AutoTokenizer": ["tokenization_chatglm.ChatGLM4Tokenizer", None]},
        "added_tokens_decoder": {
            str(BASE + place): {"content": name, "special": True} for place, name in enumerate(names) if name != without
        },
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def text_ids() -> list[int]:
    """Ids of `TEXT`, each once: the chain goes through every token once."""
    found, pieces = ranks(), ["Two", " plus", " one", " is", " three", ",", " not", " more", " and"]
    return [found[piece.encode()] for piece in pieces]


def write_language_model(directory: Path, chain: Sequence[int]) -> None:
    """All of `glm-4-voice-9b`. `chain`: ids, none twice but the last, each of which the model writes behind the one before."""
    assert len(set(chain[:-1])) == len(chain) - 1
    write_text_tokenizer(directory)
    width, heads, groups, layers, inner = 128, 2, 1, 2, 256
    torch.manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape) * 0.02

    embedding, head = torch.randn(ROWS, width), random(ROWS, width)
    for token, following in pairwise(chain):
        head[following] += 3 * embedding[token] / embedding[token].norm()
    state = {
        "embedding.word_embeddings.weight": embedding,
        "rotary_pos_emb.inv_freq": 1 / 10_000 ** (torch.arange(0, 32, 2) / 32),
        "encoder.final_layernorm.weight": torch.ones(width),
        "output_layer.weight": head,
    }
    for layer in range(layers):
        of = f"encoder.layers.{layer}."
        state |= {
            f"{of}input_layernorm.weight": torch.ones(width),
            f"{of}post_attention_layernorm.weight": torch.ones(width),
            f"{of}self_attention.query_key_value.weight": random(width + 2 * groups * width // heads, width),
            f"{of}self_attention.query_key_value.bias": random(width + 2 * groups * width // heads),
            f"{of}self_attention.dense.weight": random(width, width),
            f"{of}mlp.dense_h_to_4h.weight": random(2 * inner, width),
            f"{of}mlp.dense_4h_to_h.weight": random(width, inner),
        }
    named = {f"transformer.{name}": value.to(torch.bfloat16).contiguous() for name, value in state.items()}
    shards = {
        f"model-{number}-of-00002.safetensors": {
            name: value for name, value in named.items() if ("output_layer" in name) == (number == "00002")
        }
        for number in ("00001", "00002")
    }
    for name, part in shards.items():
        save_file(part, directory / name, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {each: name for name, part in shards.items() for each in part}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    config = {
        "architectures": ["ChatGLMForConditionalGeneration"], "model_type": "chatglm",
        "auto_map": {"AutoConfig": "configuration_chatglm.ChatGLMConfig",
                     "AutoModel": "modeling_chatglm.ChatGLMForConditionalGeneration"},
        "add_bias_linear": False, "add_qkv_bias": True, "apply_query_key_layer_scaling": True,
        "apply_residual_connection_post_layernorm": False, "attention_softmax_in_fp32": True, "eos_token_id": [END, USER, OBSERVATION],
        "ffn_hidden_size": inner, "fp32_residual_connection": False, "hidden_dropout": 0.0, "hidden_size": width,
        "kv_channels": width // heads, "layernorm_epsilon": 3.90625e-08, "multi_query_attention": True,
        "multi_query_group_num": groups, "num_attention_heads": heads, "num_hidden_layers": layers, "num_layers": layers,
        "original_rope": True, "pad_token_id": END, "padded_vocab_size": ROWS, "post_layer_norm": True, "rmsnorm": True,
        "rope_ratio": 1, "tie_word_embeddings": False, "torch_dtype": "bfloat16", "use_cache": True, "vocab_size": ROWS,
    }  # fmt: skip
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")


def chain() -> list[int]:
    """What the model answers behind `<|assistant|>streaming_transcription\\n`: text and units in turn, then units alone."""
    text, units = text_ids(), [FIRST_UNIT + unit for unit in SPOKEN]
    return [ranks()[b"\n"], *text[:5], *units[:26], *text[5:], *units[26:], USER]


def write_repositories(directory: Path) -> None:
    """`glm-4-voice-9b`, `glm-4-voice-tokenizer` and `glm-4-voice-decoder`, each a folder."""
    write_language_model(directory / "glm-4-voice-9b", chain())
    write_tokenizer(directory / "glm-4-voice-tokenizer", random_encoder())
    write_decoder(directory / "glm-4-voice-decoder")
    (directory / "glm-4-voice-decoder" / "config.json").unlink()


def pulled(root: Path) -> Path:
    """A complete bundle, pulled from repositories that are written for it. The sizes of its vocoder are told."""
    write_repositories(root / "files")
    target = pull("glm-4-voice", root / "glm-4-voice", PullOptions(origin=root / "files"), print)
    save_config(small_config(), target / "vocoder")
    return target
