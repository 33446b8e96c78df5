"""Rules for open questions, the sets that state them, and the one table of what counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pypinyin")

from model.bundle import find_bundle
from model.evaluation.bench import Bench
from model.evaluation.rules import has_all, obeys, says, sensible, understood
from model.evaluation.run import Results, chosen, evaluate
from model.evaluation.sets import EvaluationError, Item, read_sets
from model.evaluation.summary import summary
from tests.fakes import TEXT, TRANSCRIPT, FakeLM, fake_stages

SETS = Path(__file__).parents[2] / "data" / "eval"
ORIGIN = {"commit": "0" * 40, "machine": {"cpu": "abacus", "usable_cores": 1}, "command": "cslm eval"}
TOLD = {"bundle": "cslm-mini", "backend": "scripted", "seed": 0, "judge": None}
JUDGED = ("open", "follow", "obey")


def test_of_every_group_one_word_must_be_there() -> None:
    groups = (("sky",), ("blue", "bluish"))
    assert understood("So why is the SKY blue?", groups)
    assert not understood("Why is the guy blue?", groups)
    assert has_all("Air scatters light.", [["scatter"]])
    assert not has_all("A cat.", [["at"]])
    assert has_all("It has 366 days.", [["sixty-six"]])
    assert has_all("天空是蓝色的。", [["蓝色"]])
    assert has_all("I don't know.", [["don't"]])


@pytest.mark.parametrize(
    ("text", "language", "sense"),
    [
        ("", "en", []),
        ("天空是蓝色的。", "en", []),
        ("The sky is big.", "en", [["light"]]),
        ("Light comes and goes and light comes and goes and light comes.", "en", [["light"]]),
        ("light " * 61, "en", [["light"]]),
    ],
)
def test_what_is_no_sensible_answer(text: str, language: str, sense: list[list[str]]) -> None:
    assert not sensible(text, language, sense)


def test_a_right_answer_names_the_right_thing_alone() -> None:
    for text in ("Before three it is two o'clock.", "Two o'clock.", "It is two o'clock!"):
        assert says(text, [["two o'clock"]])
    assert not says("Before two o'clock it is nine o'clock.", [["two o'clock"]])
    assert says("你叫小明。", [["小明"]])


def test_a_word_of_the_other_language_may_be_the_answer() -> None:
    assert sensible("谢谢。", "en", [["谢谢"]])
    assert not sensible("Danke.", "zh", [["谢谢"]])


def test_every_judged_row_can_be_passed_and_failed() -> None:
    items = [item for item in read_sets(SETS) if item.set in JUDGED]
    assert {(name, lang): sum(i.set == name and i.language == lang for i in items) for name in JUDGED for lang in ("en", "zh")} == {
        ("open", "en"): 100, ("open", "zh"): 100, ("follow", "en"): 40, ("follow", "zh"): 40, ("obey", "en"): 40, ("obey", "zh"): 40,
    }  # fmt: skip
    for item in items:
        assert understood(item.text, item.keep), item
        assert not understood("Xyz.", item.keep) or not item.keep, item
        assert not sensible("Xyz.", item.reply_language, item.sense) or not item.sense, item
        assert item.keep or item.answers, item
        for answer in item.answers:
            assert sensible(answer, item.reply_language, item.sense), item
            assert item.manner or says(answer, item.sense), item
            assert not item.manner or obeys(answer, item.reply_language, item.manner), item
        assert (item.set == "follow") == bool(item.before)
        assert (item.set == "obey") == bool(item.manner and item.instructions)


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({"sense": ["light"]}, "sense: accepted: a list of lists of words"),
        ({"keep": [["?"]]}, "keep: accepted: a list of lists of words"),
        ({"manner": "grumpy"}, "manner 'grumpy'; accepted: short"),
    ],
)
def test_a_rule_that_cannot_be_read_is_told(row: dict[str, Any], error: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "Hi.", "language": "en", **row}), encoding="utf-8")
    with pytest.raises(EvaluationError, match=rf"row 1: {error}"):
        read_sets(tmp_path)


async def test_typed_open_questions_are_judged_by_their_rows(tmp_path: Path) -> None:
    fake = FakeLM()
    about: dict[str, Any] = {
        "before": (("Hi.", "Hello."), ("And?", "Yes.")),
        "instructions": "Answer very briefly.",
        "manner": "short",
    }
    items = [
        Item("open/0", "open", "open", TRANSCRIPT, "zh", "", None, "zh", sense=(("五",),)),
        Item("obey/0", "obey", "open", TRANSCRIPT, "zh", "", None, "zh", sense=(("六",),), **about),
        Item("echo/0", "echo", "open", TEXT, "zh", "", None, "zh"),
    ]
    bench = Bench(find_bundle("cslm-mini"), fake_stages(lm=fake), items, None, tmp_path / "spoken")
    measures = chosen(["open_typed"])
    record, text = await evaluate(bench, Results(tmp_path, TOLD), measures, origin=ORIGIN, told=TOLD)
    (table,) = record["measures"]["open_typed"]
    assert [[row[0], row[3]] for row in table["rows"]] == [["open", "100.0%"], ["obey", "0.0%"], ["echo", "0.0%"]]
    assert ["open typed questions answered sensibly, en / zh", "– / 100.0%"] in record["summary"]
    assert text.index("### Summary") < text.index("### Open questions, typed")
    assert len(fake.prompts[1]) > len(fake.prompts[0])  # the turns before


async def test_callers_are_timed_alone_and_together(tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.9, 0.9, 16_000), 16_000)
    items = [Item("q/0", "q", "question", TRANSCRIPT, "en", "", tmp_path / "a.wav", "en")]
    bench = Bench(find_bundle("cslm-mini"), fake_stages(), items, None, tmp_path / "spoken")
    record, _ = await evaluate(bench, Results(tmp_path, TOLD), chosen(["callers"]), origin=ORIGIN, told=TOLD)
    (table,) = record["measures"]["callers"]
    assert [row[:2] for row in table["rows"]] == [[1, 1], [4, 4]]
    assert {name for name, _ in record["summary"]} >= {
        "first audio, s, p50: alone",
        "first audio, s, p50: four callers",
    }


def test_the_summary_leaves_out_what_was_not_measured() -> None:
    row = {"language": "en", "wrong": 0.08, "written": [1, 10], "sounded": None}
    ((_, value),) = summary({"units": [row], "asr": []}).rows
    assert value == "10.0% / –"
