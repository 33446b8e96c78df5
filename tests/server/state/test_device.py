"""Where encoder and vocoder compute."""

from __future__ import annotations

import pytest
import torch

from server.state.loading import choose_device
from streaming.errors import BundleError


@pytest.mark.parametrize(
    ("wanted", "gpu", "built", "chosen"),
    [
        ("auto", True, "13.0", "cuda"),
        ("auto", True, None, "cpu"),
        ("auto", False, "13.0", "cpu"),
        ("cpu", True, "13.0", "cpu"),
        ("cuda:1", True, "13.0", "cuda:1"),
    ],
)
def test_the_device(monkeypatch: pytest.MonkeyPatch, wanted: str, gpu: bool, built: str | None, chosen: str) -> None:
    monkeypatch.setattr(torch.version, "cuda", built)
    assert choose_device(wanted, gpu=gpu) == chosen


@pytest.mark.parametrize(("gpu", "built"), [(False, "13.0"), (True, None)])
def test_cuda_where_there_is_none(monkeypatch: pytest.MonkeyPatch, gpu: bool, built: str | None) -> None:
    monkeypatch.setattr(torch.version, "cuda", built)
    with pytest.raises(BundleError) as caught:
        choose_device("cuda", gpu=gpu)
    assert caught.value.code == "device_unavailable"
