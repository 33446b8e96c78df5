"""How much silence ends a turn."""

from __future__ import annotations

import pytest

from streaming.turn_ends import adapted_ms, left_open, patience_ms


@pytest.mark.parametrize(
    "text",
    ["", "...", "What is the?", "What do you get when you add?", "Please repeat after me:", "And", "He.", "I WOULD", "法国的首都是", "三加", "嗯。", "Which"],
)  # fmt: skip
def test_what_goes_on(text: str) -> None:
    assert left_open(text)


@pytest.mark.parametrize(
    "text",
    ["What is the capital of France?", "Two plus three", "Yes.", "Tell me a joke!", "法国的首都是哪里？", "你好。", "三加二等于几", "Android?", "42."],
)  # fmt: skip
def test_what_may_be_all(text: str) -> None:
    assert not left_open(text)


@pytest.mark.parametrize(
    ("silence_ms", "text", "finished", "wanted_ms"),
    [
        (500, None, 1.0, 500),  # nobody knows what was said
        (500, "Tell me a joke.", 1.0, 415),
        (500, "Tell me a joke.", 0.9, 500),
        (500, "Tell me a joke.", None, 500),
        (500, "Tell me a", 1.0, 800),
        (1000, "Tell me a", 1.0, 1200),
        (2000, "Tell me a", 1.0, 2000),  # never sooner for what is open
        (2000, "Tell me a joke.", 1.0, 1660),
        (200, "Tell me a joke.", 1.0, 200),  # never later for what is complete
        (0, "Tell me a", 0.0, 0),
    ],
)
def test_the_silence_that_a_client_asks_for_is_adapted(
    silence_ms: int, text: str | None, finished: float | None, wanted_ms: int
) -> None:
    assert adapted_ms(silence_ms, text=text, finished=finished) == wanted_ms


@pytest.mark.parametrize(
    ("silence_ms", "text", "certain", "wanted_ms"),
    [
        (500, "Tell me a joke.", True, 224),
        (1000, "Tell me a joke.", True, 440),
        (300, "Tell me a joke.", True, 224),
        (200, "Tell me a joke.", True, 200),
        (500, "Tell me a joke.", False, 700),  # it may be another word of which only the beginning was said
        (1000, "Tell me a joke.", False, 1200),
        (500, "Tell me a", True, 800),
        (500, None, None, 500),
    ],
)
def test_a_model_that_tells_how_sure_it_is_is_believed_before_the_sound(
    silence_ms: int, text: str | None, certain: bool | None, wanted_ms: int
) -> None:
    for finished in (None, 0.0, 1.0):
        assert adapted_ms(silence_ms, text=text, finished=finished, certain=certain) == wanted_ms


def test_patience_lies_between_its_ends() -> None:
    waits = [patience_ms(finished / 10, shortest_ms=300, longest_ms=2000) for finished in range(11)]
    assert (waits[0], waits[-1]) == (2000, 300)
    assert waits == sorted(waits, reverse=True)
