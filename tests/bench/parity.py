"""Do vLLM and transformers write the same tokens? Greedy, on the prompts of real recordings and of typed questions.

    python -m tests.bench.parity --bundle model/bundles/cslm-mini

Each backend runs in a process of its own, because vLLM forks. vLLM answers the prompts one at a time and then all at once;
where its tokens differ from those of transformers, the gap between the two candidates' logits at the first difference says
whether it was a near tie.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.lm.process import process_setup

process_setup()

from tests.bench.questions import manifest
from tests.bench.results import BUNDLE, ROOT, arguments, origin, table, weights, write

if TYPE_CHECKING:
    from model.lm import Backend

TYPED = (
    "What is two plus three?",
    "Hello, how are you?",
    "What is the capital of France?",
    "Please repeat after me: the sun is warm today.",
    "Count from one to five.",
    "你好！",
    "三加四等于几？",
    "中国的首都是哪里？",
)
Tokens = list[list[int]]


def main() -> None:
    """Compare and write. With --backend: one side of it, prompts in and tokens out as JSON files."""
    parser = arguments(__doc__)
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--limit", type=int, help="only the first so many recordings")
    parser.add_argument("--backend", choices=("prompts", "vllm", "transformers"))
    parser.add_argument("--exchange", type=Path, help="directory of the files between the processes")
    options = parser.parse_args()
    if options.backend:
        serve_one(options.backend, options.bundle, options.exchange, options.limit)
        return
    import tempfile

    with tempfile.TemporaryDirectory() as exchange:
        record: dict[str, Any] = {
            "origin": origin(options.bundle),
            **compare(options.bundle, Path(exchange), options.limit),
        }
    used = [name for name in record["origin"]["weights"] if name.startswith(("lm", "encoder"))]
    if any(weights(options.bundle)[name] != record["origin"]["weights"][name] for name in used):
        raise SystemExit("the bundle was replaced during the run: run it again")
    write(options.out, "parity", record, report(record))


def compare(bundle: Path, exchange: Path, limit: int | None = None) -> dict[str, Any]:
    """Run both backends on the same prompts. Raises CalledProcessError with what the side that failed wrote."""
    for backend in ("prompts", "vllm", "transformers"):
        command = [sys.executable, "-m", "tests.bench.parity", "--backend", backend]
        command += ["--bundle", str(bundle.resolve()), "--exchange", str(exchange)]
        command += ["--limit", str(limit)] if limit else []
        subprocess.run(command, cwd=ROOT, check=True, timeout=1200)
    names, prompts = (_read(exchange, name) for name in ("names", "prompts"))
    alone, together, reference = (_read(exchange, name) for name in ("vllm", "vllm-together", "transformers"))
    gaps = _read(exchange, "gaps")
    return {
        "dtype": _read(exchange, "dtype"),
        "prompts": len(prompts),
        "prompt_tokens": sum(map(len, prompts)),
        "tokens": sum(map(len, reference)),
        "identical_alone": sum(a == b for a, b in zip(alone, reference, strict=True)),
        "identical_together": sum(a == b for a, b in zip(together, reference, strict=True)),
        "differences": [{"prompt": names[i], "run": run, "of": len(reference[i])} | gap for run, i, gap in gaps],
    }


def serve_one(backend: str, bundle: Path, exchange: Path, limit: int | None) -> None:
    """In a process of its own: make the prompts, or answer them."""
    if backend == "prompts":
        names, prompts = real_prompts(bundle, limit)
        _write(exchange, "names", names)
        _write(exchange, "prompts", prompts)
        return
    prompts = _read(exchange, "prompts")
    if backend == "vllm":
        alone, together = asyncio.run(_vllm(bundle, prompts))
        _write(exchange, "vllm", alone)
        _write(exchange, "vllm-together", together)
        return
    reference, gaps, dtype = asyncio.run(_transformers(bundle, prompts, exchange))
    _write(exchange, "transformers", reference)
    _write(exchange, "gaps", gaps)
    _write(exchange, "dtype", dtype)


def real_prompts(bundle: Path, limit: int | None) -> tuple[list[str], Tokens]:
    """Every recording as the encoder hears it, and the typed questions, as the ids of complete prompts."""
    import soundfile
    import torch

    from model.bundle import Bundle
    from model.encoders.whisper_ctc import WhisperCtc
    from streaming.stages import TurnOptions

    torch.set_num_threads(1)
    opened = Bundle(bundle)
    encoder, prompts = WhisperCtc.load(opened.encoder), opened.prompts
    names, made = [], []
    for asked in manifest(limit):
        pcm, _ = soundfile.read(asked.path, dtype="float32")
        before, after = prompts.speech_prompt(TurnOptions(reply_language=asked.reply_language), ())
        names.append(asked.file)
        made.append([*before, *prompts.unit_ids(encoder.encode(pcm)), *after])
    for text in TYPED:
        names.append(text)
        made.append(prompts.text_prompt(text, TurnOptions(), ()))
    return names, made


async def _vllm(bundle: Path, prompts: Tokens) -> tuple[Tokens, Tokens]:
    from model.bundle import Bundle
    from model.lm.engine_options import EngineConfig
    from model.lm.vllm_engine import VllmLanguageModel

    lm = VllmLanguageModel(bundle / "lm", EngineConfig(Bundle(bundle).profile.max_model_len))
    await lm.start()
    try:
        alone = [await _answer(lm, bundle, prompt) for prompt in prompts]
        together = await asyncio.gather(*[_answer(lm, bundle, prompt) for prompt in prompts])
    finally:
        await lm.close()
    return alone, list(together)


async def _transformers(bundle: Path, prompts: Tokens, exchange: Path) -> tuple[Tokens, list[Any], str]:
    import torch

    from model.lm.transformers_model import TransformersLanguageModel

    torch.set_num_threads(1)
    lm = TransformersLanguageModel(bundle / "lm")
    reference = [await _answer(lm, bundle, prompt) for prompt in prompts]
    gaps = []
    for run, name in (("alone", "vllm"), ("together", "vllm-together")):
        for i, got in enumerate(_read(exchange, name)):
            if got != reference[i]:
                gaps.append((run, i, first_difference(lm, prompts[i], reference[i], got)))
    await lm.close()
    return reference, gaps, str(lm._model.dtype).removeprefix("torch.")


def first_difference(lm: Any, prompt: list[int], wanted: list[int], got: list[int]) -> dict[str, Any]:
    """Where two answers part, and how much higher the reference's logit is there than the other's (None: one just ended)."""
    at = next((i for i, (a, b) in enumerate(zip(wanted, got, strict=False)) if a != b), min(len(wanted), len(got)))
    gap = None
    if at < min(len(wanted), len(got)):
        logits, _ = lm._step(prompt + wanted[:at], None)
        gap = round(float(logits[wanted[at]] - logits[got[at]]), 5)
    return {"at": at, "logit_gap": gap}


async def _answer(lm: Backend, bundle: Path, prompt: list[int]) -> list[int]:
    from model.bundle import Bundle
    from streaming.stages import TurnOptions

    sampling = Bundle(bundle).prompts.sampling(TurnOptions(temperature=0.0, top_p=1.0), len(prompt))
    return [token async for piece in lm.generate(prompt, sampling) for token in piece]


def report(record: dict[str, Any]) -> str:
    """Counts, and every difference."""
    counts = [
        (f"vLLM, {how}", f"{record[key]} of {record['prompts']}")
        for how, key in (("one prompt at a time", "identical_alone"), ("all prompts at once", "identical_together"))
    ]
    text = (
        f"{record['prompts']} prompts of {record['prompt_tokens']} tokens, {record['tokens']} tokens of answers, "
        f"{record['dtype']}.\n\n{table(('against transformers', 'identical answers'), counts)}"
    )
    if not record["differences"]:
        return text
    rows = [(d["prompt"], d["run"], f"{d['at']} of {d['of']}", d["logit_gap"]) for d in record["differences"]]
    return f"{text}\n\n{table(('differs', 'run', 'first at token', 'gap of the logits'), rows)}"


def _read(exchange: Path, name: str) -> Any:
    return json.loads((exchange / f"{name}.json").read_text(encoding="utf-8"))


def _write(exchange: Path, name: str, value: Any) -> None:
    (exchange / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")


if __name__ == "__main__":
    main()
