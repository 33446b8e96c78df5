"""A Hugging Face hub of a few small files, as far as `huggingface_hub` asks one: model information, and files by commit."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Hub:
    """`files`: by repository and path. `gated`: behind a licence. The next `breaks` files longer than `breaks_after` bytes end there.

    `holds`: they end once this is set.
    """

    files: dict[str, dict[str, bytes]]
    commit: str = "a" * 40
    gated: bool = False
    breaks: int = 0
    breaks_after: int = 0
    holds: threading.Event | None = None
    url: str = ""
    asked: list[str] = field(default_factory=list[str])
    ranges: list[str] = field(default_factory=list[str])


def _about(name: str, data: bytes) -> dict[str, object]:
    """As the hub describes a file: a large one by its checksum, too."""
    large = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "pointerSize": 134}
    return {"rfilename": name, "size": len(data), **({"lfs": large} if len(data) > 1000 else {})}


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """The hub on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            path = self.path.split("?")[0]
            hub.asked.append(path)
            info = re.fullmatch(r"/api/models/(.+)/revision/(.+)", path)
            file = re.fullmatch(r"/(.+)/resolve/(.+?)/(.+)", path)
            found = info or file
            if hub.gated and found:
                return self._fail(403, "GatedRepo", body=body)
            if found is None or found[1] not in hub.files:
                return self._fail(404, "RepoNotFound", body=body)
            if found[2] not in ("main", hub.commit):
                return self._fail(404, "RevisionNotFound", body=body)
            if info:
                siblings = [_about(name, data) for name, data in hub.files[info[1]].items()]
                about = {"id": info[1], "modelId": info[1], "sha": hub.commit, "siblings": siblings, "private": False}
                return self._send(json.dumps(about).encode(), "application/json", body=body)
            data = hub.files[found[1]].get(found[3])
            if data is None:
                return self._fail(404, "EntryNotFound", body=body)
            return self._send(data, "application/octet-stream", body=body, file=True)

        def _fail(self, status: int, code: str, *, body: bool) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _send(self, data: bytes, kind: str, *, body: bool, file: bool = False) -> None:
            etag, start = hashlib.sha256(data).hexdigest(), 0
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if file else None
            if asked:
                start = int(asked[1])
                hub.ranges.append(asked[0])
            self.send_response(206 if asked else 200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data) - start))
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            if file:
                self.send_header("X-Repo-Commit", hub.commit)
                self.send_header("ETag", f'"{etag}"')
                self.send_header("Accept-Ranges", "bytes")
            self.end_headers()
            if not body:
                return
            if file and hub.breaks and len(data) - start > hub.breaks_after:
                hub.breaks -= 1
                self.wfile.write(data[start : start + hub.breaks_after])
                self.wfile.flush()
                if hub.holds is not None:
                    hub.holds.wait()
                self.close_connection = True
                self.connection.close()
                return
            self.wfile.write(data[start:])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
