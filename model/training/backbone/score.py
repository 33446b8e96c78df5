"""How well a model hears and says what it was never shown: word, character and unit errors on held-out sentences, from units and text alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import Any

import torch
from torch import Tensor

from model.training.backbone.documents import Composer
from model.training.domains import LANGS, Lang
from model.training.edit_distance import distance
from model.training.g2p import mandarin_syllables
from model.training.lm_data import spoken_units

BATCH = 20


def words(text: str) -> list[str]:
    """What counts as right or wrong: English words without marks and case, or Chinese characters."""
    return re.findall(r"[\u4e00-\u9fff]|[a-z0-9]+", text.lower().replace("'", ""))


def syllables(text: str) -> list[tuple[str, str]]:
    """Mandarin syllables without tones."""
    han = "".join(re.findall("[\u4e00-\u9fff]", text))
    return [(initial, final) for word in mandarin_syllables(han) for initial, final, _ in word]


@torch.inference_mode()
def generate(
    model: Any, prompts: Sequence[list[int]], stop: Sequence[int], most: int, bfloat16: bool
) -> list[list[int]]:
    """Greedy continuations, up to the first of `stop`."""
    width = max(map(len, prompts))
    ids = torch.tensor([[stop[0]] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    device = next(model.parameters()).device
    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        out: Tensor = model.generate(
            input_ids=ids.to(device), attention_mask=mask.to(device), max_new_tokens=most, do_sample=False, eos_token_id=list(stop), pad_token_id=stop[0], use_cache=True
        )  # fmt: skip
    rows = out[:, width:].tolist()
    return [row[: next((at for at, token in enumerate(row) if token in stop), len(row))] for row in rows]


class Score:
    """The same sentences and the same noise every time."""

    def __init__(self, composer: Composer, held: dict[Lang, list[str]], *, bfloat16: bool) -> None:
        self.composer, self.held, self.bfloat16 = composer, held, bfloat16

    def __call__(self, model: Any, *, limit: int, rates: Sequence[float]) -> dict[str, float]:
        """Errors on the first `limit` sentences of each language: `hear_en_8` at 8 % of the units wrong, `hear_zh_8` and so on."""
        model.eval()
        found: dict[str, float] = {}
        for lang in LANGS:
            sentences = self.held[lang][:limit]
            for rate in rates:
                name = f"{lang}_{round(100 * rate)}"
                heard = self._hear(model, sentences, rate)
                found[f"hear_{name}"] = _share(words, sentences, heard)
                if lang == "zh":
                    found[f"syllables_{name}"] = _share(syllables, sentences, heard)
            found[f"say_{lang}"] = self._say(model, sentences)
        model.train()
        return {name: round(value, 4) for name, value in found.items()}

    def hear(self, model: Any, lang: Lang, limit: int, rate: float) -> list[tuple[str, str]]:
        """Some sentences and what was written down, to be read by people."""
        model.eval()
        said = self.held[lang][:limit]
        heard = self._hear(model, said, rate)
        model.train()
        return list(zip(said, heard, strict=True))

    def _hear(self, model: Any, sentences: Sequence[str], rate: float) -> list[str]:
        c, rng = self.composer, Random(3)
        units = [c.noise.at_rate(rng, list(spoken_units(s)), rate) for s in sentences]
        prompts = [[*c.heard_prompt(u), c.question] for u in units]
        stop = (c.answer, c.end_of_turn, c.bos)
        rows = [
            row
            for at in range(0, len(prompts), BATCH)
            for row in generate(model, prompts[at : at + BATCH], stop, 40, self.bfloat16)
        ]
        return [c.text_of(row) for row in rows]

    def _say(self, model: Any, sentences: Sequence[str]) -> float:
        c = self.composer
        stop = (c.speech_end, c.end_of_turn, c.bos)
        prompts = [c.said_prompt(s) for s in sentences]
        rows = [
            row
            for at in range(0, len(prompts), BATCH)
            for row in generate(model, prompts[at : at + BATCH], stop, 100, self.bfloat16)
        ]
        wanted = [list(spoken_units(s)) for s in sentences]
        wrong = sum(distance(c.units_of(row), units) for units, row in zip(wanted, rows, strict=True))
        return wrong / sum(map(len, wanted))


def _share(cut: Any, said: Sequence[str], heard: Sequence[str]) -> float:
    wrong = sum(distance(cut(b), cut(a)) for a, b in zip(said, heard, strict=True))
    return float(wrong / sum(len(cut(a)) for a in said))
