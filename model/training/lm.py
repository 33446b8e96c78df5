"""Trains the language model of cslm-mini on the documents of `lm_data`: packed rows, Muon and AdamW, a budget in minutes.

The learning rate is constant and falls to zero in the last part of the budget (warm-up, stable, decay), so a run can be stopped,
resumed and prolonged. Before the decay, an exponential average of the weights is evaluated and exported.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from model.precision import bfloat16_is_faster, products
from model.training.g2p import to_ids
from model.training.lm_data import Renderer, load_renderer
from model.training.lm_eval import evaluate
from model.training.shards import PackedRow, pack, pack_row, read_shard

LOG_EVERY = 20
AVERAGE_DECAY = 0.99


@dataclass(frozen=True)
class Recipe:
    """What a run is made of; saved with its checkpoints."""

    hidden: int = 256
    layers: int = 5
    heads: int = 4
    ffn: int = 640
    row_tokens: int = 512
    rows: int = 6
    lr: float = 4e-3
    embedding_lr: float = 3e-3
    weight_decay: float = 0.01
    warmup_steps: int = 40
    read_share: float = 0.25
    decay_share: float = 0.25
    bfloat16: bool = False
    seed: int = 0


def build_model(recipe: Recipe, vocabulary: int, ids: dict[str, int]) -> LlamaForCausalLM:
    """A fresh Llama with tied embeddings; `ids` gives bos, eos and pad."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=recipe.hidden,
        intermediate_size=recipe.ffn,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        head_dim=recipe.hidden // recipe.heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=ids["bos"],
        eos_token_id=ids["eos"],
        pad_token_id=ids["pad"],
    )
    config._attn_implementation = "sdpa"
    return LlamaForCausalLM(config)


@torch.no_grad()
def start_phonetically(model: LlamaForCausalLM, renderer: Renderer) -> None:
    """Lets the embedding of a written piece start as the mean of the embeddings of its units, plus as much noise.

    Reading and speaking are then half known at the start: hidden states that gathered the units of a word point at the word.
    """
    table = model.get_input_embeddings().weight
    spread = model.config.initializer_range
    for token in range(min(renderer.unit)):
        letters = re.sub(r"[^A-Za-z\u4e00-\u9fff]", "", renderer.text.decode([token]))
        units = [renderer.unit[u] for u in to_ids(letters)] if letters else []
        if units:
            mean = table[units].mean(0)
            table[token] = 0.7 * spread * mean / mean.std() + 0.7 * spread * torch.randn_like(mean)


def batch_tensors(rows: list[PackedRow], device: torch.device | str = "cpu") -> list[dict[str, Tensor]]:
    """For each length of row that there is, tensors [B, T] of the packed rows, and the attention mask [B, 1, T, T]: causal, within one document."""
    lengths = sorted({len(r.ids) for r in rows})
    return [_stacked([r for r in rows if len(r.ids) == length], device) for length in lengths]


def _stacked(rows: list[PackedRow], device: torch.device | str) -> dict[str, Tensor]:
    fields = ("ids", "positions", "targets", "weights", "documents")
    stacked = {name: torch.from_numpy(np.stack([getattr(r, name) for r in rows])).to(device) for name in fields}
    documents = stacked.pop("documents")
    causal = torch.ones(documents.shape[1], documents.shape[1], dtype=torch.bool, device=device).tril()
    same = documents[:, :, None] == documents[:, None, :]
    return stacked | {"mask": (same & causal)[:, None]}


def loss_of(model: LlamaForCausalLM, batches: list[dict[str, Tensor]]) -> Tensor:
    """Weighted mean cross-entropy over all rows; logits are computed only where there is something to learn."""
    hidden, targets, weights = zip(*(_learned(model, batch) for batch in batches), strict=True)
    losses = F.cross_entropy(model.lm_head(torch.cat(hidden)).float(), torch.cat(targets), reduction="none")
    return (losses * torch.cat(weights)).sum() / torch.cat(weights).sum()


