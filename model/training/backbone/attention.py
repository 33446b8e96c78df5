"""Attention for short packed rows on a CPU: products of whole matrices, queries that share a key side by side.

Forward and backward take 18 ms a layer for four rows of 256 tokens on one core of a shared AMD EPYC where torch's fused kernel takes 44
(2026-11-30).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

NAME = "whole_matrices"


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float, **_: Any
) -> tuple[Tensor, None]:
    """query [B, heads, T, D], key and value [B, groups, T, D], mask bool [B, 1, T, T], no row of it empty; returns [B, T, heads, D]."""
    batch, heads, length, width = query.shape
    groups = key.shape[1]
    scores = query.reshape(batch, groups, -1, width) @ key.transpose(-1, -2)
    scores = scores.view(batch, heads, length, length).float() * scaling
    shares = torch.softmax(scores.masked_fill(~mask, float("-inf")), -1).to(query.dtype)
    out = shares.view(batch, groups, -1, length) @ value
    return out.view(batch, heads, length, width).transpose(1, 2), None


AttentionInterface.register(NAME, attend)
