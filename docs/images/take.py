"""Takes the pictures of the page from a running server: `python docs/images/take.py http://localhost:8080`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from playwright.sync_api import Page, expect

from tests.chromium import open_page, recording

HERE = Path(__file__).parent
PATIENCE_MS = 90_000


def main(url: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        microphone = recording(Path(scratch) / "mic.wav", 0.3, "ask_sum_en")
        with open_page(url, microphone=microphone, width=1000, height=720) as page:
            page.get_by_role("button", name="你好，你叫什么名字？").click()
            answered(page, 0)
            page.get_by_role("button", name="Start talking").click()
            answered(page, 1)
            page.locator(".timing summary").nth(1).click()
            take(page, "page.png")
        microphone = recording(Path(scratch) / "phone.wav", 0.3, "ask_france_en")
        with open_page(url, microphone=microphone, width=390, height=720, dark=True) as page:
            page.get_by_role("button", name="你好，你叫什么名字？").click()
            answered(page, 0)
            page.get_by_role("button", name="Start talking").click()
            expect(page.locator("#phase")).to_have_text("Hearing you…", timeout=PATIENCE_MS)
            page.wait_for_timeout(700)
            take(page, "page-phone.png")


def answered(page: Page, turn: int) -> None:
    expect(page.locator(".turn").nth(turn)).to_have_attribute("data-status", "done", timeout=PATIENCE_MS)
    expect(page.get_by_role("button", name="Stop answer")).to_be_hidden(timeout=PATIENCE_MS)


def take(page: Page, name: str) -> None:
    page.screenshot(path=HERE / name)


if __name__ == "__main__":
    main(sys.argv[1])
