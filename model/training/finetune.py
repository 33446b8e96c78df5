"""Trains a language model on documents, on one core or on many GPUs, with `transformers.Trainer` and accelerate.

    python -m model.training finetune model/training/configs/cslm-mini-add.json --data data/documents --out runs/added
    accelerate launch --config_file model/training/configs/fsdp.yaml --num_processes 8 \\
        -m model.training finetune model/training/configs/cslm-8b-sft.json --data data/documents --out runs/cslm-8b-sft

A configuration names the model (a directory, or a name on the hub), the length of a packed row, the rows of an update (split over
processes and accumulated), and arguments of `transformers.TrainingArguments`. Documents are packed without padding and do not
attend to each other; only replies are learned. A stopped run resumes from its last checkpoint. `log.jsonl` holds the curves, and
`OUT/lm` the model at the end, ready to serve.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import AutoModelForCausalLM, GenerationConfig, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import TrainerState
from transformers.trainer_utils import get_last_checkpoint

from model.sources import file_hash
from model.training.manifests import kept_lines
from model.training.shards import PackedRow, pack, pack_row, read_shard

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Plan:
    """A configuration file."""

    model: str
    row_tokens: int
    batch: int
    trainer: dict[str, Any]

    @classmethod
    def load(cls, path: Path, changes: Sequence[str] = ()) -> Plan:
        """From JSON, with changes such as `batch=4` or `trainer.max_steps=10`. Raises ValueError naming what is wrong."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        for change in changes:
            name, separator, value = change.partition("=")
            if not separator:
                raise ValueError(f"{change!r} is not a setting; expected name=value, such as trainer.max_steps=10")
            place = raw
            *outer, last = name.split(".")
            for step in outer:
                place = place.get(step)
                if not isinstance(place, dict):
                    raise ValueError(f"{change!r}: {path} has no {step!r} to change something in")
            place[last] = _value(value)
        unknown = sorted(set(raw) - {"model", "row_tokens", "batch", "trainer"})
        missing = sorted({"model", "row_tokens", "batch", "trainer"} - set(raw))
        if unknown or missing:
            raise ValueError(
                f"{path}: unknown: {', '.join(unknown) or 'none'}; missing: {', '.join(missing) or 'none'}"
            )
        unknown = sorted(set(raw["trainer"]) - {field.name for field in fields(TrainingArguments)})
        if unknown:
            raise ValueError(f"{path}: transformers.TrainingArguments has no {', '.join(unknown)}")
        return cls(**raw)

    def accumulation(self, processes: int) -> int:
        """Steps that make one update of `batch` rows. Raises ValueError where it does not come out even."""
        at_once = int(self.trainer.get("per_device_train_batch_size", 1)) * processes
        if self.batch % at_once:
            raise ValueError(
                f"batch {self.batch} is not a multiple of {at_once}, the rows that {processes} processes take at once"
            )
        return self.batch // at_once


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


class PackedDocuments(Dataset):  # type: ignore[type-arg]
    """Rows of documents from shards, packed once, in an order that depends on the seed alone. In memory is what the shards hold: five bytes a token, some hundred a document."""

    def __init__(self, shards: Iterable[Path], row_tokens: int, seed: int) -> None:
        documents = [document for path in sorted(shards) for document in read_shard(path)]
        if not documents:
            raise ValueError("there are no documents: run `python -m model.training prepare` first")
        self.left_out = sum(len(ids) > row_tokens for ids, _ in documents)
        Random(seed).shuffle(documents)
        self._row_tokens = row_tokens
        self._rows = list(pack(documents, length=row_tokens))
        if not self._rows:
            raise ValueError(f"every document is longer than a row of {row_tokens} tokens")
        self.largest = max(int(ids.max()) for row in self._rows for ids, _ in row)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return row_tensors(pack_row(self._rows[index], self._row_tokens))


def row_tensors(row: PackedRow) -> dict[str, Tensor]:
    """`input_ids`, `position_ids` and `labels` [T] of a packed row.

    Positions begin anew with every document, and every place of the padding counts as a document of its own: that is how
    attention tells documents apart. A label is its own id where that is learned, else -100.
    """
    labels = np.full_like(row.ids, IGNORED)
    learned = np.flatnonzero(row.weights > 0) + 1  # a weight is that of predicting the next id
    labels[learned] = row.ids[learned]
    return {
        "input_ids": torch.from_numpy(row.ids.copy()),
        "position_ids": torch.from_numpy(row.positions.copy()),
        "labels": torch.from_numpy(labels),
    }


