"""Functions of tensors that are recorded once for each shape and then replayed: CUDA graphs.

A window of the vocoder launches more than ten thousand small kernels. Launched one by one they take several times as long as they
run; a graph launches them at once. A graph is of fixed shapes and reads and writes fixed memory, so it is recorded for the shapes
that the grid of blocks has, before the first turn, and what has another shape is computed as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

Tensors = tuple[Tensor, ...]
Function = Callable[..., Tensors]
Recorder = Callable[[Function, Tensors], Callable[[], Tensors]]
"""From a function and the memory of its arguments: what computes it again from what is there then, into the same results."""

_WARM = 2
"""Calls before the recording: libraries plan and allocate what they must not while they are recorded."""


class Graphs:
    """`function`, recorded for the shapes of its arguments that are seen while `recording`. Results are the caller's own."""

    def __init__(self, function: Function, recorder: Recorder) -> None:
        self._function = function
        self._recorder = recorder
        self._recording = False
        self._recorded: dict[Any, tuple[Tensors, Callable[[], Tensors]]] = {}

    def __len__(self) -> int:
        return len(self._recorded)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Shapes that come for the first time are recorded."""
        self._recording = True
        try:
            yield
        finally:
            self._recording = False

    def __call__(self, *arguments: Tensor) -> Tensors:
        key = tuple((each.shape, each.dtype) for each in arguments)
        if key not in self._recorded:
            if not self._recording:
                return self._function(*arguments)
            own = tuple(each.clone() for each in arguments)
            self._recorded[key] = own, self._recorder(self._function, own)
        own, replay = self._recorded[key]
        for place, argument in zip(own, arguments, strict=True):
            place.copy_(argument)
        return tuple(each.clone() for each in replay())


class CudaRecorder:
    """Records CUDA graphs, which share their memory: one runs at a time."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, function: Function, arguments: Tensors) -> Callable[[], Tensors]:
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM):
                function(*arguments)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            results = function(*arguments)

        def replay() -> Tensors:
            graph.replay()
            return results

        return replay


def bucket(rows: int) -> int:
    """The batch that so many rows are computed in: 1, 2, 4, 8, …"""
    return 1 << (rows - 1).bit_length()


def padded(rows: Sequence[Tensor], size: int) -> Tensor:
    """Rows stacked, the last of them repeated up to `size`: [size, …]."""
    return torch.stack([*rows, *[rows[-1]] * (size - len(rows))])
