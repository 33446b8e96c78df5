"""One contract for every language-model backend, on a small random checkpoint of the bundle's layout."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from model.lm import Backend
from model.lm.engine_options import EngineConfig, engine_options, missing_compiler, require_compiler
from model.lm.transformers_model import TransformersLanguageModel, sample
from model.lm.vllm_engine import VllmLanguageModel
from model.lm.vllm_http import VllmHttpLanguageModel
from streaming.errors import BundleError, EngineUnavailable
from streaming.stages import Constraint, RatedIds, Sampling
from tests.model.vllm_server import serving_over_http

needs_vllm = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed on this platform")
PROMPTS = [[5, 6, 7, 8], [9, 3, 9, 3, 9], list(range(2, 60))]
GREEDY = Sampling(max_tokens=24)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in float32, so that no two logits tie."""
    directory = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=600,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=512,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def reference(checkpoint: Path) -> list[list[int]]:
    """Greedy continuations by plain transformers `generate`."""
    model = LlamaForCausalLM.from_pretrained(checkpoint).eval()
    return [
        model.generate(torch.tensor([ids]), max_new_tokens=24, do_sample=False, eos_token_id=None, pad_token_id=1)[
            0, len(ids) :
        ].tolist()
        for ids in PROMPTS
    ]


@pytest.fixture(scope="module")
def vllm_server(checkpoint: Path) -> Iterator[str]:
    with serving_over_http(checkpoint, "--skip-tokenizer-init") as url:
        yield url


@pytest.fixture(
    params=[
        "transformers",
        pytest.param("vllm", marks=needs_vllm),
        pytest.param("vllm_compiled", marks=needs_vllm),
        pytest.param("vllm_http", marks=needs_vllm),
    ]
)
async def backend(request: pytest.FixtureRequest, checkpoint: Path) -> AsyncGenerator[Backend]:
    lm: Backend
    if request.param == "transformers":
        lm = TransformersLanguageModel(checkpoint)
    elif request.param == "vllm":
        lm = VllmLanguageModel(checkpoint, EngineConfig(512, kv_cache_mb=64, eager=True))
    elif request.param == "vllm_compiled":
        try:
            require_compiler()
        except BundleError as error:
            pytest.skip(str(error))
        lm = VllmLanguageModel(checkpoint, EngineConfig(512, kv_cache_mb=64))
    else:
        lm = VllmHttpLanguageModel(request.getfixturevalue("vllm_server"), "small")
    await lm.start()
    if isinstance(lm, VllmLanguageModel):
        compilation = "inductor" if request.param == "vllm_compiled" else "none"
        assert (await lm._supervisor.worker()).facts == {"compilation": compilation}
    yield lm
    await lm.close()


async def answer(lm: Backend, ids: Sequence[int], sampling: Sampling = GREEDY) -> list[int]:
    return [token async for fresh in lm.generate(ids, sampling) for token in fresh]


async def test_without_a_tokenizer_nothing_is_held_to_a_schema(backend: Backend) -> None:
    held = replace(GREEDY, constraint=Constraint(schema='{"type": "object"}'))
    assert await answer(backend, PROMPTS[0], held) == await answer(backend, PROMPTS[0])


async def test_contract(backend: Backend, reference: list[list[int]]) -> None:
    """One engine start for all of it: greedy, stop ids, length, abandonment."""
    assert [await answer(backend, ids) for ids in PROMPTS] == reference
    stop = reference[0][5]
    stopped = await answer(backend, PROMPTS[0], Sampling(max_tokens=24, stop_token_ids=(stop,)))
    assert stopped == reference[0][: reference[0].index(stop)]
    assert await answer(backend, PROMPTS[1], Sampling(max_tokens=3)) == reference[1][:3]
    sampled = await answer(backend, PROMPTS[0], Sampling(temperature=1.0, top_p=0.9, top_k=20, max_tokens=8))
    assert len(sampled) == 8
    async with aclosing(backend.generate(PROMPTS[2], Sampling(max_tokens=400))) as abandoned:
        await anext(abandoned)
    assert await answer(backend, PROMPTS[0]) == reference[0]
    assert backend.fault() is None


async def test_ids_are_rated(backend: Backend, checkpoint: Path, reference: list[list[int]]) -> None:
    stop = reference[0][5]
    sampling = Sampling(max_tokens=24, stop_token_ids=(stop,), rated=True)
    pieces = [fresh async for fresh in backend.generate(PROMPTS[0], sampling)]
    ids = [token for piece in pieces for token in piece]
    assert ids == reference[0][: reference[0].index(stop)]
    if isinstance(backend, VllmHttpLanguageModel):
        return  # its server is another's
    model = LlamaForCausalLM.from_pretrained(checkpoint).eval()
    with torch.inference_mode():
        chances = model(torch.tensor([PROMPTS[0] + ids])).logits[0, len(PROMPTS[0]) - 1 : -1].softmax(-1)
    assert all(isinstance(piece, RatedIds) for piece in pieces)
    told = [chance for piece in pieces if isinstance(piece, RatedIds) for chance in piece.chances]
    assert told == pytest.approx([float(chances[at, token]) for at, token in enumerate(ids)], rel=1e-3)


