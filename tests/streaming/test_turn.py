"""One turn: language model and decoder side by side, each unit spoken once, everything closed whatever happens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.errors import EmptyAnswer, EngineUnavailable, InvalidRequest, NothingToAnswer, NothingToSay
from streaming.interleave import TextDelta, TranscriptDelta, TranscriptDone
from streaming.pace import Pace
from streaming.planning import CutSchedule
from streaming.report import Notice, TurnReport
from streaming.stages import Exchange, Pcm, RatedIds, Sampling, Task, TurnOptions, UnitCut
from streaming.tools import Tool, ToolCall
from streaming.turn import AudioDelta, Question, Turn, TurnEvent
from tests.fakes import (
    ANSWER,
    QUESTION,
    SCRIPT,
    SPEECH_END,
    SPEECH_START,
    TEXT,
    TRANSCRIPT,
    UNITS,
    FakeDecoder,
    FakeEncoder,
    FakeLM,
    FakePrompts,
    answer_ids,
    fake_stages,
    text_ids,
    unit_ids,
)


class FakeClock:
    """Time that only passes when told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Heard(list[TurnEvent]):
    """What a turn emitted."""

    async def __call__(self, event: TurnEvent) -> None:
        self.append(event)

    def pcm(self) -> Pcm:
        return np.concatenate([np.zeros(0, np.float32), *(e.pcm for e in self if isinstance(e, AudioDelta))])

    def text(self) -> str:
        return "".join(event.text for event in self if isinstance(event, TextDelta))


async def answered(
    question: str | Question = "what?", options: TurnOptions | None = None, **stages: Any
) -> tuple[Heard, TurnReport]:
    heard = Heard()
    asked = Question(text=question) if isinstance(question, str) else question
    report = await Turn(fake_stages(**stages), asked, options or TurnOptions(), heard, clock=FakeClock()).run()
    return heard, report


async def spoken(*pieces: Sequence[int]) -> AsyncIterator[list[int]]:
    for piece in pieces:
        await asyncio.sleep(0)
        yield list(piece)


async def settled(rounds: int = 200) -> None:
    """Let every task run until it waits for something that will not happen."""
    for _ in range(rounds):
        await asyncio.sleep(0)


