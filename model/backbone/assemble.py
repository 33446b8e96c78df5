"""The language model of a pulled bundle, made once from its base and the difference that the bundle carries."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from model.backbone.vocabulary import added_tokens
from model.profile import load_profile
from model.sources import Lock, sha256_of
from streaming.errors import BundleError

FILE = "difference.safetensors"
NEEDED_BYTES, WRITTEN_BYTES = 3 << 30, 1 << 30
"""Memory for a base of half a billion weights in float32 beside what is made of it; disk for the result."""


def check_room(directory: Path, lock: Lock) -> None:
    """Before the base is fetched. Raises BundleError (`memory_short`, `no_space`) where no model could be made of it."""
    if (directory / FILE).is_file() and not _is_made(directory, lock):
        _need_room(directory)


def _is_made(directory: Path, lock: Lock) -> bool:
    made_of = sha256_of(directory / FILE)
    return lock.files.get(FILE, ("",))[0] == made_of and lock.has("lm/model.safetensors", directory)


def assemble(directory: Path, lock: Lock, say: Callable[[str], None]) -> None:
    """Writes `lm/` in W8A8 and adds it to `lock`; nothing to do where it was made of this very difference.

    Raises BundleError: `memory_short`, `no_space`, `wrong_difference`, `wrong_base`.
    """
    path, profile = directory / FILE, load_profile(directory)
    if _is_made(directory, lock):
        return
    _need_room(directory)
    from model.backbone.base import load_base
    from model.backbone.difference import Difference, write_model  # torch and transformers: not before there is room

    difference = Difference.load(path)
    (base,) = (directory / "base").iterdir()
    _check_base(difference.about, base, lock)
    say(f"  {base.name} and {FILE} become lm/, which takes a minute or two")
    model = difference.applied(load_base(str(base)), added_tokens(profile))
    write_model(model, directory / "lm", stop=profile.stop_tokens, int8=True)
    lock.files[FILE] = (sha256_of(path), path.stat().st_size)
    for made in sorted((directory / "lm").iterdir()):
        lock.files[f"lm/{made.name}"] = (sha256_of(made), made.stat().st_size)
    lock.save(directory)


def _check_base(about: Mapping[str, str], base: Path, lock: Lock) -> None:
    """Before gigabytes are loaded: the difference tells the checksum of its base, where that is one file."""
    wanted, found = about.get("base_sha256"), lock.files.get(f"base/{base.name}", ("",))[0]
    if wanted and wanted != found:
        raise BundleError(
            f"{FILE} is for a base with the SHA-256 {wanted}; {base.name} has {found or 'not been locked'}",
            code="wrong_base",
        )


def _need_room(directory: Path) -> None:
    free = _available_bytes()
    if free is not None and free < NEEDED_BYTES:
        raise BundleError(
            f"making the language model needs {NEEDED_BYTES / 1e9:.1f} GB of free memory; there are {free / 1e9:.1f}",
            code="memory_short",
        )
    room = shutil.disk_usage(directory).free
    if room < WRITTEN_BYTES:
        raise BundleError(
            f"the language model takes {WRITTEN_BYTES / 1e9:.1f} GB in {directory}; {room / 1e9:.1f} are free",
            code="no_space",
        )


def _available_bytes() -> int | None:
    """Memory available without swapping, in bytes; None where the system does not say."""
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"))
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
