"""What a gateway that was killed leaves in the directory of temporary files: the socket of its template."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import stat
import tempfile
import time
from contextlib import closing
from pathlib import Path

log = logging.getLogger(__name__)

_YOUNG_S = 60.0
"""A directory may be so young that nobody listens yet."""


def sweep_leftovers() -> int:
    """Remove directories of multiprocessing, of this user, in which nobody listens any more. Returns how many."""
    places = [place for place in Path(tempfile.gettempdir()).glob("pymp-*") if _is_left(place)]
    for place in places:
        shutil.rmtree(place, ignore_errors=True)
    if places:
        log.info("removed what %d killed processes have left in %s", len(places), places[0].parent)
    return len(places)


def _is_left(place: Path) -> bool:
    """It holds sockets to which nobody listens, and nothing else."""
    try:
        about = place.lstat()
        ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid()
        inside = list(place.iterdir()) if ours and time.time() - about.st_mtime > _YOUNG_S else []
        return bool(inside) and all(each.is_socket() and not _listens(each) for each in inside)
    except OSError:
        return False


def _listens(path: Path) -> bool:
    with closing(socket.socket(socket.AF_UNIX)) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True
