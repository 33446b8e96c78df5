"""The three stages as deployments of Ray Serve. `deploy/ray/*.yaml` name the builders at the end of this file.

A replica opens its stage as a server on one host does, with the same settings, and keeps it alive in the same way.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any

import ray
from ray import serve
from ray.serve import Application
from ray.serve.config import RequestRouterConfig

from model.lm.process import process_setup
from server.cluster.contract import Facts, check_facts, facts_of
from server.cluster.scaling import FIRST_TOKENS_S, PRESSURE, Pressure
from server.cluster.streams import Answer, Stage, Step, Streams
from server.settings import Settings
from streaming.stages import Sampling

_ROUTING = RequestRouterConfig(
    request_router_class="server.cluster.router:StageRouter", request_routing_stats_period_s=1.0
)

_HEALTH_S = 2.0
"""How long Serve may go without noticing that a replica is gone. Its default of 10 s would leave the others alone as long."""


class _Replica:
    """What the three have in common: a bundle, and a stage that is open until the replica goes."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._opened = AsyncExitStack()  # first, because `__del__` follows a failure as well
        process_setup()
        from model.bundle import find_bundle
        from server.state.loading import choose_device

        self._settings = Settings(**settings)
        self._bundle = find_bundle(self._settings.bundle, self._settings.bundles)
        self._facts = facts_of(self._bundle)
        self._device = choose_device(self._settings.device, gpu=bool(ray.get_gpu_ids()))
        self._pressure = Pressure()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """For `by_headroom`."""
        return {PRESSURE: self._pressure.value()}

    async def facts(self) -> Facts:
        """What it serves."""
        return self._facts

    async def __del__(self) -> None:
        await self._opened.aclose()


class _StreamReplica(_Replica):
    """A stage that takes streams."""

    _streams: Streams

    async def step(self, gateway: Facts, step: Step) -> Answer:
        """See `Streams.step`. Raises ClusterError for a gateway with another bundle."""
        check_facts(gateway, self._facts)
        with self._pressure.call(self._time_s(step.items)):
            return await self._streams.step(step)

    def _time_s(self, items: Sequence[Any]) -> float:
        """How long these may take before somebody waits."""
        raise NotImplementedError

    async def drop(self, stream: str) -> None:
        """Forget a stream."""
        await self._streams.drop(stream)

    async def record_routing_stats(self) -> dict[str, int]:
        """For `StageRouter`."""
        return {"streams": len(self._streams)}

    def _serve(self, stage: Stage) -> None:
        self._streams = Streams(stage, _replica_name())
        self._opened.push_async_callback(self._streams.close)


def _replica_name() -> str:
    return str(serve.get_replica_context().replica_id.unique_id)


class Encoder(_StreamReplica):
    """Speech to units."""

    async def __init__(self, settings: Mapping[str, Any]) -> None:  # type: ignore[misc]  # Serve awaits it
        from server.state.loading import open_encoder

        super().__init__(settings)
        opening = open_encoder(self._bundle, self._device, self._settings.step_s)
        stage = await self._opened.enter_async_context(opening)
        self._serve(stage.encode)
        self._sample_rate = self._bundle.profile.input_sample_rate_hz

    def _time_s(self, items: Sequence[Any]) -> float:
        """Until the next ones come."""
        return sum(len(item) for item in items if not isinstance(item, str)) / self._sample_rate


class Vocoder(_StreamReplica):
    """Units to speech, the cut nearest to an underrun first, whichever gateway it came from."""

    async def __init__(self, settings: Mapping[str, Any]) -> None:  # type: ignore[misc]  # Serve awaits it
        from server.state.loading import open_vocoder

        super().__init__(settings)
        self._stage = await self._opened.enter_async_context(open_vocoder(self._bundle, self._device, self._settings))
        self._serve(self._stage.synthesize)

    def _time_s(self, items: Sequence[Any]) -> float:
        """Until their listener has heard all."""
        return min((cut.buffered_s for cut in items), default=0.0)

    async def check_health(self) -> None:
        """Raises RuntimeError while nothing can be spoken."""
        _assert_sound(self._stage.fault())


class LanguageModel(_Replica):
    """Tokens to tokens."""

    async def __init__(self, settings: Mapping[str, Any]) -> None:  # type: ignore[misc]  # Serve awaits it
        from server.state.loading import backend_kind, open_language_model

        super().__init__(settings)
        opening = open_language_model(backend_kind(self._settings), self._bundle, self._settings)
        self._stage = await self._opened.enter_async_context(opening)

    async def generate(self, gateway: Facts, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        """See `streaming.stages.LanguageModel.generate`; cancelling the call frees its cache."""
        check_facts(gateway, self._facts)
        async with aclosing(self._stage.generate(prompt, sampling)) as answer:
            with self._pressure.call(FIRST_TOKENS_S):
                first = await anext(answer, None)
            if first is None:
                return
            yield first
            async for tokens in answer:
                yield tokens

    async def check_health(self) -> None:
        """Raises RuntimeError while nothing can be answered."""
        _assert_sound(self._stage.fault())


def _assert_sound(fault: str | None) -> None:
    if fault is not None:
        raise RuntimeError(fault)


def _deployment(stage: type[_Replica], settings: Mapping[str, Any]) -> Application:
    deployed: Any = serve.deployment(
        stage, name=stage.__name__, request_router_config=_ROUTING, health_check_period_s=_HEALTH_S
    )
    return deployed.bind(settings)


def encoder(settings: dict[str, Any]) -> Application:
    """`settings`: fields of `server.settings.Settings`, where they differ from the replica's environment."""
    return _deployment(Encoder, settings)


def language_model(settings: dict[str, Any]) -> Application:
    """`settings`: as for `encoder`."""
    return _deployment(LanguageModel, settings)


def vocoder(settings: dict[str, Any]) -> Application:
    """`settings`: as for `encoder`."""
    return _deployment(Vocoder, settings)
