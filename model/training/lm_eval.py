"""Asks the language model alone held-out questions: phonetic units in, text and units out, greedy.

The units are those of the question's text, clean or through the noise model. Speech is judged elsewhere.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import LlamaForCausalLM

from model.training.domains import Exchange
from model.training.edit_distance import distance as edit_distance
from model.training.g2p import SIL, UNIT_ID
from model.training.lm_data import Renderer, answer_units, load_renderer, spoken_units
from model.training.noise import UnitNoise, load_confusions

HELD_OUT = Path(__file__).with_name("heldout.json")
MAX_NEW_TOKENS = 384


@dataclass(frozen=True)
class Scored:
    """One reply: `right` answer text, transcript error rate, error rate of the spoken units against the reply's own text."""

    exchange: Exchange
    transcript: str
    answer: str
    right: bool
    transcript_error: float
    unit_error: float


def read_held_out(path: Path = HELD_OUT) -> list[tuple[Exchange, list[str]]]:
    """Exchanges of the fixed set with all acceptable answers."""
    rows = []
    for row in json.loads(path.read_text(encoding="utf-8")):
        answers = row.pop("answers")
        rows.append((Exchange(domain=row.pop("world"), answer=answers[0], **row), answers))
    return rows


def normalized(text: str) -> str:
    """Letters, digits and characters only, small letters, single spaces: what two answers are compared by."""
    text = re.sub(r"[^\w\u4e00-\u9fff]+", " ", text.lower().replace("'", ""))
    return re.sub(r"(?<=[\u4e00-\u9fff]) (?=[\u4e00-\u9fff])", "", text).strip()


def error_rate(reference: str, hypothesis: str) -> float:
    """Word error rate, or character error rate where there is Chinese."""
    reference, hypothesis = normalized(reference), normalized(hypothesis)
    chinese = re.search("[\u4e00-\u9fff]", reference)
    a, b = (list(reference), list(hypothesis)) if chinese else (reference.split(), hypothesis.split())
    return edit_distance(a, b) / max(1, len(a))


def greedy(model: LlamaForCausalLM, prompts: list[list[int]], pad: int, stop: int) -> list[list[int]]:
    """Greedy continuations; prompts are padded on the left."""
    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    model.eval()
    with torch.inference_mode():
        out = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=MAX_NEW_TOKENS,
            do_sample=False,
            eos_token_id=stop,
            pad_token_id=pad,
        )
    model.train()
    replies = [row[width:].tolist() for row in out]
    return [r[: r.index(stop)] if stop in r else r for r in replies]


def split_reply(ids: list[int], renderer: Renderer, decode: Any) -> tuple[str, str, list[int]]:
    """Transcript, answer text and all units of a reply."""
    unit_of = {token: unit for unit, token in enumerate(renderer.unit)}
    parts: dict[str, list[int]] = {"question": [], "answer": []}
    units: list[int] = []
    part = "answer"
    for token in ids:
        if token in (renderer.question, renderer.answer):
            part = "question" if token == renderer.question else "answer"
        elif token in unit_of:
            units.append(unit_of[token])
        elif token not in (renderer.speech_start, renderer.speech_end):
            parts[part].append(token)
    question, answer = decode(parts["question"]), decode(parts["answer"])
    return re.sub(r"[;；]\s*$", "", question.lstrip(":： ")), answer.lstrip(":： "), units


def score(
    model: LlamaForCausalLM,
    renderer: Renderer,
    *,
    noisy: bool,
    limit: int | None = None,
    confusions: Path | None = None,
) -> list[Scored]:
    """Replies to the held-out questions (a random `limit` of them), under the wording for their direction."""
    rows = read_held_out()
    if limit is not None:
        rows = Random(1).sample(rows, min(limit, len(rows)))
    noise, rng = UnitNoise(load_confusions(confusions), clean_share=0.0), Random(2)
    prompts = []
    for e, _ in rows:
        units = list(spoken_units(e.question))
        template = renderer.profile["templates"][e.answer_lang][e.question_lang]
        prompts.append(renderer.prompt(template, noise.hear(rng, units) if noisy else units))
    pad = renderer.text.token("<|end_of_text|>")
    scored = []
    for at in range(0, len(rows), 48):
        replies = greedy(model, prompts[at : at + 48], pad, renderer.end_of_turn)
        for (e, answers), reply in zip(rows[at : at + 48], replies, strict=True):
            transcript, answer, units = split_reply(reply, renderer, renderer.text.decode)
            scored.append(
                Scored(
                    e,
                    transcript,
                    answer,
                    normalized(answer) in {normalized(a) for a in answers},
                    error_rate(e.question, transcript),
                    _unit_error(answer, units),
                )
            )
    return scored


def _unit_error(answer: str, units: list[int]) -> float:
    said = [u for u in answer_units(answer, last=True) if u != UNIT_ID[SIL]]
    return edit_distance(said, [u for u in units if u != UNIT_ID[SIL]]) / max(1, len(said))


def summary(scored: list[Scored]) -> dict[str, Any]:
    """Accuracy by domain and by direction, mean transcript and unit error rates."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for s in scored:
        groups[s.exchange.domain].append(s.right)
        groups[f"{s.exchange.question_lang}→{s.exchange.answer_lang}"].append(s.right)
    return {
        "right": sum(s.right for s in scored) / len(scored),
        "transcript_error": sum(min(1.0, s.transcript_error) for s in scored) / len(scored),
        "unit_error": sum(min(1.0, s.unit_error) for s in scored) / len(scored),
        "groups": {name: f"{sum(rights)}/{len(rights)}" for name, rights in groups.items()},
    }


def evaluate(
    model: LlamaForCausalLM, renderer: Renderer, *, limit: int | None = None, confusions: Path | None = None
) -> dict[str, Any]:
    """Summaries with clean and with noisy units, and some noisy replies to read."""
    clean = score(model, renderer, noisy=False, limit=limit)
    noisy = score(model, renderer, noisy=True, limit=limit, confusions=confusions)
    examples = [f"{s.exchange.question} → {s.transcript} → {s.answer}" for s in noisy[:: max(1, len(noisy) // 12)]]
    return {"clean": summary(clean), "noisy": summary(noisy), "examples": examples}


def main() -> None:
    """Print the held-out accuracy of a bundle's language model as JSON."""
    parser = argparse.ArgumentParser(prog="python -m model.training.lm_eval", description=main.__doc__)
    parser.add_argument("--bundle", type=Path, default=Path("model/bundles/cslm-mini"))
    parser.add_argument("--confusions", type=Path, help="measured unit confusions (JSON) instead of the default ones")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = LlamaForCausalLM.from_pretrained(args.bundle / "lm", dtype=torch.float32)
    result = evaluate(model, load_renderer(args.bundle), confusions=args.confusions)
    print(json.dumps(result, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
