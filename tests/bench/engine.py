"""vLLM's engine on a CPU: in the server's own worker process, the same compiled, and as vLLM's AsyncLLM would run it.

    python -m tests.bench.engine

All engines run side by side and answer the same prompts of random tokens by turns, one after the other, then eight and 32 at once.
The ratios are medians over the rounds, each of which asks all engines within seconds of each other. Memory is the proportional set of an engine's processes, processor time what they took for all answers.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import psutil  # type: ignore[import-untyped]

from model.lm.process import process_setup

process_setup()

from streaming.stages import Sampling
from tests.bench.results import BUNDLE, arguments, ms, origin, percentile, table, write

PROMPT_TOKENS, ANSWER_TOKENS, AT_ONCE = 60, 40, (8, 32)
WORKER, COMPILED, ASYNC_LLM = "worker", "worker, compiled (`CSLM_EAGER=false`)", "vLLM's AsyncLLM"
ENGINES = (WORKER, COMPILED, ASYNC_LLM)


class AsyncEngine:
    """What vLLM offers for servers: its engine in a process that it starts itself, requests and tokens over ZeroMQ."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def start(self) -> None:
        """Load the weights."""
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        from model.lm.engine_options import EngineConfig, engine_options

        options = engine_options(self._directory, EngineConfig(2048, eager=True), on_cpu=True)
        config = AsyncEngineArgs(**options).create_engine_config()
        os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"  # what create_engine_config has just set to "spawn"
        config.parallel_config.distributed_executor_backend = "uni"
        self._engine = await asyncio.to_thread(AsyncLLM.from_vllm_config, config, disable_log_stats=True)

    async def generate(self, prompt: list[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        """As `LanguageModel.generate`."""
        from model.lm.engine_process import _params

        request = self._engine.generate(
            {"prompt_token_ids": prompt}, _params(sampling), request_id=secrets.token_hex(8)
        )
        async for output in request:
            yield list(output.outputs[0].token_ids)

    async def close(self) -> None:
        """End its process."""
        self._engine.shutdown()


async def serve(name: str) -> None:
    """The engine of that name, which answers the prompts of each line of stdin, all of a line at once, and prints what it took."""
    from model.lm.engine_options import EngineConfig
    from model.lm.engine_process import PRELOAD
    from model.lm.vllm_engine import VllmLanguageModel
    from model.workers.forking import preload

    preload(*PRELOAD)
    began = time.monotonic()
    directory = BUNDLE / "lm"
    ours = VllmLanguageModel(directory, EngineConfig(2048, eager=name != COMPILED))
    lm = AsyncEngine(directory) if name == ASYNC_LLM else ours
    await lm.start()
    print(json.dumps({"start_s": time.monotonic() - began}), flush=True)

    async def one(prompt: list[int]) -> tuple[float, float]:
        times = [time.perf_counter()]
        async for _ in lm.generate(prompt, Sampling(max_tokens=ANSWER_TOKENS)):
            times.append(time.perf_counter())
        return times[1] - times[0], (times[-1] - times[1]) / (ANSWER_TOKENS - 1)

    while line := await asyncio.to_thread(sys.stdin.readline):
        began = time.monotonic()
        answers = await asyncio.gather(*(one(prompt) for prompt in json.loads(line)))
        wall_s = time.monotonic() - began  # to ask for the memory takes tens of milliseconds for each process
        engine = psutil.Process().children(recursive=True)
        used = {
            "cpu_s": sum(sum(process.cpu_times()[:2]) for process in engine),
            "memory_mb": sum(process.memory_full_info().pss for process in engine) / 1e6,
        }
        print(json.dumps({"answers": answers, "wall_s": wall_s} | used), flush=True)
    await lm.close()


def main() -> None:
    """Measure and write."""
    parser = arguments(__doc__)
    parser.add_argument("--serve", choices=ENGINES, help="run one engine, as this does itself")
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve))
        return
    record: dict[str, Any] = {"origin": origin(), "engines": {name: {} for name in ENGINES}}
    rng, children = Random(0), {}
    with TemporaryDirectory() as nothing_compiled_before:
        environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": nothing_compiled_before}
        for name in ENGINES:
            command = [sys.executable, "-m", "tests.bench.engine", "--serve", name]
            children[name] = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
            )
            record["engines"][name] |= told(children[name]) | {"1": []} | {str(n): [] for n in AT_ONCE}
    for prompts in (1, *AT_ONCE):
        for turn in range(options.rounds if prompts == 1 else options.rounds // 4):
            asked = [[rng.randrange(300, 4000) for _ in range(PROMPT_TOKENS)] for _ in range(prompts)]
            for name in ENGINES[turn % 3 :] + ENGINES[: turn % 3]:  # none of them is always the first
                children[name].stdin.write(json.dumps(asked) + "\n")
                children[name].stdin.flush()
                record["engines"][name][str(prompts)].append(told(children[name]))
    for child in children.values():
        child.stdin.close()
        child.wait()
    write(options.out, "engine", record, report(record))


def told(child: subprocess.Popen[str]) -> dict[str, Any]:
    """The next thing that a child says; vLLM may print lines of its own. Raises RuntimeError where it ended."""
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("{"):
            said: dict[str, Any] = json.loads(line)
            return said
    raise RuntimeError("an engine ended before it answered")


def tokens_a_second(engine: dict[str, Any], at_once: int) -> float:
    """Of all answers together."""
    return median(at_once * ANSWER_TOKENS / told["wall_s"] for told in engine[str(at_once)])


def against_raw(record: dict[str, Any], name: str, at_once: int) -> float:
    """Tokens a second ÷ those of AsyncLLM with the same prompts."""
    raw, ours = (record["engines"][each][str(at_once)] for each in (ASYNC_LLM, name))
    return median(each["wall_s"] / own["wall_s"] for each, own in zip(raw, ours, strict=True))


def report(record: dict[str, Any]) -> str:
    """A row for each engine."""
    rows = []
    for name, engine in record["engines"].items():
        first, later = zip(*(answer for told in engine["1"] for answer in told["answers"]), strict=True)
        last = engine[str(AT_ONCE[-1])][-1]
        rows.append(
            [
                name,
                *(f"{ms(percentile(sorted(first), q))}" for q in (0.5, 0.95)),
                *(f"{1000 * percentile(sorted(later), q):.1f}" for q in (0.5, 0.95)),
                *(f"{tokens_a_second(engine, n):.0f}" for n in AT_ONCE),
                *(f"{against_raw(record, name, n):.2f}" for n in AT_ONCE),
                f"{engine['start_s']:.1f}",
                f"{last['cpu_s']:.1f}",
                f"{last['memory_mb']:.0f}",
            ]
        )
    heads = (
        "engine",
        "first token, ms: p50",
        "p95",
        "each later token, ms: p50",
        "p95",
        *(f"{n} at once: tokens a second" for n in AT_ONCE),
        *(f"{n} at once ÷ AsyncLLM" for n in AT_ONCE),
    )
    return table((*heads, "start, s", "processor time, s", "memory, MB"), rows)


if __name__ == "__main__":
    main()
