"""Can everybody use the page? axe-core in each of its states, the keyboard alone, a screen reader's view, small screens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.chromium import open_page, recording
from tests.clients.web.scripted import Script
from tests.clients.web.test_web_page import ask, number, until

SCREENS: dict[str, dict[str, Any]] = {
    "desktop": {"width": 1000, "height": 720},
    "phone": {"width": 320, "height": 640, "dark": True},
}


def accessible(page: Page) -> None:
    """No rule of axe-core is broken: WCAG 2.2 A and AA, contrast included, and its best practices."""
    page.wait_for_timeout(250)  # colours fade in; half-way they have another contrast
    results = Axe().run(page)
    assert not results.violations_count, results.generate_report()
    assert len(results.response["passes"]) > 20
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is cut off at the side"


@pytest.mark.parametrize("screen", SCREENS)
def test_no_rule_of_accessibility_is_broken(url: str, script: Script, tmp_path: Path, screen: str) -> None:
    """From the first look to a conversation with an interrupted answer, its timings, the settings and a notice."""
    script.answer_s = 8
    microphone = recording(tmp_path / "mic.wav", 0.3, "ask_sum_en", 6.0, "ask_sum_zh")
    with open_page(url, microphone=microphone, errors=True, **SCREENS[screen]) as page:
        expect(page.locator("#model")).to_have_text("cslm-mini")
        accessible(page)
        page.get_by_role("button", name="Start talking").click()
        until(lambda: number(page, "played-samples") > 12_000, page)
        accessible(page)
        expect(page.locator(".turn").first.locator(".note")).to_contain_text("Interrupted")
        expect(page.locator(".turn").nth(1).locator(".answer")).to_be_visible()
        page.keyboard.press("Escape")
        page.locator(".timing summary").first.click()
        accessible(page)
        page.get_by_role("button", name="Settings").click()
        page.get_by_text("Connection details").click()
        accessible(page)
        page.keyboard.press("Escape")
        script.full = True
        script.hang_up()
        expect(page.get_by_role("alert")).to_contain_text("All places")
        accessible(page)


def test_who_is_recorded_is_told_before_speaking(url: str, script: Script) -> None:
    for script.recorded in (False, True):
        with open_page(url, errors=True) as page:
            expect(page.locator("#model")).to_have_text("cslm-mini")
            expect(page.get_by_text("The server records this conversation.")).to_be_visible(visible=script.recorded)
            accessible(page)


def test_the_check_finds_what_is_wrong(url: str) -> None:
    with open_page(url, errors=True) as page:
        page.evaluate("document.getElementById('talk').querySelector('.label').remove()")
        page.evaluate("document.getElementById('phase').style.color = '#bbb'")
        found = {violation["id"] for violation in Axe().run(page).response["violations"]}
    assert {"button-name", "color-contrast"} <= found


def focused(page: Page) -> str:
    """What a screen reader would call the element that has the focus; nothing where none has it."""
    name = "e.ariaLabel || e.labels?.[0]?.textContent.trim() || e.textContent.trim()"
    return str(page.evaluate(f"(e => e === document.body ? '' : {name})(document.activeElement)"))


def tab_to(page: Page, name: str) -> None:
    for _ in range(25):
        page.keyboard.press("Tab")
        if name in focused(page):
            return
    raise AssertionError(f"no Tab leads to {name!r}")


def test_a_whole_conversation_by_keyboard(url: str, script: Script, tmp_path: Path) -> None:
    script.answer_s = 8
    with open_page(url, microphone=recording(tmp_path / "mic.wav", 1.5, "ask_sum_en")) as page:
        expect(page.locator("#model")).to_have_text("cslm-mini")
        tab_to(page, "Start talking")
        page.keyboard.press("Enter")
        until(lambda: focused(page) == "End", page)  # the focus stays where it was
        until(lambda: number(page, "played-samples"), page)
        tab_to(page, "Stop answer")
        page.keyboard.press("Enter")
        expect(page.locator(".turn .note")).to_contain_text("Interrupted")
        until(lambda: focused(page) == "End", page)  # what had the focus is gone; it is not lost with it
        tab_to(page, "Mute microphone")
        page.keyboard.press("Space")
        expect(page.locator("#phase")).to_have_text("Muted")
        tab_to(page, "Auto")
        page.keyboard.press("ArrowRight")
        until(lambda: script.of("session.update")[-1]["session"].get("reply_language") == "en", page)
        tab_to(page, "Type a question")
        page.keyboard.type("And by keyboard?")
        page.keyboard.press("Enter")
        expect(page.locator(".turn").nth(1)).to_have_attribute("data-status", "done")
        page.keyboard.press("Escape")
        tab_to(page, "Settings")
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        assert focused(page) == "Settings"
        tab_to(page, "to first sound")
        page.keyboard.press("Enter")
        expect(page.locator(".timing").first).to_have_attribute("open", "")


def test_a_screen_reader_is_told_what_happens(url: str, script: Script, tmp_path: Path) -> None:
    collect = """
      globalThis.said = [];
      addEventListener("DOMContentLoaded", () => new MutationObserver(() =>
        said.push(document.getElementById("announce").textContent)
      ).observe(document.getElementById("announce"), { childList: true }));"""
    with open_page(url, before=collect, microphone=recording(tmp_path / "mic.wav", 60.0)) as page:
        page.get_by_role("button", name="Start talking").click()
        ask(page, "What is seven plus five?")
        expect(page.locator(".turn")).to_have_attribute("data-status", "done")
        script.hang_up()
        until(lambda: "Connected again." in page.evaluate("said"), page)
        page.get_by_role("button", name="End", exact=True).click()
        assert page.evaluate("said") == [
            "Microphone on.",
            f"Answer: {script.answer}",
            "Connected again.",
            "Microphone off.",
        ]
        page.get_by_role("button", name="Settings").click()
        page.get_by_label("Read what is said").uncheck()
        page.get_by_role("button", name="Done").click()
        page.reload()
        expect(page.locator("#announce-on")).not_to_be_checked()
        ask(page, "one")
        expect(page.locator(".turn")).to_have_attribute("data-status", "done")
        assert page.evaluate("said") == []


def test_what_was_not_heard_is_said_to_be_so(url: str, script: Script) -> None:
    script.answer_s = 6
    with open_page(url) as page:
        ask(page, "one")
        until(lambda: number(page, "played-samples") > 24_000, page)
        page.keyboard.press("Escape")
        expect(page.locator(".turn")).to_have_attribute("data-status", "interrupted")
        assert "Not heard:" in page.locator(".turn").aria_snapshot()
