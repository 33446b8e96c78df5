"""The language model on a remote vLLM server: `/inference/v1/generate`, tokens in and out (`--enable-scale-out`)."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import httpx

from streaming.errors import EngineUnavailable
from streaming.stages import Sampling


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
        """See `LanguageModel.generate`. Closing the generator disconnects, which aborts the request."""
        try:
            async with self._client.stream(
                "POST", "/inference/v1/generate", json=self._request(list(prompt), sampling)
            ) as response:
                response.raise_for_status()
                async for line in response.aiter_lines():
                    fresh = _tokens(line, sampling.stop_token_ids)
                    if fresh:
                        yield fresh
        except httpx.HTTPError as error:
            raise EngineUnavailable("the language-model server failed; the turn is lost, try again") from error

    def _request(self, ids: list[int], sampling: Sampling) -> dict[str, Any]:
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
            },
        }


def _tokens(line: str, stop_ids: Sequence[int]) -> list[int]:
    """Fresh ids of one server-sent-event line."""
    if not line.startswith("data:") or line.endswith("[DONE]"):
        return []
    choices = json.loads(line[5:]).get("choices") or [{}]
    return [token for token in choices[0].get("token_ids") or [] if token not in stop_ids]
