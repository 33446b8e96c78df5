"""The model's state in the server: loading, ready, failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from server.errors import ModelLoading, public_error
from server.settings import Settings
from server.state.loading import ServedModel
from streaming.errors import EngineUnavailable, SpeechServerError
from streaming.load import Load

log = logging.getLogger("cslm.model")

OpenModel = Callable[[Settings], AbstractAsyncContextManager[ServedModel]]


class Serving:
    """One model, opened in the background so that the server answers probes while it loads. Its stages are measured by `load`."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._settled = asyncio.Event()
        self._model: ServedModel | None = None
        self._failure: Exception | None = None

    @property
    def warm(self) -> ServedModel | None:
        """The model, once it is warm, whatever has happened to its stages since."""
        return self._model

    def model(self) -> ServedModel:
        """The warm model. Raises ModelLoading before it is warm and EngineUnavailable when it could not be loaded."""
        if self._model is not None:
            return self._model
        if self._failure is not None:
            raise EngineUnavailable("the model could not be loaded; see the server's log", code="model_failed")
        raise ModelLoading("the model is loading; try again in a moment")

    def fault(self) -> str | None:
        """Why turns cannot be answered now, or None."""
        if self._model is not None:
            return self._model.fault()
        return "loading" if self._failure is None else f"failed: {public_error(self._failure).code}"

    async def settled(self) -> ServedModel:
        """Wait for the model. Raises what stopped it from loading."""
        await self._settled.wait()
        if self._failure is not None:
            raise self._failure
        return self.model()

    @asynccontextmanager
    async def opened(self, open_model: OpenModel, settings: Settings) -> AsyncGenerator[None]:
        """Load in the background while the context lasts; close the model, or stop loading it, at its end."""
        closing = asyncio.Event()
        keeper = asyncio.create_task(self._keep(open_model, settings, closing), name="model")
        try:
            yield
        finally:
            closing.set()
            if not self._settled.is_set():
                keeper.cancel()
            await asyncio.wait({keeper})

    async def _keep(self, open_model: OpenModel, settings: Settings, closing: asyncio.Event) -> None:
        try:
            async with open_model(settings) as model:
                stages, recorded = self._load.metered(model.stages), settings.record_dir is not None
                self._model = replace(model, aliases=settings.aliases, stages=stages, recorded=recorded)
                log.info("model %s is warm", self._model.name)
                self._settled.set()
                await closing.wait()
        except Exception as failure:
            log.error(
                "the model %s: %s",
                "failed while closing" if self._settled.is_set() else "could not be loaded",
                failure,
                exc_info=None if isinstance(failure, SpeechServerError) else failure,
            )
            self._failure = failure
        finally:
            self._model = None
            self._settled.set()
