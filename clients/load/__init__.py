"""The load test: what callers do, what is measured of them, and what is said about it."""

from clients.load.command import load

__all__ = ["load"]
