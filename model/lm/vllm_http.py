"""The language model on a remote vLLM server: `/inference/v1/generate`, tokens in and out (`--enable-scale-out`)."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

import httpx

from model.lm.resume import EngineLost, resumed
from model.lm.schemas import structured_outputs
from streaming.errors import EngineUnavailable
from streaming.stages import Sampling

log = logging.getLogger(__name__)

_WAIT_S, _POLL_S = 30.0, 0.25


class _Refused(EngineUnavailable):
    """The server does not take the request."""


class VllmHttpLanguageModel:
    """One connection pool to one server. `url` is its root, such as `http://gpu-host:8000`."""

    def __init__(self, url: str, model: str, *, api_key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        timeout = httpx.Timeout(10, read=60)
        self._client = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout)
        self._url = url
        self._model = model

    async def start(self) -> None:
        """Check that the server answers. Raises EngineUnavailable."""
        try:
            (await self._client.get("/health")).raise_for_status()
        except httpx.HTTPError as error:
            raise EngineUnavailable(f"no vLLM server answers at {self._url}") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def fault(self) -> str | None:
        """The server's health is its own; a turn that meets a dead server fails as EngineUnavailable."""
        return None

    def state(self) -> None:
        """It is on another machine."""

    async def generate(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        """See `LanguageModel.generate`. Closing the generator disconnects, which aborts the request.

        If the server fails under the answer and comes back within `_WAIT_S`, it goes on behind the tokens that it wrote.
        """
        async with aclosing(resumed(self._ask, prompt, sampling)) as answer:
            async for fresh in answer:
                yield fresh

    async def _ask(self, prompt: list[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        """One request; again without its constraint where the server cannot hold to that, as one without a tokenizer."""
        try:
            async with aclosing(self._asked(prompt, sampling)) as answer:
                async for fresh in answer:
                    yield fresh
            return
        except _Refused:
            if sampling.constraint is None:
                raise
        log.info("the language-model server cannot hold an answer to this schema; it is written freely")
        async with aclosing(self._asked(prompt, replace(sampling, constraint=None))) as answer:
            async for fresh in answer:
                yield fresh

    async def _asked(self, prompt: list[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        try:
            async with self._client.stream(
                "POST", "/inference/v1/generate", json=self._request(prompt, sampling)
            ) as response:
                response.raise_for_status()
                async for line in response.aiter_lines():
                    fresh = _tokens(line, sampling.stop_token_ids)
                    if fresh:
                        yield fresh
        except EngineLost:  # in so many words
            await self._back()
            raise
        except httpx.HTTPError as error:
            if isinstance(error, httpx.HTTPStatusError) and error.response.is_client_error:
                raise _Refused("the language-model server refused the request") from error
            await self._back()
            raise EngineLost("the language-model server failed under the answer") from error

    async def _back(self) -> None:
        """Wait until the server is healthy. Raises EngineUnavailable if it is not within `_WAIT_S`."""
        try:
            async with asyncio.timeout(_WAIT_S):
                while True:
                    with suppress(httpx.HTTPError):
                        if (await self._client.get("/health")).is_success:
                            return
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise EngineUnavailable("the language-model server does not answer; try again later") from None

    def _request(self, ids: list[int], sampling: Sampling) -> dict[str, Any]:
        constraint = sampling.constraint
        held = {} if constraint is None else {"structured_outputs": structured_outputs(constraint)}
        return {
            "request_id": secrets.token_hex(8),
            "model": self._model,
            "token_ids": ids,
            "stream": True,
            "sampling_params": {
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "top_k": sampling.top_k,
                "max_tokens": sampling.max_tokens,
                "stop_token_ids": list(sampling.stop_token_ids),
                "ignore_eos": True,
                "detokenize": False,
                **held,
            },
        }


def _tokens(line: str, stop_ids: Sequence[int]) -> list[int]:
    """Fresh ids of one server-sent-event line. Raises _Refused and EngineLost where it tells of an error."""
    if not line.startswith("data:") or line.endswith("[DONE]"):
        return []
    event = json.loads(line[5:])
    if (error := event.get("error")) is not None:
        if 400 <= error.get("code", 500) < 500:
            raise _Refused("the language-model server refused the request")
        raise EngineLost("the language-model server failed under the answer")
    choices = event.get("choices") or [{}]
    return [token for token in choices[0].get("token_ids") or [] if token not in stop_ids]
