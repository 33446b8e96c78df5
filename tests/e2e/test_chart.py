"""The chart's two kinds of pods, started with the very arguments and variables that it renders, on one machine."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from model.bundle import BUNDLES
from tests.deploy.test_helm import environment, find, rendered
from tests.live_server import START_S, free_port, running_server
from tests.prometheus import ROOT

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="needs vLLM"),
]

VALUES = {
    "bundle": "cslm-mini",
    "languageModel": {
        "separate": True,
        "maxModelLength": 1024,
        "arguments": ["--enforce-eager", "--block-size=32", f"--kv-cache-memory-bytes={64 << 20}"],  # what a CPU needs
    },
}


@contextmanager
def language_model(command: list[str], url: str, log: Path) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *command[1:]],
            env=os.environ | {"VLLM_NO_USAGE_STATS": "1"},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        end = time.monotonic() + START_S
        while not _answers(f"{url}/health"):
            assert process.poll() is None and time.monotonic() < end, log.read_text(encoding="utf-8")[-4000:]
            time.sleep(0.5)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False


def test_a_server_and_a_language_model_of_its_own_answer_together(tmp_path: Path) -> None:
    documents, port = rendered(VALUES), free_port()
    pod = find(documents, "StatefulSet", "demo-cslm-serve-lm")["spec"]["template"]["spec"]["containers"][0]
    here = {"--host=0.0.0.0": "--host=127.0.0.1", "--port=8000": f"--port={port}"}
    arguments = [here.get(word, word).replace("/bundles/", f"{BUNDLES}/") for word in pod["args"]]
    server = find(documents, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    given = environment(server) | {"CSLM_LM_URL": f"http://127.0.0.1:{port}"}
    settings = {name.removeprefix("CSLM_").lower(): value for name, value in given.items()}

    with (
        language_model([*pod["command"], *arguments], settings["lm_url"], tmp_path / "lm.log"),
        running_server(tmp_path / "server.log", front := free_port(), **settings),
        (ROOT / "tests" / "data" / "ask_sum_en.wav").open("rb") as question,
    ):
        url = f"http://127.0.0.1:{front}"
        assert httpx.get(f"{url}/readyz").json()["backend"] == "vllm_http"
        form = {"response_format": "json"}
        answer = httpx.post(f"{url}/v1/speech", files={"file": question}, data=form, timeout=120).json()
        assert "twelve" in answer["text"]
        assert answer["usage"]["audio_s"] > 1
