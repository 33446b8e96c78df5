"""`python -m model.training STAGE …`: the recipe, one stage at a time, or `all` in order. Each stage resumes where it stopped.

    synth       speech of the teacher, with the length of every unit
    encoder     speech → units
    vocoder     units → speech
    confusions  which units the encoder confuses
    text        tokenizer and documents of the language model
    lm          the language model

and for your own data or a larger model (docs/training.md):

    backbone    an existing text model learns to hear and to speak
    extend      units and markers into the vocabulary of a text model
    prepare     manifests → documents of a bundle
    finetune    documents → a trained model, on one core or with accelerate on many GPUs
    merge       the mean of two models, one trained from the other
    durations   how long units last
    plot        curves

`python -m model.training STAGE -h` shows a stage's own options. `all` needs `--sources`, a directory with `kokoro.onnx`, `voices/`,
`whisper-base/model.bin`, `sentences.json` of hsk-sentences-audio and, optionally, for more English, `dataset.json` of chitchat-dataset as
`chats.json`. It writes into `--work`. What it trains goes to `--bundle`: all of cslm-mini except profile and detectors.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from model.training.corpora import CHAT_VARIABLE, SENTENCES_VARIABLE

SHIPPED = Path(__file__).parents[1] / "bundles" / "cslm-mini"
TRAINED = {"encoder", "lm", "vocoder", "MODEL_CARD.md"}
STAGES = {
    "synth": "model.training.synth",
    "encoder": "model.training.tokenizer_train",
    "vocoder": "model.training.vocoder_train",
    "confusions": "model.training.confusions",
    "text": "model.training.lm_data",
    "lm": "model.training.lm",
}
TOOLS = {
    "backbone": "model.training.backbone.__main__",
    "extend": "model.training.extend",
    "prepare": "model.training.prepare",
    "finetune": "model.training.finetune",
    "merge": "model.training.merge",
    "durations": "model.training.durations",
    "plot": "model.training.plot",
}


def plan(sources: Path, work: Path, bundle: Path) -> list[list[str]]:
    """Command lines of all stages, in an order in which each finds what it needs."""
    sentences = f"{sources}/sentences.json"
    speech, features, documents = f"{work}/speech", f"{work}/features", f"{work}/lm"
    confusions = f"{work}/confusions.json"
    encoder = ["--encoder", f"{bundle}/encoder"]
    teacher = ["--kokoro", f"{sources}/kokoro.onnx", "--voices", f"{sources}/voices"]
    return [
        ["synth", *teacher, "--text", f"{work}/manifest.tsv", "--pairs", sentences, "--out", speech],
        ["encoder", "trunk", "--whisper", f"{sources}/whisper-base/model.bin", "--out", f"{bundle}/encoder"],
        ["encoder", "features", "--speech", speech, *encoder, "--out", features],
        ["encoder", "train", "--features", features, *encoder, "--work", f"{work}/encoder", "--minutes", "36"],
        ["vocoder", "acoustics", "--speech", speech, "--work", f"{work}/vocoder", "--minutes", "51"],
        ["vocoder", "generator", "--speech", speech, "--work", f"{work}/vocoder", "--minutes", "60", "--predicted"],
        ["vocoder", "joint", "--speech", speech, "--work", f"{work}/vocoder", "--minutes", "37"],
        ["vocoder", "export", "--work", f"{work}/vocoder", "--out", f"{bundle}/vocoder"],
        [
            "confusions",
            *teacher,
            "--text",
            f"{work}/manifest.tsv",
            *encoder,
            "--work",
            f"{work}/heard",
            "--out",
            confusions,
        ],
        ["text", "--bundle", f"{bundle}", "--out", documents, "--confusions", confusions],
        ["lm", "--bundle", f"{bundle}", "--data", documents, "--work", f"{work}/lm-run", "--minutes", "185"],
    ]


def copy_untrained(shipped: Path, bundle: Path) -> None:
    """Starts a bundle with what no stage makes: profile, units and the detectors of `shipped`."""
    shutil.copytree(shipped, bundle, ignore=lambda _, names: TRAINED.intersection(names))


def run_all(arguments: list[str]) -> None:
    """Runs the plan, every command in a process of its own; stops at the first that fails."""
    parser = argparse.ArgumentParser(prog="python -m model.training all")
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("data"))
    parser.add_argument("--bundle", type=Path, help="default: cslm-mini in --work")
    args = parser.parse_args(arguments)
    bundle = args.bundle or args.work / "cslm-mini"
    if not bundle.exists():
        copy_untrained(SHIPPED, bundle)
    environment = os.environ | {SENTENCES_VARIABLE: str(args.sources / "sentences.json")}
    if (args.sources / "chats.json").exists():
        environment[CHAT_VARIABLE] = str(args.sources / "chats.json")
    for command in plan(args.sources, args.work, bundle):
        subprocess.run([sys.executable, "-m", "model.training", *command], check=True, env=environment)


def main(argv: list[str] | None = None) -> int:
    """Runs a stage with the rest of the arguments; returns the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    stage, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if stage == "all":
        run_all(rest)
    elif stage in STAGES | TOOLS:
        sys.argv = [f"python -m model.training {stage}", *rest]  # the stages read the command line themselves
        import_module((STAGES | TOOLS)[stage]).main()
    elif stage in ("-h", "--help"):
        print(__doc__)
    else:
        known = ", ".join(["all", *STAGES, *TOOLS])
        print(f"there is no stage {stage!r}; accepted: {known}" if stage else __doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
