"""Base and difference: what is kept of a vocabulary, what both make, and what is told of those that do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from model.backbone.base import EMBEDDING, Base, load_base
from model.backbone.difference import Difference, write_model
from model.backbone.vocabulary import closed, pruned
from streaming.errors import BundleError

STOP = ("<|im_end|>", "<|endoftext|>")
ADDED = ("<0>", "<1>", "<sosp>")
KEPT_WORDS = " weather like today"


@pytest.fixture(scope="module")
def base(text_model: Path) -> Base:
    return load_base(str(text_model))


def kept_of(base: Base) -> list[int]:
    tokenizer = Tokenizer.from_str(json.dumps(base.tokenizer))
    control = [token["id"] for token in base.tokenizer["added_tokens"] if token["content"] != "<|unused|>"]
    return closed(base.tokenizer, {*tokenizer.encode(KEPT_WORDS, add_special_tokens=False).ids, *control})


def difference_of(base: Base, rank: int = 2) -> Difference:
    torch.manual_seed(1)
    name = "model.layers.1.mlp.up_proj"
    out, into = base.tensors[f"{name}.weight"].shape
    change = torch.randn(rank, into).bfloat16(), torch.randn(out, rank).bfloat16()
    return Difference(
        kept_of(base),
        torch.randn(len(ADDED), base.tensors[EMBEDDING].shape[1]).bfloat16(),
        {name: change},
        {"base": "tiny"},
    )


def test_parts_are_small_and_make_the_whole(base: Base, tmp_path: Path) -> None:
    whole = difference_of(base)
    parts = whole.save_parts(tmp_path / "parts", 1500)
    assert len(parts) > 2
    assert [path for path in parts if path.stat().st_size > 2500] == []
    read = Difference.load(tmp_path / "parts")
    assert (read.kept, read.about) == (whole.kept, whole.about)
    assert torch.equal(read.rows, whole.rows)
    for (down, up), (want_down, want_up) in zip(read.changes.values(), whole.changes.values(), strict=True):
        torch.testing.assert_close(down, want_down, atol=0.02, rtol=0.01)
        torch.testing.assert_close(up, want_up, atol=0.02, rtol=0.01)
    parts[1].unlink()
    with pytest.raises(BundleError, match="no difference of format 1: 'a part of it'"):
        Difference.load(tmp_path / "parts")
    (tmp_path / "none").mkdir()
    with pytest.raises(BundleError, match="no difference of format 1"):
        Difference.load(tmp_path / "none")


def test_kept_words_stay_whole_and_others_are_still_written(base: Base) -> None:
    kept = kept_of(base)
    assert len(kept) < len(base.tokenizer["model"]["vocab"])
    small = Tokenizer.from_str(json.dumps(pruned(base.tokenizer, kept, ADDED)))
    whole = Tokenizer.from_str(json.dumps(base.tokenizer))
    assert small.encode(KEPT_WORDS).tokens == whole.encode(KEPT_WORDS).tokens
    for text in ("我喜欢喝茶。", "xylophone 😀", "I like tea"):
        assert small.decode(small.encode(text).ids) == text
    assert [small.token_to_id(name) for name in ADDED] == [len(kept), len(kept) + 1, len(kept) + 2]


def test_a_table_of_another_tokenizer_is_refused(base: Base) -> None:
    with pytest.raises(ValueError, match="not of this tokenizer"):
        pruned(base.tokenizer, [*kept_of(base), 10_000], ADDED)


def test_a_difference_is_read_as_it_was_written(base: Base, tmp_path: Path) -> None:
    written = difference_of(base)
    written.save(tmp_path / "d.safetensors")
    read = Difference.load(tmp_path / "d.safetensors")
    assert (read.kept, dict(read.about)) == (written.kept, {"base": "tiny"})
    assert torch.equal(read.rows, written.rows)
    assert [
        torch.equal(a, b)
        for name in written.changes
        for a, b in zip(read.changes[name], written.changes[name], strict=True)
    ] == [True] * 2


def test_the_model_says_of_old_tokens_what_the_base_says(base: Base, text_model: Path, tmp_path: Path) -> None:
    whole: Any = AutoModelForCausalLM.from_pretrained(text_model, dtype=torch.float32)
    whole.load_state_dict({k: v.float() for k, v in base.tensors.items()}, strict=False)
    unchanged = Difference(kept_of(base), torch.zeros(len(ADDED), 32))
    write_model(unchanged.applied(base, ADDED), tmp_path, stop=STOP, int8=False)
    small: Any = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    ids = Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode(KEPT_WORDS).ids
    kept = unchanged.kept
    with torch.no_grad():
        want = whole(input_ids=torch.tensor([[kept[i] for i in ids]])).logits[..., kept]
        got = small(input_ids=torch.tensor([ids])).logits[..., : len(kept)]
    torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-3)
    assert small.config.eos_token_id == [small.config.eos_token_id[0], small.generation_config.pad_token_id]


def test_changes_are_added_to_their_matrix(base: Base) -> None:
    difference = difference_of(base)
    ((name, (down, up)),) = difference.changes.items()
    got = difference.applied(base, ADDED).tensors
    want = base.tensors[f"{name}.weight"].float() + up.float() @ down.float()
    torch.testing.assert_close(got[f"{name}.weight"].float(), want, atol=2e-2, rtol=2e-2)
    assert torch.equal(got["model.layers.0.mlp.up_proj.weight"], base.tensors["model.layers.0.mlp.up_proj.weight"])


def test_whole_numbers_are_close_to_the_weights(base: Base, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    model = difference_of(base).applied(base, ADDED)
    write_model(model, tmp_path, stop=STOP, int8=True)
    tensors, name = load_file(tmp_path / "model.safetensors"), "model.layers.0.mlp.down_proj.weight"
    scale = tensors[f"{name}_scale"]
    assert tensors[name].dtype == torch.int8
    assert ((tensors[name].float() * scale - model.tensors[name].float()).abs() <= scale * 0.51).all()
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["architectures"], config["quantization_config"]["format"]) == (["Qwen2ForCausalLM"], "int-quantized")
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o044 == 0o044


def test_another_base_is_named(base: Base) -> None:
    wider = Base(base.config, base.tokenizer, base.tensors | {"model.layers.1.mlp.up_proj.weight": torch.zeros(64, 48)})
    with pytest.raises(
        BundleError, match=r"another base: model.layers.1.mlp.up_proj is for \[64, 32\], the base has \[64, 48\]"
    ):
        difference_of(base).applied(wider, ADDED)
    shallow = Base(base.config, base.tokenizer, {k: v for k, v in base.tensors.items() if "layers.1" not in k})
    with pytest.raises(BundleError, match="nothing of that name"):
        difference_of(base).applied(shallow, ADDED)
    with pytest.raises(BundleError, match="another base: rows"):
        difference_of(base).applied(base, ADDED[:2])


def test_what_is_no_difference_is_told(tmp_path: Path) -> None:
    (tmp_path / "d.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(BundleError, match="no difference of format 1"):
        Difference.load(tmp_path / "d.safetensors")


def test_what_is_no_base_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"no")
    with pytest.raises(BundleError, match="no GGUF file"):
        load_base(str(tmp_path / "model.gguf"))
    with pytest.raises(BundleError, match="needs the revision"):
        load_base("Qwen/Qwen2.5-0.5B-Instruct")


def test_a_base_with_an_output_of_its_own_is_refused(base: Base, text_model: Path, tmp_path: Path) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(text_model)
    model.config.tie_word_embeddings = False
    untied: Any = type(model)(model.config)
    untied.save_pretrained(tmp_path)
    for path in text_model.glob("token*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(BundleError, match="not tied"):
        load_base(str(tmp_path))
