"""How well is the vocoder understood? Sentences from their units, judged by Whisper.

    python -m model.training.judge --whisper whisper-base/ --bundle model/bundles/cslm-mini --sentences held_out.tsv

English: word error after lower-casing, numbers in words. Mandarin: error over syllables without tone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from model.evaluation.judge import Judge
from model.evaluation.scores import error_rate


def main() -> None:
    """Speak sentences (`language<TAB>text`) from their units through the bundle's vocoder and judge them."""
    import torch

    from model.training.g2p import to_ids
    from model.vocoder import Vocoder

    parser = argparse.ArgumentParser(description="how well the vocoder is understood")
    parser.add_argument("--whisper", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--sentences", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=10_000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    judge, vocoder = Judge(args.whisper), Vocoder.load(args.bundle / "vocoder")
    pairs: dict[str, list[tuple[str, str]]] = {}
    for row in args.sentences.read_text(encoding="utf-8").splitlines()[: args.limit]:
        language, text = row.split("\t")
        heard = judge.transcribe(vocoder.decode(to_ids(text, trim=False)), vocoder.sample_rate, language)
        pairs.setdefault(language, []).append((heard, text))
        print(f"{text} | {heard}")
    for language, heard_meant in pairs.items():
        print(f"{language}: {error_rate(heard_meant, language):.1%} of {len(heard_meant)} sentences")


if __name__ == "__main__":
    main()
