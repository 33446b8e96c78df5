"""Parallel speech–text similarity: how alike a sentence is to the language model when spoken and when written.

arXiv 2604.11096 gives a figure (72.5%) without its definition; this is ours. A sentence is put into the bundle's own prompt, once
as the units that the encoder finds in its recording and once as text. Its representation in a layer is the mean of the layer's
hidden states over the sentence's own tokens. The similarity of two representations is their cosine.

*Matched*: a sentence spoken and the same one written. *Mismatched*: a sentence spoken and another of the same language written,
over all such pairs. *Centred*: the mean over the set is subtracted first, separately for speech and text, because all states of
a layer point in similar directions. *Found*: how often the nearest text to a spoken sentence, centred, is its own.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from model.evaluation.asking import units_of
from model.evaluation.bench import Bench, Case, Row, Table, each, no_items, number, percent

Vectors = npt.NDArray[np.float64]


class Similarity:
    """One case: all recorded sentences together."""

    name = "similarity"
    timed = True

    def __init__(self) -> None:
        self._lm: Any = None

    def missing(self, bench: Bench) -> str | None:
        """See `Measure`."""
        if not any(bench.bundle.lm.glob("*.safetensors")):
            return "the weights of the language model are not in the bundle"
        return no_items(bench, "read")

    def cases(self, bench: Bench) -> list[Case]:
        """See `Measure`."""
        return each(bench, "read")

    async def measure(self, bench: Bench, case: Case) -> Row:
        """See `Measure`. The representations of all layers, which the table compares."""
        options, prompts = bench.options(case.item), bench.stages.prompts
        units = list(chain.from_iterable(await units_of(bench.stages, bench.audio(case.item))))
        before, after = prompts.speech_prompt(options, ())
        ids = prompts.unit_ids(units)
        written = prompts.text_prompt(case.item.text, options, ())
        start, end = own_tokens(written, before, after)
        if self._lm is None:
            self._lm = _load(bench)
        spoken = self._states([*before, *ids, *after], len(before), len(before) + len(ids))
        return {
            "language": case.item.language,
            "speech": _packed(spoken),
            "text": _packed(self._states(written, start, end)),
        }

    def _states(self, ids: Sequence[int], start: int, end: int) -> Vectors:
        """Mean hidden states of ids[start:end]: [layers + 1, D]; the first are the embeddings."""
        import torch

        with torch.inference_mode():
            output = self._lm(torch.tensor([list(ids)], device=self._lm.device), output_hidden_states=True)
        pooled = [layer[0, start : max(end, start + 1)].float().mean(0) for layer in output.hidden_states]
        return np.stack([layer.cpu().numpy() for layer in pooled]).astype(np.float64)

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """See `Measure`."""
        if len(rows) < 2:
            return []
        speech, text = (np.array([_unpacked(row[key]) for row in rows]) for key in ("speech", "text"))
        languages = [row["language"] for row in rows]
        lines = []
        for layer in range(speech.shape[1]):
            found = compare(speech[:, layer], text[:, layer], languages)
            name = "embeddings" if layer == 0 else f"layer {layer}"
            lines.append((name, len(rows), *map(number, found[:4]), percent(found[4])))
        heads = ("", "n", "matched", "mismatched", "centred: matched", "mismatched", "found")
        note = "Cosine of a sentence's mean hidden states, spoken and written; model/evaluation/alignment.py defines the columns."
        return [Table("Parallel speech–text similarity", heads, lines, note)]


def best_found(rows: Sequence[Row]) -> float | None:
    """The share of sentences found in the layer that finds most."""
    if len(rows) < 2:
        return None
    speech, text = (np.array([_unpacked(row[key]) for row in rows]) for key in ("speech", "text"))
    languages = [row["language"] for row in rows]
    return max(compare(speech[:, layer], text[:, layer], languages)[4] for layer in range(speech.shape[1]))


def _packed(vectors: Vectors) -> dict[str, Any]:
    """Vectors [L, D] as JSON, in float32: a large model has a hundred thousand numbers a sentence."""
    return {"shape": vectors.shape, "float32": b64encode(vectors.astype("<f4").tobytes()).decode()}


def _unpacked(packed: dict[str, Any]) -> Vectors:
    return np.frombuffer(b64decode(packed["float32"]), "<f4").reshape(packed["shape"]).astype(np.float64)


def own_tokens(written: Sequence[int], before: Sequence[int], after: Sequence[int]) -> tuple[int, int]:
    """Where the sentence stands in the written prompt: behind what it shares with the spoken one's start, before its end.

    >>> own_tokens([1, 2, 7, 8, 9], before=[1, 2, 50], after=[51, 9])
    (2, 4)
    """
    start = _shared(written, before)
    end = len(written) - _shared(written[:start:-1], after[::-1])
    return start, end


def _shared(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common beginning."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def compare(
    speech: Vectors, text: Vectors, languages: Sequence[str]
) -> tuple[float, float | None, float, float | None, float]:
    """(matched, mismatched, centred matched, centred mismatched, share found) of vectors [N, D] each."""
    kind = np.array(languages)
    other = (kind[:, None] == kind[None, :]) & ~np.eye(len(kind), dtype=bool)
    plain, centred = cosines(speech, text), cosines(speech - speech.mean(0), text - text.mean(0))
    found = float((centred.argmax(1) == np.arange(len(kind))).mean())

    def mismatched(table: Vectors) -> float | None:
        return float(table[other].mean()) if other.any() else None

    return (
        float(plain.diagonal().mean()),
        mismatched(plain),
        float(centred.diagonal().mean()),
        mismatched(centred),
        found,
    )


def cosines(a: Vectors, b: Vectors) -> Vectors:
    """All cosines of rows of `a` with rows of `b`: [N, N]."""
    norms = (np.linalg.norm(x, axis=1, keepdims=True).clip(1e-12) for x in (a, b))
    unit_a, unit_b = (x / norm for x, norm in zip((a, b), norms, strict=True))
    return np.asarray(unit_a @ unit_b.T)


def _load(bench: Bench) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(bench.bundle.lm, dtype="auto").eval()
    return model.to("cuda") if torch.cuda.is_available() else model
