"""`cslm pull glm-4-voice` from directories, and what is looked at before it is loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from model.bundle import Bundle, find_bundle
from model.check import preflight
from model.lm.engine_options import EngineConfig, engine_options
from model.lm.layout import describe
from model.pull import PullOptions, pull
from streaming.errors import BundleError


def test_a_pulled_bundle_is_sound_and_known_by_its_name(small_glm: Path) -> None:
    assert find_bundle("glm-4-voice", small_glm.parent).directory == small_glm
    preflight(Bundle(small_glm))
    layout = describe(small_glm / "lm")
    assert (layout.vocabulary, layout.kv_bytes_per_token) == (168_960, 2 * 2 * 2 * 1 * 64)
    assert layout.unquantized_bytes == 2 * 2 * 168_960 * 128


def test_a_length_that_the_checkpoint_does_not_say_is_said(small_glm: Path, tmp_path: Path) -> None:
    told = engine_options(small_glm / "lm", EngineConfig(8192), on_cpu=True)["hf_overrides"]
    assert told == {"seq_length": 8192, "max_position_embeddings": 8192}
    for config in ({"model_type": "chatglm", "seq_length": 131_072}, {"model_type": "llama"}):
        (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
        assert engine_options(tmp_path, EngineConfig(8192), on_cpu=True)["hf_overrides"] == {}


def test_without_its_weights_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cslm pull glm-4-voice") as caught:
        find_bundle("glm-4-voice", tmp_path)
    assert caught.value.code == "bundle_not_pulled"


@pytest.mark.parametrize(
    "missing", ["glm-4-voice-9b/tokenizer.model", "glm-4-voice-tokenizer/config.json", "glm-4-voice-decoder/flow.pt"]
)
def test_a_missing_file_is_named(small_glm: Path, tmp_path: Path, missing: str) -> None:
    files = tmp_path / "files"
    shutil.copytree(
        small_glm.parent / "files",
        files,
        copy_function=lambda source, to: Path(to).symlink_to(source),
        dirs_exist_ok=True,
    )
    (files / missing).unlink()
    with pytest.raises(BundleError) as caught:
        pull("glm-4-voice", tmp_path / "target", PullOptions(origin=files), lambda line: None)
    assert (caught.value.code, caught.value.param) == ("bundle_file_missing", missing.split("/")[1])