def _learned(model: LlamaForCausalLM, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states [N, hidden], targets and weights, both [N], of what is to be learned."""
    hidden = model.model(
        input_ids=batch["ids"], position_ids=batch["positions"], attention_mask=batch["mask"], use_cache=False
    ).last_hidden_state
    learn = batch["weights"] > 0
    return hidden[learn], batch["targets"][learn], batch["weights"][learn]


def rate_factor(recipe: Recipe, step: int, progress: float) -> float:
    """Multiplier of the learning rates: linear warm-up in steps, constant, linear to zero in the last `decay_share` of the budget."""
    warm = min(1.0, (step + 1) / recipe.warmup_steps)
    return warm * min(1.0, max(0.0, 1.0 - progress) / recipe.decay_share)


class ShardStream:
    """Packed rows of a phase, shard after shard, from a directory that may still be growing; starts over when all have been read.

    place: (name of the open shard, shards opened, rows taken of the last of them), to go on from.
    """

    def __init__(self, directory: Path, phase: str, recipe: Recipe, place: tuple[str, int, int] = ("", 0, 0)) -> None:
        self.directory, self.phase, self.recipe, self.place = directory, phase, recipe, place
        self._rows: Iterator[PackedRow] | None = None

    def batch(self) -> list[PackedRow]:
        """The next rows: `rows` of `row_tokens`, or twice as many of half the length, or some of both."""
        rows: list[PackedRow] = []
        wanted = self.recipe.rows * self.recipe.row_tokens
        name, opened, taken = self.place
        if self._rows is None:
            self._rows = islice(self._read(name, opened), taken, None) if opened else iter(())
        while sum(len(row.ids) for row in rows) < wanted:
            row = next(self._rows, None)
            if row is None:
                name, opened, taken = self._next(opened), opened + 1, 0
                self._rows = self._read(name, opened)
            else:
                rows.append(row)
                taken += 1
        self.place = name, opened, taken
        return rows

    def _next(self, opened: int) -> str:
        shards = sorted(path.name for path in self.directory.glob(f"{self.phase}-*[0-9].npz"))
        if not shards:
            raise FileNotFoundError(
                f"no shards of phase {self.phase!r} in {self.directory}: run the stage `text` first"
            )
        return shards[opened % len(shards)]

    def _read(self, name: str, opened: int) -> Iterator[PackedRow]:
        documents, length = read_shard(self.directory / name), self.recipe.row_tokens
        left_out = sum(len(ids) > length for ids, _ in documents)
        if left_out == len(documents):
            raise ValueError(f"{name}: every document is longer than a row of {length} tokens")
        if left_out:
            tqdm.write(f"{name}: {left_out} documents are longer than a row of {length} tokens and are left out")
        Random(opened).shuffle(documents)
        for row in pack(documents, length=length, short=length // 2):
            yield pack_row(row, length // 2 if sum(len(ids) for ids, _ in row) <= length // 2 else length)


def muon(matrices: list[nn.Parameter], recipe: Recipe) -> torch.optim.Muon:
    """Muon for the hidden matrices (https://kellerjordan.github.io/posts/muon/), its updates as large as AdamW's (arXiv 2502.16982).

    Four steps of its iteration do for so small matrices; torch takes them in bfloat16.
    """
    return torch.optim.Muon(
        matrices, lr=recipe.lr, weight_decay=recipe.weight_decay, ns_steps=4, adjust_lr_fn="match_rms_adamw"
    )


class Trainer:
    """One run: model, optimizers, averaged weights and counters, with checkpoint and resume."""

    def __init__(
        self, recipe: Recipe, bundle: Path, data: Path, work: Path, minutes: float, start: Path | None = None
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.bundle, self.work, self.minutes = recipe, bundle, work, minutes
        self.renderer = load_renderer(bundle)
        text = self.renderer.text
        self.ids = {"bos": self.renderer.bos, "eos": self.renderer.end_of_turn, "pad": text.token("<|end_of_text|>")}
        vocabulary = -(-(max(self.renderer.unit) + 1) // 64) * 64
        self.model = build_model(recipe, vocabulary, self.ids)
        if start is None:
            start_phonetically(self.model, self.renderer)
        else:
            self.model.load_state_dict(LlamaForCausalLM.from_pretrained(start, dtype=torch.float32).state_dict())
        self.average = build_model(recipe, vocabulary, self.ids).requires_grad_(False)
        self.average.load_state_dict(self.model.state_dict())
        matrices = [p for n, p in self.model.named_parameters() if p.ndim == 2 and "embed" not in n]
        others = [p for n, p in self.model.named_parameters() if p.ndim != 2 or "embed" in n]
        self.muon = muon(matrices, recipe)
        self.adam = torch.optim.AdamW(others, lr=recipe.embedding_lr, betas=(0.9, 0.95), weight_decay=0.0)
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self.streams = {p: ShardStream(data, p, recipe) for p in ("read", "answer")}
        if (work / "checkpoint.pt").exists():
            self._load(work / "checkpoint.pt")

    @property
    def progress(self) -> float:
        """Share of the budget that is used, from 0 to 1."""
        return min(1.0, self.seconds / 60 / self.minutes)

    def train_step(self) -> float:
        """One update; returns the loss."""
        started = time.monotonic()
        phase = "read" if self.progress < self.recipe.read_share else "answer"
        batches = batch_tensors(self.streams[phase].batch())
        factor = rate_factor(self.recipe, self.step, self.progress)
        for optimizer, rate in ((self.muon, self.recipe.lr), (self.adam, self.recipe.embedding_lr)):
            optimizer.param_groups[0]["lr"] = rate * factor
        with products(self.recipe.bfloat16):
            loss = loss_of(self.model, batches)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.muon.step()
        self.adam.step()
        self.model.zero_grad(set_to_none=True)
        # before the decay the average smooths the constant rate; in the decay it must follow
        keep = min(AVERAGE_DECAY, 1 - 1 / (self.step + 2)) if factor >= 1 else 0.9
        with torch.no_grad():
            for averaged, p in zip(self.average.parameters(), self.model.parameters(), strict=True):
                averaged.lerp_(p, 1 - keep)
        self.step += 1
        self.tokens += sum(batch["ids"].numel() for batch in batches)
        self.seconds += time.monotonic() - started
        return loss.item()

    def save(self) -> None:
        """Writes the checkpoint; the previous one stays until the new one is complete."""
        self.work.mkdir(parents=True, exist_ok=True)
        state = {
            "recipe": asdict(self.recipe),
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "muon": self.muon.state_dict(),
            "adam": self.adam.state_dict(),
            "counters": (self.step, self.tokens, self.seconds),
            "places": {p: s.place for p, s in self.streams.items()},
        }
        torch.save(state, self.work / "checkpoint.part")
        (self.work / "checkpoint.part").rename(self.work / "checkpoint.pt")

    def _load(self, path: Path) -> None:
        state: dict[str, Any] = torch.load(path, weights_only=True)
        before = state["recipe"]["row_tokens"]
        if before != self.recipe.row_tokens:
            raise ValueError(f"{path.parent} holds a run on rows of {before} tokens, not of {self.recipe.row_tokens}")
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        if "ns_steps" not in state["muon"]["param_groups"][0]:
            raise ValueError(
                f"{path.parent} holds a run of an earlier version; take up its weights with --start, in another directory"
            )
        self.muon.load_state_dict(state["muon"])
        self.adam.load_state_dict(state["adam"])
        self.step, self.tokens, self.seconds = state["counters"]
        for phase, place in state["places"].items():
            self.streams[phase].place = place

    def export(self, directory: Path) -> None:
        """The averaged weights in bfloat16 as a Hugging Face directory (the tokenizer is already there)."""
        export(self.average, directory, self.ids)


def export(model: LlamaForCausalLM, directory: Path, ids: dict[str, int]) -> None:
    """`config.json`, `model.safetensors` (bfloat16) and `generation_config.json` (greedy).

    The configuration asks for float32 arithmetic: without matrix units for bfloat16 it is faster, and different engines then agree on
    greedy tokens.
    """
    copy = LlamaForCausalLM(model.config)
    copy.load_state_dict(model.state_dict())
    copy.generation_config = GenerationConfig(
        bos_token_id=ids["bos"], eos_token_id=[ids["eos"], ids["pad"]], pad_token_id=ids["pad"], do_sample=False
    )
    copy.to(torch.bfloat16).save_pretrained(directory)
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    (directory / "config.json").write_text(json.dumps(config | {"dtype": "float32"}, indent=2) + "\n", encoding="utf-8")
    (directory / "model.safetensors").chmod(0o644)


def run(trainer: Trainer, *, evaluate_minutes: float, save_minutes: float, export_to: Path | None) -> None:
    """Trains to the end of the budget, with checkpoints, evaluations and a log (`log.jsonl`) on the way."""
    losses: list[float] = []
    saved = evaluated = trainer.seconds
    with tqdm(total=100, desc="lm", unit="%", bar_format="{l_bar}{bar}| {elapsed}<{remaining}{postfix}") as bar:
        while trainer.progress < 1:
            losses.append(trainer.train_step())
            bar.update(100 * trainer.progress - bar.n)
            if trainer.step % LOG_EVERY == 0:
                row = {
                    "step": trainer.step,
                    "tokens": trainer.tokens,
                    "minutes": trainer.seconds / 60,
                    "loss": float(np.mean(losses)),
                }
                _log(trainer.work, row)
                bar.set_postfix_str(
                    f"step {trainer.step} loss {row['loss']:.3f} {trainer.tokens / trainer.seconds:.0f} tok/s"
                )
                losses.clear()
            done = trainer.progress >= 1
            if done or trainer.seconds - saved > save_minutes * 60:
                saved = trainer.seconds
                trainer.save()
                if export_to:
                    trainer.export(export_to)
            if done or trainer.seconds - evaluated > evaluate_minutes * 60:
                evaluated = trainer.seconds
                heldout = evaluate(trainer.average, trainer.renderer, limit=None if done else 48)
                _log(trainer.work, {"step": trainer.step, "heldout": heldout})


def _log(work: Path, row: dict[str, Any]) -> None:
    work.mkdir(parents=True, exist_ok=True)
    with (work / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(row, ensure_ascii=False) + "\n")
    if "heldout" in row:
        tqdm.write(json.dumps(row["heldout"], ensure_ascii=False, indent=1))


def main(argv: list[str] | None = None) -> None:
    """Train, or resume, the language model and export it into the bundle."""
    parser = argparse.ArgumentParser(prog="python -m model.training lm", description=main.__doc__)
    parser.add_argument("--bundle", type=Path, default=Path("model/bundles/cslm-mini"))
    parser.add_argument("--data", type=Path, default=Path("data/lm"), help="directory of the shards")
    parser.add_argument("--work", type=Path, default=Path("data/lm/run"), help="checkpoint and log")
    parser.add_argument("--minutes", type=float, default=90.0, help="training time, evaluation apart")
    parser.add_argument("--start", type=Path, help="directory of weights to go on from, in place of fresh ones")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--evaluate-minutes", type=float, default=12.0)
    parser.add_argument("--save-minutes", type=float, default=5.0)
    parser.add_argument(
        "--bfloat16",
        action=argparse.BooleanOptionalAction,
        help="matrix products in bfloat16, weights in float32; by default where that is faster",
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="let torch compile the layers: a minute of the budget, then more tokens a second; needs a C++ compiler",
    )
    for name, value in asdict(Recipe()).items():
        if name != "bfloat16":
            parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    if args.bfloat16 is None:
        args.bfloat16 = bfloat16_is_faster()
    recipe = Recipe(**{name: getattr(args, name) for name in asdict(Recipe())})
    trainer = Trainer(recipe, args.bundle, args.data, args.work, args.minutes, start=args.start)
    if args.compile:
        trainer.model.model.compile(dynamic=True)
    run(trainer, evaluate_minutes=args.evaluate_minutes, save_minutes=args.save_minutes, export_to=args.bundle / "lm")


if __name__ == "__main__":
    main()
