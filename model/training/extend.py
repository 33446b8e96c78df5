"""Extends the vocabulary of a text model with the units and markers of a bundle (arXiv 2604.11096, section 3).

    python -m model.training extend --base meta-llama/Llama-3.1-8B-Instruct --profile profile.json --out BUNDLE/lm

The base is a Hugging Face directory, or a name on the hub. New embeddings start around the mean of the old ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from model.backbone.vocabulary import added_tokens
from model.profile import Profile, load_profile


def extend_tokenizer(tokenizer: Any, profile: Profile) -> int:
    """Adds what is missing; returns how many. Raises ValueError where a control token of the profile is not known at all."""
    from tokenizers import AddedToken

    known = tokenizer.get_vocab()
    missing = [name for name in (profile.tokens.bos, *profile.stop_tokens) if name not in known]
    if missing:
        raise ValueError(f"the base's tokenizer has no {', '.join(missing)}, which the profile names")
    new = [name for name in added_tokens(profile) if name not in known]
    return int(tokenizer.add_tokens([AddedToken(name, special=False, normalized=False) for name in new]))


def extend(base: str, profile: Profile, out: Path) -> tuple[int, int]:
    """Writes the extended model and tokenizer into `out`; (tokens added, vocabulary)."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    added = extend_tokenizer(tokenizer, profile)
    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return added, int(model.config.vocab_size)


def main(argv: list[str] | None = None) -> None:
    """See the module's head."""
    parser = argparse.ArgumentParser(prog="python -m model.training extend", description=main.__doc__)
    parser.add_argument("--base", required=True)
    parser.add_argument("--profile", type=Path, required=True, help="profile.json of the bundle")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    added, vocabulary = extend(args.base, load_profile(args.profile.parent), args.out)
    print(f"{added} tokens added; vocabulary {vocabulary}")


if __name__ == "__main__":
    main()
