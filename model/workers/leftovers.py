"""What a gateway that was killed leaves in the directory of temporary files: the socket of its template."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Container
from pathlib import Path

log = logging.getLogger(__name__)

_SOCKETS = Path("/proc/net/unix")
"""Those of this network namespace. Whoever shares a directory of temporary files is taken to be in it."""

_YOUNG_S = 60.0
"""A directory may be so young that nobody listens yet."""


def sweep_leftovers() -> int:
    """Remove directories of multiprocessing, of this user, in which nobody listens any more. Returns how many."""
    if not _SOCKETS.is_file():  # not Linux: nothing is forked from a template
        return 0
    sockets = _sockets()
    places = [place for place in Path(tempfile.gettempdir()).glob("pymp-*") if _is_left(place, sockets)]
    for place in places:
        shutil.rmtree(place, ignore_errors=True)
    if places:
        log.info("removed what %d killed processes have left in %s", len(places), places[0].parent)
    return len(places)


def _is_left(place: Path, sockets: Container[str]) -> bool:
    """It holds sockets that no process has, and nothing else."""
    try:
        about = place.lstat()
        ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid()
        inside = list(place.iterdir()) if ours and time.time() - about.st_mtime > _YOUNG_S else []
        return bool(inside) and all(each.is_socket() and str(each) not in sockets for each in inside)
    except OSError:
        return False


def _sockets() -> set[str]:
    """Paths of the sockets of all processes. Nobody may be asked: a template ends when a stranger connects to it."""
    lines = _SOCKETS.read_text(encoding="utf-8", errors="replace").splitlines()[1:]
    return {fields[7] for line in lines if len(fields := line.split(maxsplit=7)) == 8}
