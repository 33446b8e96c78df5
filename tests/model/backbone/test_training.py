"""Training a tiny text model on units: documents as they are served, runs that go on, scores, and what is exported."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict, replace
from pathlib import Path
from random import Random

import pytest

for _needed in ("torch", "transformers", "phonemizer", "pypinyin", "jieba"):
    pytest.importorskip(_needed)

import torch

from model.backbone.assemble import FILE
from model.backbone.base import load_base
from model.backbone.difference import Difference
from model.backbone.vocabulary import added_tokens
from model.profile import load_profile
from model.prompts.interleaved import Prompts
from model.training.backbone import export
from model.training.backbone.adapters import Int8Linear
from model.training.backbone.choose import spelled
from model.training.backbone.compose import compose
from model.training.backbone.compose import main as compose_main
from model.training.backbone.documents import KINDS, Composer
from model.training.backbone.recipe import Recipe
from model.training.backbone.start import START, start
from model.training.backbone.texts import Spoken, has_scored_sentence, is_held_out, load_texts, scored_sentences
from model.training.backbone.train import Trainer, run
from model.training.backbone.train import main as train_main
from model.training.domains import Exchange
from model.training.g2p import INVENTORY
from streaming.stages import TurnOptions

SETS = Path(__file__).parents[2] / "data" / "eval"
RECIPE = Recipe(
    rank=2, row_tokens=128, rows=2, lr=1e-2, tokens=10_000, warmup_steps=1, ease_tokens=1000, composed=0.0, bfloat16=False,
    mixtures=((1000, {"hear": 0.5, "say": 0.5}), (0, {"hear": 0.4, "say": 0.2, "answer": 0.2, "understand": 0.1, "type": 0.1})),
)  # fmt: skip


def test_what_is_held_out_is_never_trained_on(texts: Path) -> None:
    trained, held = load_texts(texts), load_texts(texts, held=True)
    for lang in ("en", "zh"):
        assert trained.sentences(lang)
        assert held.sentences(lang)
        assert not {s.lower().strip(".!?。！？") for s in trained.sentences(lang)} & {
            s.lower().strip(".!?。！？") for s in held.sentences(lang)
        }
    scored = [sentence for sentences in scored_sentences().values() for sentence in sentences]
    assert len(scored) == len(set(scored)) == 200
    assert [sentence for sentence in scored if not is_held_out(sentence)] == []
    some = held.sentences("en")[0]
    assert is_held_out(some.upper().rstrip(".") + "!")


def test_a_turn_that_is_held_out_keeps_its_conversation_out(tmp_path: Path) -> None:
    asked = _open_question("en")
    rows = [
        {"question": asked, "answer": "Rain."},
        {"question": "Why?", "answer": "Rain.", "before": [["Hello.", "Hi!"], [asked.upper(), "Rain."]]},
        {"question": "Why?", "answer": "Rain.", "before": [["Hello.", "Hi!"]]},
    ]
    (tmp_path / "exchanges.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (trained,) = load_texts(tmp_path).exchanges["en"]
    assert trained.before == (("Hello.", "Hi!"),)
    assert len(load_texts(tmp_path, held=True).exchanges["en"]) == 2


def _open_question(lang: str) -> str:
    rows = (SETS / "open.jsonl").read_text(encoding="utf-8").splitlines()
    return next(str(row["text"]) for line in rows if (row := json.loads(line))["language"] == lang)


def test_what_is_scored_is_not_asked_to_be_repeated(composer: Composer, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = scored_sentences()["zh"][0]
    drawn = iter([f"请重复：{scored}", "请重复：你好。"] * 2)
    repeat = lambda rng, *_: Exchange("repeat", next(drawn), "好。", "zh", "zh", "repeat:")  # noqa: E731
    monkeypatch.setattr("model.training.backbone.documents.draw", repeat)
    assert composer._composed(Random(0), "zh").question == "请重复：你好。"
    assert has_scored_sentence(scored)


def test_a_line_that_is_no_exchange_is_named(tmp_path: Path) -> None:
    (tmp_path / "exchanges.jsonl").write_text(
        '{"question": "Yes?", "answer": "No.", "mood": "sad"}\n', encoding="utf-8"
    )
    with pytest.raises(ValueError, match=r"exchanges.jsonl:1: .*unknown: mood"):
        load_texts(tmp_path)


def test_documents_begin_as_they_are_served(composer: Composer, begun: Path) -> None:
    """A prompt that training and server write differently would undo the training."""
    prompts, rng = Prompts(load_profile(begun), begun / "lm"), Random(0)
    for spoken in (s for exchanges in composer.texts.exchanges.values() for s in exchanges):
        document = composer.turn(spoken, rng)
        learned = document.weights.index(2)
        head, tail = prompts.speech_prompt(
            TurnOptions(reply_language=spoken.reply_language, instructions=spoken.instructions), ()
        )
        if not spoken.before:
            assert document.ids[: len(head)] == head
        assert document.ids[:learned][-len(tail) :] == tail
        assert document.ids[learned] == composer.question
        assert document.ids[-1] == composer.end_of_turn


def test_what_is_only_written_is_told_apart_and_has_no_units(composer: Composer) -> None:
    spoken = composer.texts.exchanges["en"][0]
    written, typed = composer.chat(spoken), composer.turn(spoken, Random(0), typed=True)
    learned = written.weights.index(2)
    assert written.ids[:learned] != typed.ids[: typed.weights.index(2)]
    assert composer.text_of(written.ids[learned:-1]) == spoken.answer
    assert composer.units_of(written.ids) == []


def test_a_full_chain_is_written_before_it_is_spoken(composer: Composer) -> None:
    spoken = next(s for s in composer.texts.exchanges["en"] if s.answer.startswith("Yes"))
    document = composer.turn(spoken, Random(0), full_chain=True)
    assert document.ids.count(composer.speech_start) == 1 + 1  # the question's, and the answer's
    written = document.ids[len(document.ids) - document.ids[::-1].index(composer.answer) :]
    assert composer.text_of(written[: written.index(composer.speech_start)]) == spoken.answer


def test_made_exchanges_leave_out_what_is_scored(composer: Composer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _open_question("en")
    drawn = iter([Spoken("Why?", "Rain.", ((asked, "Rain."),)), Spoken("Why?", "Rain.", (("Hello.", "Hi!"),))])
    for name in ("talked", "refused"):
        monkeypatch.setattr(f"model.training.backbone.documents.{name}", lambda *_: next(drawn))
    monkeypatch.setattr("model.training.backbone.documents.MADE_SHARES", {"talked": 0.5, "refused": 0.5})
    assert composer._made(Random(0), "en").before == (("Hello.", "Hi!"),)


def test_an_answer_reads_back_as_it_was_written(composer: Composer, begun: Path) -> None:
    from streaming.interleave import TextDelta, TranscriptDelta, UnitsDelta

    spoken = next(s for s in composer.texts.exchanges["en"] if s.answer.startswith("Yes"))
    document = composer.turn(spoken, Random(0))
    parser = Prompts(load_profile(begun), begun / "lm").parser()
    events = [*parser.feed(document.ids[document.weights.index(2) :]), *parser.finish()]
    assert "".join(e.text for e in events if isinstance(e, TranscriptDelta)) == spoken.question
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == spoken.answer
    assert sum(len(e.units) for e in events if isinstance(e, UnitsDelta)) > 10


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "interpret"])
def test_every_kind_has_something_to_learn(composer: Composer, kind: str) -> None:
    document = composer.document(Random(3), {kind: 1.0})
    assert len(document.ids) == len(document.weights)
    assert 0 < sum(weight > 0 for weight in document.weights) < len(document.ids)


def test_a_run_learns_and_goes_on_where_it_stopped(begun: Path, texts: Path, tmp_path: Path) -> None:
    trainer = Trainer(RECIPE, begun, texts, tmp_path)
    first = trainer.train_step()
    for _ in range(11):
        last = trainer.train_step()
    assert last["text"] < first["text"]
    assert last["unit"] < first["unit"]
    trainer.save()
    resumed = Trainer(RECIPE, begun, texts, tmp_path)
    assert (resumed.step, resumed.tokens) == (trainer.step, trainer.tokens)
    for name, p in trainer.parameters.items():
        assert torch.equal(p, resumed.parameters[name]), name
    assert trainer.optimizer.state_dict()["state"].keys() == resumed.optimizer.state_dict()["state"].keys()


def test_attention_by_whole_matrices_is_attention(begun: Path, texts: Path, tmp_path: Path) -> None:
    trainer = Trainer(RECIPE, begun, texts, tmp_path)
    rows = trainer._next_rows()
    gradients, losses, _ = trainer._gradients(rows, 1.0)
    trainer.model.set_attn_implementation("sdpa")
    want, want_losses, _ = trainer._gradients(rows, 1.0)
    torch.testing.assert_close(losses, want_losses)
    for got, expected in zip(gradients, want, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-3)


def test_workers_share_an_update(begun: Path, texts: Path, tmp_path: Path) -> None:
    one, two = (Trainer(RECIPE, begun, texts, tmp_path / str(workers), workers=workers) for workers in (1, 2))
    assert one.train_step() == pytest.approx(two.train_step(), rel=1e-4)
    for name, p in one.parameters.items():
        if not name.endswith("down"):  # without a gradient yet: Adam moves it by what rounding left
            torch.testing.assert_close(p, two.parameters[name], atol=1e-4, rtol=1e-3)


def test_documents_in_shards_are_trained_on_without_texts(begun: Path, composer: Composer, tmp_path: Path) -> None:
    recipe = replace(RECIPE, tokens=1500)
    with pytest.raises(FileNotFoundError, match="run `backbone compose` first"):
        Trainer(recipe, begun, None, tmp_path, packed=tmp_path).train_step()
    assert compose(recipe, composer, tmp_path, tokens=3000, shard_tokens=1000) == 3
    trainer = Trainer(recipe, begun, None, tmp_path / "run", packed=tmp_path)
    run(trainer, pause=tmp_path / "pause", evaluate_minutes=60, save_minutes=60)
    assert trainer.tokens >= 1500
    assert (tmp_path / "run" / FILE).is_file()


def test_a_run_on_a_borrowed_machine_is_rehearsed(
    begun: Path, texts: Path, text_model: Path, profile_directory: Path, tmp_path: Path
) -> None:
    """The commands of docs/training.md: documents here, training there for so many minutes, parts back, a bundle of them."""
    (tmp_path / "r.json").write_text(json.dumps(asdict(RECIPE) | {"tokens": 10**9}), encoding="utf-8")
    common = [str(tmp_path / "r.json"), "--start", str(begun)]
    shards = ["--out", str(tmp_path / "shards"), "--tokens", "2000", "--shard-tokens", "1000"]
    compose_main([*common, "--texts", str(texts), *shards])
    there = ["--documents", str(tmp_path / "shards"), "--work", str(tmp_path / "run"), "--minutes", "0.02"]
    train_main([*common, *there, "--parts", str(tmp_path / "parts"), "--workers", "1"])
    (bundle := tmp_path / "bundle").mkdir()
    (bundle / "profile.json").write_bytes((profile_directory / "profile.json").read_bytes())
    export.main(["--base", str(text_model), "--difference", str(tmp_path / "parts"), "--bundle", str(bundle)])
    assert (bundle / "lm" / "model.safetensors").is_file()
    assert Difference.load(bundle / FILE).changes.keys() == Difference.load(tmp_path / "parts").changes.keys()


@pytest.mark.parametrize("name", ["backbone-cpu", "backbone-cpu-on", "backbone-gpu"])
def test_recipes_that_come_along_are_read(name: str) -> None:
    recipe = Recipe.load(Path("model/training/configs") / f"{name}.json")
    assert all(set(shares) <= set(KINDS) and sum(shares.values()) == pytest.approx(1) for _, shares in recipe.mixtures)
    assert recipe.rate(10_000, 0.0) == 1.0
    assert recipe.rate(10_000, 1.0) == 0.0


def test_what_is_no_recipe_is_told(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"mixtures": [], "colour": 1}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"r.json is no recipe: .*colour"):
        Recipe.load(tmp_path / "r.json")


def test_only_adapters_and_new_rows_change(begun: Path, texts: Path, tmp_path: Path) -> None:
    trainer = Trainer(RECIPE, begun, texts, tmp_path)
    frozen = {
        name: value.clone() for name, value in trainer.model.state_dict().items() if name not in trainer.parameters
    }
    trainer.train_step()
    now = trainer.model.state_dict()
    assert all(torch.equal(value, now[name]) for name, value in frozen.items())
    assert {name.rpartition(".")[2] for name in trainer.parameters} == {"up", "down", "new"}


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_8_bits_are_for_a_cpu(begun: Path, texts: Path, tmp_path: Path, device: str) -> None:
    with pytest.raises(ValueError, match=f"the device is {device}; accepted there: false"):
        Trainer(replace(RECIPE, int8=True), begun, texts, tmp_path, device=device)


def test_8_bits_without_vllm_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ValueError, match=r"needs vLLM for a CPU .*int8: false"):
        Int8Linear(torch.nn.Linear(4, 4))


def test_frozen_layers_in_8_bits_give_nearly_the_same_loss_and_gradients() -> None:
    pytest.importorskip("vllm")
    torch.manual_seed(0)
    exact = torch.nn.Linear(64, 48)
    x = torch.randn(3, 5, 64, requires_grad=True)
    towards = torch.randn(3, 5, 48)

    def run_in(layer: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
        out = layer(x).float()
        (gradient,) = torch.autograd.grad((out * towards).sum(), x)
        return out, gradient

    for rounded, whole in zip(run_in(Int8Linear(exact)), run_in(exact), strict=True):
        assert 0 < (rounded - whole).norm() < 0.03 * whole.norm()


def test_the_budget_ends_a_run_with_scores_and_a_difference_that_serves(
    text_model: Path, begun: Path, profile_directory: Path, texts: Path, tmp_path: Path
) -> None:
    trainer = Trainer(replace(RECIPE, tokens=2000), begun, texts, tmp_path / "run")
    run(trainer, pause=tmp_path / "pause", evaluate_minutes=60, save_minutes=60, last=4)
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {"hear_en_0", "hear_en_8", "hear_zh_15", "syllables_zh_8", "say_en", "say_zh"} <= rows[-1]["heldout"].keys()
    difference = Difference.load(tmp_path / "run" / FILE)
    assert difference.about["base"] == "tiny"
    assert int(difference.about["tokens"]) >= 2000
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "profile.json").write_bytes((profile_directory / "profile.json").read_bytes())
    export.main(
        ["--base", str(text_model), "--difference", str(tmp_path / "run" / FILE), "--bundle", str(bundle), "--bfloat16"]
    )
    served = _logits(bundle)
    trainer._put(trainer.averaged)
    trainer.model.eval().set_attn_implementation("sdpa")
    with torch.no_grad():
        want = trainer.model(input_ids=torch.tensor([_IDS])).logits
    tokens = len(difference.kept) + len(difference.rows)  # behind them is padding
    torch.testing.assert_close(served[..., :tokens], want[..., :tokens].float(), atol=0.05, rtol=0.05)


_IDS = [5, 60, 7, 100]


def _logits(bundle: Path) -> torch.Tensor:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(bundle / "lm", dtype=torch.float32)
    with torch.no_grad():
        return model(input_ids=torch.tensor([_IDS])).logits


def test_a_run_that_is_asked_to_end_leaves_a_checkpoint(
    begun: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, step = Trainer(RECIPE, begun, texts, tmp_path), Trainer.train_step
    before = signal.getsignal(signal.SIGTERM)

    def asked(self: Trainer) -> dict[str, float]:
        signal.raise_signal(signal.SIGTERM)
        return step(self)

    monkeypatch.setattr(Trainer, "train_step", asked)
    try:
        run(trainer, pause=tmp_path / "pause", evaluate_minutes=60, save_minutes=60)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert Trainer(RECIPE, begun, texts, tmp_path).step == 1


def test_a_later_run_begins_with_what_was_learned(
    text_model: Path, profile_directory: Path, begun: Path, texts: Path, tmp_path: Path
) -> None:
    trainer = Trainer(RECIPE, begun, texts, tmp_path / "first")
    trainer.train_step()
    trainer.save()
    learned = Difference.load(tmp_path / "first" / FILE)
    start(load_base(str(text_model)), profile_directory, learned, tmp_path / "again")
    later = Trainer(RECIPE, tmp_path / "again", texts, tmp_path / "second")
    for name, p in later.parameters.items():
        torch.testing.assert_close(p, trainer.averaged[name], atol=1e-2, rtol=1e-2)
    with pytest.raises(ValueError, match="down of"):
        Trainer(replace(RECIPE, rank=4), tmp_path / "again", texts, tmp_path / "third")


def test_every_unit_is_spelled_and_starts_apart(begun: Path) -> None:
    assert all(spelled(unit) for unit in INVENTORY)
    assert spelled("zh_") + spelled("ang1") == "zhāng"
    assert spelled("iou3") == "iǒu"
    rows = Difference.load(begun / START).rows.float()
    assert len({tuple(row) for row in rows.tolist()}) == len(added_tokens(load_profile(begun)))
