"""A real Chromium whose microphone is a recording."""

from __future__ import annotations

import shutil
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page

DATA = Path(__file__).parent / "data"
RATE_HZ = 16_000
PATIENCE_MS = 20_000

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)


def chromium_path() -> str:
    """The installed browser; skips the test where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium is installed (apt-get install chromium)")


def recording(path: Path, *parts: str | float) -> Path:
    """Writes a wav of recordings from tests/data (by name) and silences (in seconds) to `path`."""
    pcm = [
        np.zeros(round(part * RATE_HZ), np.int16) if isinstance(part, int | float) else _samples(DATA / f"{part}.wav")
        for part in parts
    ]
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(np.concatenate(pcm).tobytes())
    return path


def _samples(path: Path) -> np.ndarray:
    with wave.open(str(path)) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) == (RATE_HZ, 1, 2)
        return np.frombuffer(wav.readframes(wav.getnframes()), np.int16)


def _is_error(line: ConsoleMessage) -> bool:
    """An error of the page: not that a request was answered by 426, which is how it learns that the server is well."""
    return line.type == "error" and "426 (Upgrade Required)" not in line.text


@contextmanager
def open_page(
    url: str,
    *,
    microphone: Path | None = None,
    allow_microphone: bool = True,
    width: int = 900,
    height: int = 760,
    dark: bool = False,
    before: str = "",
    errors: bool = False,
    more_flags: Sequence[str] = (),
) -> Iterator[Page]:
    """The page at `url`. The microphone speaks `microphone` once, from the moment it is opened, then is silent.

    Without `allow_microphone` the user refuses it. `before`: a script that runs before those of the page. Uncaught errors and
    console errors of the page fail the test, unless it provokes `errors`.
    """
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    path = chromium_path()
    flags = [flag for flag in _FLAGS if allow_microphone or flag != "--use-fake-ui-for-media-stream"] + [*more_flags]
    if microphone:
        flags.append(f"--use-file-for-fake-audio-capture={microphone}%noloop")
    if not allow_microphone:
        flags.append("--deny-permission-prompts")
    problems: list[str] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, headless=True, args=flags)
        try:
            page = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
            )
            page.set_default_timeout(PATIENCE_MS)
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("console", lambda line: problems.append(line.text) if _is_error(line) else None)
            page.add_init_script(before)
            page.goto(url)
            yield page
            assert errors or not problems, problems
        finally:
            browser.close()
