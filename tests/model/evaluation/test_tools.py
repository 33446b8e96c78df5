"""The measure of called tools: what it asks, and what counts as right."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

for _needed in ("phonemizer", "pypinyin", "jieba"):
    pytest.importorskip(_needed)

from model.bundle import find_bundle
from model.evaluation.bench import Bench, Case
from model.evaluation.run import chosen
from model.evaluation.tools import KINDS, ToolCalls, _item, question, same
from model.training.backbone.calling import called, lacking
from model.training.domains import LANGS
from tests.fakes import ANSWER, CALL, QUESTION, FakeLM, fake_stages, text_ids
from tests.tool_caller import text_of


def test_what_is_asked_is_not_trained_on() -> None:
    rng = Random(1)
    trained = [make(rng, lang) for make in (called, lacking) for lang in LANGS for _ in range(400)]
    names = {tool.name for one in trained for tool in one.tools}
    for kind in ("renamed", "new"):
        for lang in LANGS:
            for number in range(20):
                one = question(kind, lang, number)
                assert one.call is not None
                assert one.call.name not in names
                assert one == question(kind, lang, number)


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ('{"city": "paris", "days": 3}', True),
        ('{"days":3,"city":"Paris."}', True),
        ('{"city":"Rome","days":3}', False),
        ('{"city":"Paris"}', False),
        ('{"city":"Paris","days":"3"}', False),
        ('{"city":"Par', False),
        ("[]", False),
    ],
)
def test_arguments_are_right_by_their_values(arguments: str, right: bool) -> None:
    assert same(arguments, '{"city":"Paris","days":3}') == right


def test_a_bundle_without_the_format_is_not_measured(tmp_path: Path) -> None:
    bench = Bench(find_bundle("cslm-mini"), fake_stages(), [], None, tmp_path)
    (measure,) = chosen(["tools"])
    assert measure.missing(bench) == "the bundle's profile has no format for tools"


@pytest.mark.parametrize("way", ["typed", "units"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("behaves", [True, False])
async def test_rows_say_what_was_right(tmp_path: Path, kind: str, way: str, behaves: bool) -> None:
    """By a model that does what is wanted, and by one that does the other: calls in place of answers, answers in place of calls."""
    one = question(kind, "en", 0)
    calls = (one.call is not None) == behaves
    name, arguments = (one.call.name, one.call.arguments) if one.call else (one.tools[0].name, "{}")

    def script(prompt: list[int]) -> list[int]:
        if CALL in prompt:
            named = text_of(prompt[prompt.index(CALL) :]).removeprefix("call ")
            return text_ids(arguments if named else f"{name} ")
        if one.call and one.call.output and one.call.output in text_of(prompt):
            return text_ids(f": {one.answer}")
        said = "For which one?" if one.call is None else "I do not know."
        return [QUESTION, *text_ids(": x; "), *([CALL] if calls else [ANSWER, *text_ids(f": {said}")])]

    bench = Bench(find_bundle("cslm-mini"), fake_stages(lm=FakeLM(script)), [], None, tmp_path)
    row = await ToolCalls().measure(bench, Case(f"{kind}/en/000/{way}", _item(kind, "en", 0), way))
    if one.call is None:
        assert row["uncalled"] == behaves
        assert row["asked"] == (behaves if kind == "lacking" else None)
    else:
        assert (row["tool"], row["arguments"], row.get("used")) == (
            behaves,
            behaves,
            True if behaves and one.found else None,
        )
    (table,) = ToolCalls().tables([row])
    assert table.rows[0][:4] == (kind, "en", way, 1)
