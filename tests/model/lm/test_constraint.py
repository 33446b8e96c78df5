"""vLLM writes only what a constraint allows, whatever the weights would write."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
if find_spec("vllm") is None:
    pytest.skip("vLLM is not installed on this platform", allow_module_level=True)

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from model.lm import Backend
from model.lm.engine_options import EngineConfig
from model.lm.engine_process import _params
from model.lm.vllm_engine import VllmLanguageModel
from model.lm.vllm_http import VllmHttpLanguageModel
from streaming.stages import Constraint, Sampling
from tests.model.vllm_server import HOLDS, serving_over_http

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"room": {"type": "string", "enum": ["kitchen", "hall"]}, "on": {"type": "boolean"}},
    "required": ["room", "on"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights and a byte-level tokenizer, with a unit and a marker that are no text."""
    directory = tmp_path_factory.mktemp("constrained")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(["kitchen hall get_weather set_timer"], trainer)
    tokenizer.add_special_tokens([AddedToken("<|im_end|>", special=True, normalized=False)])
    tokenizer.add_tokens(["<0>", "[answer]"])
    fast: Any = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast), hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2, head_dim=64,
        max_position_embeddings=512, initializer_range=0.3, bos_token_id=0, eos_token_id=fast.eos_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(directory)
    fast.save_pretrained(directory)
    return directory


@pytest.fixture(params=["here", "over HTTP"])
async def engine(checkpoint: Path, request: pytest.FixtureRequest) -> AsyncGenerator[Backend]:
    with ExitStack() as server:
        lm: Backend
        if request.param == "here":
            lm = VllmLanguageModel(checkpoint, EngineConfig(512, kv_cache_mb=64, constrains=True))
        else:
            lm = VllmHttpLanguageModel(server.enter_context(serving_over_http(checkpoint, HOLDS)), "small")
        await lm.start()
        yield lm
        await lm.close()


def test_no_regular_expression_of_a_client_is_compiled() -> None:
    schema = {**SCHEMA, "properties": {**SCHEMA["properties"], "time": {"type": "string", "pattern": "^(a?){12000}$"}}}
    params = _params(Sampling(constraint=Constraint(schema=json.dumps(schema))))
    assert json.loads(params.structured_outputs.json)["properties"]["time"] == {"type": "string"}


async def test_what_is_written_is_what_is_allowed(engine: Backend, checkpoint: Path) -> None:
    """One engine start for all of it: a choice, a schema, no constraint, and a schema that the engine cannot hold."""
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    stop = tokenizer.token_to_id("<|im_end|>")

    async def written(constraint: Constraint | None, **sampling: Any) -> str:
        asked = Sampling(max_tokens=64, stop_token_ids=(stop,), constraint=constraint, **sampling)
        ids = [token async for fresh in engine.generate(tokenizer.encode("call ").ids, asked) for token in fresh]
        return str(tokenizer.decode(ids, skip_special_tokens=False))

    names = ("get_weather ", "get_weather_now ", "set_timer ")
    for temperature in (0.0, 1.0):
        assert await written(Constraint(choices=names), temperature=temperature) in names
        arguments = await written(Constraint(schema=json.dumps(SCHEMA)), temperature=temperature)
        found = json.loads(arguments)
        assert (list(found), type(found["on"])) == (["room", "on"], bool)
        assert found["room"] in ("kitchen", "hall")
        assert arguments == json.dumps(found, separators=(",", ":"))  # as in training
    free = await written(None)
    assert free
    unknown = {**SCHEMA, "allOf": [{}, {}]}
    assert await written(Constraint(schema=json.dumps(unknown))) == free
