"""The model of a gateway: its stages are calls to Ray Serve, its sessions and what they need at once are here."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle
from structlog.contextvars import get_contextvars

from model.bundle import find_bundle
from model.lm.resume import EngineLost, resumed
from model.workers.worker import WorkerLost
from server.cluster.connection import Cluster
from server.cluster.contract import ClusterError, Facts, check_facts, facts_of
from server.cluster.patience import Patience
from server.cluster.ranking import Wish
from server.cluster.replay import RemoteEncoder, RemoteVocoder
from server.cluster.streams import Answer, Step, StreamLost
from server.settings import Settings
from server.state.loading import Parts, ServedModel, open_listening, served_model
from streaming.errors import BundleError, CapacityError, EngineUnavailable, SpeechServerError
from streaming.headroom import Headroom
from streaming.stages import Sampling

log = logging.getLogger(__name__)

_Told = TypeVar("_Told")
_PAUSE_S = 1.0
_LM_S = 3.0
"""What a language model is waited for in any case: tokens wait for the prompts of others, and listeners have some to hear."""


@asynccontextmanager
async def open_cluster_model(settings: Settings) -> AsyncGenerator[ServedModel]:
    """The model that a cluster serves, while the context lasts. Raises BundleError, ClusterError."""
    if settings.early_units != "off":
        raise BundleError(
            "early_units is decided by encoders on one host; with backend ray it must be off",
            code="unsupported_setting",
            param="early_units",
        )
    bundle = find_bundle(settings.bundle, settings.bundles)
    facts = await asyncio.to_thread(facts_of, bundle)
    async with (
        Cluster.connected(settings.ray_address, settings.ray_start_s) as cluster,
        open_listening(bundle) as hears,
    ):
        encoder, lm, vocoder = cluster.encoder, cluster.language_model, cluster.vocoder
        for handle in (encoder, lm, vocoder):
            await _agree(handle, facts, settings)
        parts = Parts(
            RemoteEncoder(StreamCalls(encoder, facts, settings.step_s)),
            RemoteLanguageModel(lm, facts, settings.step_s),
            RemoteVocoder(StreamCalls(vocoder, facts, settings.step_s), bundle.profile.output_sample_rate_hz),
            *hears,
        )
        yield served_model(
            bundle,
            parts,
            backend="ray",
            fault=cluster.fault,
            headroom=Headroom(settings.speculative_turns),
            playout_lead_s=settings.playout_lead_s,
        )


async def _agree(handle: DeploymentHandle[Any], gateway: Facts, settings: Settings) -> None:
    """Ask a replica what it serves; one that goes or hangs meanwhile leaves it to another. Raises ClusterError."""
    end_s = time.monotonic() + settings.ray_start_s
    while True:
        try:
            with _translated(EngineLost):
                async with asyncio.timeout(settings.step_s):
                    return check_facts(gateway, await handle.facts.remote())
        except EngineLost:
            if time.monotonic() > end_s:
                raise ClusterError(
                    f"no replica of {handle.deployment_name} answers", code="cluster_not_ready"
                ) from None
            await asyncio.sleep(_PAUSE_S)


class StreamCalls:
    """Calls to the replicas of a stage that takes streams. `step_s`: one that takes longer is given up in any case."""

    def __init__(self, handle: DeploymentHandle[Any], facts: Facts, step_s: float) -> None:
        self._handle, self._facts, self._patience = handle, facts, Patience(step_s)

    async def step(self, step: Step, wish: Wish) -> Answer:
        """See `Seats.step`."""
        with _translated(WorkerLost):
            answer: Awaitable[Answer] = self._handle.options(session_id=str(wish)).step.remote(self._facts, step)
            return await _timely(answer, self._patience, wish.losses)

    def drop(self, stream: str, replica: str) -> None:
        """See `Seats.drop`. Nobody waits for it; the replica would notice by itself."""
        self._handle.options(session_id=str(Wish(replica))).drop.remote(stream)


class RemoteLanguageModel:
    """A `LanguageModel` on other hosts. All turns of a session go to one replica, which has its prefix in the cache."""

    def __init__(self, handle: DeploymentHandle[Any], facts: Facts, step_s: float) -> None:
        self._handle, self._facts = handle.options(stream=True), facts
        self._first, self._next = Patience(step_s, _LM_S), Patience(step_s, _LM_S)

    def generate(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        """See `LanguageModel.generate`. Closing the generator cancels the request where it is computed."""
        session, losses = _session(), itertools.count()

        def ask(prompt: list[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
            return self._ask(Wish(key=session, losses=next(losses)), prompt, sampling)

        return resumed(ask, prompt, sampling)

    async def _ask(self, wish: Wish, prompt: list[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        answer = self._handle.options(session_id=str(wish)).generate.remote(self._facts, prompt, sampling)
        ended, patience = False, self._first
        try:
            while True:
                with _translated(EngineLost):
                    tokens: list[int] | None = await _timely(anext(answer, None), patience, wish.losses)
                if tokens is None:
                    ended = True
                    return
                yield tokens
                patience = self._next
        finally:
            if not ended:
                answer.cancel()


async def _timely(answer: Awaitable[_Told], patience: Patience, losses: int) -> _Told:
    """What was asked for. Raises TimeoutError where the patience with replicas does not last so long."""
    began_s = time.monotonic()
    async with asyncio.timeout(patience.wait_s(losses)):
        told = await answer
    patience.answered(time.monotonic() - began_s)
    return told


def _session() -> str:
    """Who asks, as the log has it."""
    bound = get_contextvars()
    return str(bound.get("session_id") or bound.get("request_id") or uuid.uuid4().hex)


@contextmanager
def _translated(lost: type[EngineUnavailable]) -> Iterator[None]:
    """What Ray raises, in our terms: `lost` where a replica is gone, what a stage itself raised as it was."""
    try:
        yield
    except StreamLost as failure:
        raise lost(failure.message) from None
    except SpeechServerError as failure:
        if isinstance(failure, RayTaskError):
            _raise_cause(failure, lost)
        raise
    except RayTaskError as failure:
        _raise_cause(failure, lost)
    except BackPressureError as full:
        raise CapacityError("all replicas of a stage are busy; try again in a moment") from full
    except TimeoutError:
        log.warning("a replica did not answer in time")
        raise lost("a replica did not answer in time") from None
    except (RayError, RayServeException) as failure:
        log.warning("a replica went: %s", type(failure).__name__)
        raise lost("a replica went under the turn") from failure


def _raise_cause(failure: RayTaskError, lost: type[EngineUnavailable]) -> None:
    cause = failure.cause
    if isinstance(cause, StreamLost):
        raise lost(cause.message) from None
    if isinstance(cause, SpeechServerError):
        raise cause from None
    log.error("a replica failed", exc_info=failure)
    raise EngineUnavailable("a stage failed; the turn is lost, try again") from None
