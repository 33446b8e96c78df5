"""Bundles: the embedded one passes its check, and each kind of damage is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from model.bundle import find_bundle
from model.check import CheckReport, check
from streaming.errors import BundleError

MINI = find_bundle("cslm-mini").directory


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A bundle to damage; weights are links."""
    target = tmp_path / "bundle"
    shutil.copytree(MINI, target, copy_function=lambda source, to: Path(to).symlink_to(source))
    return target


def rewrite(path: Path, **changes: object) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    path.write_text(json.dumps({**data, **changes}), encoding="utf-8")


def faults(report: CheckReport) -> dict[str, str]:
    return {finding.what: finding.detail for finding in report.findings if not finding.ok}


def test_the_embedded_bundle_is_sound() -> None:
    assert faults(check(MINI)) == {}


def test_no_file_is_larger_than_a_repository_takes() -> None:
    sizes = [path.stat().st_size for path in MINI.rglob("*") if path.is_file()]
    assert max(sizes) <= 50_000_000
    assert sum(sizes) <= 120_000_000


def test_an_unknown_bundle_names_the_known() -> None:
    with pytest.raises(BundleError) as caught:
        find_bundle("nothing-such")
    assert caught.value.code == "bundle_missing"
    assert "cslm-mini" in caught.value.message


def test_a_directory_is_a_bundle(copy: Path) -> None:
    assert find_bundle(str(copy)).profile.name == "cslm-mini"


def test_a_missing_profile(tmp_path: Path) -> None:
    assert "no profile.json" in faults(check(tmp_path))["profile"]


def test_an_unknown_profile_field_is_named(copy: Path) -> None:
    rewrite(copy / "profile.json", surprise=1)
    assert "surprise" in faults(check(copy))["profile"]


@pytest.mark.parametrize("part", ["encoder", "vocoder", "prompts"])
def test_a_kind_that_does_not_exist_is_named_with_those_that_do(copy: Path, part: str) -> None:
    kinds = json.loads((copy / "profile.json").read_text(encoding="utf-8"))["kinds"]
    rewrite(copy / "profile.json", kinds={**kinds, part: "telepathy"})
    fault = faults(check(copy))["profile"]
    assert "telepathy" in fault and kinds[part] in fault


def test_a_missing_marker_is_named(copy: Path) -> None:
    tokens = json.loads((copy / "profile.json").read_text(encoding="utf-8"))["tokens"]
    rewrite(copy / "profile.json", tokens={**tokens, "question": "[query]"})
    assert "[query]" in faults(check(copy))["control tokens"]


def test_units_that_do_not_match_are_counted(copy: Path) -> None:
    rewrite(copy / "profile.json", n_units=7)
    assert "243" in faults(check(copy))["units"] and "7" in faults(check(copy))["units"]


def test_a_bundle_may_be_without_an_end_of_turn_model(copy: Path) -> None:
    shutil.rmtree(copy / "turn")
    assert not faults(check(copy))
    (copy / "turn").mkdir()
    (copy / "turn" / "smart_turn.onnx").write_bytes(b"no network")
    assert set(faults(check(copy))) == {"end of turn"}


def test_a_truncated_file_is_found(copy: Path) -> None:
    weights = copy / "lm" / "model.safetensors"
    data = weights.read_bytes()
    weights.unlink()
    weights.write_bytes(data[: len(data) // 2])
    assert set(faults(check(copy))) == {"language model"}


@pytest.mark.parametrize(("part", "what"), [("vocoder", "vocoder"), ("encoder", "encoder"), ("vad", "voice activity")])
def test_a_missing_part_is_named(copy: Path, part: str, what: str) -> None:
    shutil.rmtree(copy / part)
    assert set(faults(check(copy))) == {what}
