"""What a Ray cluster adds to a turn, on one machine: the same stages asked through Ray Serve and in this process.

    pip install -r requirements/cluster.txt && python -m tests.bench.cluster_hops --rounds 10

A head and one worker are started here, with one replica of each stage of cslm-mini; the language model is that of transformers in
both. Every question is asked both ways, one after the other. A step is one call to a stage: 100 ms of speech to the encoder, one cut
to the vocoder, one token of the language model. No network lies between them, so a real cluster adds the network's own time.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import soundfile

from server.cluster import open_cluster
from server.settings import Settings
from server.state.loading import open_model
from streaming.stages import Pcm, Sampling, Stages, TurnOptions, UnitCut
from streaming.turn import Question, Turn, TurnEvent
from tests.bench.questions import manifest
from tests.bench.results import arguments, origin, table, write
from tests.ray_cluster import cluster, deploy

PIECE_SAMPLES, LEAST_MS = 1_600, 1.0
WAYS = ("in process", "ray")
MEASURES = ("encoder step", "language model step", "vocoder step", "question complete → first audio")


def main() -> None:
    """Measure and write."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="times that every question is asked each way")
    parser.add_argument("--questions", type=int, default=4, help="only the first so many recordings")
    options = parser.parse_args()
    record: dict[str, Any] = {"origin": origin(), "rounds": options.rounds, "questions": options.questions}
    with cluster(workers=1) as held:
        deploy(held.address, backend="transformers")
        asked = [soundfile.read(each.path, dtype="float32")[0] for each in manifest(options.questions)]
        record["seconds"] = asyncio.run(measure(held.address, asked, options.rounds))
    record["summary"] = {way: {name: spread(record["seconds"][way][name]) for name in MEASURES} for way in WAYS}
    write(options.out, "cluster_hops", record, report(record["summary"]))


async def measure(address: str, asked: Sequence[Pcm], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Seconds by way and measure. The first question is asked once each way before anything counts."""
    taken = {way: defaultdict[str, list[float]](list) for way in WAYS}
    async with AsyncExitStack() as opened:
        local = await opened.enter_async_context(open_model(Settings(backend="transformers", vocoder_standby=False)))
        remote = await opened.enter_async_context(open_cluster(Settings(backend="ray", ray_address=address)))
        stages = {way: timed(model.stages, taken[way]) for way, model in zip(WAYS, (local, remote), strict=True)}
        for way in WAYS:
            await ask(stages[way], asked[0])
            for seconds in taken[way].values():
                seconds.clear()
        for _ in range(rounds):
            for pcm in asked:
                for way in WAYS:
                    taken[way][MEASURES[3]].append(await ask(stages[way], pcm))
    return {way: dict(measures) for way, measures in taken.items()}


async def ask(stages: Stages, pcm: Pcm) -> float:
    """Seconds from the end of the question to the first audio."""

    async def audio() -> AsyncIterator[Pcm]:
        for at in range(0, pcm.size, PIECE_SAMPLES):
            yield pcm[at : at + PIECE_SAMPLES]

    async def ignore(_: TurnEvent) -> None:
        pass

    units = [piece async for piece in stages.encoder.encode(audio())]

    async def heard() -> AsyncIterator[list[int]]:
        for piece in units:
            yield piece

    report = await Turn(stages, Question(heard()), TurnOptions(reply_language="en"), ignore).run(60.0)
    assert report.first_audio_s is not None
    return report.first_audio_s


def timed(stages: Stages, taken: dict[str, list[float]]) -> Stages:
    """The same stages; how long each step took goes to `taken`."""
    return replace(
        stages,
        encoder=_Timed(stages.encoder, taken["encoder step"].append),
        lm=_Timed(stages.lm, taken["language model step"].append),
        decoder=_Timed(stages.decoder, taken["vocoder step"].append),
    )


class _Timed:
    """A stage of any kind. What takes items is timed from one item to the request for the next, the model from token to token."""

    def __init__(self, stage: Any, took: Callable[[float], None]) -> None:
        self._stage, self._took = stage, took
        self.sample_rate = getattr(stage, "sample_rate", 0)

    def encode(self, audio: AsyncIterator[Pcm]) -> AsyncGenerator[list[int]]:
        return self._stage.encode(self._items(audio))

    def synthesize(self, cuts: AsyncIterator[UnitCut]) -> AsyncGenerator[Pcm]:
        return self._stage.synthesize(self._items(cuts))

    async def _items(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for item in items:
            began_s = time.perf_counter()
            yield item
            self._took(time.perf_counter() - began_s)

    async def generate(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        began_s = time.perf_counter()
        async for tokens in self._stage.generate(prompt, sampling):
            self._took(time.perf_counter() - began_s)
            yield tokens
            began_s = time.perf_counter()


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Milliseconds."""
    return {"n": len(seconds)} | {f"p{q}_ms": round(float(np.percentile(seconds, q)) * 1000, 2) for q in (50, 95)}


def report(summary: dict[str, dict[str, dict[str, float]]]) -> str:
    """Markdown."""
    rows = []
    for name in MEASURES:  # a piece of speech that only fills a buffer takes no time
        local, ray = (summary[way][name] for way in WAYS)
        added = [f"{ray[q] - local[q]:.1f}" for q in ("p50_ms", "p95_ms")]
        shown = [f"{side['p50_ms']:.1f} / {side['p95_ms']:.1f}" for side in (local, ray)]
        ratio = f"{ray['p50_ms'] / local['p50_ms']:.2f}" if local["p50_ms"] >= LEAST_MS else "–"
        rows.append((name, f"{ray['n']:.0f}", *shown, " / ".join(added), ratio))
    return table(("p50 / p95, ms", "n", *WAYS, "added", "ratio of p50"), rows)


if __name__ == "__main__":
    main()
