"""The text model that a bundle continues: a Hugging Face directory, a GGUF file, or a pinned revision on the hub."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from streaming.errors import BundleError

EMBEDDING, OUTPUT = "model.embed_tokens.weight", "lm_head.weight"
_SAME = 0.15


@dataclass(frozen=True, slots=True)
class Base:
    """`config`: as in config.json; `tokenizer`: tokenizer.json, parsed; `tensors`: bfloat16 by name, embedding and output tied."""

    config: dict[str, Any]
    tokenizer: dict[str, Any]
    tensors: dict[str, Tensor]


def load_base(where: str, revision: str | None = None) -> Base:
    """`where`: a GGUF file, a directory, or a name on the hub, which then needs `revision`.

    Raises BundleError (`wrong_base`): a name without a revision, a file that is neither, embedding and output that differ.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path, chosen = Path(where), dict[str, Any]()
    if path.is_file():
        where, chosen = str(path.parent), {"gguf_file": path.name}
        if path.read_bytes()[:4] != b"GGUF":
            raise BundleError(
                f"{path} is no GGUF file; accepted: a GGUF file, or a Hugging Face directory", code="wrong_base"
            )
    elif not path.is_dir():
        if revision is None:
            raise BundleError(
                f"{where} is no file or directory here; a name on the hub needs the revision that is meant",
                code="wrong_base",
            )
        chosen = {"revision": revision}
    model = AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32, **chosen)
    tokenizer = AutoTokenizer.from_pretrained(where, **chosen)
    config = model.config.to_dict() | {"tie_word_embeddings": True, "architectures": [type(model).__name__]}
    for name in ("quantization_config", "_name_or_path", "transformers_version"):
        config.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        description = json.loads((Path(folder) / "tokenizer.json").read_text(encoding="utf-8"))
    return Base(config, description, _tied(model.state_dict(), where))


def _tied(tensors: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """One table for embedding and output. A GGUF file has it twice, the output in finer quantisation."""
    output, embedding = tensors.pop(OUTPUT, None), tensors[EMBEDDING]
    if output is not None and output.data_ptr() != embedding.data_ptr():
        if output.shape != embedding.shape or (output - embedding).abs().mean() > _SAME * embedding.abs().mean():
            raise BundleError(
                f"{where}: embedding and output are not tied; such a base cannot be continued here", code="wrong_base"
            )
        tensors[EMBEDDING] = output
    return {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in tensors.items()}
