"""Base and difference, or its parts → `lm/` of a bundle, as `cslm pull` makes it, and `difference.safetensors`.

python -m model.training backbone export --base BASE --difference data/run/difference.safetensors --bundle data/small
"""

from __future__ import annotations

import argparse
from pathlib import Path

from model.backbone.assemble import FILE
from model.backbone.base import load_base
from model.backbone.difference import Difference, write_model
from model.backbone.vocabulary import added_tokens
from model.profile import load_profile


def main(argv: list[str] | None = None) -> None:
    """See the module's head."""
    parser = argparse.ArgumentParser(prog="python -m model.training backbone export", description=main.__doc__)
    parser.add_argument("--base", required=True)
    parser.add_argument("--revision", help="of a base on the hub")
    parser.add_argument("--difference", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True, help="directory with profile.json")
    parser.add_argument("--bfloat16", action="store_true", help="in place of whole numbers (W8A8)")
    args = parser.parse_args(argv)
    profile = load_profile(args.bundle)
    difference = Difference.load(args.difference)
    model = difference.applied(load_base(args.base, args.revision), added_tokens(profile))
    write_model(model, args.bundle / "lm", stop=profile.stop_tokens, int8=not args.bfloat16)
    difference.save(args.bundle / FILE)


if __name__ == "__main__":
    main()
