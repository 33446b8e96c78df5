"""Trainer, packing, resuming, export: end to end on a tiny Llama of the 8B's layout."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from accelerate import FullyShardedDataParallelPlugin
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

from model.profile import Profile
from model.prompts.interleaved import Prompts
from model.training import finetune
from model.training.extend import extend
from model.training.finetune import IGNORED, PackedDocuments, Plan, row_tensors, stacked, train
from model.training.rendering import Scribe, Segment
from model.training.shards import Document, pack_row, read_shard, write_shard

CONFIGS = Path(finetune.__file__).parent / "configs"


@pytest.fixture(scope="module")
def shard(large_profile: Profile, extended: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    scribe, rng = Scribe(large_profile, extended), Random(0)
    made: list[Document] = []
    for number in range(60):
        units = [rng.randrange(8) for _ in range(4)]
        made.append(scribe.recognition(rng, units, f"Say {number}.", "en"))
        made.append(scribe.turn(units, "Who?", [Segment("Me.", units)], ("en", "en")))
    path = tmp_path_factory.mktemp("documents") / "all-0.npz"
    assert write_shard(path, made) == sum(len(d.ids) for d in made)
    return path


def plan(model: Path, **trainer: object) -> Plan:
    always = {
        "use_cpu": True,
        "logging_steps": 1,
        "save_steps": 4,
        "learning_rate": 3e-3,
        "seed": 1,
        "per_device_train_batch_size": 2,
    }
    return Plan(str(model), 256, 4, always | trainer)


def curve(out: Path) -> list[tuple[int, float]]:
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(row["step"], row["loss"]) for row in rows]


def test_labels_of_a_packed_row() -> None:
    a = np.array([1, 2, 3]), np.array([0, 0, 1])
    b = np.array([4, 5]), np.array([0, 1])
    row = row_tensors(pack_row([a, b], 8))  # type: ignore[list-item]
    assert row["input_ids"].tolist() == [1, 2, 3, 4, 5, 0, 0, 0]
    assert row["position_ids"].tolist() == [0, 1, 2, 0, 1, 0, 0, 0]
    assert row["labels"].tolist() == [IGNORED, IGNORED, 3, IGNORED, 5, IGNORED, IGNORED, IGNORED]


def test_packed_documents_do_not_see_each_other(extended: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(extended, dtype=torch.float32).eval()
    rng = np.random.default_rng(0)
    documents = [(rng.integers(1, 300, n), np.ones(n)) for n in (7, 12, 5)]
    batch = stacked([row_tensors(pack_row(documents, 32))])  # type: ignore[arg-type]
    with torch.inference_mode():
        together = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits[0]
        alone = [model(input_ids=torch.from_numpy(ids)[None]).logits[0] for ids, _ in documents]
    assert torch.allclose(together[:24], torch.cat(alone), atol=1e-5)


def test_extension_keeps_the_old_and_adds_units_in_order(
    text_model: Path, large_profile: Profile, extended: Path
) -> None:
    old = AutoModelForCausalLM.from_pretrained(text_model)
    new = AutoModelForCausalLM.from_pretrained(extended)
    count = old.get_input_embeddings().weight.shape[0]
    assert torch.equal(old.get_input_embeddings().weight, new.get_input_embeddings().weight[:count])
    ids = Prompts(large_profile, extended).unit_ids(range(8))
    assert ids == list(range(count, count + 8))
    odd = large_profile.model_copy(update={"stop_tokens": ("<|stop|>",)})
    with pytest.raises(ValueError, match=r"has no <\|stop\|>"):
        extend(str(text_model), odd, extended)


def test_a_stopped_run_goes_on_as_if_it_had_not(
    extended: Path, shard: Path, large_profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = plan(extended, max_steps=8)
    train(wanted, [shard], tmp_path / "whole")
    log = finetune.Curves.on_log

    def stop(
        self: finetune.Curves, args: object, state: object, control: object, logs: object = None, **more: object
    ) -> None:
        log(self, args, state, control, logs, **more)
        if state.global_step == 6:  # type: ignore[attr-defined]
            raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(finetune.Curves, "on_log", stop)
        with pytest.raises(RuntimeError, match="killed"):
            train(wanted, [shard], tmp_path / "broken")
    assert [step for step, _ in curve(tmp_path / "broken")] == [1, 2, 3, 4, 5, 6]
    finished = train(wanted, [shard], tmp_path / "broken")
    whole, resumed = curve(tmp_path / "whole"), curve(tmp_path / "broken")
    assert [step for step, _ in resumed] == list(range(1, 9))
    assert [loss for _, loss in resumed] == pytest.approx([loss for _, loss in whole])
    assert whole[-1][1] < whole[0][1]
    one, other = (
        AutoModelForCausalLM.from_pretrained(tmp_path / name / "lm").state_dict() for name in ("whole", "broken")
    )
    assert all(torch.allclose(one[name], other[name], atol=1e-6) for name in one)
    assert Prompts(large_profile, finished).unit_ids([0]) == Prompts(large_profile, extended).unit_ids([0])


def test_documents_longer_than_a_row_are_counted(shard: Path) -> None:
    with pytest.raises(ValueError, match="longer than a row of 8 tokens"):
        PackedDocuments([shard], 8, 0)
    data = PackedDocuments([shard], 256, 0)
    assert data.left_out == 0
    learned = sum(int((weights[1:] > 0).sum()) for _, weights in read_shard(shard))
    assert learned == sum(int((data[i]["labels"] != IGNORED).sum()) for i in range(len(data)))


def test_a_run_that_is_over_is_not_trained_further_and_takes_no_other_data(
    extended: Path, shard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted, out, other = plan(extended, max_steps=2), tmp_path / "run", tmp_path / "other-0.npz"
    train(wanted, [shard], out)
    with (out / "log.jsonl").open("a") as log:
        log.write('{"step": 3, "lo')  # cut off while it was written
    first = curve_until(out, 2)
    assert train(wanted, [shard], out) == out / "lm"
    assert "trained to its end" in capsys.readouterr().out
    write_shard(other, [Document([1, 2, 3], [0, 1, 1])])
    with pytest.raises(ValueError, match="has a run with another data: use another --out"):
        train(wanted, [other], out)
    train(plan(extended, max_steps=3), [shard], out)
    assert [step for step, _ in curve(out)] == [1, 2, 3]
    assert curve_until(out, 2) == first


def curve_until(out: Path, step: int) -> list[str]:
    return (out / "log.jsonl").read_text(encoding="utf-8").splitlines()[:step]


def test_documents_of_another_bundle_are_told(extended: Path, tmp_path: Path) -> None:
    write_shard(tmp_path / "a-0.npz", [Document([1, 99_999], [0, 1])])
    with pytest.raises(ValueError, match=r"the documents have token 99999, .* only [0-9]+: prepare them with its own"):
        train(plan(extended, max_steps=1), [tmp_path / "a-0.npz"], tmp_path / "run")


def test_a_bad_configuration_is_told(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{"model": "m", "row_tokens": 8, "batch": 6, "trainer": {}, "colour": 1}')
    with pytest.raises(ValueError, match="unknown: colour; missing: none"):
        Plan.load(path)
    path.write_text('{"model": "m", "row_tokens": 8, "batch": 6, "trainer": {"per_device_train_batch_size": 2}}')
    assert Plan.load(path).accumulation(3) == 1
    assert Plan.load(path, ["trainer.per_device_train_batch_size=1", "model=n"]).accumulation(2) == 3
    with pytest.raises(ValueError, match="batch 6 is not a multiple of 8"):
        Plan.load(path).accumulation(4)
    with pytest.raises(ValueError, match="'batch' is not a setting"):
        Plan.load(path, ["batch"])
    with pytest.raises(ValueError, match=r"'colour.red=1': .* has no 'colour' to change"):
        Plan.load(path, ["colour.red=1"])
    with pytest.raises(ValueError, match="TrainingArguments has no rate"):
        Plan.load(path, ["trainer.rate=1"])
    for arguments in ([str(tmp_path / "none.json"), "--data", "d"], [str(path), "--data", str(tmp_path / "none.npz")]):
        with pytest.raises(SystemExit, match=r"finetune: .*none\."):
            finetune.main([*arguments, "--out", str(tmp_path / "out")])


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("cslm-*.json")), ids=lambda path: path.stem)
def test_the_configurations_are_the_trainers(path: Path, tmp_path: Path) -> None:
    wanted = Plan.load(path)
    arguments = TrainingArguments(
        output_dir=str(tmp_path), report_to=[], **(wanted.trainer | {"bf16": False, "use_cpu": True})
    )
    assert arguments.learning_rate == wanted.trainer["learning_rate"]
    paper = {"cslm-8b-pretrain": (6e-5, 288), "cslm-8b-sft": (1e-5, 48)}
    if path.stem in paper:
        assert (arguments.learning_rate, wanted.batch) == paper[path.stem]
        assert wanted.accumulation(24) * 24 == wanted.batch


def test_weights_are_written_where_the_checkpoints_of_fsdp_are_sharded(
    extended: Path, shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process group here: the trainer is only told, once it has trained, that it is one with the plugin of `fsdp.yaml`."""
    trained = Trainer.train

    def told(self: Trainer, *args: object, **named: object) -> object:
        result = trained(self, *args, **named)  # type: ignore[arg-type]
        plugin = FullyShardedDataParallelPlugin(fsdp_version=2, state_dict_type="SHARDED_STATE_DICT")
        monkeypatch.setattr(self.accelerator.state, "fsdp_plugin", plugin, raising=False)
        self.is_fsdp_enabled = True
        return result

    monkeypatch.setattr(Trainer, "train", told)
    finished = train(plan(extended, max_steps=1), [shard], tmp_path)
    assert len(AutoModelForCausalLM.from_pretrained(finished).state_dict()) > 3