def stacked(rows: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """A batch [B, T]; without an attention mask, so that positions decide."""
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


class Curves(TrainerCallback):
    """Appends what the trainer logs to `log.jsonl`; a resumed run cuts off what comes after its checkpoint."""

    def __init__(self, path: Path, row_tokens: int, batch: int) -> None:
        self._path, self._tokens = path, row_tokens * batch

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if state.is_world_process_zero and self._path.exists():
            kept = [json.dumps(row) + "\n" for row in kept_lines(self._path) if row["step"] <= state.global_step]
            self._path.write_text("".join(kept), encoding="utf-8")

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
        if not state.is_world_process_zero or "loss" not in (logs or {}):
            return
        row = {"step": state.global_step, "tokens": state.global_step * self._tokens}
        row |= {name: float(logs[name]) for name in ("loss", "learning_rate", "grad_norm") if name in logs}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def same_run(plan: Plan, shards: Sequence[Path], about: Path, *, resumed: bool) -> None:
    """Writes down what is trained on what. Raises ValueError where a run that is resumed was told something else."""
    told = {"model": plan.model, "row_tokens": plan.row_tokens, "batch": plan.batch}
    told |= {"data": sorted(file_hash(path) for path in shards)}
    if not resumed:
        about.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    elif about.is_file():
        before = json.loads(about.read_text(encoding="utf-8"))
        differing = [name for name in told if told[name] != before[name]]
        if differing:
            raise ValueError(f"{about.parent} has a run with another {', '.join(differing)}: use another --out")


def steps_of(checkpoint: str) -> int:
    """Updates that are in a checkpoint."""
    return int(TrainerState.load_from_json(str(Path(checkpoint) / "trainer_state.json")).global_step)


def _steps(arguments: TrainingArguments, plan: Plan, rows: int) -> int:
    """Updates of a whole run."""
    if arguments.max_steps > 0:
        return int(arguments.max_steps)
    return math.ceil(arguments.num_train_epochs * math.ceil(rows / plan.batch))


def train(plan: Plan, shards: Sequence[Path], out: Path) -> Path:
    """Trains, or goes on training; returns the directory of the finished model."""
    out.mkdir(parents=True, exist_ok=True)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    ours = {"output_dir": str(out), "gradient_accumulation_steps": plan.accumulation(processes)}
    preferred = {"report_to": [], "save_total_limit": 2, "disable_tqdm": not os.isatty(2)}
    arguments = TrainingArguments(**(preferred | plan.trainer | ours))
    checkpoint = get_last_checkpoint(str(out))
    same_run(plan, shards, out / "about.json", resumed=checkpoint is not None)
    data = PackedDocuments(shards, plan.row_tokens, arguments.seed)
    finished = out / "lm"
    if (
        checkpoint
        and any(finished.glob("*.safetensors"))
        and steps_of(checkpoint) >= _steps(arguments, plan, len(data))
    ):
        print(f"{out} has been trained to its end; another --out begins anew")
        return finished
    if data.left_out:
        print(f"{data.left_out} documents are longer than a row of {plan.row_tokens} tokens and were left out")
    dtype = torch.bfloat16 if arguments.bf16 else torch.float32
    model = AutoModelForCausalLM.from_pretrained(plan.model, dtype=dtype, attn_implementation="sdpa")
    vocabulary = model.get_input_embeddings().num_embeddings
    if data.largest >= vocabulary:
        raise ValueError(
            f"the documents have token {data.largest}, {plan.model} only {vocabulary}: prepare them with its own bundle"
        )
    model.config.use_cache = False
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=data,
        data_collator=stacked,
        callbacks=[Curves(out / "log.jsonl", plan.row_tokens, plan.batch)],
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    model.config.use_cache = True
    if trainer.is_fsdp_enabled:  # checkpoints are sharded; so set, save_model would write no weights and not say so
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    trainer.save_model(str(finished))
    if trainer.is_world_process_zero():
        finish(Path(plan.model), finished)
    return finished


def finish(base: Path, directory: Path) -> None:
    """Makes `directory` complete: the base's tokenizer, generation settings and arithmetic; readable by whoever serves it."""
    (directory / "training_args.bin").unlink(missing_ok=True)
    for path in directory.glob("*.safetensors"):
        path.chmod(0o644)
    for path in [*base.glob("tokenizer*"), *base.glob("special_tokens_map.json"), *base.glob("chat_template*")]:
        shutil.copy(path, directory / path.name)
    if (base / "generation_config.json").is_file():
        GenerationConfig.from_pretrained(base).save_pretrained(directory)
    if (base / "config.json").is_file():
        wanted = json.loads((base / "config.json").read_text(encoding="utf-8")).get("dtype")
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        text = json.dumps(config | ({"dtype": wanted} if wanted else {}), indent=2)
        (directory / "config.json").write_text(text + "\n", encoding="utf-8")


def main(argv: list[str] | None = None) -> None:
    """See the module's head."""
    parser = argparse.ArgumentParser(
        prog="python -m model.training finetune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", type=Path)
    parser.add_argument(
        "--data", type=Path, required=True, action="append", help="directory of shards, or one; several add up"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="such as trainer.max_steps=10")
    args = parser.parse_args(argv)
    shards = [shard for path in args.data for shard in (sorted(path.glob("*[0-9].npz")) if path.is_dir() else [path])]
    try:
        print(train(Plan.load(args.config, args.set), shards, args.out))
    except (ValueError, OSError) as error:
        raise SystemExit(f"finetune: {error}") from None


if __name__ == "__main__":
    main()
