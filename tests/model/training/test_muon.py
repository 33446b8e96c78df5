"""Muon as the recipe sets it up: torch's updates are those of the papers."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from model.training.lm import Recipe, muon


def orthogonalized(matrix: torch.Tensor) -> torch.Tensor:
    """Four Newton-Schulz steps in float32, with the coefficients of https://kellerjordan.github.io/posts/muon/."""
    x = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = x / x.norm()
    for _ in range(4):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x if matrix.shape[0] <= matrix.shape[1] else x.T


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (24, 24)])
def test_updates_are_orthogonal_and_as_large_as_adamws(shape: tuple[int, int]) -> None:
    recipe = Recipe()
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(shape))
    wanted, momentum = weight.detach().clone(), torch.zeros(shape)
    optimizer = muon([weight], recipe)
    for _ in range(3):
        gradient = torch.randn(shape)
        momentum.lerp_(gradient, 0.05)
        update = 0.2 * max(shape) ** 0.5 * orthogonalized(gradient.lerp(momentum, 0.95))
        wanted = wanted * (1 - recipe.lr * recipe.weight_decay) - recipe.lr * update
        weight.grad, before = gradient, weight.detach().clone()
        optimizer.step()
    torch.testing.assert_close(weight.detach(), wanted, atol=0.1 * recipe.lr, rtol=0)
    size = (weight.detach() - before).square().mean().sqrt()
    assert 0.1 * recipe.lr < size < 0.3 * recipe.lr


def test_it_descends() -> None:
    torch.manual_seed(0)
    target, weight = torch.randn(8, 8), torch.nn.Parameter(torch.zeros(8, 8))
    optimizer = muon([weight], Recipe(lr=0.1, weight_decay=0.0))
    for _ in range(60):
        loss = (weight - target).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3 * target.pow(2).mean().item()
