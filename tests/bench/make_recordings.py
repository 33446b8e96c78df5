"""The recordings that the benchmarks speak: held-out questions in held-out voices, and recordings of people.

    python -m tests.bench.make_recordings --kokoro kokoro.onnx --voices voices/ --human pocketsphinx/test/data --aishell assets/

Synthetic ones are spoken by Kokoro-82M in voices that no part of cslm-mini was trained on. Writes FLAC at 16 kHz and
`manifest.json` into tests/data/recordings, and the words of each into a .txt beside it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

OUT = Path(__file__).parents[1] / "data" / "recordings"
QUESTIONS = [0, 10, 16, 28, 45, 53, 71, 13, 14, 20, 46, 55, 58, 66, 9, 19, 33, 42, 56, 70, 11, 21, 38, 43, 52, 73]
ENGLISH, MANDARIN = ("bf_emma", "am_michael"), ("zf_xiaoyi", "zm_yunyang")
KOKORO = "Kokoro-82M, Apache-2.0"
LIBRIVOX = "LibriVox (public domain) in pocketsphinx-testdata, BSD-2"
AISHELL = "AISHELL-1 in s3tokenizer 0.3.0, Apache-2.0"
HUMAN = [
    ("librivox/sense_and_sensibility_01_austen_64kb-0880.wav", "He was not an ill disposed young man.", LIBRIVOX),
    (
        "librivox/sense_and_sensibility_01_austen_64kb-0930.wav",
        "He might even have been made amiable himself.",
        LIBRIVOX,
    ),
    ("cards/001.wav", "Ten of clubs.", "pocketsphinx-testdata, BSD-2"),
    ("cards/003.wav", "Seven of clubs.", "pocketsphinx-testdata, BSD-2"),
    ("goforward.raw", "Go forward ten meters.", "pocketsphinx-testdata, BSD-2"),
]
CHINESE = [
    ("BAC009S0764W0121.wav", "甚至出现交易几乎停滞的情况。"),
    ("BAC009S0764W0122.wav", "一二线城市虽然也处于调整中。"),
]


def main() -> None:
    """Make them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("kokoro", "voices", "human", "aishell"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    entries = _synthetic(options.kokoro, options.voices) + _human(options.human, options.aishell)
    (OUT / "manifest.json").write_text(json.dumps(entries, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _synthetic(kokoro: Path, voices: Path) -> list[dict[str, Any]]:
    from model.training.g2p import phonetic
    from model.training.synth import Teacher

    held_out = json.loads((Path("model/training") / "heldout.json").read_text(encoding="utf-8"))
    teacher = Teacher(kokoro, voices)
    entries: list[dict[str, Any]] = []
    for count, number in enumerate(QUESTIONS):
        case = held_out[number]
        voice = (ENGLISH if case["question_lang"] == "en" else MANDARIN)[count % 2]
        pcm = teacher.speak(phonetic(case["question"]).teacher, voice)[0]
        name = f"{case['question_lang']}-{case['answer_lang']}-{case['world']}-{number}.flac"
        _write(name, pcm.reshape(-1), 24_000, case["question"])
        entries.append(
            {
                "file": name,
                "source": KOKORO,
                "voice": voice,
                "language": case["question_lang"],
                "reply_language": case["answer_lang"],
                "said": case["question"],
                "answers": case["answers"],
            }
        )
    return entries


def _human(pocketsphinx: Path, aishell: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    found = [(pocketsphinx / path, said, "en", source) for path, said, source in HUMAN]
    found += [(aishell / path, said, "zh", AISHELL) for path, said in CHINESE]
    for path, said, language, source in found:
        raw = (
            {"samplerate": 16_000, "channels": 1, "subtype": "PCM_16", "format": "RAW"} if path.suffix == ".raw" else {}
        )
        pcm, rate = soundfile.read(path, dtype="float32", **raw)
        name = f"human-{language}-{path.stem.split('_')[-1]}.flac"
        _write(name, pcm, rate, said)
        entries.append(
            {
                "file": name,
                "source": source,
                "voice": "human",
                "language": language,
                "reply_language": language,
                "said": said,
                "answers": [],
            }
        )
    return entries


def _write(name: str, pcm: Any, rate: int, said: str) -> None:
    pcm = soxr.resample(np.asarray(pcm, np.float32), rate, 16_000)
    soundfile.write(OUT / name, np.clip(pcm, -1, 1), 16_000, subtype="PCM_16")
    (OUT / name).with_suffix(".txt").write_text(f"{said}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
