"""This server against a cascade of well-known parts on the same processor: end of the question to the first audio.

    python -m tests.bench.cascade --url http://127.0.0.1:8080 --whisper whisper-base/ --llm-en smollm2-135m.gguf \\
        --llm-zh qwen2.5-0.5b.gguf --kokoro kokoro.onnx --voices voices/

The cascade is what one would put together: Whisper base (faster-whisper, int8, greedy), the smallest language model that answers in
the language (transformers, float32, its own chat template), and Kokoro-82M (ONNX, int8). It does what can be done early: the language model starts as soon as the question is
transcribed, and the first sentence is spoken as soon as it is written. Every question is asked of both, one after the other, and
nothing else runs in between. Both use the same threads. It runs in this process, without a network; the server is asked over its
socket, in real time, with a commit at the end of the speech.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from clients.recordings import read_recording
from streaming.audio import pcm16_to_float
from tests.bench.latency import converse
from tests.bench.questions import Asked, connect, manifest, served
from tests.bench.results import arguments, ms, origin, summary, table, write

VOICES = {"en": "af_heart", "zh": "zf_xiaoxiao"}
INSTRUCTIONS = {
    "en": "You are a voice assistant. Answer in one short sentence.",
    "zh": "你是语音助手。请用一句简短的中文回答。",
}
MOST_TOKENS = 60
_SENTENCE = re.compile(r"[.!?。！？]\s*")


@dataclass(frozen=True, slots=True)
class Spoken:
    """Seconds from the end of the question to the end of each part's work for the first audio."""

    file: str
    language: str
    heard: str
    answer: str
    recognised_s: float
    written_s: float
    spoken_s: float


class Cascade:
    """Recogniser, language model and speech synthesis, warm."""

    def __init__(self, whisper: Path, llms: dict[str, Path], kokoro: Path, voices: Path, threads: int) -> None:
        import torch
        from faster_whisper import WhisperModel
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from model.training.synth import Teacher

        torch.set_num_threads(threads)
        self._whisper = WhisperModel(str(whisper), device="cpu", compute_type="int8", cpu_threads=threads)
        self._llms = {
            language: (
                AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name),
                AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32),
            )
            for language, file in llms.items()
        }
        self._speech = Teacher(kokoro, voices, threads=threads)

    def ask(self, asked: Asked) -> Spoken:
        """Answer a recording up to the end of the first sentence's speech."""
        from model.training.g2p import phonetic

        recording = read_recording(asked.path)
        pcm = pcm16_to_float(recording.pcm)[: recording.speech_frames * 480]
        began_s = time.perf_counter()
        heard = self._recognise(pcm, asked.language)
        recognised_s = time.perf_counter() - began_s
        sentences = first_sentences(self._write(heard, asked.reply_language))
        sentence = next(sentences)
        written_s = time.perf_counter() - began_s
        self._speech.speak(phonetic(sentence).teacher, VOICES[asked.reply_language])
        spoken_s = time.perf_counter() - began_s
        for _ in sentences:  # the rest is written meanwhile; the next question finds an idle machine
            pass
        return Spoken(asked.file, asked.reply_language, heard, sentence, recognised_s, written_s, spoken_s)

    def _recognise(self, pcm: Any, language: str) -> str:
        import soxr

        segments, _ = self._whisper.transcribe(
            soxr.resample(pcm, 24_000, 16_000),
            language=language,
            beam_size=1,
            temperature=0.0,
            without_timestamps=True,
            condition_on_previous_text=False,
        )
        return "".join(segment.text for segment in segments).strip()

    def _write(self, question: str, language: str) -> Iterator[str]:
        from transformers import TextIteratorStreamer

        tokenizer, llm = self._llms[language]
        told = [{"role": "system", "content": INSTRUCTIONS[language]}, {"role": "user", "content": question}]
        prompt = tokenizer.apply_chat_template(told, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
        options = {"max_new_tokens": MOST_TOKENS, "do_sample": False, "streamer": streamer}
        writing = Thread(target=llm.generate, kwargs={**prompt, **options})
        writing.start()
        yield from streamer
        writing.join()


def first_sentences(pieces: Iterator[str]) -> Iterator[str]:
    """The first sentence as soon as it is complete, or all there is; then nothing, when the rest is read."""
    text, told = "", False
    for piece in pieces:
        text += piece
        found = None if told else _SENTENCE.search(text)
        if found is not None:
            told = True
            yield text[: found.end()].strip()
    if not told:
        yield text.strip()


def main() -> None:
    """Measure and write."""
    parser = arguments(__doc__, server=True)
    for name, what in (
        ("whisper", "CTranslate2 directory"),
        ("llm-en", "GGUF"),
        ("llm-zh", "GGUF"),
        ("kokoro", "ONNX"),
        ("voices", "directory"),
    ):
        parser.add_argument(f"--{name}", type=Path, required=True, help=what)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, help="ask one question of so many")
    options = parser.parse_args()
    questions = [each for each in manifest() if each.answers and each.language == each.reply_language][:: options.every]
    llms = {"en": options.llm_en, "zh": options.llm_zh}
    cascade = Cascade(options.whisper, llms, options.kokoro, options.voices, options.threads)
    cascade.ask(questions[0])
    with connect(options.url) as client:
        record: dict[str, Any] = {
            "origin": origin(),
            "served": served(client),
            "llms": {language: file.name for language, file in llms.items()},
        }
    asyncio.run(converse(options.url, questions[:1]))
    rows = [measured(cascade, options.url, asked) for asked in questions]
    record["questions"] = rows
    write(options.out, "cascade", record, report(rows))


def measured(cascade: Cascade, url: str, asked: Asked) -> dict[str, Any]:
    """One question, to both."""
    (turn,) = asyncio.run(converse(url, [asked]))
    ours_s = None if turn.first_audio_s is None or turn.asked_s is None else turn.first_audio_s - turn.asked_s
    return asdict(cascade.ask(asked)) | {"ours_s": ours_s, "ours": turn.text}


def report(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each language."""
    lines = []
    for language in VOICES:
        of = [row for row in rows if row["language"] == language and row["ours_s"] is not None]
        if not of:
            continue
        ours = summary([row["ours_s"] for row in of])
        theirs = summary([row["spoken_s"] for row in of])
        parts = [
            float(np.median([row[name] - (row[before] if before else 0.0) for row in of]))
            for before, name in ((None, "recognised_s"), ("recognised_s", "written_s"), ("written_s", "spoken_s"))
        ]
        ratio = float(np.median([row["spoken_s"] / row["ours_s"] for row in of]))
        lines.append(
            (language, len(of), ms(ours["p50"]), ms(ours["p95"]), ms(theirs["p50"]), ms(theirs["p95"]), *map(ms, parts), f"{ratio:.1f}")
        )  # fmt: skip
    heads = ("language", "n", "ours, ms: p50", "p95", "cascade, ms: p50", "p95", "of it: recogniser", "language model", "speech", "cascade ÷ ours, median")  # fmt: skip
    missed = sum(row["ours_s"] is None for row in rows)
    return f"{missed} of {len(rows)} questions were not answered by this server.\n\n{table(heads, lines)}"


if __name__ == "__main__":
    main()
