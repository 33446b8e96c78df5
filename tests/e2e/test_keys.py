"""Keys and the record of their use as an operator has them: the commands, a real server, SIGHUP, a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.live_server import ROOT, free_port, kill, running_server

pytestmark = pytest.mark.e2e


def cslm(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **{f"CSLM_{name.upper()}": value for name, value in settings.items()}}
    command = [sys.executable, "-m", "server.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def said(client: openai.OpenAI) -> str:
    """The answer to a typed question, or the code of the refusal."""
    question: Any = [{"role": "user", "content": "What is two plus three?"}]
    try:
        return client.chat.completions.create(model="cslm-mini", messages=question).choices[0].message.content or ""
    except openai.APIStatusError as refused:
        return f"{refused.status_code} {refused.code}"


def until(client: openai.OpenAI, wanted: str) -> None:
    end = time.monotonic() + 60
    while (now := said(client)) != wanted:
        assert time.monotonic() < end, f"still {now!r}"
        time.sleep(0.2)


def test_an_operators_day(tmp_path: Path) -> None:
    keys, usage, log = str(tmp_path / "keys.json"), tmp_path / "usage", tmp_path / "server.log"
    settings = {"keys_file": keys, "usage_dir": str(usage)}
    key = cslm("keys", "new", "anna", keys_file=keys).stdout.strip()
    limited = cslm("keys", "new", "ben", "--turns-per-minute", "1", keys_file=keys).stdout.strip()
    port = free_port()
    with running_server(log, port, **settings) as server:
        anna, ben = (
            openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=each, max_retries=0)
            for each in (key, limited)
        )
        assert "five" in said(anna).lower()
        assert "five" in said(ben).lower() and said(ben) == "429 rate_limit_exceeded"
        second = cslm("serve", "--port", "0", **settings)
        assert second.returncode == 1 and "usage_log_in_use" in second.stderr
        carl = cslm("keys", "new", "carl", keys_file=keys).stdout.strip()
        os.killpg(server.pid, signal.SIGHUP)  # as a terminal that closes does: all processes get it, and none ends
        until(openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=carl, max_retries=0), said(anna))
        assert cslm("keys", "revoke", "anna", keys_file=keys).returncode == 0  # noticed without a signal
        until(anna, "401 api_key_revoked")
        kill(server)
    lines = [json.loads(line) for file in usage.glob("*.jsonl") for line in file.read_text().splitlines()]
    assert {line["key"] for line in lines} == {"anna", "ben", "carl"}
    written = log.read_text() + "".join(file.read_text() for file in usage.glob("*.jsonl")) + Path(keys).read_text()
    assert not any(each in written for each in (key, limited, carl))
    Path(keys).write_text("{")
    refused = cslm("serve", "--port", "0", **settings)
    assert refused.returncode == 1 and "keys_invalid" in refused.stderr
