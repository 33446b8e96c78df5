"""Documents in shards, for a machine that has a GPU and nothing to make units with.

python -m model.training backbone compose model/training/configs/backbone-gpu.json --start data/small --texts data/texts --out data/documents
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tqdm import tqdm

from model.profile import load_profile
from model.training.backbone.documents import Composer
from model.training.backbone.recipe import Recipe
from model.training.backbone.texts import load_texts
from model.training.noise import UnitNoise, load_confusions
from model.training.shards import Document, write_shard


def compose(recipe: Recipe, composer: Composer, out: Path, *, tokens: int, shard_tokens: int) -> int:
    """Writes `documents-0000.npz` and so on; what is there already is kept. The course of the recipe is stretched over all. Returns the shards."""
    out.mkdir(parents=True, exist_ok=True)
    count = -(-tokens // shard_tokens)
    for number in tqdm(range(count), desc="documents", unit="shard"):
        path, before = out / f"documents-{number:04d}.npz", number * recipe.tokens // count
        if not path.exists():
            write_shard(path, _documents(recipe, composer, Random(f"{recipe.seed}-{number}"), before, shard_tokens))
    return count


def _documents(recipe: Recipe, composer: Composer, rng: Random, before: int, most: int) -> Iterator[Document]:
    made = 0
    while made < most:
        document = recipe.document(composer, rng, before)
        made += len(document.ids)
        yield document


def main(argv: list[str] | None = None) -> None:
    """See the module's head."""
    parser = argparse.ArgumentParser(prog="python -m model.training backbone compose", description=main.__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--start", type=Path, required=True, help="what `backbone start` wrote")
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=45_000_000, help="54 MB")
    parser.add_argument("--shard-tokens", type=int, default=2_000_000)
    parser.add_argument("--confusions", type=Path, help="measured unit confusions (JSON) instead of the default ones")
    args = parser.parse_args(argv)
    recipe, noise = Recipe.load(args.recipe), UnitNoise(load_confusions(args.confusions))
    composer = Composer(load_profile(args.start), args.start / "lm", load_texts(args.texts), noise, recipe.composed)
    compose(recipe, composer, args.out, tokens=args.tokens, shard_tokens=args.shard_tokens)


if __name__ == "__main__":
    main()
