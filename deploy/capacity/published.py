"""What others measured, and what the model says of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deploy.capacity.hardware import A100_40, GPUS, L20, Gpu
from deploy.capacity.language_model import CSLM_8B, LLAMA2_7B, LLAMA2_13B, QWEN2_05B, LanguageModel, Timing
from deploy.capacity.vocoder import VocoderTiming

TRT = "https://github.com/NVIDIA/TensorRT-LLM/blob/138f96d45f90b9667426f7c47297d8c06bafac73/docs/source/performance.md"
TRT_H200 = "https://github.com/NVIDIA/TensorRT-LLM/blob/1555478c1b417a0b34de05209862ea5a2ab9add1/docs/source/blogs/H200launch.md"
YOBITEL = "https://yobitelcomm.github.io/bench/recipes/concurrency-sweep/"
MUSGRAVE = "https://johnmusgrave.com/p/vllm-throughput-latency-sweep-on"
COSYVOICE = "https://github.com/FunAudioLLM/CosyVoice/blob/main/runtime/triton_trtllm/README.md"
PAPER = "https://arxiv.org/abs/2604.11096"


@dataclass(frozen=True, slots=True)
class Check:
    """One published number. `fair`: it measures what the model models; if not, `note` says why not."""

    what: str
    unit: str
    measured: float
    predicted: float
    source: str
    fair: bool = True
    note: str = ""

    @property
    def error(self) -> float:
        """Of the prediction, as a share of what was measured."""
        return self.predicted / self.measured - 1


def checks() -> Iterator[Check]:
    """All of them."""
    yield from _first_tokens()
    yield from _throughputs()
    yield from _steps()
    yield from _speech()


def _first_tokens() -> Iterator[Check]:
    for gpu, weights, short, long in (("H100", "fp8", 7, 36), ("L40S", "fp8", 14, 73), ("A100", "bf16", 16, 133)):
        timing = Timing(GPUS[gpu], LLAMA2_7B, weights)
        for tokens, measured in ((128, short), (2048, long)):
            what = f"first token, LLaMA 7B {_bits(weights)}, {tokens} tokens in, {gpu}, TensorRT-LLM 0.5"
            yield Check(what, "ms", measured, 1000 * timing.prefill_s(tokens), TRT)


def _throughputs() -> Iterator[Check]:
    rows: tuple[tuple[str, LanguageModel, str, str, str], ...] = (
        (
            "LLaMA 7B",
            LLAMA2_7B,
            "H100",
            "fp8",
            "768/128/128/19694 112/128/2048/6818 80/2048/128/2244 48/2048/2048/2740",
        ),
        ("LLaMA 7B", LLAMA2_7B, "L40S", "fp8", "64/128/128/3240 64/128/2048/1622 32/2048/128/581 16/2048/2048/531"),
        ("LLaMA 7B", LLAMA2_7B, "A100", "bf16", "384/128/128/5586 60/128/2048/1928 52/2048/128/591"),
        ("Llama 2 13B", LLAMA2_13B, "H200", "fp8", "1024/128/128/11819 128/128/2048/4750 64/2048/128/1349"),
    )  # batch / tokens in / tokens out / tokens per second
    for name, lm, gpu, weights, shapes in rows:
        for batch, prompt, output, measured in (map(int, shape.split("/")) for shape in shapes.split()):
            timing = Timing(GPUS[gpu], lm, weights, kv8=weights == "fp8")
            predicted = batch * output / timing.generate_s(batch, prompt, output)
            what = f"{name} {_bits(weights)}, batch {batch}, {prompt} in, {output} out, {gpu}, TensorRT-LLM"
            yield Check(what, "tokens/s", measured, predicted, TRT_H200 if gpu == "H200" else TRT)


def _steps() -> Iterator[Check]:
    llama = Timing(GPUS["H100"], CSLM_8B)
    yield Check("first token, Llama 3.1 8B bf16, short prompt, H100, vLLM 0.21", "ms", 13.98, 1000 * llama.prefill_s(128), YOBITEL,
                note="length of the prompt is not given; HTTP and tokenizer are in it")  # fmt: skip
    for streams, measured in ((1, 6.48), (4, 6.59), (16, 10.94)):
        what = f"time per token, Llama 3.1 8B bf16, {streams} at once, H100, vLLM 0.21"
        yield Check(what, "ms", measured, 1000 * llama.step_s(streams, 300), YOBITEL)
    what = "time per token, Llama 3.1 8B bf16, 1 at once, 1,024 in, A100 40 GB, vLLM 0.23"
    yield Check(what, "ms", 1000 / 75, 1000 * Timing(A100_40, CSLM_8B).step_s(1, 1088), MUSGRAVE)


def _speech() -> Iterator[Check]:
    yield Check(
        "CosyVoice 2, 8.5 s of speech, alone, L20, Triton and TensorRT",
        "ms",
        758,
        1000 * _cosyvoice2(L20),
        COSYVOICE,
        fair=False,
        note="sampling, tokenizer and prompt are in it; a prompt of 5 s and our estimator's size are assumed",
    )
    h800 = Timing(GPUS["H100"], CSLM_8B)  # a slower link between GPUs is all that differs
    seconds = h800.prefill_s(120) + (12 + 9 + 57) * h800.step_s(1, 200)
    yield Check(
        "CSLM, question in to first speech chunk written, en→en, H800",
        "s",
        466 / 199,
        seconds,
        PAPER,
        fair=False,
        note="the paper gives a sum; that it is over 199 questions, by offline scripts without an engine, is inferred",
    )


def _cosyvoice2(gpu: Gpu) -> float:
    speech_s, prompt_s = 221 / 26, 5.0
    lm = Timing(gpu, QWEN2_05B)
    frames = round((speech_s + prompt_s) * 50)
    return 25 * speech_s * lm.step_s(1, 300) + VocoderTiming(gpu).block_s(frames, round(speech_s * 50))


def _bits(weights: str) -> str:
    return {"fp8": "FP8", "bf16": "FP16"}[weights]
