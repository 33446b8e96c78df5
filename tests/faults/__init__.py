"""Faults, injected into a real server under live sessions: `python -m tests.faults` prints the table of docs/faults.md."""
