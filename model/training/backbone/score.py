"""How well a model hears and says what it was never shown: word, character and unit errors on held-out sentences, from units and text alone.

    python -m model.training backbone score --bundle BUNDLE

scores a bundle as it is served, in vLLM. The sentences are `heldout.json`'s: 100 of chats, 60 of hsk-sentences-audio and 40 of reviews and news.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor

from model.profile import load_profile
from model.training.backbone.documents import Composer
from model.training.backbone.texts import Texts, scored_sentences
from model.training.domains import LANGS
from model.training.edit_distance import distance
from model.training.g2p import mandarin_syllables
from model.training.lm_data import spoken_units
from model.training.noise import UnitNoise

BATCH = 25
Continue = Callable[[Sequence[list[int]], Sequence[int], int], list[list[int]]]
"""Greedy continuations of prompts, each up to the first of some tokens, or so many."""


def words(text: str) -> list[str]:
    """What counts as right or wrong: English words without marks and case, or Chinese characters."""
    return re.findall(r"[\u4e00-\u9fff]|[a-z0-9]+", text.lower().replace("'", ""))


def syllables(text: str) -> list[tuple[str, str]]:
    """Mandarin syllables without tones."""
    han = "".join(re.findall("[\u4e00-\u9fff]", text))
    return [(initial, final) for word in mandarin_syllables(han) for initial, final, _ in word]


class Score:
    """The same sentences and the same noise every time."""

    def __init__(self, composer: Composer) -> None:
        self.composer, self.held = composer, scored_sentences()

    def __call__(self, run: Continue, *, limit: int, rates: Sequence[float]) -> dict[str, Any]:
        """Errors on the first `limit` sentences of each language: `hear_en_8` at 8 % of the units wrong, `say_en` and so on.

        `heard`: some sentences and what was written down, to be read by people.
        """
        found: dict[str, Any] = {"heard": []}
        for lang in LANGS:
            sentences = self.held[lang][:limit]
            for rate in rates:
                name, heard = f"{lang}_{round(100 * rate)}", self._hear(run, sentences, rate)
                found[f"hear_{name}"] = _share(words, sentences, heard)
                if lang == "zh":
                    found[f"syllables_{name}"] = _share(syllables, sentences, heard)
                found["heard"] += list(zip(sentences, heard, strict=True))[:4]
            found[f"say_{lang}"] = self._say(run, sentences)
        return found

    def _hear(self, run: Continue, sentences: Sequence[str], rate: float) -> list[str]:
        c, rng = self.composer, Random(3)
        units = [c.noise.at_rate(rng, list(spoken_units(s)), rate) for s in sentences]
        prompts = [[*c.heard_prompt(u), c.question] for u in units]
        return [c.text_of(row) for row in run(prompts, (c.answer, c.end_of_turn, c.bos), 40)]

    def _say(self, run: Continue, sentences: Sequence[str]) -> float:
        c = self.composer
        rows = run([c.said_prompt(s) for s in sentences], (c.speech_end, c.end_of_turn, c.bos), 100)
        wanted = [list(spoken_units(s)) for s in sentences]
        wrong = sum(distance(c.units_of(row), units) for units, row in zip(wanted, rows, strict=True))
        return round(wrong / sum(map(len, wanted)), 4)


def _share(cut: Any, said: Sequence[str], heard: Sequence[str]) -> float:
    wrong = sum(distance(cut(b), cut(a)) for a, b in zip(said, heard, strict=True))
    return round(float(wrong / sum(len(cut(a)) for a in said)), 4)


def in_torch(model: Any, *, bfloat16: bool) -> Continue:
    """By a model of transformers, in batches."""

    def run(prompts: Sequence[list[int]], stop: Sequence[int], most: int) -> list[list[int]]:
        return [
            row
            for at in range(0, len(prompts), BATCH)
            for row in _greedy(model, prompts[at : at + BATCH], stop, most, bfloat16)
        ]

    return run


@torch.inference_mode()
def _greedy(
    model: Any, prompts: Sequence[list[int]], stop: Sequence[int], most: int, bfloat16: bool
) -> list[list[int]]:
    width = max(map(len, prompts))
    ids = torch.tensor([[stop[0]] * (width - len(p)) + p for p in prompts], device=model.device)
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=model.device)
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bfloat16):
        out: Tensor = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=most, do_sample=False, eos_token_id=list(stop), pad_token_id=stop[0], use_cache=True
        )  # fmt: skip
    rows = out[:, width:].tolist()
    return [row[: next((at for at, token in enumerate(row) if token in stop), len(row))] for row in rows]


def in_vllm(directory: Path) -> Continue:
    """By vLLM, from the weights in `directory`."""
    from vllm import LLM, SamplingParams

    llm = LLM(
        model=str(directory), skip_tokenizer_init=True, max_model_len=1024, max_num_seqs=BATCH, dtype="bfloat16", enforce_eager=True,
        kv_cache_memory_bytes=384 << 20, block_size=32, generation_config="vllm",
    )  # fmt: skip

    def run(prompts: Sequence[list[int]], stop: Sequence[int], most: int) -> list[list[int]]:
        sampling = SamplingParams(max_tokens=most, temperature=0, stop_token_ids=list(stop), detokenize=False)
        out = llm.generate([{"prompt_token_ids": ids} for ids in prompts], sampling, use_tqdm=False)  # type: ignore[arg-type]
        return [[token for token in row.outputs[0].token_ids if token not in stop] for row in out]

    return run


def main(argv: list[str] | None = None) -> None:
    """See the module's head."""
    parser = argparse.ArgumentParser(prog="python -m model.training backbone score", description=main.__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--sentences", type=int, default=100, help="of each language")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.0, 0.08, 0.15], help="shares of wrong units")
    args = parser.parse_args(argv)
    composer = Composer(load_profile(args.bundle), args.bundle / "lm", Texts(), UnitNoise())
    found = Score(composer)(in_vllm(args.bundle / "lm"), limit=args.sentences, rates=args.rates)
    print(json.dumps(found, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
