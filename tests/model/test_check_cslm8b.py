"""What `cslm check` and the start of `cslm serve` say of a cslm-8b that is not as it should be. Sizes are small, the layout is released."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from model.bundle import Bundle
from model.check import Finding, _check_chat_template, _finding, check, preflight
from model.encoders.s3.network import S3Config
from model.encoders.s3.weights import ONNX, SAFETENSORS
from model.lm.layout import Layout, check_gpu_memory, check_memory_beside, describe
from streaming.errors import BundleError
from tests.released.language_model import CHAT_TEMPLATE, write_tokenizer
from tests.released.speech_tokenizer import random_network, write_onnx

EMBEDDINGS = 2 * 132_356 * 4096 * 2  # bytes, with the output layer
LLAMA_8B = Layout("LlamaForCausalLM", 8_063_000_000, 16_126_000_000, 132_356, 131_072, 131_072, EMBEDDINGS)


@pytest.fixture
def bundle(small_cslm8b: Path, tmp_path: Path) -> Path:
    """A copy to damage, not locked; files are links."""
    target = tmp_path / "bundle"
    shutil.copytree(small_cslm8b, target, copy_function=lambda source, to: Path(to).symlink_to(source))
    (target / "bundle.lock.json").unlink()
    return target


def own(path: Path) -> Path:
    """The file as one that may be changed."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)
    return path


def rewrite(path: Path, **changes: object) -> None:
    data = json.loads(own(path).read_text(encoding="utf-8"))
    path.write_text(json.dumps(data | changes), encoding="utf-8")


