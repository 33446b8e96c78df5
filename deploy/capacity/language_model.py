"""Time of the language model's steps: bytes over bandwidth or operations over peak, whichever is longer (the roofline)."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.capacity.hardware import USE, Gpu, Use

WEIGHT_BYTES = {"bf16": 2.0, "fp8": 1.0, "awq": 0.53}
"""Bytes of a weight; AWQ: 4 bits, and a scale and zero for every 128."""


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A dense decoder. `parameters` without the input embedding, which is looked up and not multiplied."""

    parameters: float
    embedding: float
    layers: int
    width: int
    kv_heads: int
    head_width: int

    def kv_bytes(self, each: float = 2.0) -> float:
        """Keys and values of one token."""
        return 2 * self.layers * self.kv_heads * self.head_width * each


CSLM_8B = LanguageModel(7.50e9 + 0.017e9, 0.542e9, 32, 4096, 8, 128)
"""Llama 3.1 8B (arXiv 2407.21783, table 3) with 132,356 rows of vocabulary: 8.06 B, of which the input embedding is 0.54 B."""
LLAMA2_7B = LanguageModel(6.607e9, 0.131e9, 32, 4096, 32, 128)
"""arXiv 2307.09288."""
LLAMA2_13B = LanguageModel(12.85e9, 0.164e9, 40, 5120, 40, 128)
QWEN2_05B = LanguageModel(0.494e9, 0.0, 24, 896, 2, 64)
"""arXiv 2407.10671; input and output embedding are one."""


@dataclass(frozen=True, slots=True)
class Timing:
    """One language model on one GPU. `weights`: a key of `WEIGHT_BYTES`; `kv8`: keys and values in 8 bits."""

    gpu: Gpu
    lm: LanguageModel = CSLM_8B
    weights: str = "bf16"
    kv8: bool = False
    use: Use = USE

    @property
    def weight_bytes(self) -> float:
        """All weights in memory."""
        return self.lm.parameters * WEIGHT_BYTES[self.weights] + self.lm.embedding * 2

    def _bytes_s(self, count: float) -> float:
        return count / (self.gpu.bandwidth * self.use.bandwidth)

    def _flops_s(self, count: float) -> float:
        peak = self.gpu.flops8 if self.weights == "fp8" else self.gpu.flops16  # AWQ multiplies in 16 bits
        return count / (peak * self.use.compute)

    def step_s(self, decoding: int, context: float, prefilling: int = 0) -> float:
        """One step that adds a token to `decoding` sequences of `context` tokens each and takes in `prefilling` more.

        The weights are read once for all; keys and values once for each sequence.
        """
        tokens = decoding + prefilling
        multiply = max(
            self._bytes_s(self.lm.parameters * WEIGHT_BYTES[self.weights]),
            self._flops_s(2 * self.lm.parameters * tokens),
        )
        cache = self._bytes_s(decoding * context * self.lm.kv_bytes(1.0 if self.kv8 else 2.0))
        attention = self._flops_s(2 * self.lm.layers * self.lm.width * prefilling**2)
        return self.use.step_s + multiply + cache + attention

    def prefill_s(self, tokens: int) -> float:
        """A prompt alone, until its first token."""
        return self.use.first_s + self.step_s(0, 0, tokens)

    def generate_s(self, batch: int, prompt: int, output: int) -> float:
        """`batch` prompts together, then `output` tokens of each."""
        attention = batch * self._flops_s(2 * self.lm.layers * self.lm.width * prompt**2)
        together = (
            self.use.first_s
            + self.step_s(0, 0, batch * prompt)
            - self._flops_s(2 * self.lm.layers * self.lm.width * (batch * prompt) ** 2)
        )
        return together + attention + (output - 1) * self.step_s(batch, prompt + output / 2)

    def fits(self, others_bytes: float, context: int, reserve: float = 0.9) -> int:
        """Sequences of `context` tokens whose keys and values fit beside the weights and `others_bytes`."""
        room = self.gpu.memory_bytes * reserve - self.weight_bytes - others_bytes
        return max(0, int(room // (context * self.lm.kv_bytes(1.0 if self.kv8 else 2.0))))
