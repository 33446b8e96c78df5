"""`python -m model.training backbone STEP …`: a text model of others learns to hear and to speak.

    gather  everyday sentences out of texts that packages carry
    start   its vocabulary, cut and extended
    write   questions and answers by the text model itself
    compose documents in shards, for a machine with a GPU
    train   adapters on units and text
    export  base and difference → a directory that serves
    score   how well that hears and says held-out sentences

`python -m model.training backbone STEP -h` tells a step's own options.
"""

from __future__ import annotations

import sys
from importlib import import_module

STEPS = ("gather", "start", "write", "compose", "train", "export", "score")


def main() -> None:
    """Runs a step with the rest of the command line."""
    step, *rest = sys.argv[1:] or [""]
    if step not in STEPS:
        print(__doc__)
        raise SystemExit(0 if step in ("-h", "--help") else 2)
    import_module(f"model.training.backbone.{step}").main(rest)
