"""`cslm pull`: fetches the files of a bundle from the Hugging Face hub or a directory, and verifies them.

The first pull records the commit and the SHA-256 of every file in `bundle.lock.json`. Later ones ask for that commit and refuse a
file that differs. A complete bundle needs no network. `huggingface_hub` resumes transfers within one pull and keeps tokens.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from model.bundle import BUNDLES
from model.sources import SOURCES, Lock, Repository, SourceFile, Sources, load_sources, sha256_of
from streaming.errors import BundleError

Say = Callable[[str], None]
_SPARE_BYTES, _PARTS, _BUSY = 1 << 30, ".parts", ".pull.lock"
_LINE_EVERY_S = 10.0


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
    target.mkdir(parents=True, exist_ok=True)
    with _alone(target, say):
        lock = (None if options.update else Lock.load(target)) or Lock()
        _copy_embedded(embedded, sources, target, say)
        if options.origin is None and lock.is_complete(sources, target):
            say("all of it was pulled before: nothing is fetched")
        else:
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
    """One pull at a time fills a directory, be it a volume that several servers share; the next one waits for it."""
    busy = FileLock(target / _BUSY)
    try:
        busy.acquire(timeout=0)
    except Timeout:
        say(f"another pull is filling {target}: waiting until it has ended")
        busy.acquire()
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
            shutil.copyfile(path, copy)
    for file in sources.embedded:
        to = target / file.to / Path(file.path).name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(embedded.parent / file.path, to)


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
    for path, file in chosen.items():
        _take_one(folder / path, target / file.to / path, file, target, lock)
        say(f"  {file.to}/{path}")
    lock.commits.setdefault(repository.repo, None)


def _take_file(origin: Path, repository: Repository, target: Path, lock: Lock, say: Say) -> None:
    """Whatever its name: its checksum says what it is."""
    (file,) = repository.files
    _need_room(target, origin.stat().st_size)
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
    from huggingface_hub import HfApi, hf_hub_download

    revision = lock.commits.get(repository.repo) or repository.revision
    if options.offline:
        if repository.repo not in lock.commits:
            raise BundleError(
                f"{repository.repo} has not been pulled, and --offline does not fetch it", code="bundle_file_missing"
            )
        return
    with _hub(repository, revision):
        found = HfApi(endpoint=options.endpoint).model_info(repository.repo, revision=revision, files_metadata=True)
        sizes = {each.rfilename: each.size or 0 for each in found.siblings or []}
        commit = found.sha or revision
        chosen = repository.chosen(iter(sizes))
        missing = {path: file for path, file in chosen.items() if not lock.has(f"{file.to}/{path}", target)}
        _need_room(target, sum(sizes[path] for path in missing))
        for path, file in missing.items():
            say(f"  {file.to}/{path}, {sizes[path] / 1e6:.1f} MB")
            folder = target / _PARTS / repository.repo.split("/")[-1]
            with _disk(target):
                got = hf_hub_download(
                    repository.repo,
                    path,
                    revision=commit,
                    local_dir=folder,
                    endpoint=options.endpoint,
                    tqdm_class=_progress(say),
                )
            to = target / file.to / path
            to.parent.mkdir(parents=True, exist_ok=True)
            _accept(Path(got), to, file, target, lock)
            lock.save(target)
    lock.commits[repository.repo] = commit


def _progress(say: Say) -> type[Any] | None:
    """How a transfer is shown: the hub's own bar on a terminal, now and then a line where there is none, as in a log."""
    if sys.stderr.isatty():
        return None
    from huggingface_hub.utils.tqdm import tqdm

    class Lines(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options | {"disable": False, "mininterval": _LINE_EVERY_S})  # type: ignore[no-untyped-call]

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            now = self.format_dict
            if now["elapsed"] > _LINE_EVERY_S:
                speed = self.n / now["elapsed"] / 1e6
                say(f"    {self.n / 1e6:.1f} of {(self.total or self.n) / 1e6:.1f} MB, {speed:.1f} MB/s")

    return Lines


def _accept(part: Path, to: Path, file: SourceFile, target: Path, lock: Lock) -> None:
    """Put a complete file in its place, if it is the one that is expected."""
    name, sha256 = to.relative_to(target).as_posix(), sha256_of(part)
    known = lock.files.get(name)
    expected = known[0] if known else file.sha256
    if expected is not None and sha256 != expected:
        if part != to:
            part.unlink()
        if sha256 in file.mistaken:
            raise BundleError(f"{file.path} is {file.mistaken[sha256]}", code="wrong_tokenizer", param=name)
        told, newer = (
            ("when it was first pulled it was", ", or `cslm pull --update` to take a newer revision on purpose")
            if known
            else (f"according to this bundle's {SOURCES} it is", "")  # which --update does not change
        )
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
    from model.backbone.assemble import FILE, assemble

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


@contextmanager
def _hub(repository: Repository, revision: str) -> Iterator[None]:
    """The hub's failures in our words: what happened, and what to do."""
    from huggingface_hub import errors

    repo, by_hand = repository.repo, "or get the files elsewhere and pass their directory with --from"
    try:
        yield
    except errors.GatedRepoError as error:
        raise BundleError(
            f"{repo} requires a licence to be accepted: do so at https://huggingface.co/{repo}, then "
            f"`hf auth login` or set HF_TOKEN; {by_hand}",
            code="hub_gated",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise BundleError(
            f"{repo} has no revision {revision}; if its owners rewrote it, `cslm pull --update` takes what it has now",
            code="hub_not_found",
        ) from error
    except (errors.RepositoryNotFoundError, errors.EntryNotFoundError) as error:
        raise BundleError(
            f"the hub has no {repo}, or requires a token for it (HF_TOKEN); {by_hand}",
            code="hub_not_found",
        ) from error
    except Exception as error:
        if not (isinstance(error, (errors.HfHubHTTPError, errors.OfflineModeIsEnabled)) or _is_network(error)):
            raise
        raise BundleError(
            f"{repo} could not be fetched from the hub: {type(error).__name__}. Complete files are kept: try again, "
            f"set HF_ENDPOINT to a mirror, {by_hand}",
            code="hub_unreachable",
        ) from error


def _is_network(error: Exception) -> bool:
    """The hub's client has httpx or, from its version 2 on, httpx2 below it."""
    names = {base.__name__ for base in type(error).__mro__}
    return "TransportError" in names or isinstance(error, (ConnectionError, TimeoutError))
