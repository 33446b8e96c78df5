"""Repositories of the Hugging Face hub: what is in them, and their files, which are taken up where a transfer broke off.

The hub's own `hf_hub_download` begins a file anew in a new process. A shard of a large model is some gigabytes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streaming.errors import BundleError

Say = Callable[[str], None]
_LINE_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """`size`: bytes; `sha256`: where the hub tells it, which is of large files."""

    path: str
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class HubRepository:
    """A repository at one commit. `files`: by path."""

    name: str
    commit: str
    files: dict[str, RemoteFile]
    endpoint: str | None

    def download(self, file: RemoteFile, part: Path, say: Say) -> None:
        """Continue `part` to the end of the file. It holds the beginning of the file at this commit, or is not there.

        Raises BundleError; what has arrived until then is kept.
        """
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        part.parent.mkdir(parents=True, exist_ok=True)
        url = hf_hub_url(self.name, file.path, revision=self.commit, endpoint=self.endpoint)
        with _told(self.name, self.commit), part.open("ab") as out:
            if out.tell() > file.size:
                out.seek(0)
                out.truncate()
            http_get(
                url,
                out,
                resume_size=out.tell(),
                headers=build_hf_headers(),
                expected_size=file.size,
                displayed_filename=file.path,
                tqdm_class=_progress(say),
            )


def look_up(name: str, revision: str, endpoint: str | None = None) -> HubRepository:
    """A repository as it is at a branch, tag or commit. Raises BundleError (`hub_gated`, `hub_not_found`, `hub_unreachable`)."""
    from huggingface_hub import HfApi

    with _told(name, revision):
        found = HfApi(endpoint=endpoint).model_info(name, revision=revision, files_metadata=True)
    files = {
        each.rfilename: RemoteFile(each.rfilename, each.size or 0, each.lfs.sha256 if each.lfs else None)
        for each in found.siblings or []
    }
    return HubRepository(name, found.sha or revision, files, endpoint)


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


@contextmanager
def _told(repo: str, revision: str) -> Iterator[None]:
    """The hub's failures in our words: what happened, and what to do."""
    from huggingface_hub import errors

    by_hand = "or get the files elsewhere and pass their directory with --from"
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
            f"{repo} could not be fetched from the hub: {type(error).__name__}. What was fetched is kept: try again, "
            f"set HF_ENDPOINT to a mirror, {by_hand}",
            code="hub_unreachable",
        ) from error


def _is_network(error: Exception) -> bool:
    """The hub's client has httpx or, from version 2 on, httpx2 below it; a file that is cut short is an OSError without errno."""
    names = {base.__name__ for base in type(error).__mro__}
    cut_short = isinstance(error, OSError) and error.errno is None
    return "TransportError" in names or cut_short or isinstance(error, (ConnectionError, TimeoutError))
