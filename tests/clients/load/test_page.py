"""The report with plots opens in a browser that has no network, and draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clients.load.objective import read_objective
from clients.load.page import page
from clients.load.plan import LoadPlan
from clients.load.report import Level, report, search_report
from clients.load.stats import LoadStats
from clients.recordings import Recording
from tests.chromium import chromium_path

if TYPE_CHECKING:
    from playwright.sync_api import Page

HOSTILE = "ws://127.0.0.1/</script><img src=x onerror=alert(1)>"


def measured(answers: int = 200) -> LoadStats:
    stats = LoadStats(asked=answers, answered=answers, heard=answers, elapsed_s=60, served_model="fake")
    for number in range(answers):
        stats.from_speech_end.add(0.2 + number / 1000)
        stats.longest_gap.add(0.01 * (number % 7 == 0))
        stats.until_complete.add(1.0 + number / 100)
        stats.answers.add(number * 0.3, None if number % 50 == 0 else 0.2 + number / 1000, 0.0)
    stats.session_began(0.0)
    stats.session_ended(60.0)
    stats.errors["turn_timeout"] = 3
    return stats


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Page]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium_path(), args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(offline=True)
        yield context.new_page()
        browser.close()


def opened(browser_page: Page, tmp_path: Path, result: dict[str, Any]) -> Page:
    problems: list[str] = []
    browser_page.on("pageerror", lambda error: problems.append(str(error)))
    browser_page.on("dialog", lambda dialog: problems.append("the page ran what was data"))
    path = tmp_path / "report.html"
    path.write_text(page(result), encoding="utf-8")
    browser_page.goto(path.as_uri())
    assert problems == []
    return browser_page


def drawn(shown: Page) -> list[bool]:
    """Of each plot whether there is anything but background on it."""
    look = """canvas => {
      const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
      return data.some((value, at) => at % 4 === 3 && value > 0);
    }"""
    return [canvas.evaluate(look) for canvas in shown.locator("canvas").all()]


def test_a_run_is_shown(browser_page: Page, tmp_path: Path, recording: Recording) -> None:
    result = report(LoadPlan(url=HOSTILE), [recording], measured()) | {"interrupted": True}
    shown = opened(browser_page, tmp_path, result)
    text = shown.locator("main").inner_text()
    assert HOSTILE in text
    assert "broken off" in text
    assert "turn_timeout: 3" in text
    assert "299" in shown.locator(".scroll").inner_text()
    assert drawn(shown) == [True, True]


def test_a_run_without_an_answer_is_shown(browser_page: Page, tmp_path: Path, recording: Recording) -> None:
    stats = LoadStats(refused=1)
    stats.from_speech_end.miss()
    shown = opened(browser_page, tmp_path, report(LoadPlan(), [recording], stats) | {"interrupted": False})
    assert "never" in shown.locator(".scroll").inner_text()


def test_a_search_is_shown(browser_page: Page, tmp_path: Path, recording: Recording) -> None:
    objective = read_objective("p95 first audio <= 600 ms, answers with a gap <= 1 %")
    stats = measured()
    levels = [Level(4, stats, True), Level(8, stats, False), Level(6, measured(20), None)]
    result = search_report(LoadPlan(), [recording], objective, levels) | {"interrupted": False}
    shown = opened(browser_page, tmp_path, result)
    assert "Highest load: 4 callers at once" in shown.locator("main").inner_text()
    assert drawn(shown) == [True, True, True]
    shown.locator("select").select_option(label="6 callers")
    assert "20" in shown.locator("section .scroll").inner_text()


def test_a_search_broken_off_at_once_is_shown(browser_page: Page, tmp_path: Path, recording: Recording) -> None:
    result = search_report(LoadPlan(), [recording], read_objective("unanswered < 1 %"), [])
    assert "no load that was tried" in opened(browser_page, tmp_path, result).locator("main").inner_text()


def test_a_page_is_small_and_asks_for_nothing(recording: Recording) -> None:
    text = page(report(replace(LoadPlan(), callers=3), [recording], measured()))
    assert len(text) < 150_000
    assert 'src="' not in text
    assert "<link" not in text
