"""Measures over fake stages with known answers; results that are kept, and taken up again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from model.bundle import Bundle, find_bundle
from model.evaluation.alignment import compare, cosines, own_tokens
from model.evaluation.bench import Bench, Measure, rate, share
from model.evaluation.judge import Heard, Judge
from model.evaluation.run import TOGETHER, Results, chosen, evaluate, measures
from model.evaluation.seams import by_chance, jump_ratios, planned
from model.evaluation.sets import EvaluationError, Item
from model.evaluation.speech import CONDITIONS
from tests.fakes import TEXT, TRANSCRIPT, FakeLM, answer_ids, fake_stages

pytestmark = pytest.mark.filterwarnings(
    "ignore:pkg_resources", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
ORIGIN = {"commit": "0" * 40, "machine": {"cpu": "abacus", "usable_cores": 1}, "command": "cslm eval"}
TOLD = {"bundle": "cslm-mini", "backend": "scripted", "seed": 0, "judge": None}


class Parrot(Judge):
    """Understands always the same, in Chinese."""

    def __init__(self) -> None:
        """Without weights."""

    def hear(self, pcm: Any, sample_rate: int, language: str, languages: Any) -> Heard:
        return Heard("三加二是五", "zh")


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    """A question in each direction, a sentence to read and one to repeat, of different loudness."""
    rng, found = np.random.default_rng(0), []
    asked = [("question", "en", "en"), ("question", "zh", "zh"), ("read", "en", "en"), ("repeat", "en", "en")]
    for number, (task, language, reply) in enumerate(asked):
        path = tmp_path / f"{number}.wav"
        soundfile.write(
            path, rng.uniform(-0.9, 0.9, 16_000 + 4000 * number) * np.linspace(0, 1, 16_000 + 4000 * number), 16_000
        )
        found.append(
            Item(
                f"{task}/{number}",
                task,
                task,
                TRANSCRIPT,
                language,
                "anna",
                path,
                reply,
                (TEXT,) if number != 1 else ("不对。",),
            )
        )
    return found


def bench(items: list[Item], tmp_path: Path, judge: Judge | None = None, **stages: Any) -> Bench:
    return Bench(find_bundle("cslm-mini"), fake_stages(**stages), items, judge, tmp_path / "out" / "spoken")


async def run(bench: Bench, tmp_path: Path, *names: str) -> tuple[dict[str, Any], str]:
    results = Results(tmp_path / "out", TOLD)
    return await evaluate(bench, results, chosen(names), origin=ORIGIN, told=TOLD)


async def test_answers_are_counted_by_direction(items: list[Item], tmp_path: Path) -> None:
    pytest.importorskip("pypinyin")
    record, text = await run(bench(items, tmp_path, Parrot()), tmp_path, "answers")
    (table,) = record["measures"]["answers"]
    rows = {row[1]: row[1:] for row in table["rows"]}
    #                        n  heard   text      heard   -   off target: text, speech
    assert rows["en→en"][1:5] == [1, "0.0%", "100.0%", "0.0%"]
    assert rows["zh→zh"][1:5] == [1, "0.0%", "0.0%", "0.0%"]
    assert rows["en→en"][6:] == ["100.0%", "100.0%"]  # five Chinese characters against three words, heard as Chinese
    assert rows["zh→zh"][6:] == ["0.0%", "0.0%"]
    assert rows["**all**"][3] == "50.0%"
    assert "### Speech to speech" in text
    assert len(list((tmp_path / "out" / "spoken" / "question").glob("*.flac"))) == 2


async def test_both_schedules_are_timed_side_by_side(items: list[Item], tmp_path: Path) -> None:
    fake = FakeLM(delay_s=0.001)
    record, _ = await run(bench(items, tmp_path, lm=fake), tmp_path, "chain")
    (table,) = record["measures"]["chain"]
    assert [row[0] for row in table["rows"]] == ["en→en", "zh→zh", "**all**"]
    assert len(fake.prompts) == 4
    assert all("–" not in row for row in table["rows"])


async def test_streamed_units_and_seams_of_equal_stages_are_equal(items: list[Item], tmp_path: Path) -> None:
    record, _ = await run(bench(items, tmp_path), tmp_path, "stability", "seams")
    assert record["measures"]["stability"][0]["rows"][0][:3] == ["en", 1, "0.0%"]
    seams = record["measures"]["seams"][0]["rows"][0]
    assert seams[:3] == [1, "1 of 1", "0.0e+00"]


async def test_what_cannot_be_measured_is_said(items: list[Item], tmp_path: Path) -> None:
    bundle = Bundle(tmp_path / "bundle")
    profile = find_bundle("cslm-mini").profile.model_copy(update={"tasks": {}})
    bundle.__dict__["profile"] = profile
    other = replace(bench(items[:2], tmp_path), bundle=bundle)
    record, text = await run(other, tmp_path)
    assert record["skipped"]["tokenizer"].startswith("its units are no phonetic symbols")
    assert record["skipped"]["vocoder"] == record["skipped"]["tokenizer"]
    assert "no wording for reading" in record["skipped"]["tts"]
    assert record["skipped"]["asr"] == "the sets have no items of task 'read' with a recording"
    assert "needs --judge" in text
    assert {"answers", "chain", "speed"} <= set(record["measures"])


async def test_a_broken_run_goes_on_where_it_stopped(items: list[Item], tmp_path: Path) -> None:
    first = FakeLM()
    await run(bench(items[:1], tmp_path, lm=first), tmp_path, "answers")
    with (tmp_path / "out" / "results.jsonl").open("a") as file:
        file.write('{"measure": "answers", "ca')  # cut off while it was written
    second = FakeLM()
    record, _ = await run(bench(items, tmp_path, lm=second), tmp_path, "answers")
    assert (len(first.prompts), len(second.prompts)) == (1, 1)
    assert [row[2] for row in record["measures"]["answers"][0]["rows"]] == [1, 1, 2]
    third = FakeLM()
    await run(bench(items, tmp_path, lm=third), tmp_path, "answers")
    assert not third.prompts


async def test_a_question_that_is_refused_is_counted(items: list[Item], tmp_path: Path) -> None:
    refused = bench(items, tmp_path)
    refused.stages.prompts.max_prompt_tokens = 1  # type: ignore[attr-defined]
    record, text = await run(refused, tmp_path, "answers")
    assert record["failed"] == {"answers": 2}
    assert "Failed cases: answers: 2" in text


def test_results_of_another_model_do_not_mix(tmp_path: Path) -> None:
    Results(tmp_path, TOLD).keep("answers", "a", {"right": True})
    with pytest.raises(EvaluationError, match="another bundle, judge"):
        Results(tmp_path, TOLD | {"bundle": "other", "judge": "whisper"})
    assert Results(tmp_path, TOLD).of("answers", "a") == {"right": True}
    assert Results(tmp_path, TOLD | {"seed": 1}, fresh=True).of("answers", "a") is None


def test_measures_have_names() -> None:
    found: list[Measure] = chosen(["seams", "asr"])
    assert [measure.name for measure in found] == ["asr", "seams"]
    assert len({measure.name for measure in measures()}) == len(measures())
    with pytest.raises(EvaluationError, match="no measure 'taste'; accepted: units, asr"):
        chosen(["taste"])


def test_rates_are_of_sums() -> None:
    rows = [{"e": [1, 2], "ok": True}, {"e": [0, 8], "ok": None}, {"e": None, "ok": False}]
    assert rate(rows, "e") == 0.1
    assert share(rows, "ok") == 0.5
    assert rate([], "e") is share([], "ok") is None


def test_the_own_tokens_of_a_written_sentence_lie_between_what_prompts_share() -> None:
    assert own_tokens([1, 2, 7, 8, 9], before=[1, 2, 50], after=[51, 9]) == (2, 4)
    assert own_tokens([1, 7, 9], before=[1, 50], after=[51, 3]) == (1, 3)


def test_similarity_tells_matched_from_mismatched() -> None:
    rng = np.random.default_rng(1)
    text = rng.normal(size=(30, 16))
    same, _, centred, _, found = compare(text + 0.1 * rng.normal(size=text.shape), text, ["en"] * 30)
    assert same > 0.95 and centred > 0.95 and found == 1.0
    _, other, _, centred_other, by_chance = compare(rng.normal(size=text.shape), text, ["en", "zh"] * 15)
    assert abs(other or 0) < 0.2 and abs(centred_other or 0) < 0.2 and by_chance < 0.3
    lean = np.full(16, 50.0)  # all states lean one way: the cosine alone sees no difference, the centred one does
    matched, mismatched, centred, apart, _ = compare(text + lean, text + lean, ["en"] * 30)
    assert matched - (mismatched or 0) < 0.01
    assert centred - (apart or 0) > 0.9
    assert np.allclose(cosines(np.eye(2), np.eye(2) * 3), np.eye(2))


def test_planned_cuts_are_all_of_the_units_in_order() -> None:
    cuts = planned(list(range(70)))
    assert [unit for cut in cuts for unit in cut] == list(range(70))
    assert [len(cut) for cut in cuts] == [6, 24, 24, 16]
    assert planned([]) == []


def test_a_lost_millisecond_is_a_jump() -> None:
    wave = np.sin(np.arange(24_000) * 2 * np.pi * 110 / 24_000).astype(np.float32)
    cut = np.concatenate([wave[:12_000], wave[12_024:]])
    (smooth,), (broken,) = jump_ratios(wave, [12_000], 24_000), jump_ratios(cut, [12_000], 24_000)
    assert broken > 5 * smooth


def test_chance_keeps_what_utterances_have_in_common_and_a_click_lies_outside_of_it() -> None:
    noise = np.random.default_rng(3).standard_normal(24_000).astype(np.float32)
    alone = by_chance([(noise, [12_000])], 24_000)
    alike = by_chance([(noise, [12_000])] * 40, 24_000)
    apart = by_chance([(noise, [500 + 577 * number for number in range(40)])], 24_000)
    assert alone is not None
    assert apart is not None
    assert alike == alone, "forty joins in the same noise are one"
    assert apart[1] - apart[0] < (alone[1] - alone[0]) / 2
    clicked = noise.copy()
    clicked[12_000:] += 20
    assert jump_ratios(clicked, [12_000], 24_000)[0] > alone[1]
    assert by_chance([(noise, [])], 24_000) is None


async def test_a_text_only_question_has_an_answer_without_speech(items: list[Item], tmp_path: Path) -> None:
    pytest.importorskip("pypinyin")
    mute = FakeLM(script=answer_ids(TRANSCRIPT, ("Yes.", ())))
    record, _ = await run(bench(items, tmp_path, Parrot(), lm=mute), tmp_path, "answers", "chain", "speed")
    assert record["measures"]["answers"][0]["rows"][0][2] == 1
    assert record["measures"]["chain"][0]["rows"] == []


def test_conditions_spoil_a_recording_as_their_names_say() -> None:
    rate = 16_000
    tone = 0.3 * np.sin(2 * np.pi * 1037 * np.arange(rate) / rate)
    pcm = np.pad(tone, (800, 400)).astype(np.float32)
    made = {name: condition(pcm, rate, "0:a") for name, condition in CONDITIONS.items()}
    assert all(of.dtype == np.float32 and np.abs(of).max() <= 1 for of in made.values())
    assert np.array_equal(made["clean"], pcm)
    noise = made["noise, 10 dB"] - pcm
    assert 10 * np.log10(np.mean(tone**2) / np.mean(noise**2)) == pytest.approx(10, abs=0.5)
    assert np.abs(made["quiet, peak at -40 dB"]).max() == pytest.approx(0.01, rel=0.01)
    assert np.mean(np.abs(made["loud, clipped by 12 dB"]) >= 1) > 0.5
    assert made["2 s of silence around"].size == pcm.size + 4 * rate
    assert not made["2 s of silence around"][: 2 * rate].any()
    assert made["from the first frame"][0] > 0.005
    assert made["from the first frame"].size < rate + 20
    hiss = np.random.default_rng(0).standard_normal(rate).astype(np.float32) / 8
    spectrum = np.abs(np.fft.rfft(CONDITIONS["telephone"](hiss, rate, "")))
    assert spectrum[4000:].mean() < 0.1 * spectrum[500:3400].mean()


async def test_what_takes_no_times_runs_together_and_what_does_runs_alone(items: list[Item], tmp_path: Path) -> None:
    asked, most = 0, 0

    class Counting(FakeLM):
        async def generate(self, *args: Any, **more: Any) -> Any:
            nonlocal asked, most
            asked += 1
            most = max(most, asked)
            async for ids in super().generate(*args, **more):
                yield ids
            asked -= 1

    seen = {}
    for name in ("typed", "chain"):
        most = 0
        await run(bench(items * 3, tmp_path / name, lm=Counting(delay_s=0.001)), tmp_path / name, name)
        seen[name] = most
    assert seen == {"typed": TOGETHER, "chain": 1}
