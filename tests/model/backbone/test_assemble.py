"""`cslm pull` of a bundle that continues a text model: made once, made again for another difference, refused where it cannot be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from model.backbone import assemble, base
from model.backbone.base import EMBEDDING, load_base
from model.backbone.difference import Difference
from model.backbone.vocabulary import added_tokens, closed
from model.bundle import BUNDLES, find_bundle
from model.profile import load_profile
from model.pull import PullOptions, pull
from model.sources import Lock, load_sources
from streaming.errors import BundleError

WEIGHTS = b"GGUF, as it were"
Pull = Callable[[], list[str]]


@pytest.fixture
def bundles(tmp_path: Path, text_model: Path, profile_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle that comes with the server: profile, sources and a difference to the tiny text model."""
    whole = load_base(str(text_model))
    monkeypatch.setattr(base, "load_base", lambda where: whole)
    directory, profile = tmp_path / "embedded" / "tiny", load_profile(profile_directory)
    directory.mkdir(parents=True)
    (directory / "profile.json").write_bytes((profile_directory / "profile.json").read_bytes())
    file = {"path": "tiny.gguf", "to": "base", "sha256": hashlib.sha256(WEIGHTS).hexdigest()}
    repository = {"repo": "some/tiny-GGUF", "revision": "0" * 40, "licence": "apache-2.0", "files": [file]}
    (directory / "sources.json").write_text(
        json.dumps({"format_version": 1, "repositories": [repository]}), encoding="utf-8"
    )
    kept = closed(whole.tokenizer, [token["id"] for token in whole.tokenizer["added_tokens"]])
    rows = torch.zeros(len(added_tokens(profile)), whole.tensors[EMBEDDING].shape[1])
    Difference(kept, rows).save(directory / assemble.FILE)
    return directory.parent


@pytest.fixture
def pulled(bundles: Path, tmp_path: Path) -> Pull:
    """Pulls from a local file of another name."""
    (tmp_path / "mine.bin").write_bytes(WEIGHTS)

    def run() -> list[str]:
        said: list[str] = []
        pull("tiny", tmp_path / "tiny", PullOptions(origin=tmp_path / "mine.bin"), said.append, bundles=bundles)
        return said

    return run


def test_a_local_file_becomes_a_bundle_that_is_found(pulled: Pull, tmp_path: Path) -> None:
    assert any("become lm/" in line for line in pulled())
    bundle = find_bundle("tiny", tmp_path)
    assert bundle.prompts.unit_ids([0, 1])  # type: ignore[attr-defined]
    lock = Lock.load(tmp_path / "tiny")
    assert lock is not None
    assert {
        "base/tiny.gguf",
        "difference.safetensors",
        "lm/model.safetensors",
        "lm/tokenizer.json",
    } <= lock.files.keys()
    assert not any("become lm/" in line for line in pulled())


def test_another_difference_makes_another_model(pulled: Pull, bundles: Path, tmp_path: Path) -> None:
    pulled()
    before = (tmp_path / "tiny" / "lm" / "model.safetensors").read_bytes()
    path = bundles / "tiny" / assemble.FILE
    old = Difference.load(path)
    replace(old, rows=torch.ones_like(old.rows)).save(path)
    assert any("become lm/" in line for line in pulled())
    assert (tmp_path / "tiny" / "lm" / "model.safetensors").read_bytes() != before


def test_another_file_is_refused_before_anything_is_made(pulled: Pull, tmp_path: Path) -> None:
    (tmp_path / "mine.bin").write_bytes(b"GGUF of another revision")
    with pytest.raises(BundleError, match=r"tiny.gguf has the SHA-256") as caught:
        pulled()
    assert caught.value.code == "checksum_mismatch"
    assert not (tmp_path / "tiny" / "lm").exists()


def test_too_little_memory_is_told_before_anything_is_loaded(
    pulled: Pull, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assemble, "_available_bytes", lambda: 2_000_000_000)
    monkeypatch.setattr(base, "load_base", lambda where: pytest.fail("loaded"))
    with pytest.raises(BundleError, match=r"needs 3.2 GB of free memory; there are 2.0") as caught:
        pulled()
    assert caught.value.code == "memory_short"
    assert not (tmp_path / "tiny" / "base").exists()  # nor fetched


def test_a_difference_that_names_another_base_is_refused_before_anything_is_loaded(
    pulled: Pull, bundles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bundles / "tiny" / assemble.FILE
    replace(Difference.load(path), about={"base_sha256": "0" * 64}).save(path)
    monkeypatch.setattr(base, "load_base", lambda where: pytest.fail("loaded"))
    with pytest.raises(
        BundleError, match=r"is for a base with the SHA-256 0{64}; tiny.gguf has [0-9a-f]{64}"
    ) as caught:
        pulled()
    assert caught.value.code == "wrong_base"


def test_a_difference_that_is_none_is_refused_before_anything_is_loaded(
    pulled: Pull, bundles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bundles / "tiny" / assemble.FILE).write_text("version https://git-lfs.github.com/spec/v1")
    monkeypatch.setattr(base, "load_base", lambda where: pytest.fail("loaded"))
    with pytest.raises(BundleError, match="is no difference of format 1") as caught:
        pulled()
    assert caught.value.code == "wrong_difference"


def test_a_difference_for_another_base_is_refused(pulled: Pull, bundles: Path) -> None:
    path = bundles / "tiny" / assemble.FILE
    old = Difference.load(path)
    replace(old, rows=torch.zeros(len(old.rows), 48)).save(path)
    with pytest.raises(BundleError, match="another base") as caught:
        pulled()
    assert caught.value.code == "wrong_base"


def test_the_difference_of_cslm_small_is_of_its_base_and_profile() -> None:
    bundle = BUNDLES / "cslm-small"
    difference, sources = Difference.load(bundle / assemble.FILE), load_sources(bundle)
    assert sources is not None
    assert difference.about["base_sha256"] == sources.repositories[0].files[0].sha256
    assert len(difference.rows) == len(added_tokens(load_profile(bundle)))
    assert len(difference.changes) == 24 * 7
    assert (bundle / assemble.FILE).stat().st_size < 45_000_000


def test_what_cslm_small_borrows_is_there() -> None:
    sources = load_sources(BUNDLES / "cslm-small")
    assert sources is not None
    assert [file.path for file in sources.embedded if not (BUNDLES / file.path).is_file()] == []
