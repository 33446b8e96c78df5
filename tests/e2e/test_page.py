"""The page against the real server: a recording speaks into the microphone, the model hears it and answers aloud.

What the model says is judged elsewhere. Here it matters that it is heard, written, timed and interrupted.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.chromium import chromium_path, open_page, recording

pytestmark = pytest.mark.e2e

ANSWER_MS = 45_000
"""Long: continuous integration runs the model on a busy CPU."""


@pytest.fixture(scope="module")
def url(live_server: str) -> str:
    chromium_path()
    return live_server


def number(page: Page, element_id: str) -> int:
    """A value of the connection details."""
    return int(page.locator(f"#{element_id}").get_attribute("data-value") or 0)


def wait_for_sound(page: Page, more_than: int = 0) -> None:
    page.wait_for_function(
        "least => Number(document.getElementById('played-samples').dataset.value) > least",
        arg=more_than,
        timeout=ANSWER_MS,
    )


def wait_until_answered(page: Page, turn: int = 0) -> None:
    status = page.locator(".turn").nth(turn)
    expect(status).to_have_attribute("data-status", "done", timeout=ANSWER_MS)


def test_it_hears_answers_and_shows_when(url: str, tmp_path: Path) -> None:
    with open_page(url, microphone=recording(tmp_path / "mic.wav", 0.5, "ask_sum_en")) as page:
        page.get_by_role("button", name="Start talking").click()
        expect(page.locator("#connection")).to_contain_text("Connected")
        wait_for_sound(page)
        wait_until_answered(page)
        expect(page.locator("#phase")).to_have_text("Listening", timeout=ANSWER_MS)
        assert page.locator(".question .words").inner_text().strip() not in ("", "…", "(not understood)")
        assert page.locator(".answer .words").inner_text().strip()
        latency_ms = int(page.locator(".latency").get_attribute("data-ms") or 0)
        assert latency_ms > 500, "the pause that ends a turn is part of it"
        page.locator(".timing summary").click()
        stages = page.locator(".stages li").all_inner_texts()
        assert any(stage.startswith("Hearing") for stage in stages)
        assert any(stage.startswith("First sound") for stage in stages)
        assert page.locator("#notice").is_hidden()


def test_speaking_interrupts(url: str, tmp_path: Path) -> None:
    # A typed question with a long answer; then the user speaks into it.
    microphone = recording(tmp_path / "mic.wav", 0.1, "ask_sum_en")
    with open_page(url, microphone=microphone) as page:
        page.get_by_label("Type a question").fill("Count from one to eleven.")
        page.keyboard.press("Enter")
        wait_for_sound(page)
        page.get_by_role("button", name="Start talking").click()
        first, second = page.locator(".turn").nth(0), page.locator(".turn").nth(1)
        expect(second).to_be_visible(timeout=ANSWER_MS)
        expect(first).to_have_attribute("data-status", "interrupted")
        expect(first.locator(".note")).to_contain_text("Interrupted")
        played = number(page, "played-samples")
        wait_until_answered(page, 1)
        wait_for_sound(page, more_than=played)
        assert page.locator("#notice").is_hidden()


def test_a_typed_question_is_answered_aloud_in_the_language_asked_for(url: str) -> None:
    with open_page(url, width=390, height=780, dark=True) as page:
        page.get_by_role("radio", name="中文").check()
        page.get_by_label("Type a question").fill("What is two plus three?")
        page.keyboard.press("Enter")
        wait_until_answered(page)
        wait_for_sound(page)
        expect(page.locator(".answer .unheard")).to_have_text("", timeout=ANSWER_MS)
        answer = page.locator(".answer .words")
        assert any("\u4e00" <= character <= "\u9fff" for character in answer.inner_text())
        assert answer.get_attribute("lang") == "zh"


def test_two_turns_and_a_new_session_that_remembers(url: str, tmp_path: Path) -> None:
    """Ending and starting again replays the conversation; the server takes every event of it."""
    microphone = recording(tmp_path / "mic.wav", 0.5, "ask_france_en")
    with open_page(url, microphone=microphone) as page:
        page.get_by_role("button", name="你好，你叫什么名字？").click()
        wait_until_answered(page)
        page.get_by_role("button", name="Start talking").click()
        expect(page.locator(".turn")).to_have_count(2, timeout=ANSWER_MS)
        wait_until_answered(page, 1)
        page.get_by_role("button", name="End", exact=True).click()
        expect(page.locator("#connection")).to_contain_text("Not connected")
        page.get_by_label("Type a question").fill("Hello.")
        page.keyboard.press("Enter")
        wait_until_answered(page, 2)
        assert page.locator("#notice").is_hidden()
