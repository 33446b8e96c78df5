"""vLLM's own HTTP server with the token-in, token-out route."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

HOLDS = '--structured-outputs-config={"backend": "xgrammar", "disable_any_whitespace": true}'
"""What makes it hold calls of tools to their schema, given a tokenizer."""


@contextmanager
def serving_over_http(checkpoint: Path, *arguments: str) -> Iterator[str]:
    """The address of a server of `checkpoint`, under the name `small`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(checkpoint)]
    command += ["--served-model-name", "small", "--enable-scale-out", "--enforce-eager"]
    command += ["--dtype", "float32"]  # "auto" would serve float32 weights in half precision
    command += ["--max-model-len", "512", "--block-size", "32", "--kv-cache-memory-bytes", str(64 << 20)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--disable-uvicorn-access-log", *arguments]
    with subprocess.Popen(command, env={**os.environ, "VLLM_NO_USAGE_STATS": "1"}) as server:
        try:
            _await_health(f"http://127.0.0.1:{port}/health", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)


def _await_health(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError("the vLLM server stopped while starting")
        try:
            if httpx.get(url, timeout=2).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    raise TimeoutError(url)
