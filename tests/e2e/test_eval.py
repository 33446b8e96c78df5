"""`cslm eval` on the default bundle and the sample that is in the repository: real weights, real audio."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.e2e
@pytest.mark.timeout(900)
def test_a_bundle_is_measured_through_its_own_stages(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "server.cli", "eval", "--backend", "transformers", "--limit", "2"]
    command += ["--only", "asr,answers,stability,similarity,seams,tts", "--out", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CSLM_")}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    record = json.loads((tmp_path / "eval.json").read_text(encoding="utf-8"))
    assert set(record["measures"]) == {"asr", "answers", "stability", "similarity", "seams"}
    assert record["skipped"] == {"tts": "needs --judge, an independent recognizer"}
    assert not record["failed"]
    assert [row[2] for row in record["measures"]["stability"][0]["rows"]] == ["0.0%", "0.0%"]
    (seams,) = record["measures"]["seams"][0]["rows"]
    assert seams[1] == f"{seams[0]} of {seams[0]}"
    assert float(seams[2]) < 1e-5
    assert record["told"]["weights"]["lm/model.safetensors"]
    assert (tmp_path / "eval.md").read_text(encoding="utf-8").strip() in run.stdout


def test_what_cannot_be_measured_is_a_clear_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "server.cli", "eval", "--out", str(tmp_path / "out")]
    for more, said in ((["--sets", str(tmp_path)], "has no sets"), (["--only", "taste"], "no measure 'taste'")):
        run = subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, check=False)
        assert run.returncode == 2
        assert said in run.stderr
        assert "Traceback" not in run.stderr
