"""What is heard, answered and spoken: every recording of tests/data/recordings, asked once.

    python -m tests.bench.answers --url http://127.0.0.1:8080 --save answers/
    python -m tests.bench.judge_answers answers/ --whisper whisper-base/

The first step needs only the product; it keeps the answers in a directory. The second has the audio transcribed by an
independent recognizer and writes the tables (`faster-whisper` and the extra `train`).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tests.bench.questions import Asked, Reply, ask, connect, manifest, served
from tests.bench.results import arguments, origin


def main() -> None:
    """Ask them all."""
    parser = arguments(__doc__, server=True)
    parser.add_argument("--save", type=Path, required=True, help="directory for the spoken answers")
    parser.add_argument("--limit", type=int, help="only the first so many recordings")
    options = parser.parse_args()
    options.save.mkdir(parents=True, exist_ok=True)
    with connect(options.url) as client:
        record: dict[str, Any] = {"origin": origin(), "served": served(client), "answers": []}
        for asked in manifest(options.limit):
            row = _row(asked, ask(client, asked), options.save)
            record["answers"].append(row)
            print(f"{asked.said} | {row['heard']} | {row['answered']}", flush=True)
    text = json.dumps(record, ensure_ascii=False, indent=1)
    (options.save / "answers.json").write_text(text + "\n", encoding="utf-8")


def _row(asked: Asked, reply: Reply, directory: Path) -> dict[str, Any]:
    spoken = Path(asked.file).with_suffix(".wav").name
    pcm = reply.pcm if reply.pcm.size else np.zeros(reply.rate_hz // 10, np.float32)
    soundfile.write(directory / spoken, pcm, reply.rate_hz, subtype="PCM_16")
    return asdict(asked) | {
        "heard": reply.transcript,
        "answered": reply.text,
        "spoken": spoken,
        "audio_s": round(reply.pcm.size / reply.rate_hz, 3),
        "usage": reply.usage,
    }


if __name__ == "__main__":
    main()
