from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chromium import chromium_path
from tests.clients.web.scripted import Script, serving


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def url(script: Script) -> Iterator[str]:
    """The page over the scripted stand-in."""
    chromium_path()
    with serving(script) as base:
        yield base
