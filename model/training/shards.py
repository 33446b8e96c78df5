"""Documents on disk, and packed into the rows that a model is trained on."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.uint32]
Weights = NDArray[np.uint8]


@dataclass
class Document:
    """Token ids and, for each, the weight of predicting it (0 in the prompt); both [T]."""

    ids: list[int] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)

    def add(self, ids: Iterable[int], weight: int) -> None:
        before = len(self.ids)
        self.ids.extend(ids)
        self.weights.extend([weight] * (len(self.ids) - before))

    def until(self, token: int) -> Document:
        """Up to and with the first `token` that is to be predicted."""
        end = next(i for i, (t, w) in enumerate(zip(self.ids, self.weights, strict=True)) if t == token and w) + 1
        return Document(self.ids[:end], self.weights[:end])


def write_shard(path: Path, documents: Iterable[Document]) -> int:
    """Stores documents end to end (`ids`, `weights`, `starts`); returns the number of tokens. Appears all at once."""
    ids, weights, starts = array("I"), array("B"), [0]
    for document in documents:
        ids.extend(document.ids)
        weights.extend(document.weights)
        starts.append(len(ids))
    unfinished = path.with_suffix(".part.npz")
    np.savez_compressed(
        unfinished,
        ids=np.frombuffer(ids, np.uint32),
        weights=np.frombuffer(weights, np.uint8),
        starts=np.array(starts, np.int64),
    )
    unfinished.rename(path)
    return len(ids)


def read_shard(path: Path) -> list[tuple[Ids, Weights]]:
    """Documents of a shard: ids and weights, both [T]."""
    with np.load(path) as shard:
        ids, weights, starts = shard["ids"], shard["weights"], shard["starts"]
    return [(ids[a:b], weights[a:b]) for a, b in zip(starts[:-1], starts[1:], strict=True)]


@dataclass(frozen=True)
class PackedRow:
    """Documents in one row without padding between them.

    ids, positions (from 0 in each document), documents (index, -1 = padding at the end): int64 [T]; targets: the next id in the same
    document; weights: float32 [T] of predicting it (0 at a document's last token).
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    documents: NDArray[np.int64]
    targets: NDArray[np.int64]
    weights: NDArray[np.float32]


def pack(
    documents: Iterable[tuple[Ids, Weights]], *, length: int, short: int = 0, lookahead: int = 64
) -> Iterator[list[tuple[Ids, Weights]]]:
    """What goes into one row of `length` tokens, row after row: of the next `lookahead` documents the longest that fits. Longer ones are left out.

    A row that begins with a document of `short` tokens or fewer ends there: attention costs by the square of a row.
    """
    source = (d for d in documents if len(d[0]) <= length)
    waiting: list[tuple[Ids, Weights]] = []
    row: list[tuple[Ids, Weights]] = []
    room = 0
    while True:
        waiting += islice(source, lookahead - len(waiting))
        if not waiting:
            break
        if not row:
            room = short if len(waiting[0][0]) <= short else length
        fitting = [i for i, d in enumerate(waiting) if len(d[0]) <= room]
        if not fitting:
            yield row
            row = []
            continue
        # the first in a fresh row is taken in order, so that long documents do not wait forever
        best = fitting[0] if not row else max(fitting, key=lambda i: len(waiting[i][0]))
        row.append(waiting.pop(best))
        room -= len(row[-1][0])
    if row:
        yield row


def pack_row(documents: Sequence[tuple[Ids, Weights]], length: int) -> PackedRow:
    """One row of documents whose lengths add up to at most `length`."""
    ids, positions, owner = (np.zeros(length, np.int64), np.zeros(length, np.int64), np.full(length, -1, np.int64))
    targets, weights = np.zeros(length, np.int64), np.zeros(length, np.float32)
    at = 0
    for index, (document, weight) in enumerate(documents):
        end = at + len(document)
        ids[at:end], positions[at:end], owner[at:end] = document, np.arange(len(document)), index
        targets[at : end - 1], weights[at : end - 1] = document[1:], weight[1:]
        at = end
    return PackedRow(ids, positions, owner, targets, weights)
