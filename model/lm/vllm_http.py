"""The language model on a remote vLLM server: `/inference/v1/generate`, tokens in and out (`--enable-scale-out`)."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import httpx

from model.lm.resume import EngineLost, resumed
from model.lm.schemas import structured_outputs
from streaming.errors import EngineUnavailable
from streaming.stages import Sampling

log = logging.getLogger(__name__)

_WAIT_S, _POLL_S = 30.0, 0.25

_MAY_PASS = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
"""Refusals that say nothing of the request."""


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
                if not response.is_success:
                    raise _failure(response.status_code)
                async for line in response.aiter_lines():
                    if line.startswith("data:") and line.endswith("[DONE]"):
                        return
                    fresh = _tokens(line, sampling.stop_token_ids)
                    if fresh:
                        yield fresh
                raise EngineLost("the language-model server broke off the answer")
        except EngineLost:  # in so many words
            await self._back()
            raise
        except (httpx.HTTPError, ValueError) as error:
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
    """Fresh ids of a server-sent event's line. Raises _Refused or EngineLost as it says, ValueError if it cannot be read."""
    if not line.startswith("data:"):
        return []
    event = json.loads(line[5:])
    if not isinstance(event, dict):
        raise ValueError("an event is an object")
    if (error := event.get("error")) is not None:
        raise _failure(error.get("code") if isinstance(error, dict) else None)
    choices = event.get("choices") or [{}]
    return [token for token in choices[0].get("token_ids") or [] if token not in stop_ids]


def _failure(code: Any) -> EngineUnavailable:
    """What `code` means: a status, as a number or text. Servers and proxies also send words, or none: those may pass."""
    status = int(code) if re.fullmatch(r"[1-5]\d\d", str(code)) else 500
    if 400 <= status < 500 and status not in _MAY_PASS:
        return _Refused("the language-model server refused the request")
    return EngineLost("the language-model server failed under the answer")
