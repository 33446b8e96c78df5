"""Where a run begins: the text model with its vocabulary cut and extended, ready to be trained.

    python -m model.training backbone start --base BASE --profile model/bundles/cslm-small --texts data/texts --out data/small

BASE is a GGUF file, a directory, or a name on the hub with `--revision`. With `--difference` the run goes on from what was learned before, and the
vocabulary is the one of then.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from tokenizers import Tokenizer

from model.backbone.base import EMBEDDING, Base, load_base
from model.backbone.difference import Difference, write_model
from model.backbone.vocabulary import added_tokens
from model.profile import Profile, load_profile
from model.sources import sha256_of
from model.training.backbone.choose import chosen, started_rows
from model.training.backbone.texts import load_texts
from model.training.domains import LANGS

START = "start.safetensors"


def fresh(base: Base, profile: Profile, texts: Path, about: dict[str, str]) -> Difference:
    """Nothing learned yet: the tokens to keep, by the sentences in `texts`, and first rows for the new ones."""
    known = load_texts(texts)
    tokenizer = Tokenizer.from_str(json.dumps(base.tokenizer))
    control = dict.fromkeys((profile.tokens.bos, *profile.stop_tokens, "<|im_start|>"))
    kept = chosen(base.tokenizer, tokenizer, [s for lang in LANGS for s in known.sentences(lang)], control)
    markers = len(added_tokens(profile)) - profile.n_units
    return Difference(kept, started_rows(base.tensors[EMBEDDING].float(), tokenizer, markers), about=about)


def start(base: Base, profile_directory: Path, difference: Difference, out: Path) -> None:
    """Writes `out`: profile, `lm/` in bfloat16 as it is before anything is learned, and the difference so far."""
    profile = load_profile(profile_directory)
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(profile_directory / "profile.json", out / "profile.json")
    begun = Difference(difference.kept, difference.rows, about=difference.about)
    write_model(begun.applied(base, added_tokens(profile)), out / "lm", stop=profile.stop_tokens, int8=False)
    difference.save(out / START)


def main(argv: list[str] | None = None) -> None:
    """See the module's head."""
    parser = argparse.ArgumentParser(prog="python -m model.training backbone start", description=main.__doc__)
    parser.add_argument("--base", required=True)
    parser.add_argument("--revision", help="of a base on the hub")
    parser.add_argument("--profile", type=Path, required=True, help="directory of the bundle's profile.json")
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--difference", type=Path, help="go on from this one")
    args = parser.parse_args(argv)
    base = load_base(args.base, args.revision)
    if args.difference:
        difference = Difference.load(args.difference)
    else:
        path = Path(args.base)
        about = {"base": path.name, "base_sha256": sha256_of(path)} if path.is_file() else {"base": args.base}
        difference = fresh(base, load_profile(args.profile), args.texts, about)
    start(base, args.profile, difference, args.out)
    print(f"{len(difference.kept)} tokens of the base kept, {len(difference.rows)} added")


if __name__ == "__main__":
    main()
