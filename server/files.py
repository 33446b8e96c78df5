"""Reading the files that an operator names. None of them may hold a server up or fill its memory."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MOST_BYTES = 8 << 20


def read_regular(path: Path) -> bytes:
    """What is in a regular file. Raises OSError, also for any other kind of file, and for one of more than `MOST_BYTES`.

    Opening a FIFO would wait for somebody who writes to it.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        held = file.read(MOST_BYTES + 1)
    if len(held) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"it has more than {MOST_BYTES >> 20} MiB", str(path))
    return held
