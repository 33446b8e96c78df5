"""What is left to do between the end of a question and the first audio, in processor time and tokens, which other work hardly changes.

    python -m tests.bench.before_speech

The encoder has heard all but the last 20 ms of each recording, whole and cut short five times by 0.2 s; told is what the end takes
on one thread, and how much of the prompt would be left to read for a language model that had read what was final before, as far as
vLLM's cache keeps it: in whole blocks. The language model answers the whole recordings greedily; told is how many tokens it writes
before others can begin.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import soundfile
import torch

from model.bundle import find_bundle
from model.encoders.whisper_ctc import FRAME_SAMPLES, WhisperCtc
from model.lm.engine_options import BLOCK_TOKENS
from model.lm.transformers_model import TransformersLanguageModel
from model.mel import SAMPLE_RATE
from streaming.interleave import TranscriptDone, UnitsDelta
from streaming.stages import Pcm, PromptWriter, TurnOptions
from tests.bench.questions import Asked, manifest
from tests.bench.results import arguments, ms, origin, summary, table, write

CUTS, CUT_S = 6, 0.2


def main() -> None:
    """Measure and write."""
    options = arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    bundle = find_bundle("cslm-mini", None)
    encoder = WhisperCtc.load(bundle.encoder)
    spoken = [(asked, soundfile.read(asked.path, dtype="float32")[0]) for asked in manifest()]
    ends = [
        end_of(encoder, bundle.prompts, asked, pcm[: pcm.size - round(cut * CUT_S * SAMPLE_RATE)])
        for asked, pcm in spoken
        for cut in range(CUTS)
    ]
    questions = [(asked, encoder.encode(pcm)) for asked, pcm in spoken]
    first = bundle.profile.cuts.first_units
    counts = asyncio.run(answers(TransformersLanguageModel(bundle.lm), bundle.prompts, questions, first))
    record = {
        "origin": origin(),
        "first_cut_units": first,
        "end_of_question_s": summary([taken_s for taken_s, _, _ in ends]),
        "prompt_tokens": summary([prompt for _, prompt, _ in ends]),
        "left_tokens": summary([left for _, _, left in ends]),
        "left_share": summary([left / prompt for _, prompt, left in ends]),
        **{name: summary([count[name] for count in counts if name in count]) for name in ("transcript", "unit", "cut")},
    }
    write(options.out, "before_speech", record, report(record))


def end_of(encoder: WhisperCtc, prompts: PromptWriter, asked: Asked, pcm: Pcm) -> tuple[float, int, int]:
    """Of the end of a question: seconds of processor time, tokens of the prompt, and those left to read."""
    state = encoder.open()
    final = encoder.push(state, pcm[:-FRAME_SAMPLES])
    began = time.thread_time()
    rest = encoder.push(state, pcm[-FRAME_SAMPLES:]) + encoder.finish(state)
    taken_s = time.thread_time() - began
    before, after = prompts.speech_prompt(TurnOptions(reply_language=asked.reply_language), [])
    read = len(before) + len(final)
    prompt = read + len(rest) + len(after)
    return taken_s, prompt, prompt - read // BLOCK_TOKENS * BLOCK_TOKENS


async def answers(
    lm: TransformersLanguageModel, prompts: PromptWriter, questions: list[tuple[Asked, list[int]]], first: int
) -> list[dict[str, int]]:
    """Of each answer, after how many tokens the transcript, the first unit and the first cut were there."""
    await lm.start()
    try:
        return [await answered(lm, prompts, asked, units, first) for asked, units in questions]
    finally:
        await lm.close()


async def answered(
    lm: TransformersLanguageModel, prompts: PromptWriter, asked: Asked, question: list[int], first: int
) -> dict[str, int]:
    options = TurnOptions(reply_language=asked.reply_language)
    before, after = prompts.speech_prompt(options, [])
    prompt = before + prompts.unit_ids(question) + after
    parser, tokens, units, reached = prompts.parser(), 0, 0, dict[str, int]()
    async for ids in lm.generate(prompt, prompts.sampling(options, len(prompt))):
        for token in ids:
            tokens += 1
            for event in parser.feed([token]):
                if isinstance(event, TranscriptDone):
                    reached["transcript"] = tokens
                elif isinstance(event, UnitsDelta):
                    units += len(event.units)
                    reached.setdefault("unit", tokens)
        if units >= first:
            return reached | {"cut": tokens}
    return reached


def report(record: dict[str, Any]) -> str:
    """A row for each part."""
    end = record["end_of_question_s"]
    rows = [
        [
            "encoder: end of the question, ms of processor time",
            str(end["n"]),
            *(ms(end[name]) for name in ("p50", "p95")),
        ]
    ]
    for name, text in (
        ("transcript", "language model: tokens until the transcript is complete"),
        ("unit", "tokens until the first unit"),
        ("cut", f"tokens until the first cut of {record['first_cut_units']} units"),
    ):
        rows.append([text, str(record[name]["n"]), *(f"{record[name][share]:.0f}" for share in ("p50", "p95"))])
    rows += [
        [text, str(record[name]["n"]), *(f"{record[name][share]:.{digits}f}" for share in ("p50", "p95"))]
        for name, text, digits in (
            ("prompt_tokens", "the prompt, tokens", 0),
            ("left_tokens", "left of it, if what is final before the end had been read", 0),
            ("left_share", "the same ÷ the prompt", 2),
        )
    ]
    return table(("", "n", "p50", "p95"), rows)


if __name__ == "__main__":
    main()