class GatedLM:
    """Says `before`, then waits for `gate` and says `after`."""

    def __init__(self, before: Sequence[int], after: Sequence[int]) -> None:
        self.before, self.after = before, after
        self.gate = asyncio.Event()
        self.closed = False

    async def generate(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        try:
            yield list(self.before)
            await self.gate.wait()
            yield list(self.after)
        finally:
            self.closed = True


async def test_answers_in_order() -> None:
    decoder = FakeDecoder()
    heard, report = await answered(decoder=decoder)
    assert "".join(event.text for event in heard if isinstance(event, TranscriptDelta)) == TRANSCRIPT
    assert heard.text() == TEXT
    assert heard.count(TranscriptDone()) == 1
    assert np.array_equal(heard.pcm(), decoder.speak(UNITS))
    assert (report.transcript, report.text) == (TRANSCRIPT, TEXT)
    assert (report.output_units, report.dropped_ids) == (len(UNITS), 0)
    assert report.audio_s == pytest.approx(len(UNITS) * decoder.per_unit / decoder.sample_rate)
    marks = (report.first_token_s, report.first_units_s, report.first_chunk_s, report.lm_done_s, report.done_s)
    assert all(mark is not None for mark in marks)
    assert list(marks) == sorted(marks)


async def test_units_of_a_spoken_question_stand_in_the_prompt() -> None:
    lm = FakeLM()
    _, report = await answered(Question(units=spoken([1, 2], [], [3])), lm=lm)
    prompt = lm.prompts[0]
    at = prompt.index(SPEECH_START)
    assert prompt[at + 1 : prompt.index(SPEECH_END)] == unit_ids([1, 2, 3])
    assert (report.input_units, report.input_tokens) == (3, len(prompt))


async def test_the_first_audio_leaves_inside_the_first_speech_chunk() -> None:
    cuts = CutSchedule()
    first = [*answer_ids("Hi?"), *text_ids("Five."), SPEECH_START, *unit_ids(range(cuts.first_units))]
    lm = GatedLM(first, [*unit_ids(range(20, 40)), SPEECH_END])
    heard, decoder = Heard(), FakeDecoder()
    turn = asyncio.create_task(
        Turn(fake_stages(lm=lm, decoder=decoder, cuts=cuts), Question(text="?"), TurnOptions(), heard).run()
    )
    await settled()
    assert not lm.closed
    assert heard.pcm().size == cuts.first_units * decoder.per_unit
    assert not decoder.cuts[0].final
    lm.gate.set()
    await turn
    assert np.array_equal(heard.pcm(), decoder.speak([*range(cuts.first_units), *range(20, 40)]))


@pytest.mark.parametrize(("hidden", "sure", "certainty"), [(True, 0.9, 0.25), (True, None, None), (False, 0.9, None)])
async def test_of_a_hidden_turn_it_is_told_how_sure_the_words_are(
    hidden: bool, sure: float | None, certainty: float | None
) -> None:
    class Rating:
        async def generate(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
            written = answer_ids("Hi?", ("Five.", UNITS))
            question = written.index(ANSWER) + 1
            chances = [0.5, 0.25, *[1.0] * (question - 2), *[0.125] * (len(written) - question)]
            for token, chance in zip(written, chances, strict=True):
                yield RatedIds([token], [chance]) if sampling.rated else [token]

    heard = Heard()
    question = Question(units=spoken([1, 2]), audio_s=1.0)
    await Turn(fake_stages(lm=Rating(), sure=sure), question, TurnOptions(speak=False), heard, hidden=hidden).run()
    assert [event.certainty for event in heard if isinstance(event, TranscriptDone)] == [certainty]


async def test_units_that_wait_in_the_queue_are_cut_together() -> None:
    decoder = FakeDecoder()
    await answered(lm=FakeLM(answer_ids("?", ("a", range(40))), per_step=1000), decoder=decoder)
    assert [len(cut.units) for cut in decoder.cuts if cut.units] == [6, 24, 10]


@pytest.mark.parametrize(("per_unit", "heard_units"), [(4, 3), (24_000, 2)])
async def test_while_the_model_is_silent_units_are_cut_only_at_low_water(per_unit: int, heard_units: int) -> None:
    cuts = CutSchedule(first_units=2, steady_units=50, low_water_s=0.35)
    lm = GatedLM([SPEECH_START, *unit_ids([1, 2, 3])], [SPEECH_END])
    decoder, heard = FakeDecoder(per_unit=per_unit), Heard()
    stages = fake_stages(lm=lm, decoder=decoder, cuts=cuts)
    turn = Turn(stages, Question(text="?"), TurnOptions(), heard, clock=FakeClock())
    task = asyncio.create_task(turn.run())
    await settled()
    assert heard.pcm().size == heard_units * per_unit
    lm.gate.set()
    await task
    assert np.array_equal(heard.pcm(), decoder.speak([1, 2, 3]))


arrivals = st.lists(
    st.one_of(
        st.lists(st.integers(0, 49), max_size=40).map(unit_ids),
        st.sampled_from([[SPEECH_START], [SPEECH_END], [ANSWER], [QUESTION], text_ids("ab "), text_ids(":; ")]),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(arrivals, st.integers(1, 8), st.integers(1, 30), st.sampled_from([0.0, 0.01, 0.2]))
def test_every_unit_is_spoken_once_for_any_arrival(
    steps: list[list[int]], first_units: int, steady_units: int, low_water_s: float
) -> None:
    class Scripted:
        async def generate(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
            for step in steps:
                await asyncio.sleep(0)
                yield step

    async def run() -> None:
        decoder, heard = FakeDecoder(per_unit=4), Heard()
        cuts = CutSchedule(first_units, steady_units, low_water_s)
        stages = fake_stages(lm=Scripted(), decoder=decoder, cuts=cuts)
        with suppress(EmptyAnswer):
            await Turn(stages, Question(text="?"), TurnOptions(), heard).run()

        said = stages.prompts.parser()
        events = said.feed(token for step in steps for token in step)
        expected = [unit for event in events for unit in getattr(event, "units", ())]
        assert [unit for cut in decoder.cuts for unit in cut.units] == expected
        assert [cut.final for cut in decoder.cuts] == [False] * (len(decoder.cuts) - 1) + [True] * bool(expected)
        assert np.array_equal(heard.pcm(), decoder.speak(expected))
        assert all(len(cut.units) <= max(first_units, steady_units) for cut in decoder.cuts)

    asyncio.run(run())


async def test_an_answer_without_speech_never_reaches_the_decoder() -> None:
    decoder = FakeDecoder()
    heard, _ = await answered(lm=FakeLM(text_ids("only text")), decoder=decoder)
    assert heard == [TextDelta(character) for character in "only text"]
    assert decoder.cuts == []


async def test_every_speech_chunk_is_marked_where_it_ends() -> None:
    script = answer_ids("?", ("One two, ", UNITS[:10]), ("three. ", ()), ("Four.", UNITS[10:]))
    heard, report = await answered(lm=FakeLM(script), decoder_latency_s=0.5)
    per_unit_s = FakeDecoder().per_unit / FakeDecoder().sample_rate
    ends = [(mark.text_chars, round(mark.audio_s, 6)) for mark in report.marks]
    held_s = 10 * per_unit_s + 0.5  # what the decoder keeps back of a chunk; of the last it keeps nothing back
    assert ends == [(9, held_s), (16, held_s), (21, len(UNITS) * per_unit_s)]
    assert heard.text()[: report.marks[0].text_chars] == "One two, "


async def test_an_answer_that_meets_its_limit_says_so() -> None:
    assert (await answered(options=TurnOptions(max_tokens=40)))[1].cut_off
    assert not (await answered())[1].cut_off


async def test_speech_with_text_beside_it() -> None:
    lm = FakeLM()
    _, report = await answered(Question(units=spoken([4, 5]), text="Look: "), lm=lm)
    assert lm.prompts[0][-11:-1] == [*text_ids("Look: "), SPEECH_START, *unit_ids([4, 5]), SPEECH_END]
    assert report.input_units == 2


async def test_text_alone() -> None:
    decoder = FakeDecoder()
    heard, report = await answered(options=TurnOptions(speak=False), decoder=decoder)
    assert heard.text() == TEXT
    assert not any(isinstance(event, AudioDelta) for event in heard)
    assert (decoder.active, decoder.closed, report.audio_s) == (0, 0, 0.0)


@pytest.mark.parametrize("hang_after", [0, 5, 60])
async def test_cancelling_the_turn_closes_every_stage(hang_after: int) -> None:
    lm, decoder = FakeLM(hang_after=hang_after), FakeDecoder()
    heard = Heard()
    turn = Turn(fake_stages(lm=lm, decoder=decoder), Question(text="?"), TurnOptions(), heard)
    task = asyncio.create_task(turn.run())
    await settled()
    assert (lm.active, decoder.active) == (1, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (lm.active, lm.cancelled, decoder.active) == (0, 1, 0)
    assert turn.report.done_s is None
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_failing_language_model_is_what_surfaces() -> None:
    decoder = FakeDecoder()
    with pytest.raises(EngineUnavailable, match="language"):
        await answered(lm=FakeLM(fail_after=60, error=EngineUnavailable("the language model died")), decoder=decoder)
    assert decoder.active == 0


async def test_a_failing_decoder_is_what_surfaces() -> None:
    lm, error = FakeLM(), EngineUnavailable("the vocoder died")
    with pytest.raises(EngineUnavailable, match="vocoder"):
        await answered(lm=lm, decoder=FakeDecoder(fail_after=6, error=error))
    assert lm.active == 0


async def test_a_failing_encoder_is_what_surfaces() -> None:
    lm = FakeLM()
    encoder = FakeEncoder(error=EngineUnavailable("the encoder died"))
    with pytest.raises(EngineUnavailable, match="encoder"):
        await answered(Question(units=encoder.encode(_no_audio())), lm=lm)
    assert lm.prompts == []


async def _no_audio() -> AsyncIterator[Pcm]:
    for pcm in ():
        yield pcm


async def test_what_the_prompt_format_refuses_surfaces() -> None:
    class Refusing(FakePrompts):
        def text_prompt(self, *_: Any) -> list[int]:
            raise InvalidRequest("no room", code="context_length_exceeded")

    with pytest.raises(InvalidRequest, match="no room"):
        await answered(prompts=Refusing())


async def test_a_decoder_that_stops_early_fails_the_turn_instead_of_hanging_it() -> None:
    class Deaf(FakeDecoder):
        async def synthesize(self, cuts: AsyncIterator[UnitCut]) -> AsyncGenerator[Pcm]:
            async for cut in cuts:
                yield self.speak(cut.units)
                return

    script = answer_ids("?", ("a" * 400, range(40)), *[("b", range(40))] * 20)
    with pytest.raises(EngineUnavailable, match="decoder"):
        await answered(lm=FakeLM(script), decoder=Deaf())


async def test_a_decoder_may_stop_at_the_final_cut() -> None:
    class Prompt(FakeDecoder):
        async def synthesize(self, cuts: AsyncIterator[UnitCut]) -> AsyncGenerator[Pcm]:
            async for cut in cuts:
                yield self.speak(cut.units)
                if cut.final:
                    return

    heard, _ = await answered(decoder=Prompt())
    assert np.array_equal(heard.pcm(), FakeDecoder().speak(UNITS))


async def test_a_slow_decoder_holds_the_language_model_back() -> None:
    class Stuck(FakeDecoder):
        async def synthesize(self, cuts: AsyncIterator[UnitCut]) -> AsyncGenerator[Pcm]:
            async for cut in cuts:
                await asyncio.Event().wait()
                yield self.speak(cut.units)

    endless = [ANSWER, SPEECH_START, *unit_ids(list(range(50)) * 100)]
    turn = Turn(
        fake_stages(lm=FakeLM(endless, per_step=10), decoder=Stuck()),
        Question(text="?"),
        TurnOptions(max_tokens=9999),
        Heard(),
    )
    task = asyncio.create_task(turn.run())
    await settled(3000)
    assert turn.report.output_tokens < 1000
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_listener_that_fails_ends_the_turn() -> None:
    lm = FakeLM()

    async def gone(event: TurnEvent) -> None:
        raise EngineUnavailable("the listener has gone")

    with pytest.raises(EngineUnavailable, match="listener"):
        await Turn(fake_stages(lm=lm), Question(text="?"), TurnOptions(), gone).run()
    assert lm.active == 0


async def test_a_transcription_ends_where_the_answer_would_begin() -> None:
    lm, decoder = FakeLM(), FakeDecoder()
    heard = Heard()
    options = TurnOptions(task="transcribe", speak=False)
    report = await Turn(fake_stages(lm=lm, decoder=decoder), Question(text="?"), options, heard).run()
    assert list(heard)[-1] == TranscriptDone()
    assert report.transcript == TRANSCRIPT
    assert (report.text, report.output_units, decoder.cuts) == ("", 0, [])
    assert report.output_tokens == SCRIPT.index(ANSWER)


async def test_a_text_is_read_sentence_by_sentence_in_one_breath() -> None:
    """One request a sentence, one stream of speech, a pause between, and no more than a sentence can have."""

    def speak(prompt: list[int]) -> list[int]:
        return [*unit_ids([len(lm.prompts), 20 + len(lm.prompts)]), SPEECH_END, *unit_ids([9])]

    lm, decoder = FakeLM(speak), FakeDecoder()
    heard = Heard()
    text = "The first sentence. Then the second one! And a third?"
    report = await Turn(fake_stages(lm=lm, decoder=decoder), Question(text=text), TurnOptions(task="read"), heard).run()
    assert len(lm.prompts) == 3
    assert np.array_equal(heard.pcm(), decoder.speak([1, 21, 0, 2, 22, 0, 3, 23]))
    assert decoder.closed == 1
    assert heard.text() == report.text == text
    assert report.input_tokens == sum(map(len, lm.prompts))
    assert not report.cut_off


async def test_a_sentence_that_does_not_end_is_ended() -> None:
    lm = FakeLM(unit_ids(UNITS * 30))
    pace = Pace(units=6, per_letter=1.5)
    sentences = ["A first sentence.", "And one more."]
    heard, report = await answered(" ".join(sentences), TurnOptions(task="read"), lm=lm, pace=pace)
    assert (report.incomplete, lm.active, lm.cancelled) == ("speech_limit", 0, 2)
    assert report.notices == [Notice("speech_limit", sentence) for sentence in sentences]
    assert report.notices == [event for event in heard if isinstance(event, Notice)]
    pause = 1
    assert report.output_units == pause + sum(map(pace.most_units, sentences))
    assert report.text == " ".join(sentences)


async def test_speech_starts_before_the_last_sentence_is_written() -> None:
    lm = FakeLM(lambda prompt: unit_ids(UNITS), delay_s=0.001)
    written: list[int] = []

    async def emit(event: TurnEvent) -> None:
        if isinstance(event, AudioDelta):
            written.append(len(lm.prompts))

    text = "A sentence of some length. " * 4
    await Turn(fake_stages(lm=lm), Question(text=text), TurnOptions(task="read"), emit).run()
    assert written[0] == 1
    assert len(lm.prompts) == 4


@pytest.mark.parametrize("keeps_units", [True, False])
async def test_an_earlier_recording_is_told_whole_where_the_model_is_told_units(keeps_units: bool) -> None:
    """It is waited for while it is being encoded, by a model that needs its units; by no other."""
    encoded = asyncio.Event()

    async def recording() -> AsyncIterator[list[int]]:
        yield [1, 2]
        await encoded.wait()
        yield [3]

    async def broken() -> AsyncIterator[list[int]]:
        yield [4]
        raise EngineUnavailable("the encoder died")

    prompts = FakePrompts(keeps_units=keeps_units)
    history = [Exchange("", "yes", recording=recording), Exchange("", "no", recording=broken), Exchange("a", "b")]
    turn = Turn(fake_stages(prompts=prompts), Question(text="And?", history=history), TurnOptions(), Heard())
    running = asyncio.create_task(turn.run())
    if keeps_units:
        await asyncio.sleep(0.01)
        assert not prompts.histories
        encoded.set()
    await running
    units = [exchange.units for exchange in prompts.histories[-1]]
    assert units == ([(1, 2, 3), (), ()] if keeps_units else [(), (), ()])


PACE = Pace(units=4, per_letter=1.5)


async def test_speech_beyond_its_text_ends_the_answer() -> None:
    lm = FakeLM(answer_ids("Q", ("It is five. ", UNITS[:16]), ("It is.", range(40)), ("Never.", range(9))))
    heard, report = await answered(lm=lm, pace=PACE)
    assert report.incomplete == "speech_limit"
    assert report.output_units == 16 + PACE.most_units("It is.")
    assert (report.text, lm.active, lm.cancelled) == ("It is five. It is.", 0, 1)
    assert report.notices == [Notice("speech_limit", "It is.")] == [e for e in heard if isinstance(e, Notice)]
    assert len(report.marks) == 2


async def test_text_in_a_circle_ends_the_answer() -> None:
    circle = ("seventy-four, seventy-three, seventy-eight, seventy-seven, ", UNITS)
    lm = FakeLM(answer_ids("Q", *[circle] * 100), per_step=50)
    _, report = await answered(lm=lm)
    assert (report.incomplete, lm.cancelled) == ("repetition", 1)
    assert report.text.count("seventy-four") < 14


CIRCLE = "Is it far? " + "to the sea and " * 100


def hearing(task: Task) -> tuple[Question, TurnOptions]:
    return Question(units=spoken(range(10)), audio_s=2.0), TurnOptions(task=task, speak=False)


async def test_a_transcript_in_a_circle_is_ended_and_what_stood_before_it_is_kept() -> None:
    lm = FakeLM(answer_ids(CIRCLE, ("It is.", UNITS)), per_step=50)
    heard, report = await answered(*hearing("transcribe"), lm=lm)
    assert report.transcript.startswith("Is it far? to the sea and") and len(report.transcript) < 50
    assert (report.incomplete, lm.active, lm.cancelled) == ("repetition", 0, 1)
    assert report.notices == [Notice("repetition", report.transcript)] == [e for e in heard if isinstance(e, Notice)]
    assert "".join(event.text for event in heard if isinstance(event, TranscriptDelta)) == report.transcript


async def test_a_transcript_that_says_the_same_twice_is_whole() -> None:
    text = "To the sea and to the sea and to the sea and home to the sea"
    _, report = await answered(*hearing("transcribe"), lm=FakeLM(answer_ids(text)))
    assert (report.transcript, report.incomplete) == (text, None)


@pytest.mark.parametrize("transcript", [CIRCLE, "".join(map(chr, range(0x4E00, 0x4E00 + 300)))])
async def test_a_question_whose_transcript_does_not_end_has_no_answer(transcript: str) -> None:
    lm = FakeLM(answer_ids(transcript, ("It is.", UNITS)))
    with pytest.raises(EmptyAnswer):
        await answered(*hearing("answer"), lm=lm)
    assert (lm.active, lm.cancelled) == (0, 1)


@pytest.mark.parametrize("speak", [True, False])
async def test_nothing_at_all_is_no_answer(speak: bool) -> None:
    with pytest.raises(EmptyAnswer) as raised:
        await answered("what?", TurnOptions(speak=speak), lm=FakeLM(answer_ids("what?")))
    assert raised.value.code == "empty_answer"


async def test_a_question_of_emojis_is_no_question() -> None:
    lm = FakeLM()
    with pytest.raises(NothingToAnswer) as raised:
        await answered("😂😂😂", lm=lm)
    assert raised.value.code == "nothing_to_answer" and "😂" in raised.value.message
    assert not lm.prompts


async def test_emojis_alone_cannot_be_read() -> None:
    with pytest.raises(NothingToSay) as raised:
        await answered("😂", TurnOptions(task="read"))
    assert raised.value.code == "nothing_to_say"


async def test_what_is_dropped_is_told_before_anything_is_said() -> None:
    heard, report = await answered("Two 😂 three.", TurnOptions(task="read"), lm=FakeLM(unit_ids(UNITS)))
    assert report.text == "Two three."
    assert heard[0] == Notice("text_dropped", "😂") == report.notices[0]
    assert report.incomplete is None


async def test_a_sentence_of_which_nothing_was_said_is_told() -> None:
    lm = FakeLM(lambda prompt: unit_ids(UNITS) if prompt[-2] == text_ids("y")[0] else [])
    _, report = await answered("Say. Nothing at all here now.", TurnOptions(task="read"), lm=lm)
    assert [(notice.code, notice.text) for notice in report.notices] == [
        ("not_said", sentence) for sentence in FakePrompts().sentences("Say. Nothing at all here now.")
    ]


async def test_text_without_speech_is_incomplete_where_speech_was_wanted() -> None:
    silent = answer_ids("Q", ("Words. ", ()))
    assert (await answered(lm=FakeLM(silent)))[1].incomplete == "no_speech"
    assert (await answered(options=TurnOptions(speak=False), lm=FakeLM(silent)))[1].incomplete is None


@pytest.mark.parametrize(("question", "shortfall"), [("what?", "empty_answer"), ("😂", "nothing_to_answer")])
async def test_a_bundle_that_can_says_sorry(question: str, shortfall: str) -> None:
    def model(prompt: list[int]) -> list[int]:
        return unit_ids(UNITS) if prompt[-2] == text_ids("y")[0] else answer_ids("what?")

    prompts = FakePrompts(apology="Sorry")
    heard, report = await answered(question, TurnOptions(apologise=True), lm=FakeLM(model), prompts=prompts)
    assert (report.text, heard.text(), report.incomplete) == ("Sorry", "Sorry", shortfall)
    assert np.array_equal(heard.pcm(), FakeDecoder().speak(UNITS))
    with pytest.raises(NothingToAnswer if question == "😂" else EmptyAnswer):
        await answered(question, lm=FakeLM(model), prompts=prompts)


async def test_earlier_questions_are_told_as_they_are_said() -> None:
    prompts = FakePrompts()
    await answered(Question(text="And?", history=[Exchange("One 😂 two", "Three.")]), prompts=prompts)
    assert prompts.histories == [[Exchange("One two", "Three.")]]


LONG = "long " * 500


@pytest.mark.parametrize(
    ("question", "options", "inline"),
    [
        (Question(text="short", history=[Exchange("a", "b")]), TurnOptions(), True),
        (Question(text="long " * 500), TurnOptions(), False),
        (Question(text="short", history=[Exchange("a", "long " * 500)]), TurnOptions(), False),
        (Question(text="long " * 500, units=spoken([1, 2])), TurnOptions(), False),
        (Question(text="short"), TurnOptions(tools=(Tool("f", LONG),)), False),
        (Question(text="short"), TurnOptions(tools=(Tool("f", parameters={"description": LONG}),)), False),
        (Question(text="short"), TurnOptions(calls=(ToolCall("f", "{}", LONG),)), False),
        (Question(text="short", history=[Exchange("a", "b", calls=(ToolCall("f", LONG, ""),))]), TurnOptions(), False),
    ],
)
async def test_long_texts_are_tokenized_off_the_event_loop(
    question: Question, options: TurnOptions, inline: bool
) -> None:
    class Noting(FakePrompts):
        def text_prompt(self, *args: Any) -> list[int]:
            threads.append(threading.current_thread())
            return super().text_prompt(*args)

        def speech_prompt(self, *args: Any) -> tuple[list[int], list[int]]:
            threads.append(threading.current_thread())
            return super().speech_prompt(*args)

    threads: list[threading.Thread] = []
    await answered(question, options=options, prompts=Noting(max_prompt_tokens=10_000))
    assert [thread is threading.main_thread() for thread in threads] == [inline]
