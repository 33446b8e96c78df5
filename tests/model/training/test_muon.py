"""Muon's orthogonalisation and a descent."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from model.training.muon import Muon, orthogonalized


@pytest.mark.parametrize("shape", [(2, 8, 20), (2, 20, 8), (1, 16, 16)])
def test_singular_values_end_near_one(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    singular = torch.linalg.svdvals(orthogonalized(torch.randn(shape), steps=6))
    assert singular.min() > 0.5
    assert singular.max() < 1.3


def test_it_descends() -> None:
    torch.manual_seed(0)
    target, weight = torch.randn(8, 8), torch.nn.Parameter(torch.zeros(8, 8))
    optimizer = Muon([weight], lr=0.1, weight_decay=0.0)
    for _ in range(60):
        loss = (weight - target).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3 * target.pow(2).mean().item()
