"""From a clean clone to the first answer: `git clone`, `make serve`, one spoken question; and what the server then holds.

    python -m tests.bench.cold_start --port 18360

Downloads as `make serve` does; pip's cache stays as it is and is said in the result. Memory is the proportional set size of
the server and all its children, after the question.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]

from tests.bench.questions import ask, connect, manifest, served
from tests.bench.results import ROOT, arguments, origin, table, write


def main() -> None:
    """Measure and write."""
    parser = arguments(__doc__)
    parser.add_argument("--port", type=int, default=18360)
    parser.add_argument("--source", default=str(ROOT), help="repository to clone")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds to wait for the server")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the server must not outlive this
    record: dict[str, Any] = {"origin": origin()}
    with tempfile.TemporaryDirectory(prefix="cslm-clone-") as place:
        record |= measure(options.source, Path(place) / "clone", options.port, options.timeout)
    write(options.out, "cold_start", record, report(record))


def measure(source: str, clone: Path, port: int, timeout_s: float) -> dict[str, Any]:
    """Clone, serve, ask, look, stop."""
    began_s = time.monotonic()
    subprocess.run(["git", "clone", "-q", source, str(clone)], check=True)
    cloned_s = time.monotonic()
    commit = subprocess.run(["git", "-C", str(clone), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    log = (clone.parent / "serve.log").open("w")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("VIRTUAL_ENV", "CSLM_"))}
    command = ["make", "serve", f"SERVE_ARGS=--port {port}"]
    server = subprocess.Popen(
        command, cwd=clone, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
    )
    try:
        with connect(f"http://127.0.0.1:{port}") as client:
            listening_s = wait(client, "/healthz", server, timeout_s)
            ready_s = wait(client, "/readyz", server, timeout_s)
            reply = ask(client, manifest()[2])
            answered_s = time.monotonic()
            return {
                "cloned_commit": commit.stdout.strip(),
                "served": served(client),
                "question": manifest()[2].said,
                "answer": reply.text,
                "clone_s": round(cloned_s - began_s, 2),
                "install_s": round(listening_s - cloned_s, 2),
                "load_s": round(ready_s - listening_s, 2),
                "answer_s": round(answered_s - ready_s, 2),
                "serve_to_answer_s": round(answered_s - cloned_s, 2),
                "pip_cache_bytes": pip_cache(clone),
                "processes": processes(server.pid),
            }
    except (RuntimeError, httpx.HTTPError) as failure:
        raise SystemExit(f"{failure}\n{(clone.parent / 'serve.log').read_text()[-3000:]}") from failure
    finally:
        stop(server)


def wait(client: httpx.Client, path: str, server: subprocess.Popen[bytes], timeout_s: float) -> float:
    """When `path` first answered 200. Raises RuntimeError where the server ended or took too long."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if server.poll() is not None:
            raise RuntimeError(f"`make serve` ended with status {server.returncode}")
        try:
            if client.get(path, timeout=5).status_code == 200:
                return time.monotonic()
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"{path} did not answer within {timeout_s:g} s")


def processes(pid: int) -> list[dict[str, Any]]:
    """Proportional and resident set of a process and its descendants, those below 1 MB left out."""
    found = []
    parent = psutil.Process(pid)
    for process in [parent, *parent.children(recursive=True)]:
        memory = process.memory_full_info()
        if memory.pss > 1 << 20:
            found.append({"name": role(process), "pss_mb": round(memory.pss / 1e6), "rss_mb": round(memory.rss / 1e6)})
    return found


def role(process: psutil.Process) -> str:
    """What the process is for."""
    line = " ".join(process.cmdline())
    if "spawn_main" in line:
        return "vocoder worker"
    if "resource_tracker" in line:
        return "resource tracker"
    if "VLLM" in line or "EngineCore" in line:
        return "vLLM engine"
    return "gateway and encoder" if "serve" in line else process.name()


def pip_cache(clone: Path) -> int:
    """Bytes that pip had kept from earlier installs, 0 without a cache."""
    shown = subprocess.run(
        [clone / ".venv" / "bin" / "python", "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=False
    )
    place = Path(shown.stdout.strip() or "/nonexistent")
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) if place.is_dir() else 0


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server and all that it started."""
    children = psutil.Process(server.pid).children(recursive=True) if server.poll() is None else []
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=10)
    for process in alive:
        process.kill()


def report(record: dict[str, Any]) -> str:
    """Times, and memory by process."""
    cache = f"{record['pip_cache_bytes'] / 1e9:.1f} GB of packages in pip's cache"
    times = [
        ("git clone", record["clone_s"]),
        (f"make serve: environment and packages, until the server listens ({cache})", record["install_s"]),
        ("model loaded and warm", record["load_s"]),
        (f"“{record['question']}” asked and answered: “{record['answer']}”", record["answer_s"]),
        ("**make serve to the first answer**", record["serve_to_answer_s"]),
    ]
    memory = [(p["name"], p["pss_mb"], p["rss_mb"]) for p in record["processes"]]
    sums = [sum(p[key] for p in record["processes"]) for key in ("pss_mb", "rss_mb")]
    heads = ("process", "proportional set, MB", "resident, MB (shared pages counted each time)")
    return f"{table(('step', 's'), times)}\n\n{table(heads, [*memory, ('**all**', *sums)])}"


if __name__ == "__main__":
    main()
