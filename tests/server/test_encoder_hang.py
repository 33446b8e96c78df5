"""An encoder whose thread hangs: no session pays for it, and `/readyz` tells."""

from __future__ import annotations

import asyncio
import threading

import numpy as np

from model.encoders.block_stage import BlockStage
from streaming.stages import Pcm
from tests.server.front import recording, serving, tone
from tests.server.models import fake_model

FRAME_SAMPLES = 320


class Loudness:
    """A `BlockEncoder` of a unit for each frame. Its second call hangs until `go`."""

    def __init__(self) -> None:
        self.calls, self.go = 0, threading.Event()

    def open(self) -> list[Pcm]:
        return []

    def push(self, state: list[Pcm], pcm: Pcm) -> list[int]:
        state.append(pcm)
        self.calls += 1
        if self.calls == 2:
            self.go.wait(60)
        return []

    def wants(self, state: list[Pcm]) -> int:
        return 1

    def finish(self, state: list[Pcm]) -> list[int]:
        pcm = np.concatenate(state)
        return [1 + int(90 * np.abs(frame).max()) for frame in np.array_split(pcm, pcm.size // FRAME_SAMPLES)]

    def copied(self, state: list[Pcm]) -> list[Pcm]:
        return list(state)


async def test_no_turn_is_lost_and_it_is_told_meanwhile() -> None:
    encoder = Loudness()
    stage = BlockStage(encoder, step_s=8.0)
    model = fake_model(encoder=stage, fault=lambda: stage.state().fault)
    try:
        async with serving(model) as front:

            async def asked(peak: float) -> int:
                answer = await front.client.post("/v1/speech", content=recording(tone(peak=peak)))
                return answer.status_code

            asking, told = asyncio.gather(*map(asked, (0.2, 0.4, 0.6))), set[str]()
            while not asking.done():
                told.add((await front.client.get("/readyz")).json().get("reason", ""))
                await asyncio.sleep(0.01)
            assert await asking == [200, 200, 200]
            assert "the encoder does not answer" in told
            assert (await front.client.get("/readyz")).status_code == 200
            assert stage.state().restarts == {"stuck": 1}
    finally:
        encoder.go.set()
        stage.close()
