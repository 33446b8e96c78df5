"""`glm-4-voice-tokenizer` in small: its `config.json`, and `model.safetensors` with the tensors that the released one has."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from model.encoders.whisper_vq import CONFIG, WEIGHTS, VqConfig, WhisperVq

SMALL = VqConfig(width=64, heads=4, feed=128, layers=3)


def random_encoder(config: VqConfig = SMALL, seed: int = 0) -> WhisperVq:
    """Random weights whose codes vary from unit to unit: the code vectors lie where the hidden states of noise do."""
    torch.manual_seed(seed)
    encoder = WhisperVq(config).eval()
    heard = list[torch.Tensor]()
    nearest = encoder._nearest
    encoder._nearest = lambda hidden: heard.append(hidden) or nearest(hidden)  # type: ignore[method-assign]
    encoder.encode(np.random.default_rng(seed).uniform(-0.5, 0.5, 320_000).astype(np.float32))
    del encoder._nearest
    with torch.no_grad():
        hidden = torch.cat(heard)
        near = hidden[torch.randint(len(hidden), (config.n_units,))]
        encoder.codebook.weight.copy_(near + hidden.std() * 0.1 * torch.randn_like(near))
    return encoder


def write_tokenizer(directory: Path, encoder: WhisperVq, *, before: str = "") -> None:
    """The files, with what the released ones have besides. `before`: stands before the names, as in a whole Whisper."""
    directory.mkdir(parents=True, exist_ok=True)
    config, codes = encoder.config, encoder.codebook.weight.detach()
    state = {name: value.detach().clone() for name, value in encoder.state_dict().items()}
    state["embed_positions2.weight"] = torch.zeros(-(-config.positions // config.pooled), config.width)
    state |= {"ema_count": torch.ones(config.n_units), "ema_weight": codes.clone()}
    save_file({before + name: value.contiguous() for name, value in state.items()}, directory / WEIGHTS)
    written = {
        "model_type": "whisper", "architectures": ["WhisperVQEncoder"], "activation_function": "gelu",
        "d_model": config.width, "encoder_attention_heads": config.heads, "encoder_ffn_dim": config.feed, "encoder_layers": 32,
        "encoder_causal_attention": False, "encoder_causal_convolution": True, "max_source_positions": config.positions,
        "num_mel_bins": config.n_mels, "pooling_kernel_size": config.pooled, "pooling_position": config.layers,
        "pooling_type": "avg", "quantize_causal_block_size": config.block, "quantize_causal_encoder": False,
        "quantize_encoder_only": True, "quantize_position": config.layers, "quantize_vocab_size": config.n_units,
    }  # fmt: skip
    (directory / CONFIG).write_text(json.dumps(written), encoding="utf-8")
