"""The vocoder's worker process, seen from the gateway: one batch of cuts at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.vocoders import VocoderKind
from model.vocoders.streams import Cut, Failure, Forget, speak
from model.workers.supervisor import Supervisor, WorkerState
from model.workers.worker import Job, Limits, Worker, WorkerLost
from streaming.stages import Pcm

LIMITS = Limits(start_s=120.0)


class VocoderProcess:
    """The process that speaks, replaced whenever it goes.

    `device`: torch's name of where it computes; `standby`: another process stands ready, its weights loaded.
    """

    def __init__(
        self,
        kind: VocoderKind,
        directory: Path,
        *,
        device: str = "cpu",
        threads: int = 1,
        limits: Limits = LIMITS,
        standby: bool = False,
    ) -> None:
        self._supervisor = Supervisor(
            "vocoder",
            Job(speak, (kind.load, directory, device, threads)),
            limits,
            standby=standby,
            on_message=self._replied,
            on_lost=self._lost,
        )
        self._asked: tuple[Worker, asyncio.Future[list[Pcm | Failure]]] | None = None

    async def start(self) -> int:
        """Returns how many cuts it gains from taking at once. Raises BundleError, EngineUnavailable."""
        await self._supervisor.start()
        return int((await self._supervisor.worker()).facts["batch"])

    async def close(self) -> None:
        """End it. What waits for it fails."""
        await self._supervisor.close()

    def state(self) -> WorkerState:
        """How it is."""
        return self._supervisor.state()

    @property
    def serving(self) -> Worker | None:
        """The process that holds the streams now, if there is one."""
        return self._supervisor.serving

    async def wait(self) -> Worker:
        """The same, waiting for it. Raises EngineUnavailable."""
        return await self._supervisor.worker()

    async def decode(self, cuts: Sequence[Cut]) -> list[Pcm | Failure]:
        """Audio of each cut, by the process that serves. One call at a time. Raises WorkerLost."""
        worker = self._supervisor.serving
        if worker is None:
            raise WorkerLost("the vocoder is restarting")
        reply: asyncio.Future[list[Pcm | Failure]] = asyncio.get_running_loop().create_future()
        self._asked = worker, reply
        worker.send(list(cuts))
        return await reply

    def forget(self, stream: int) -> None:
        """A stream that ends early."""
        if (worker := self._supervisor.serving) is not None:
            worker.send(Forget(stream))

    def _replied(self, worker: Worker, pieces: Any) -> None:
        if self._asked is not None and self._asked[0] is worker and not self._asked[1].done():
            self._asked[1].set_result(pieces)

    def _lost(self, worker: Worker) -> None:
        if self._asked is not None and self._asked[0] is worker and not self._asked[1].done():
            self._asked[1].set_exception(WorkerLost("the vocoder's process went"))
