"""Texts compared as the tables compare them."""

from __future__ import annotations

import pytest

from model.evaluation.scores import errors, heard_right, plain, right, words, written_errors, written_language
from model.training.edit_distance import distance


def test_writing_is_compared_by_words_and_characters() -> None:
    assert plain("It's twenty-three, OK?") == ["it", "is", "twenty", "three", "ok"]
    assert plain("I’m sure you can't, it won't, we don't.") == plain("I am sure you cannot, it will not, we do not.")
    assert plain("Five o'clock, let's go.") == ["five", "oclock", "let", "us", "go"]
    assert plain("It is 23.") == ["it", "is", "twenty", "three"]
    assert plain("六加一等于7。") == list("六加一等于七")
    assert plain("苹果的英语是A, P。") == [*"苹果的英语是", "a", "p"]
    assert written_errors("Six plus one is five", "Six plus one is seven.") == (1, 5)


@pytest.mark.filterwarnings(
    "ignore:pkg_resources", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_speech_is_compared_by_words_and_by_syllables_without_tone() -> None:
    pytest.importorskip("pypinyin")
    assert words("士气", "zh") == words("是七", "zh") == ["shi", "qi"]
    assert errors("他是气", "他是七。", "zh") == (0, 3)
    assert errors("six and one", "Six plus one", "en") == (1, 3)
    assert words("Ça va, 2 fois!", "fr") == ["ça", "va", "2", "fois"]


def test_distance() -> None:
    assert distance("kitten", "sitting") == 3
    assert distance("", "abc") == distance("abc", "") == 3


def test_right_is_word_for_word_and_unknown_without_answers() -> None:
    assert right("six plus one is 7", ["Six plus one is seven."]) is True
    assert right("Seven.", ["Six plus one is seven."]) is False
    assert right("anything", []) is None
    assert heard_right("Six plus one is 7", ["It is seven.", "Six plus one is seven."], "en") is True
    assert heard_right("", ["Six."], "en") is False


def test_the_language_of_a_text_is_that_of_most_of_it() -> None:
    assert written_language("The capital of 法国 is Paris.") == "en"
    assert written_language("苹果的英语是A, P, P, L, E。") == "zh"
    assert written_language("…") is None
    assert written_language("") is None
