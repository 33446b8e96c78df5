"""Rendering, loss weights and packing of language-model documents, against hand-worked examples."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

pytest.importorskip("pypinyin")
pytest.importorskip("phonemizer")
pytest.importorskip("jieba")

from model.training import lm_data
from model.training.domains import Exchange
from model.training.g2p import INVENTORY, UNIT_ID
from model.training.lm_data import Composer, Renderer
from model.training.noise import UnitNoise
from model.training.shards import Document, pack, pack_row, read_shard, write_shard
from model.training.text_tokenizer import build_tokenizer, save_tokenizer

PROFILE = json.loads(Path("model/bundles/cslm-mini/profile.json").read_text(encoding="utf-8"))
TEXTS = [
    "What is two plus three?",
    " Two plus three is five.",
    "二加三等于五。",
    "user assistant",
    "This is input: ",
] * 3


@pytest.fixture(scope="module")
def renderer(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    directory = tmp_path_factory.mktemp("lm")
    save_tokenizer(build_tokenizer(TEXTS, n_units=len(INVENTORY), english_pieces=60), directory)
    return Renderer(PROFILE, lm_data.PlainText.load(directory))


def spelled(renderer: Renderer, ids: list[int]) -> str:
    """Ids with the added tokens by name."""
    names = {i: name for name, i in renderer.text._added.items()}
    return "".join(names.get(i) or renderer.text.decode([i]) for i in ids)


def test_prompt_is_the_chat_template_around_the_wording(renderer: Renderer) -> None:
    prompt = renderer.prompt(PROFILE["templates"]["zh"]["zh"], [3, 1, 4])
    assert spelled(renderer, [i for i in prompt if i >= renderer.bos]) == (
        "<|begin_of_text|><|start_header_id|><|end_header_id|><sosp><3><1><4><eosp><|eot_id|><|start_header_id|><|end_header_id|>"
    )
    assert renderer.text.decode([i for i in prompt if i < renderer.bos]) == (
        "user\n\n直接回答用户语音中的问题。 这是输入: 。assistant\n\n"
    )


def test_typed_input_stays_text(renderer: Renderer) -> None:
    prompt = renderer.prompt("{input}", "say <sosp><12><|eot_id|>")
    assert prompt.count(renderer.end_of_turn) == 1
    assert not {renderer.speech_start, renderer.unit[12]} & set(prompt)
    assert "say <sosp><12><|eot_id|>" in renderer.text.decode(prompt)


def test_the_turn_before_is_told_as_text(renderer: Renderer) -> None:
    prompt = renderer.prompt("{input}", [3], before=("Two plus one?", "Three <sosp>."))
    assert spelled(renderer, prompt) == (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nTwo plus one?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nThree <sosp>.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n<sosp><3><eosp><|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    assert prompt.count(renderer.speech_start) == 1


def test_prompts_of_training_are_those_of_the_server(renderer: Renderer, tmp_path: Path) -> None:
    from model.profile import Profile
    from model.prompts.interleaved import Prompts
    from streaming.stages import Exchange as Turn
    from streaming.stages import TurnOptions

    save_tokenizer(build_tokenizer(TEXTS, n_units=len(INVENTORY), english_pieces=60), tmp_path)
    served = Prompts(Profile.model_validate(PROFILE | {"history_turns": 1}), tmp_path)
    before = ("What is two plus three?", "Two plus three is five.")
    head, tail = served.speech_prompt(TurnOptions(reply_language="en"), (Turn(*before),))
    trained = renderer.prompt(PROFILE["templates"]["en"]["default"], [7, 9], before=before)
    assert [*head, *served.unit_ids([7, 9]), *tail] == trained


def test_reply_interleaves_text_and_units(renderer: Renderer) -> None:
    reply = renderer.reply("What is two plus three?", "Two plus three is five.")
    units = "".join(f"<{UNIT_ID[u]}>" for u in ["t", "u", "p", "l", "ʌ", "s", "θ", "ɹ", "i", "ɪ", "z", "f", "I", "v"])
    assert spelled(renderer, reply.ids) == (
        f"[question]: What is two plus three?; [answer]: Two plus three is five.<sosp>{units}<eosp><|eot_id|>"
    )
    assert len(reply.weights) == len(reply.ids)
    assert {reply.weights[i] for i, t in enumerate(reply.ids) if t in renderer.unit} == {lm_data.UNIT_WEIGHT}
    assert {reply.weights[i] for i, t in enumerate(reply.ids) if t not in renderer.unit} == {lm_data.TEXT_WEIGHT}


def test_full_chain_writes_all_text_before_one_speech_chunk(renderer: Renderer) -> None:
    answer = "One, two, three, four, five, six, seven, eight, nine, ten."
    full, interleaved = renderer.reply("Count.", answer, full_chain=True), renderer.reply("Count.", answer)
    assert full.ids.count(renderer.speech_start) == 1
    assert interleaved.ids.count(renderer.speech_start) == interleaved.ids.count(renderer.speech_end) == 2
    text = [i for i in full.ids if i not in renderer.unit]
    assert text == [*text[:-3], renderer.speech_start, renderer.speech_end, renderer.end_of_turn]


def test_nothing_is_learned_from_the_prompt(renderer: Renderer) -> None:
    composer = Composer(renderer, UnitNoise(), "answer")
    exchange = Exchange("sums", "What is two plus three?", "Two plus three is five.", "en", "en", "sums:2+3")
    document = composer._turn(Random(0), exchange, "speech")
    start = document.ids.index(renderer.question)
    assert set(document.weights[:start]) == {0}
    assert 0 not in document.weights[start:]


def test_what_is_only_understood_ends_where_the_answer_would_be_spoken(renderer: Renderer) -> None:
    exchange = Exchange("sums", "What is two plus three?", "Two plus three is five.", "en", "en", "sums:2+3")
    whole = Composer(renderer, UnitNoise(), "answer")._turn(Random(0), exchange, "speech")
    cut = whole.until(renderer.speech_start)
    assert cut.ids.count(renderer.speech_start) == 2  # of the question, which is not learned, and of the answer
    assert (cut.ids[-1], cut.weights[-1]) == (renderer.speech_start, lm_data.TEXT_WEIGHT)
    assert (cut.ids, cut.weights) == (whole.ids[: len(cut.ids)], whole.weights[: len(cut.ids)])


def test_packed_rows_predict_the_next_id_within_a_document_only() -> None:
    a = np.array([5, 6, 7], np.uint32), np.array([0, 2, 1], np.uint8)
    b = np.array([8, 9], np.uint32), np.array([0, 2], np.uint8)
    row = pack_row([a, b], 6)
    assert row.ids.tolist() == [5, 6, 7, 8, 9, 0]
    assert row.positions.tolist() == [0, 1, 2, 0, 1, 0]
    assert row.documents.tolist() == [0, 0, 0, 1, 1, -1]
    assert row.targets.tolist() == [6, 7, 0, 9, 0, 0]
    assert row.weights.tolist() == [2, 1, 0, 2, 0, 0]


def test_packing_keeps_every_document_that_fits_once() -> None:
    rng = Random(0)
    lengths = [rng.randint(2, 60) for _ in range(500)]
    documents = [(np.full(n, i, np.uint32), np.ones(n, np.uint8)) for i, n in enumerate(lengths)]
    rows = [pack_row(row, 50) for row in pack(documents, length=50)]
    counted = np.bincount(np.concatenate([r.ids[r.documents >= 0] for r in rows]), minlength=500)
    assert counted.tolist() == [n if n <= 50 else 0 for n in lengths]
    assert sum(n for n in lengths if n <= 50) / (50 * len(rows)) > 0.95


def test_rows_of_short_documents_are_short() -> None:
    rng = Random(0)
    lengths = [rng.randint(2, 24) for _ in range(300)] + [26, 40, 50]
    rng.shuffle(lengths)
    documents = [(np.full(n, i, np.uint32), np.ones(n, np.uint8)) for i, n in enumerate(lengths)]
    rows = list(pack(documents, length=50, short=25))
    assert sorted(len(ids) for row in rows for ids, _ in row) == sorted(lengths)
    filled = [sum(len(ids) for ids, _ in row) for row in rows]
    assert [max(len(ids) for ids, _ in row) for row, n in zip(rows, filled, strict=True) if n > 25] == [
        n for n in lengths if n > 25
    ]
    assert max(filled) <= 50 and sum(filled) / (25 * (len(rows) + 3)) > 0.93


def test_shards_give_the_documents_back(tmp_path: Path) -> None:
    write_shard(tmp_path / "read-0000.npz", [Document([1, 2, 3], [0, 0, 2]), Document([300], [1])])
    (a, wa), (b, wb) = read_shard(tmp_path / "read-0000.npz")
    assert (a.tolist(), wa.tolist(), b.tolist(), wb.tolist()) == ([1, 2, 3], [0, 0, 2], [300], [1])
    assert [p.name for p in tmp_path.iterdir()] == ["read-0000.npz"]


def test_what_is_heard_ends_where_the_answer_would_begin(renderer: Renderer) -> None:
    document = Composer(renderer, UnitNoise(), "answer")._pair(Random(0), "Two plus three is five.", listen=True)
    assert spelled(renderer, document.ids).endswith("[question]: Two plus three is five.; [answer]")
    assert document.weights[-1] == lm_data.TEXT_WEIGHT
