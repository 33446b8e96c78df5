"""What was learned on top of a base, in one small file, and the model that both make.

`difference.safetensors` holds `kept` (int32: ids of the base's tokens that stay), `rows` (bfloat16 [units + markers, hidden]) and
for each changed matrix `NAME.down` [rank, in] and `NAME.up` [out, rank]; its metadata name the base and its SHA-256. To be carried
about it can be smaller and in several files: halves as int8 with a scale for each row, `NAME.down_scale` [rank, 1].
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from model.backbone.base import EMBEDDING, Base
from model.backbone.vocabulary import padded_size, pruned
from streaming.errors import BundleError

FORMAT = "1"
_NAME_BYTES = 200
"""More than what a file says about a tensor."""


@dataclass(frozen=True, slots=True)
class Difference:
    """`kept`: ids of the base; `rows`: of the new tokens, units first; `changes`: (down, up) by name of the matrix."""

    kept: list[int]
    rows: Tensor
    changes: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict[str, tuple[Tensor, Tensor]])
    about: Mapping[str, str] = field(default_factory=dict[str, str])

    def save(self, path: Path) -> None:
        """In bfloat16."""
        tensors = {"kept": torch.tensor(self.kept, dtype=torch.int32), "rows": _half(self.rows)}
        for name, (down, up) in self.changes.items():
            tensors |= {f"{name}.down": _half(down), f"{name}.up": _half(up)}
        part = path.with_name(f"{path.name}.part")
        save_file(tensors, part, metadata={"format": FORMAT, **self.about})
        part.chmod(0o644)  # safetensors writes for the owner alone
        part.replace(path)

    def save_parts(self, directory: Path, most_bytes: int = 15_000_000) -> list[Path]:
        """In int8, in files of at most `most_bytes`, one tensor at least in each; returns them in order."""
        tensors = {"kept": torch.tensor(self.kept, dtype=torch.int32), "rows": _half(self.rows)}
        for name, pair in self.changes.items():
            for half, tensor in zip(("down", "up"), pair, strict=True):
                whole, scale = _whole_numbers(tensor.detach().cpu())
                tensors |= {f"{name}.{half}": whole, f"{name}.{half}_scale": scale}
        parts, size = [dict[str, Tensor]()], 0
        for name, tensor in tensors.items():
            size += tensor.nbytes + _NAME_BYTES
            if parts[-1] and size > most_bytes:
                parts.append({})
                size = tensor.nbytes + _NAME_BYTES
            parts[-1][name] = tensor
        directory.mkdir(parents=True, exist_ok=True)
        about = {"format": FORMAT, "parts": str(len(parts)), **self.about}
        paths = [directory / f"difference-{at:02d}.safetensors" for at in range(1, len(parts) + 1)]
        for path, part in zip(paths, parts, strict=True):
            save_file(part, path, metadata=about)
            path.chmod(0o644)
        return paths

    @classmethod
    def load(cls, path: Path) -> Difference:
        """From a file, or from a directory of its parts.

        Raises BundleError (`wrong_difference`) where it is none, or a part is missing.
        """
        paths = sorted(path.glob("difference-*.safetensors")) if path.is_dir() else [path]
        about, tensors = dict[str, str](), dict[str, Tensor]()
        try:
            for part in paths:
                with safe_open(part, framework="pt") as file:
                    about, found = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                tensors |= found
            if about.pop("format", None) != FORMAT or int(about.pop("parts", "1")) != len(paths):
                raise KeyError("format" if len(paths) < 2 else "a part of it")
            names = [name.removesuffix(".down") for name in tensors if name.endswith(".down")]
            changes = {name: (_read(tensors, f"{name}.down"), _read(tensors, f"{name}.up")) for name in names}
            return cls(tensors["kept"].tolist(), tensors["rows"], changes, about)
        except (OSError, SafetensorError, KeyError) as error:
            raise BundleError(
                f"{path} is no difference of format {FORMAT}: {error}", code="wrong_difference"
            ) from error

    def applied(self, base: Base, added: Sequence[str]) -> Base:
        """The base with its vocabulary cut and extended by `added`, and its matrices changed.

        Raises BundleError (`wrong_base`) naming the tensor that does not fit.
        """
        try:
            tokenizer = pruned(base.tokenizer, self.kept, added)
        except ValueError as error:
            raise BundleError(f"this difference is for another base: {error}", code="wrong_base") from None
        tensors = dict(base.tensors)
        embedding = tensors[EMBEDDING]
        if len(added) != len(self.rows) or embedding.shape[1] != self.rows.shape[1]:
            raise _misfit("rows", self.rows, embedding)
        for name, (down, up) in self.changes.items():
            weight = tensors.get(f"{name}.weight")
            if weight is None or weight.shape != (len(up), down.shape[1]):
                raise _misfit(name, up @ down, weight)
            tensors[f"{name}.weight"] = _half(weight.float() + up.float() @ down.float())
        size = len(self.kept) + len(added)
        table = torch.cat([embedding[self.kept], _half(self.rows)])
        padding = embedding.float().mean(0).expand(padded_size(size) - size, -1)
        tensors[EMBEDDING] = torch.cat([table, _half(padding)])
        return Base(_renumbered(base.config, self.kept, padded_size(size)), tokenizer, tensors)


def _read(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    scale = tensors.get(f"{name}_scale")
    return tensors[name] if scale is None else _half(tensors[name].float() * scale)


def _half(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.bfloat16).contiguous()


def _misfit(name: str, found: Tensor, wanted: Tensor | None) -> BundleError:
    shape = "nothing of that name" if wanted is None else list(wanted.shape)
    return BundleError(
        f"this difference is for another base: {name} is for {list(found.shape)}, the base has {shape}",
        code="wrong_base",
        param=name,
    )


def _renumbered(config: dict[str, Any], kept: Sequence[int], size: int) -> dict[str, Any]:
    """The configuration for the new ids; special tokens that were dropped are none."""
    place = {old: new for new, old in enumerate(kept)}
    changed = {
        name: place.get(config[name])
        for name in ("bos_token_id", "eos_token_id", "pad_token_id")
        if isinstance(config.get(name), int)
    }
    return config | changed | {"vocab_size": size}


def write_model(model: Base, directory: Path, *, stop: Sequence[str], int8: bool) -> None:
    """A Hugging Face directory: weights, `config.json`, greedy `generation_config.json` that ends at `stop`, and the tokenizer.

    int8: matrices as whole numbers for each output channel, activations as they come for each token (W8A8), which vLLM and
    transformers read; else bfloat16.
    """
    directory.mkdir(parents=True, exist_ok=True)
    ids = {token["content"]: token["id"] for token in model.tokenizer["added_tokens"]}
    config = model.config | {"dtype": "bfloat16", "use_cache": True, "eos_token_id": [ids[name] for name in stop]}
    tensors = dict(model.tensors)
    if int8:
        config["quantization_config"] = _W8A8
        for name in [name for name in tensors if name.endswith("proj.weight")]:
            tensors[name], tensors[f"{name}_scale"] = _whole_numbers(tensors[name])
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "model.safetensors").chmod(0o644)
    generation = {"do_sample": False, "eos_token_id": [ids[name] for name in stop], "pad_token_id": ids[stop[-1]]}
    for name, content in (
        ("config.json", config),
        ("generation_config.json", generation),
        ("tokenizer.json", model.tokenizer),
    ):
        (directory / name).write_text(
            json.dumps(content, ensure_ascii=False, indent=None if name == "tokenizer.json" else 2), encoding="utf-8"
        )
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": stop[0], "pad_token": stop[-1]}
    (directory / "tokenizer_config.json").write_text(json.dumps(about, indent=2), encoding="utf-8")


def _whole_numbers(weight: Tensor) -> tuple[Tensor, Tensor]:
    """int8 [out, in] and the scale [out, 1] of each row."""
    scale = weight.float().abs().amax(1, keepdim=True).clamp(min=1e-8) / 127
    return (weight.float() / scale).round().clamp(-127, 127).to(torch.int8), scale


_W8A8: dict[str, Any] = {
    "quant_method": "compressed-tensors",
    "format": "int-quantized",
    "quantization_status": "compressed",
    "ignore": ["lm_head"],
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel", "dynamic": False},
            "input_activations": {
                "num_bits": 8,
                "type": "int",
                "symmetric": True,
                "strategy": "token",
                "dynamic": True,
            },
        }
    },
}
