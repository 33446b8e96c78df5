"""`cslm pull`: fetches the files of a bundle from the Hugging Face hub or a directory, and verifies them.

The first pull records the commit and the SHA-256 of every file in `bundle.lock.json`. Later ones ask for that commit and refuse a
file that differs. A complete bundle needs no network, and a pull that was broken off goes on where it was.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from model.backbone.assemble import FILE, assemble, check_room
from model.bundle import BUNDLES
from model.hub import Say, look_up
from model.sources import SOURCES, Lock, Repository, SourceFile, Sources, load_sources, sha256_of
from streaming.errors import BundleError

_SPARE_BYTES, _PARTS, _BUSY = 1 << 30, ".parts", ".pull.lock"


@dataclass(frozen=True, slots=True)
class PullOptions:
    """`origin`: directory with the files, instead of the hub; `update`: take what the source has now, and lock that.

    `offline`: nothing is fetched, what is there is checked. `endpoint`: of another hub than huggingface.co.
    """

    origin: Path | None = None
    update: bool = False
    offline: bool = False
    endpoint: str | None = None


def pull(name: str, target: Path, options: PullOptions, say: Say, *, bundles: Path = BUNDLES) -> Path:
    """Into `target`, which becomes the bundle's directory. `bundles`: those that come with the server.

    Raises BundleError with what to do; what was fetched until then is kept.
    """
    embedded = bundles / name
    sources = load_sources(embedded)
    if sources is None:
        there = sorted(path.parent.name for path in bundles.glob(f"*/{SOURCES}"))
        raise BundleError(
            f"{name!r} is not a bundle that can be pulled; accepted: {', '.join(there)}",
            code="bundle_missing",
            param="name",
        )
    with _alone(target, say):
        lock = (None if options.update else Lock.load(target)) or Lock()
        _copy_embedded(embedded, sources, target, say)
        if options.origin is None and lock.is_complete(sources, target):
            say("all of it was pulled before: nothing is fetched")
        else:
            check_room(target, lock)
            _pull_all(sources, target, lock, options, say)
        _convert(target, say)
        _assemble(target, lock, say)
        say(lock.verify(target, contents=False))
    return target


def is_pulled(name: str, *, bundles: Path = BUNDLES) -> bool:
    """Whether a bundle's name is one that comes with the server, but whose weights are elsewhere."""
    return name == Path(name).name and (bundles / name / SOURCES).is_file()


@contextmanager
def _alone(target: Path, say: Say) -> Iterator[None]:
    """One pull at a time fills a directory, be it a volume that several servers share; the next one waits for it.

    The kernel lets go of the lock when a pull is killed. Raises BundleError (`bundle_unwritable`).
    """
    busy = FileLock(target / _BUSY)
    try:
        target.mkdir(parents=True, exist_ok=True)
        busy.acquire(timeout=0)
    except Timeout:
        say(f"another pull is filling {target}: waiting until it has ended")
        busy.acquire()
    except OSError as error:
        raise BundleError(
            f"{target} cannot be written: {error.strerror}. Choose another place with --to or CSLM_BUNDLES",
            code="bundle_unwritable",
            param="to",
        ) from error
    try:
        yield
    finally:
        busy.release()


def _pull_all(sources: Sources, target: Path, lock: Lock, options: PullOptions, say: Say) -> None:
    for repository in sources.repositories:
        say(f"{repository.repo} ({repository.licence})")
        if options.origin is not None:
            _take(repository, options.origin, target, lock, say)
        else:
            _fetch(repository, target, lock, options, say)
        lock.save(target)
    shutil.rmtree(target / _PARTS, ignore_errors=True)


def _copy_embedded(embedded: Path, sources: Sources, target: Path, say: Say) -> None:
    for path in embedded.iterdir():
        copy = target / path.name
        if path.name == "profile.json" and copy.is_file() and copy.read_bytes() != path.read_bytes():
            say(f"{copy} differs from the one that comes with this version and is left as it is")
        elif path.is_file():
            _copy(path, copy)
    for file in sources.embedded:
        to = target / file.to / Path(file.path).name
        to.parent.mkdir(parents=True, exist_ok=True)
        _copy(embedded.parent / file.path, to)


def _copy(path: Path, to: Path) -> None:
    """A server that starts meanwhile reads the whole file, or the one before."""
    part = to.with_name(f"{to.name}.part")
    shutil.copyfile(path, part)
    part.replace(to)


def _take(repository: Repository, origin: Path, target: Path, lock: Lock, say: Say) -> None:
    """From a directory: a clone of each repository under its own name, or all files side by side; or the one file that is all."""
    if origin.is_file() and len(repository.files) == 1 and repository.files[0].sha256:
        _take_file(origin, repository, target, lock, say)
        return
    own = origin / repository.repo.split("/")[-1]
    folder = own if own.is_dir() else origin
    if not folder.is_dir():
        raise BundleError(f"there is no directory {folder}", code="bundle_file_missing", param="from")
    try:
        chosen = repository.chosen(path.name for path in folder.iterdir() if path.is_file())
    except BundleError as error:
        raise BundleError(f"{folder}: {error.message}", code=error.code, param=error.param) from None
    _need_room(target, sum((folder / path).stat().st_size for path in chosen))
    lock.save(target)  # from now on it is incomplete
    for path, file in chosen.items():
        _take_one(folder / path, target / file.to / path, file, target, lock)
        say(f"  {file.to}/{path}")
    lock.commits.setdefault(repository.repo, None)


