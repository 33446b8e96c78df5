"""The version of the package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """Version of the installed distribution."""
    try:
        return version("cslm-serve")
    except PackageNotFoundError:
        return "0.0.0+source"
