"""The commands against the real server: ask, listen, measure. What the model says is judged elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
QUESTION = ROOT / "tests" / "data" / "ask_sum_en.wav"


def cslm(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    command = [sys.executable, "-m", "server.cli", *(str(argument) for argument in arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize("realtime", [False, True])
def test_a_recording_is_answered_aloud(live_server: str, tmp_path: Path, realtime: bool) -> None:
    answer = tmp_path / "answer.wav"
    done = cslm("talk", QUESTION, "-o", answer, "--url", live_server, *(["--realtime"] if realtime else []))
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = [line.split()[0] for line in done.stdout.splitlines() if line.strip()]
    assert [kinds.index(kind) for kind in ("question", "you", "answer", "timings", "written")] == sorted(
        kinds.index(kind) for kind in ("question", "you", "answer", "timings", "written")
    )
    samples, rate_hz = soundfile.read(answer)
    assert rate_hz == 24_000
    assert samples.std() > 0.005, "the answer is audible"


def test_several_turns_spoken_and_typed(live_server: str) -> None:
    done = cslm("talk", QUESTION, "--text", "Hello.", "--url", live_server, "--reply-language", "en")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("first audio after") == 2


def test_load_is_measured(live_server: str, tmp_path: Path) -> None:
    out = tmp_path / "load.json"
    options = ["--rate", 0.5, "--arrivals", "fixed", "--duration", 4, "--timeout", 60, "--json", out]
    done = cslm("load", QUESTION, "--url", live_server, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(out.read_text())
    assert result["sessions"]["completed"] == 2
    assert result["first_audio_after_speech_end_s"]["n"] == 2
    assert result["errors"] == {}