@needs_vllm
async def test_without_a_compiler_ids_are_rated(
    checkpoint: Path, reference: list[list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "/nowhere/g++")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    lm = VllmLanguageModel(checkpoint, EngineConfig(512, kv_cache_mb=64))
    await lm.start()
    try:
        assert await answer(lm, PROMPTS[0], replace(GREEDY, rated=True)) == reference[0]
    finally:
        await lm.close()


@needs_vllm
@pytest.mark.parametrize("on_cpu", [True, False])
def test_the_engine_knows_every_option_and_reads_no_sampling_from_the_checkpoint(
    checkpoint: Path, on_cpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import fields

    from vllm.engine.arg_utils import AsyncEngineArgs

    config = EngineConfig(512, quantization="fp8", tensor_parallel=2, batched_tokens=256)
    options = engine_options(checkpoint, config, on_cpu=on_cpu)
    assert options.keys() <= {field.name for field in fields(AsyncEngineArgs)}
    assert options["generation_config"] == "vllm"
    assert options["dtype"] == "float32"
    assert ("kv_cache_memory_bytes" in options) is on_cpu
    for compiler in ("false", "no-such-compiler"):  # which is there, and which is not
        monkeypatch.setenv("CXX", compiler)
        chosen = engine_options(checkpoint, config, on_cpu=on_cpu)["enforce_eager"]
        assert chosen is (on_cpu and (compiler == "no-such-compiler" or bool(missing_compiler())))
    for eager in (True, False):
        assert engine_options(checkpoint, replace(config, eager=eager), on_cpu=on_cpu)["enforce_eager"] is eager
    assert on_cpu or (options["tensor_parallel_size"], options["max_num_batched_tokens"]) == (2, 256)


def test_compiled_layers_without_a_compiler_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BundleError, match="no-such-compiler") as caught:
        require_compiler()
    assert caught.value.code == "compiler_missing"


def engines() -> set[int]:
    """Processes of engines below this one, also those of servers that other tests keep."""
    return {each.pid for each in psutil.Process().children(recursive=True) if each.name() == "language-model"}


async def hurt(lm: VllmLanguageModel, by: signal.Signals) -> int:
    """Send a signal to the engine; its process."""
    engine = (await lm._supervisor.worker()).pid
    os.kill(engine, by)
    return engine


@needs_vllm
async def test_an_answer_outlives_its_engine(checkpoint: Path, reference: list[list[int]]) -> None:
    """Killed and stopped, while it writes, before the first token and while idle: greedy, not a token differs."""
    others = engines()
    lm = VllmLanguageModel(checkpoint, EngineConfig(512, kv_cache_mb=64))
    await lm.start()
    try:
        gone, long = [], Sampling(max_tokens=400)
        whole = await answer(lm, PROMPTS[0], long)
        for by in (signal.SIGKILL, signal.SIGSTOP):
            async with aclosing(lm.generate(PROMPTS[0], long)) as turn:
                said = await anext(turn)
                gone.append(await hurt(lm, by))
                said += [token for fresh in [piece async for piece in turn] for token in fresh]
            assert said == whole
            gone.append(await hurt(lm, by))
            assert await answer(lm, PROMPTS[1]) == reference[1]
        gone.append(await hurt(lm, signal.SIGKILL))
        while sum(lm.state().restarts.values()) < 5:
            await asyncio.sleep(0.01)
        assert lm.fault() == "the language model is restarting"
        while lm.fault():
            await asyncio.sleep(0.01)
        assert await answer(lm, PROMPTS[2]) == reference[2]
        assert not any(psutil.pid_exists(pid) for pid in gone)
        assert len(engines() - others) == 1
    finally:
        await lm.close()
    assert not engines() - others


@needs_vllm
async def test_closing_ends_the_answers_that_are_written(checkpoint: Path) -> None:
    lm = VllmLanguageModel(checkpoint, EngineConfig(512, kv_cache_mb=64))
    await lm.start()
    async with aclosing(lm.generate(PROMPTS[0], Sampling(max_tokens=400))) as turn:
        await anext(turn)
        await hurt(lm, signal.SIGSTOP)
        await lm.close()
        with pytest.raises(EngineUnavailable):
            while True:
                await anext(turn)


@needs_vllm
async def test_a_checkpoint_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    lm = VllmLanguageModel(tmp_path, EngineConfig(512, kv_cache_mb=64))
    with pytest.raises(BundleError, match="vLLM cannot load"):
        await lm.start()


async def test_a_server_that_is_not_there_is_named() -> None:
    lm = VllmHttpLanguageModel("http://127.0.0.1:9", "small")
    with pytest.raises(EngineUnavailable, match=r"127\.0\.0\.1:9"):
        await lm.start()
    await lm.close()


async def test_a_step_that_hangs_costs_no_word_and_holds_nobody_up(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm, go, steps = TransformersLanguageModel(checkpoint), threading.Event(), 0
    wanted = [[token async for tokens in lm.generate(prompt, GREEDY) for token in tokens] for prompt in PROMPTS]
    step = TransformersLanguageModel._step

    def hangs(self: TransformersLanguageModel, *arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 20:
            go.wait(60)
        return step(self, *arguments)

    monkeypatch.setattr(TransformersLanguageModel, "_step", hangs)
    lm._thread.limit_s = 2.0
    faults = set()

    async def answered(prompt: list[int]) -> list[int]:
        return [token async for tokens in lm.generate(prompt, GREEDY) for token in tokens]

    answers = asyncio.gather(*map(answered, PROMPTS))
    while not answers.done():
        faults.add(lm.fault())
        await asyncio.sleep(0.01)
    assert await answers == wanted
    assert "the language model does not answer" in faults
    assert lm.fault() is None
    assert lm.state().restarts["stuck"] == 1
    go.set()
    await lm.close()


def test_a_directory_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="transformers cannot load"):
        TransformersLanguageModel(tmp_path)


def test_sampling_follows_top_k_and_nucleus() -> None:
    logits = torch.tensor([5.0, 4.9, 1.0, 0.0])
    assert sample(logits, Sampling()) == 0
    assert {sample(logits, Sampling(temperature=1.0, top_p=0.6)) for _ in range(64)} == {0, 1}
    assert {sample(logits, Sampling(temperature=1.0, top_k=1)) for _ in range(16)} == {0}
