"""An answer that outlives what writes it, over HTTP and by itself."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine

import httpx
import pytest

from model.lm.resume import EngineLost, resumed
from model.lm.vllm_http import VllmHttpLanguageModel
from streaming.errors import EngineUnavailable
from streaming.stages import Constraint, Sampling


class Counter:
    """An engine that counts on from its prompt, `most` tokens at a time, and then goes under the answer."""

    def __init__(self, most: int) -> None:
        self.most, self.asked = most, list[tuple[list[int], int]]()

    async def __call__(self, prompt: list[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        self.asked.append((prompt, sampling.max_tokens))
        for number in range(sampling.max_tokens):
            if number == self.most:
                raise EngineLost("gone")
            yield [prompt[-1] + 1 + number]


@pytest.mark.parametrize("most", [1, 2, 3, 4, 9, 10, 11])
async def test_the_answer_is_what_one_engine_would_have_written(most: int) -> None:
    engine = Counter(most)
    written = [token async for fresh in resumed(engine, [7], Sampling(max_tokens=10)) for token in fresh]
    assert written == list(range(8, 18))
    assert all(len(prompt) - 1 + left == 10 for prompt, left in engine.asked)


async def test_a_request_that_every_engine_dies_of_is_given_up() -> None:
    engine = Counter(0)
    with pytest.raises(EngineUnavailable, match="again and again") as caught:
        async for _ in resumed(engine, [7], Sampling(max_tokens=10)):
            pass
    assert not isinstance(caught.value, EngineLost)
    assert len(engine.asked) == 3


async def broken(ids: list[int]) -> AsyncIterator[bytes]:
    """Some tokens, and then the connection is gone."""
    for token in ids:
        yield f"data: {json.dumps({'choices': [{'token_ids': [token]}]})}\n\n".encode()
    raise httpx.ReadError("gone")


@pytest.mark.parametrize("in_stream", [False, True])
async def test_a_server_that_cannot_hold_an_answer_to_a_schema_writes_it_freely(in_stream: bool) -> None:
    asked = list[dict[str, object]]()

    async def server(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(await request.aread())["sampling_params"])
        if "structured_outputs" not in asked[-1]:
            return httpx.Response(
                200, text=f"data: {json.dumps({'choices': [{'token_ids': [8]}]})}\n\ndata: [DONE]\n\n"
            )
        error = {"error": {"message": "skip_tokenizer_init", "type": "BadRequestError", "code": 400}}
        return (
            httpx.Response(200, text=f"data: {json.dumps(error)}\n\n") if in_stream else httpx.Response(400, json=error)
        )

    async def answered(sampling: Sampling) -> list[int]:
        return [token async for fresh in lm.generate([7], sampling) for token in fresh]

    lm = talking_to(server)
    assert await answered(Sampling(max_tokens=5, constraint=Constraint(choices=("a ", "b ")))) == [8]
    assert [params.get("structured_outputs") for params in asked] == [{"choice": ["a ", "b "]}, None]
    asked.clear()
    assert await answered(Sampling(max_tokens=5, constraint=Constraint(schema='{"type": "object"}'))) == [8]
    assert [params.get("structured_outputs") for params in asked] == [{"json": '{"type": "object"}'}, None]
    await lm.close()


def talking_to(server: Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]) -> VllmHttpLanguageModel:
    """A client of a server in this process."""
    lm = VllmHttpLanguageModel("http://engine", "small")
    lm._client = httpx.AsyncClient(base_url="http://engine", transport=httpx.MockTransport(server))
    return lm


@pytest.mark.parametrize(
    "said",
    [
        '{"error": {"message": "", "type": "InternalServerError", "code": 500}}',
        '{"error": {"message": "", "type": "InternalServerError", "code": "internal_error"}}',
        '{"error": {"message": "", "code": null}}',
        '{"error": {}}',
        '{"error": "overloaded"}',
        '["no", "object"]',
        "no JSON",
        '{"choices": [{"token_ids": ',
    ],
)
async def test_a_server_that_tells_of_a_failure_in_whatever_words_is_asked_again(said: str) -> None:
    asked = list[str]()

    async def server(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, text=f"data: {said}\n\ndata: [DONE]\n\n")

    lm = talking_to(server)
    with pytest.raises(EngineUnavailable, match="again and again"):
        _ = [fresh async for fresh in lm.generate([7], Sampling(max_tokens=5))]
    assert asked == ["/inference/v1/generate", "/health"] * 3
    await lm.close()


@pytest.mark.parametrize(
    ("code", "asked"), [(400, 1), ("400", 1), (401, 1), (404, 1), (408, 3), (429, 3), ("429", 3), (503, 3)]
)
@pytest.mark.parametrize("in_stream", [False, True])
async def test_a_refusal_is_final_unless_it_may_pass(code: int | str, asked: int, in_stream: bool) -> None:
    requests = list[str]()

    async def server(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/health":
            return httpx.Response(200)
        requests.append(request.url.path)
        said = {"error": {"message": "", "code": code}}
        if in_stream:
            return httpx.Response(200, text=f"data: {json.dumps(said)}\n\ndata: [DONE]\n\n")
        return httpx.Response(int(code), json=said)

    lm = talking_to(server)
    with pytest.raises(EngineUnavailable):
        _ = [fresh async for fresh in lm.generate([7], Sampling(max_tokens=5))]
    assert len(requests) == asked
    await lm.close()


async def test_an_answer_that_was_cut_off_without_an_error_goes_on() -> None:
    async def server(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/health":
            return httpx.Response(200)
        prompt = json.loads(await request.aread())["token_ids"]
        whole = prompt[-1] == 9
        line = f"data: {json.dumps({'choices': [{'token_ids': [prompt[-1] + 1]}]})}\n\n"
        return httpx.Response(200, text=line + "data: [DONE]\n\n" * whole)

    lm = talking_to(server)
    assert [token async for fresh in lm.generate([7], Sampling(max_tokens=5)) for token in fresh] == [8, 9, 10]
    await lm.close()


async def test_a_server_that_restarts_under_the_answer_goes_on_with_it() -> None:
    asked, health = list[list[int]](), [503, 503, 200]

    async def server(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/health":
            return httpx.Response(health.pop(0))
        body = json.loads(await request.aread())
        asked.append(body["token_ids"])
        if len(asked) == 1:
            return httpx.Response(200, content=broken([8, 9]))
        left = body["sampling_params"]["max_tokens"]
        lines = [f"data: {json.dumps({'choices': [{'token_ids': [10 + number]}]})}\n\n" for number in range(left)]
        return httpx.Response(200, text="".join([*lines, "data: [DONE]\n\n"]))

    lm = talking_to(server)
    assert [token async for fresh in lm.generate([7], Sampling(max_tokens=5)) for token in fresh] == [8, 9, 10, 11, 12]
    assert asked == [[7], [7, 8, 9]]
    assert health == []
    await lm.close()