def refused(bundle: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        preflight(Bundle(bundle))
    return caught.value


def test_a_sound_bundle_passes(small_cslm8b: Path) -> None:
    preflight(Bundle(small_cslm8b))
    layout = describe(small_cslm8b / "lm")
    assert (layout.vocabulary, layout.positions) == (132_356, 131_072)
    assert layout.bytes == 2 * layout.parameters
    width = json.loads((small_cslm8b / "lm" / "config.json").read_text(encoding="utf-8"))["hidden_size"]
    assert layout.unquantized_bytes == 2 * 2 * 132_356 * width
    assert layout.kv_bytes_per_token == 2 * 2 * 2 * 1 * 64


def test_a_locked_file_cut_short(small_cslm8b: Path, bundle: Path) -> None:
    shutil.copyfile(small_cslm8b / "bundle.lock.json", bundle / "bundle.lock.json")
    flow = own(bundle / "vocoder" / "flow.pt")
    flow.write_bytes(flow.read_bytes()[:-10])
    assert (refused(bundle).code, refused(bundle).param) == ("bundle_file_truncated", "vocoder/flow.pt")


def test_shards_missing_and_cut_short(bundle: Path) -> None:
    shard = own(bundle / "lm" / "model-00002-of-00002.safetensors")
    shard.write_bytes(shard.read_bytes()[:-1000])
    assert refused(bundle).code == "bundle_file_truncated"
    shard.unlink()
    assert refused(bundle).code == "bundle_file_missing"
    assert "model-00002" in refused(bundle).message


def test_a_vocoder_that_could_not_be_loaded_is_told_before_the_language_model_is(bundle: Path) -> None:
    flow = own(bundle / "vocoder" / "flow.pt")
    whole = flow.read_bytes()
    flow.write_bytes(whole[:-100])
    assert (refused(bundle).code, refused(bundle).param) == ("bundle_file_truncated", "flow.pt")
    flow.write_bytes((bundle / "vocoder" / "hift.pt").read_bytes())
    assert "flow.pt does not have this model's layout" in refused(bundle).message
    flow.unlink()
    assert (refused(bundle).code, refused(bundle).param) == ("bundle_file_missing", "flow.pt")
    flow.write_bytes(whole)
    rewrite(bundle / "profile.json", voices=["nobody"])
    assert "'nobody' has no embedding" in refused(bundle).message


def test_weights_of_another_layout(bundle: Path) -> None:
    rewrite(bundle / "lm" / "config.json", intermediate_size=512)
    assert refused(bundle).code == "bundle_invalid"
    assert "mlp" in refused(bundle).message


def test_a_tokenizer_of_other_weights(bundle: Path) -> None:
    rewrite(bundle / "profile.json", tokens={"bos": "<|begin_of_text|>", "question": "[query]", "answer": "[answer]",
                                             "speech_start": "<sosp>", "speech_end": "<eosp>", "unit": "<{index}>"})  # fmt: skip
    assert refused(bundle).code == "wrong_text_tokenizer"
    assert "[query]" in refused(bundle).message


def test_a_context_that_the_weights_do_not_have(bundle: Path) -> None:
    rewrite(bundle / "profile.json", max_model_len=200_000)
    assert refused(bundle).code == "context_too_long"


def test_the_tokenizer_of_50_hz(bundle: Path) -> None:
    (bundle / "encoder" / SAFETENSORS).unlink()
    (bundle / "encoder" / ONNX).unlink()
    assert refused(bundle).code == "bundle_file_missing"
    write_onnx(bundle / "encoder" / ONNX, random_network(S3Config(width=128, heads=2, layers=2, stride=1)))
    assert refused(bundle).code == "wrong_tokenizer"


def template_finding(bundle: Path) -> Finding:
    return _finding("chat template", lambda: _check_chat_template(Bundle(bundle)))


def test_another_chat_template_is_told(bundle: Path, tmp_path: Path) -> None:
    assert template_finding(bundle).ok
    dated = CHAT_TEMPLATE.replace("{% set loop_messages", "{{ 'Today Date: 26 Jul 2024' }}{% set loop_messages", 1)
    write_tokenizer(tmp_path, chat_template=dated)
    own(bundle / "lm" / "tokenizer_config.json").write_bytes((tmp_path / "tokenizer_config.json").read_bytes())
    finding = template_finding(bundle)
    assert (finding.ok, finding.code) == (False, "wrong_chat_template")


def test_a_bos_too_few_is_told(bundle: Path) -> None:
    prompt = json.loads((bundle / "profile.json").read_text(encoding="utf-8"))["prompt"]
    rewrite(bundle / "profile.json", prompt=prompt | {"bos_count": 1})
    assert template_finding(bundle).code == "wrong_chat_template"


@pytest.mark.parametrize(
    ("gpu_gb", "gpus", "quantization", "fits"),
    [(24, 1, None, True), (16, 1, None, False), (16, 1, "fp8", True), (16, 2, None, True), (8, 1, "fp8", False), (80, 1, None, True)],
)  # fmt: skip
def test_memory_of_gpus(gpu_gb: int, gpus: int, quantization: str | None, fits: bool) -> None:
    def look(layout: Layout) -> None:
        check_gpu_memory(layout, gpu_bytes=gpu_gb << 30, share=0.8, gpus=gpus, context=8192, quantization=quantization)

    if fits:
        return look(LLAMA_8B)
    with pytest.raises(BundleError) as caught:
        look(LLAMA_8B)
    assert caught.value.code == "gpu_memory_short"
    return look(replace(LLAMA_8B, bytes=1_000_000, unquantized_bytes=0))


def test_memory_beside_the_language_model(tmp_path: Path) -> None:
    (tmp_path / "encoder").mkdir()
    for name, size in (("s3.safetensors", 500_000_000), ("speech_tokenizer_v1.onnx", 520_000_000)):
        with (tmp_path / "encoder" / name).open("wb") as file:
            file.truncate(size)  # sparse
    parts = [tmp_path / "encoder", tmp_path / "vocoder"]
    check_memory_beside(parts, gpu_bytes=24 << 30, share=0.9)
    with pytest.raises(
        BundleError, match=r"need 1\.5 GB of the GPU, but a CSLM_GPU_MEMORY_SHARE of 0\.95 leaves 1\.3"
    ) as caught:
        check_memory_beside(parts, gpu_bytes=24 << 30, share=0.95)
    assert caught.value.code == "gpu_memory_short"
    (tmp_path / "encoder" / "s3.safetensors").unlink()
    with pytest.raises(BundleError, match=r"1\.5 GB"):
        check_memory_beside(parts, gpu_bytes=24 << 30, share=1.0)


def test_fp8_leaves_embedding_and_output_layer_as_they_are() -> None:
    with pytest.raises(BundleError, match=r"needs 11\.7 GB"):  # 9.1 of weights, 1.1 of cache, 1.5
        check_gpu_memory(LLAMA_8B, gpu_bytes=8 << 30, share=0.8, gpus=1, context=8192, quantization="fp8")


def test_a_damaged_lock_is_a_finding(bundle: Path) -> None:
    (bundle / "bundle.lock.json").write_text("{", encoding="utf-8")
    report = check(bundle)
    wrong = {finding.what: finding for finding in report.findings if not finding.ok}
    assert "bundle.lock.json cannot be read" in wrong["files"].detail
    assert len(report.findings) > 3
