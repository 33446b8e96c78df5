#!/usr/bin/env python3
"""Runs the commands of docs/operations.md as they stand, in order, and stops at the first that fails.

    python3 deploy/walk.py [--show]

For a clean checkout on a machine with Docker: it writes `.env`, `deploy/secrets`, `recordings` and `answer.wav`, and the ports
must be free.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "operations.md"


def blocks(text: str) -> list[str]:
    """The contents of every block of a page that is marked `sh`."""
    return re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def script(text: str) -> str:
    """All blocks as one program that says what it does and stops when something fails."""
    return "set -euo pipefail -o verbose\n" + "\n".join(blocks(text))


def main() -> int:
    """Exit status of the first command that failed, else 0."""
    program = script(PAGE.read_text(encoding="utf-8"))
    if "--show" in sys.argv[1:]:
        print(program)
        return 0
    return subprocess.run(["bash", "-c", program], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
