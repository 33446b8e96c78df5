"""What killed gateways leave behind goes at the next start, and nothing else."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from model.workers.leftovers import sweep_leftovers


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Short: the path of a socket has at most 108 characters."""
    with tempfile.TemporaryDirectory(prefix="cslm-") as place:
        monkeypatch.setattr(tempfile, "tempdir", place)
        yield Path(place)


def made(temporary: Path, name: str, *, age_s: float = 3600.0) -> tuple[Path, socket.socket]:
    """A directory as multiprocessing makes it, with a socket that is listened to."""
    place = temporary / name
    place.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(place / "listener-x"))
    listener.listen()
    then_s = time.time() - age_s
    os.utime(place, (then_s, then_s))
    return place, listener


def test_sockets_of_killed_processes_go(temporary: Path) -> None:
    left, listener = made(temporary, "pymp-left")
    listener.close()
    assert sweep_leftovers() == 1
    assert not left.exists()


def test_nobody_is_asked_whether_he_listens(temporary: Path) -> None:
    """Another gateway's template ends when somebody connects to it and says nothing."""
    place, listener = made(temporary, "pymp-used")
    listener.setblocking(False)
    with closing(listener):
        assert sweep_leftovers() == 0
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert place.exists()


def test_what_may_be_in_use_stays(temporary: Path) -> None:
    used, listener = made(temporary, "pymp-used")
    young, closed = made(temporary, "pymp-young", age_s=0)
    other, also_closed = made(temporary, "other")
    files, closed_too = made(temporary, "pymp-files")
    (files / "arena").touch()
    os.utime(files, (0, 0))
    (temporary / "pymp-empty").mkdir()
    (temporary / "pymp-link").symlink_to(young)
    for each in (closed, also_closed, closed_too):
        each.close()
    with closing(listener):
        assert sweep_leftovers() == 0
    assert all(place.exists() for place in (used, young, other, files, temporary / "pymp-empty"))
