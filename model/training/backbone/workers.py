"""Processes that compute an update's gradients together: each on a share of its rows, with the same parameters in shared memory.

They wait for each other once an update. Threads inside a product would wait at every product, and on a machine with other work mostly wait;
threads beside each other are not safe, since vLLM's kernels for a CPU share one scratch memory in a process.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor

from model.workers.link import die_with_parent

Found = tuple[Sequence[Tensor], Tensor, Tensor]
"""Gradients of the parameters, and what else is found of each token."""
Compute = Callable[[list[Any], float], Found]
"""Of rows, whose update weighs so much in all."""


class Workers:
    """This process and forked ones; frozen weights are there once. Everything is in place before the first is made.

    Fork before a first product: threads of a numeric library do not survive it.
    """

    def __init__(self, compute: Compute, parameters: Sequence[Tensor], count: int) -> None:
        self._compute, self._others = compute, list[tuple[Connection, list[Tensor]]]()
        if count > 1:
            for p in parameters:
                p.share_memory_()
        for _ in range(count - 1):
            context = multiprocessing.get_context("fork")
            here, there = context.Pipe()
            gradients = [torch.zeros_like(p).share_memory_() for p in parameters]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside idle threads
                context.Process(target=_work, args=(there, compute, gradients), daemon=True).start()
            there.close()
            self._others.append((here, gradients))

    def __call__(self, rows: list[Any], weight: float) -> Found:
        """As `compute` of all `rows`, gradients added. Raises EOFError if a process ended."""
        count = len(self._others) + 1
        busy = [other for at, other in enumerate(self._others, 1) if rows[at::count]]
        for at, (pipe, _) in enumerate(busy, 1):
            pipe.send((rows[at::count], weight))
        gradients, *rest = self._compute(rows[::count], weight)
        for pipe, theirs in busy:
            found = pipe.recv()
            for own, other in zip(gradients, theirs, strict=True):
                own += other
            rest = [torch.cat(both) for both in zip(rest, map(torch.from_numpy, found), strict=True)]
        return gradients, rest[0], rest[1]


def _work(pipe: Connection, compute: Compute, gradients: list[Tensor]) -> None:
    die_with_parent()
    with contextlib.suppress(EOFError):
        while True:
            rows, weight = pipe.recv()
            found, *rest = compute(rows, weight)
            for shared, own in zip(gradients, found, strict=True):
                shared.copy_(own)
            pipe.send([each.numpy() for each in rest])
