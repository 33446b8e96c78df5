"""Train the adapters of a text model on units and text: packed rows, AdamW, a budget in tokens, checkpoints and a log on the way.

    python -m model.training backbone train model/training/configs/backbone-cpu.json --start data/small --texts data/texts --work data/run

The rate is constant and falls to zero in the last part of the budget; an average of what is learned over the last steps is what is scored and
exported. A run that was stopped goes on from its checkpoint, with texts and a budget that may have grown. While the file
`WORK/pause` exists it waits and leaves the machine to others.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForCausalLM

from model.backbone.assemble import FILE
from model.backbone.difference import Difference
from model.profile import load_profile
from model.training.backbone import attention
from model.training.backbone.adapters import adapt, learned, put
from model.training.backbone.documents import Composer
from model.training.backbone.recipe import Recipe
from model.training.backbone.score import Score, in_torch
from model.training.backbone.start import START
from model.training.backbone.texts import Texts, load_texts
from model.training.backbone.workers import Found, Workers
from model.training.lm import batch_tensors
from model.training.noise import UnitNoise, load_confusions
from model.training.shards import Ids, PackedRow, Weights, pack, pack_row, read_shard

LOG_EVERY = 10


class Trainer:
    """One run: model, optimizer, averaged adapters and counters, with checkpoint and resume.

    packed: directory of documents that `compose` wrote, in place of `texts`; without those nothing can be scored.

    minutes: of training, however many tokens these are; the rates fall to zero by then.

    workers: processes that each take a share of an update's rows.
    """

    def __init__(
        self,
        recipe: Recipe,
        start: Path,
        texts: Path | None,
        work: Path,
        *,
        packed: Path | None = None,
        confusions: Path | None = None,
        device: str = "cpu",
        workers: int = 1,
        minutes: float | None = None,
    ) -> None:
        if recipe.int8 and torch.device(device).type != "cpu":
            raise ValueError(f"`int8` of the recipe is for a CPU, and the device is {device}; accepted there: false")
        torch.manual_seed(recipe.seed)
        self.recipe, self.work, self.packed, self.device = recipe, work, packed, torch.device(device)
        self.step, self.tokens, self.seconds, self._minutes = 0, 0, 0.0, minutes
        dtype = torch.bfloat16 if recipe.bfloat16 else torch.float32
        model: Any = AutoModelForCausalLM.from_pretrained(start / "lm", dtype=dtype).to(self.device)
        noise = UnitNoise(load_confusions(confusions))
        known = load_texts(texts) if texts else Texts()
        self.composer = Composer(load_profile(start), start / "lm", known, noise, recipe.composed)
        self.before = Difference.load(start / START)
        self._attention = attention.NAME if self.device.type == "cpu" else "sdpa"
        self.model = adapt(
            model, recipe.rank, model.config.vocab_size - self.composer.first_unit, int8=recipe.int8
        ).train()
        self.model.set_attn_implementation(self._attention)
        self.parameters = learned(self.model)
        put(self.model, self.before)
        self.averaged = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.optimizer = torch.optim.AdamW(self._groups(), betas=(0.9, 0.95), weight_decay=0.0)
        self.score = Score(self.composer)
        if (work / "checkpoint.pt").exists():
            self._resume(work / "checkpoint.pt")
        self._rows = self._packed_rows()
        self._compute = Workers(self._gradients, list(self.parameters.values()), workers)

    @property
    def done(self) -> float:
        """Which share of the budget is used, of tokens or of time; 1 or more at the end."""
        return max(self.tokens / self.recipe.tokens, self.seconds / 60 / self._minutes if self._minutes else 0.0)

    def _groups(self) -> list[dict[str, Any]]:
        r = self.recipe
        rates = {"new": r.new_rows_lr, "down": r.lr, "up": r.lr * r.up_lr_factor}
        members = {kind: [p for name, p in self.parameters.items() if name.endswith(f".{kind}")] for kind in rates}
        return [{"params": members[kind], "lr": rate, "full_rate": rate} for kind, rate in rates.items()]

    def _documents(self) -> Iterator[tuple[Ids, Weights]]:
        rng = Random(f"{self.recipe.seed}-{self.step}")
        while self.packed is None:
            document = self.recipe.document(self.composer, rng, self.tokens)
            yield np.array(document.ids, np.uint32), np.array(document.weights, np.uint8)
        while shards := sorted(self.packed.glob("documents-*[0-9].npz")):
            begun = int(self.done * len(shards))  # the recipe's course goes through all of them
            documents = read_shard(shards[min(begun, len(shards) - 1)])
            rng.shuffle(documents)
            yield from documents
        raise FileNotFoundError(f"no documents in {self.packed}: run `backbone compose` first")

    def _packed_rows(self) -> Iterator[PackedRow]:
        length = self.recipe.row_tokens
        for row in pack(self._documents(), length=2 * length, short=length):
            used = sum(len(ids) for ids, _ in row)
            yield pack_row(row, length if used <= length else 2 * length)

    def train_step(self) -> dict[str, float]:
        """One update; returns the mean loss of texts and of units."""
        started, rows = time.monotonic(), self._next_rows()
        factor = self.recipe.rate(self.step, self.done)
        for group in self.optimizer.param_groups:
            group["lr"] = group["full_rate"] * factor
        weight = float(sum(row.weights.sum() for row in rows))
        gradients, losses, units = self._compute(rows, weight)
        for p, gradient in zip(self.parameters.values(), gradients, strict=True):
            p.grad = gradient
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._average()
        self.step += 1
        self.tokens += sum(len(row.ids) for row in rows)
        self.seconds += time.monotonic() - started
        return {"text": losses[~units].mean().item(), "unit": losses[units].mean().item()}

    def _next_rows(self) -> list[PackedRow]:
        """`rows` of `row_tokens`, or half as many of twice the length, or some of both."""
        rows, wanted = list[PackedRow](), self.recipe.rows * self.recipe.row_tokens
        while sum(len(row.ids) for row in rows) < wanted:
            rows.append(next(self._rows))
        return rows

    def _gradients(self, rows: list[PackedRow], weight: float) -> Found:
        """Of the loss of `rows`, which are part of an update that weighs `weight` in all; the loss of each token, and which are units."""
        hidden, targets, weights = list[Tensor](), list[Tensor](), list[Tensor]()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bfloat16):
            for batch in batch_tensors(rows, self.device):
                states = self.model.get_decoder()(
                    input_ids=batch["ids"],
                    position_ids=batch["positions"],
                    attention_mask=batch["mask"],
                    use_cache=False,
                )
                learn = batch["weights"] > 0
                hidden.append(states.last_hidden_state[learn])
                targets.append(batch["targets"][learn])
                weights.append(batch["weights"][learn])
            target, logits = torch.cat(targets), self.model.lm_head(torch.cat(hidden)).float()
            losses = F.cross_entropy(logits, target, reduction="none")
        loss = (losses * torch.cat(weights)).sum() / weight
        return (
            torch.autograd.grad(loss, list(self.parameters.values())),
            losses.detach(),
            target >= self.composer.first_unit,
        )

    @torch.no_grad()
    def _average(self) -> None:
        """Young averages are short, so that what was before anything was learned does not stay in them."""
        keep = min(self.recipe.average, 1 - 4 / (self.step + 5))
        for name, p in self.parameters.items():
            self.averaged[name].lerp_(p, 1 - keep)

    def evaluate(self, limit: int, rates: tuple[float, ...]) -> dict[str, Any]:
        """Scores of the averaged adapters, and a few transcripts."""
        own = {name: p.detach().clone() for name, p in self.parameters.items()}
        self._put(self.averaged)
        self.model.eval().set_attn_implementation("sdpa")
        found = self.score(in_torch(self.model, bfloat16=self.recipe.bfloat16), limit=limit, rates=rates)
        self.model.train().set_attn_implementation(self._attention)
        self._put(own)
        return found

    @torch.no_grad()
    def _put(self, values: dict[str, Tensor]) -> None:
        for name, p in self.parameters.items():
            p.copy_(values[name])

    def difference(self) -> Difference:
        """The averaged adapters as a difference to the base."""
        rows = next(p for name, p in self.averaged.items() if name.endswith(".new"))[: len(self.before.rows)]
        names = [name.removesuffix(".down") for name in self.averaged if name.endswith(".down")]
        changes = {name: (self.averaged[f"{name}.down"], self.averaged[f"{name}.up"]) for name in names}
        about = self.before.about | {"tokens": str(int(self.before.about.get("tokens", 0)) + self.tokens)}
        return Difference(self.before.kept, rows, changes, about)

    def save(self) -> None:
        """Writes the checkpoint; the previous one stays until the new one is complete."""
        self.work.mkdir(parents=True, exist_ok=True)
        state = {
            "recipe": asdict(self.recipe),
            "learned": {name: p.detach() for name, p in self.parameters.items()},
            "averaged": self.averaged,
            "optimizer": self.optimizer.state_dict(),
            "counters": (self.step, self.tokens, self.seconds),
        }
        torch.save(state, self.work / "checkpoint.part")
        (self.work / "checkpoint.part").rename(self.work / "checkpoint.pt")
        self.difference().save(self.work / FILE)

    def _resume(self, path: Path) -> None:
        state: dict[str, Any] = torch.load(path, weights_only=True)
        self._put(state["learned"])
        self.averaged = state["averaged"]
        rates = [group["full_rate"] for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["full_rate"] = rate
        self.step, self.tokens, self.seconds = state["counters"]


def run(trainer: Trainer, *, pause: Path, evaluate_minutes: float, save_minutes: float, last: int = 100) -> None:
    """Trains to the end of the budget, or until SIGTERM asks for a checkpoint; waits while there is a file `pause`.

    last: sentences of each language that are scored at the end.
    """
    losses, asked = list[dict[str, float]](), list[int]()
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    saved = evaluated = trainer.seconds
    while trainer.done < 1:
        while pause.exists() and not asked:
            time.sleep(2)
        if asked:
            trainer.save()
            return
        losses.append(trainer.train_step())
        if trainer.step % LOG_EVERY == 0:
            mean = {name: float(torch.tensor([row[name] for row in losses]).nanmean()) for name in losses[0]}
            row = {"step": trainer.step, "tokens": trainer.tokens, "minutes": trainer.seconds / 60, **mean}
            log(trainer.work, row)
            losses.clear()
        done = trainer.done >= 1
        if done or trainer.seconds - saved > save_minutes * 60:
            saved = trainer.seconds
            trainer.save()
        if trainer.packed is None and (done or trainer.seconds - evaluated > evaluate_minutes * 60):
            evaluated = trainer.seconds
            found = trainer.evaluate(last if done else 20, (0.0, 0.08, 0.15) if done else (0.08,))
            log(
                trainer.work,
                {"step": trainer.step, "tokens": trainer.tokens, "minutes": trainer.seconds / 60, "heldout": found},
            )


def log(work: Path, row: dict[str, Any]) -> None:
    """Adds a line to `log.jsonl` and prints it."""
    work.mkdir(parents=True, exist_ok=True)
    line = json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}, ensure_ascii=False)
    with (work / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    print(line, flush=True)


def main(argv: list[str] | None = None) -> None:
    """Train, or go on with, the adapters of a bundle's language model."""
    parser = argparse.ArgumentParser(prog="python -m model.training backbone train", description=main.__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--start", type=Path, required=True, help="what `backbone start` wrote")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--texts", type=Path)
    source.add_argument("--documents", type=Path, help="what `backbone compose` wrote")
    parser.add_argument("--work", type=Path, required=True, help="checkpoint and log")
    parser.add_argument("--confusions", type=Path, help="measured unit confusions (JSON) instead of the default ones")
    parser.add_argument("--pause", type=Path, help="while this file exists, wait; default: `pause` in --work")
    parser.add_argument("--minutes", type=float, help="of training at most, whatever the recipe's tokens")
    parser.add_argument("--parts", type=Path, help="directory for the result in int8, in files of at most 15 MB")
    parser.add_argument("--workers", type=int, help="processes on a CPU; default: its cores")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--evaluate-minutes", type=float, default=15.0)
    parser.add_argument("--save-minutes", type=float, default=4.0)
    args = parser.parse_args(argv)
    workers = (args.workers or os.cpu_count() or 1) if args.device == "cpu" else 1
    torch.set_num_threads(1)
    recipe, device = Recipe.load(args.recipe), args.device
    trainer = Trainer(
        recipe,
        args.start,
        args.texts,
        args.work,
        packed=args.documents,
        confusions=args.confusions,
        device=device,
        workers=workers,
        minutes=args.minutes,
    )
    run(
        trainer,
        pause=args.pause or args.work / "pause",
        evaluate_minutes=args.evaluate_minutes,
        save_minutes=args.save_minutes,
    )
    if args.parts:
        trainer.difference().save_parts(args.parts)


if __name__ == "__main__":
    main()