def _take_file(origin: Path, repository: Repository, target: Path, lock: Lock, say: Say) -> None:
    """Whatever its name: its checksum says what it is."""
    (file,) = repository.files
    _need_room(target, origin.stat().st_size)
    lock.save(target)
    _take_one(origin, target / file.to / file.path, file, target, lock)
    lock.commits.setdefault(repository.repo, None)
    say(f"  {file.to}/{file.path}")


def _take_one(origin: Path, to: Path, file: SourceFile, target: Path, lock: Lock) -> None:
    """Linked where that can be, else copied."""
    if to.is_file() and to.samefile(origin):
        _accept(to, to, file, target, lock)
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    part = to.with_name(f"{to.name}.part")
    part.unlink(missing_ok=True)
    with _disk(to):
        try:
            os.link(origin.resolve(), part)
        except OSError:
            shutil.copyfile(origin, part)
    _accept(part, to, file, target, lock)


def _fetch(repository: Repository, target: Path, lock: Lock, options: PullOptions, say: Say) -> None:
    name = repository.repo
    if options.offline:
        if name not in lock.commits:
            raise BundleError(
                f"{name} has not been pulled, and --offline does not fetch it", code="bundle_file_missing"
            )
        return
    revision = lock.commits.get(name) or lock.begun.get(name) or repository.revision
    hub = look_up(name, revision, options.endpoint)
    lock.begun[name] = hub.commit  # what is broken off goes on with the same commit, however the branch moves
    lock.save(target)
    chosen = repository.chosen(iter(hub.files))
    missing = {path: file for path, file in chosen.items() if not lock.has(f"{file.to}/{path}", target)}
    parts = target / _PARTS / hub.commit
    _need_room(target, sum(hub.files[path].size - _size(parts / path) for path in missing))
    for path, file in missing.items():
        remote, to = hub.files[path], target / file.to / path
        say(f"  {file.to}/{path}, {remote.size / 1e6:.1f} MB")
        with _disk(target):
            hub.download(remote, parts / path, say)
        to.parent.mkdir(parents=True, exist_ok=True)
        _accept(parts / path, to, file, target, lock, of_hub=remote.sha256)
        lock.save(target)
    lock.commits[name] = lock.begun.pop(name)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _accept(part: Path, to: Path, file: SourceFile, target: Path, lock: Lock, *, of_hub: str | None = None) -> None:
    """Put a complete file in its place, if it is the one that is expected. `of_hub`: the checksum that the hub tells."""
    name, sha256 = to.relative_to(target).as_posix(), sha256_of(part)
    known = lock.files.get(name)
    expected = known[0] if known else file.sha256 or of_hub
    if expected is not None and sha256 != expected:
        if part != to:
            part.unlink()
        if sha256 in file.mistaken:
            raise BundleError(f"{file.path} is {file.mistaken[sha256]}", code="wrong_tokenizer", param=name)
        if known:
            told, newer = (
                "when it was first pulled it was",
                ", or `cslm pull --update` to take a newer revision on purpose",
            )
        else:  # which --update does not change
            told, newer = f"according to {f'{SOURCES} of this bundle' if file.sha256 else 'the hub'} it is", ""
        raise BundleError(
            f"{file.path} has the SHA-256 {sha256}; {told} {expected}. It is damaged or of another revision: fetch it again{newer}",
            code="checksum_mismatch",
            param=name,
        )
    lock.files[name] = (sha256, part.stat().st_size)
    if part != to:
        part.replace(to)


def _convert(target: Path, say: Say) -> None:
    """What is read in another form than it is released in: a text tokenizer that is code, a speech tokenizer as ONNX.

    Refuses the speech tokenizer with another rate.
    """
    from model.encoders.s3.weights import ONNX, SAFETENSORS, convert, describe
    from model.prompts.plain_text import TIKTOKEN, convert_tiktoken

    if (target / "lm" / TIKTOKEN).is_file():
        say(f"  {TIKTOKEN} becomes tokenizer.json")
        with _disk(target / "lm"):
            convert_tiktoken(target / "lm")
    source, made = target / "encoder" / ONNX, target / "encoder" / SAFETENSORS
    if source.is_file() and not (made.is_file() and made.stat().st_mtime >= source.stat().st_mtime):
        say(f"  {ONNX} becomes {SAFETENSORS}")
        with _disk(made):
            convert(source, made)
    if made.is_file():
        describe(made.parent)


def _assemble(target: Path, lock: Lock, say: Say) -> None:
    """A language model that is a text model of others and what was learned on top of it."""
    if (target / FILE).is_file():
        with _disk(target / "lm"):
            assemble(target, lock, say)


def _need_room(target: Path, size: int) -> None:
    free = shutil.disk_usage(target).free
    if free < size + _SPARE_BYTES:
        raise BundleError(
            f"{target} has {free / 1e9:.1f} GB free, but {(size + _SPARE_BYTES) / 1e9:.1f} are needed. "
            "Free some space, or choose another place with --to or CSLM_BUNDLES",
            code="no_space",
        )


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    import errno

    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise BundleError(
            f"no space left for {path}; complete files are kept: free some space and pull again", code="no_space"
        ) from error
