"""The result of a load test as one HTML file that needs nothing else: no network, no server.

The plots are drawn by uPlot (MIT), which is in the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from clients.load.report import embedded

_PLACES = {"/*UPLOT_CSS*/": "uPlot.min.css", "/*UPLOT*/": "uPlot.iife.min.js", "/*PAGE*/": "page.js"}


def page(result: Mapping[str, Any]) -> str:
    """The file's text for a result of `report` or `search_report`."""
    folder = files("clients.load") / "web"
    text = (folder / "page.html").read_text(encoding="utf-8")
    for place, name in _PLACES.items():
        text = text.replace(place, (folder / name).read_text(encoding="utf-8"))
    data = json.dumps(embedded(result), separators=(",", ":"), allow_nan=False)
    return text.replace("{/*DATA*/}", data.replace("<", "\\u003c"))
