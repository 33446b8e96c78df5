"""What a run is made of, and the documents of its course: easy ones first."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from model.training.backbone.documents import Composer
from model.training.shards import Document

EASY_NOISE, EASY_CANDIDATES = 0.25, 3


@dataclass(frozen=True)
class Recipe:
    """A configuration file. Tokens are counted with padding.

    mixtures: shares of the kinds of document, each until so many tokens; ease_tokens: until then sentences are short, and little of
    them is misheard at first; int8: the frozen layers in 8-bit integers, on a CPU alone.
    """

    rank: int = 32
    row_tokens: int = 256
    rows: int = 4
    lr: float = 1.2e-3
    up_lr_factor: float = 1.0
    new_rows_lr: float = 4e-3
    warmup_steps: int = 30
    tokens: int = 2_000_000
    decay_share: float = 0.3
    average: float = 0.97
    ease_tokens: int = 150_000
    composed: float = 0.4
    bfloat16: bool = True
    int8: bool = False
    seed: int = 0
    mixtures: tuple[tuple[int, dict[str, float]], ...] = field(default=((0, {"hear": 1.0}),))

    @classmethod
    def load(cls, path: Path) -> Recipe:
        """From JSON. Raises ValueError naming what is unknown or missing."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        try:
            raw["mixtures"] = tuple((int(until), dict(shares)) for until, shares in raw["mixtures"])
            return cls(**raw)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is no recipe: {error}") from error

    def mixture(self, tokens: int) -> dict[str, float]:
        """Shares after `tokens`."""
        return next((shares for until, shares in self.mixtures if tokens < until), self.mixtures[-1][1])

    def rate(self, step: int, done: float) -> float:
        """Multiplier of the learning rates, of which run `done` is over: linear warm-up, constant, linear to zero at the end."""
        return min(1.0, (step + 1) / self.warmup_steps) * min(1.0, max(0.0, 1.0 - done) / self.decay_share)

    def document(self, composer: Composer, rng: Random, tokens: int) -> Document:
        """The next document after `tokens`."""
        noise, begun = composer.noise, min(1.0, tokens / self.ease_tokens)
        composer.noise = replace(noise, max_rate=noise.max_rate * (EASY_NOISE + (1 - EASY_NOISE) * begun))
        try:
            return composer.document(rng, self.mixture(tokens), candidates=EASY_CANDIDATES if begun < 1 else 1)
        finally:
            composer.noise = noise
