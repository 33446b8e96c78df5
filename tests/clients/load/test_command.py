"""The command: numbers, verdicts and reports, whatever the server does and whenever it is broken off."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from clients.errors import InvalidPlan
from clients.load import load
from clients.load.command import read_header
from clients.load.plan import LoadPlan
from clients.load.report import report, saturated, table
from clients.load.stats import LoadStats
from clients.recordings import Recording
from tests.clients.fake_server import FakeServer, Script, fake_server_in_thread

FAST = ("--commit", "--think-time", 0, "--drain", 5)


def run(*arguments: object) -> Any:
    app = typer.Typer()
    app.command()(load)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_late_generator_says_so() -> None:
    punctual, late = LoadStats(), LoadStats()
    rng = random.Random(0)
    for number in range(1000):
        punctual.frame(rng.uniform(0, 0.005), 0.3)
        late.frame(0.1 if number % 50 == 0 else 0.0, 0.0)
    assert not saturated(punctual), "a server that does not read is not the generator's fault"
    assert punctual.blocked_frames == 1000
    assert saturated(late)
    assert late.late_frames == 20
    assert "late" in str(table(late).caption)  # type: ignore[union-attr]
    assert not saturated(LoadStats())


def test_a_report_says_where_it_comes_from_and_keeps_secrets(recording: Recording) -> None:
    plan = LoadPlan(headers=(("api-key", "secret"),))
    result = report(plan, [recording], LoadStats())
    text = json.dumps(result, allow_nan=False)
    assert "secret" not in text
    assert result["configuration"]["headers"] == ["api-key"]
    assert result["configuration"]["recordings"]["count"] == 1
    assert result["machine"]["cores"] >= 1
    assert result["first_audio_after_speech_end_s"]["p95"] is None


def test_the_command_writes_numbers(wav: Path, tmp_path: Path) -> None:
    out, html = tmp_path / "out.json", tmp_path / "out.html"
    with fake_server_in_thread() as server:
        done = run(wav, "--rate", 20, "--arrivals", "fixed", "--duration", 0.1, *FAST, "--url", server.url, "--json", out, "--html", html)  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "2 completed, 0 failed" in done.stdout
    result = json.loads(out.read_text())
    assert (result["sessions"]["completed"], result["turns"]["answered"]) == (2, 2)
    assert result["first_audio_after_speech_end_s"]["n"] == 2
    assert sum(count for _, count in result["histograms"]["first_audio_after_speech_end_s"]) == 2
    assert result["interrupted"] is False
    assert html.stat().st_size < 150_000


def test_headers_and_the_key_reach_the_server(wav: Path) -> None:
    extra = ("--header", "OpenAI-Beta: realtime=v1", "--header", "api-key:k", "--api-key", "secret")
    with fake_server_in_thread() as server:
        assert run(wav, "--callers", 1, "--duration", 0.1, *FAST, *extra, "--url", server.url).exit_code == 0
        sent = {name.lower(): value for name, value in server.headers[-1].items()}
    assert (sent["openai-beta"], sent["api-key"], sent["authorization"]) == ("realtime=v1", "k", "Bearer secret")


@pytest.mark.parametrize("text", ["", "no colon", ": value", "two words: value", "line: a\nb", "a:b\r"])
def test_what_is_no_header_is_refused(text: str) -> None:
    if text == "a:b\r":
        assert read_header(text) == ("a", "b")
        return
    with pytest.raises(InvalidPlan, match="Name: value"):
        read_header(text)


@pytest.mark.parametrize(("limit", "code", "said"), [("9 s", 0, "objective met"), ("0.001 ms", 5, "objective missed")])
def test_an_objective_decides_the_exit_status(wav: Path, limit: str, code: int, said: str) -> None:
    with fake_server_in_thread() as server:
        aim = f"p95 first audio <= {limit}, unanswered <= 0 %"
        done = run(wav, "--callers", 2, "--duration", 0.3, *FAST, "--objective", aim, "--url", server.url)
    assert done.exit_code == code, done.output
    assert said in done.stdout


def test_a_search_tries_loads_and_names_the_highest(wav: Path, tmp_path: Path) -> None:
    out, html = tmp_path / "out.json", tmp_path / "out.html"
    with fake_server_in_thread() as server:
        where = ("--max-sessions", 5, "--url", server.url, "--json", out, "--html", html)
        done = run(wav, "--search", "--objective", "unanswered <= 0 %", "--duration", 0.3, *FAST, *where)
    assert done.exit_code == 0, done.output
    assert "highest load: 5 callers at once" in done.stdout
    result = json.loads(out.read_text())
    assert [level["callers"] for level in result["levels"]] == [1, 2, 4, 5]
    assert result["highest"] == 5
    assert all(level["met"] and level["terms"][0]["value"] == 0 for level in result["levels"])


def test_a_search_that_finds_nothing_says_so(wav: Path) -> None:
    with fake_server_in_thread(Script(endings=("failed",))) as server:
        done = run(wav, "--search", "--objective", "unanswered < 1 %", "--duration", 0.1, *FAST, "--url", server.url)
    assert done.exit_code == 5
    assert "no load that was tried meets the objective" in done.stdout


def test_the_command_fails_where_sessions_fail(wav: Path) -> None:
    with fake_server_in_thread(Script(endings=("failed",))) as server:
        done = run(wav, "--rate", 20, "--arrivals", "fixed", "--duration", 0.05, *FAST, "--url", server.url)
    assert done.exit_code == 4
    assert "engine_unavailable: 1" in done.stdout


def test_the_command_says_what_it_needs(wav: Path, tmp_path: Path) -> None:
    nobody = run(wav, "--url", "ws://127.0.0.1:9")
    assert (nobody.exit_code, "make serve" in nobody.stderr) == (3, True)
    assert run(tmp_path / "missing.wav").exit_code == 2
    assert run(wav, "--json", tmp_path / "no" / "out.json").exit_code == 2
    assert run(wav, "--html", tmp_path).exit_code == 2
    assert run(wav, "--rate", 0).exit_code == 2
    assert run(wav, "--pauses", 1.1).exit_code == 2
    assert run().exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--search",), "needs an --objective"),
        (("--search", "--objective", "unanswered < 1 %", "--rate", 1), "leave out --rate"),
        (("--search", "--objective", "unanswered < 1 %", "--callers", 9, "--max-sessions", 8), "--max-sessions 8"),
        (("--callers", 2, "--rate", 1), "either --callers or --rate"),
        (("--objective", "quick"), "is not a condition"),
        (("--header", "nonsense"), "Name: value"),
    ],
)
def test_options_that_contradict_each_other_are_refused(wav: Path, arguments: tuple[object, ...], said: str) -> None:
    done = run(wav, *arguments)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())


def call(wav: Path, server: FakeServer, out: Path, *arguments: object) -> subprocess.Popen[str]:
    """The command in a process of its own, which heeds SIGINT although a background job may have been told to ignore it."""
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{heed}; import typer; from clients.load import load; typer.run(load)", str(wav)]
    more = ["--url", server.url, "--json", out, *FAST, *arguments]
    return subprocess.Popen(command + [str(each) for each in more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip


def wait_for_answers(server: FakeServer, process: subprocess.Popen[str], number: int) -> None:
    while server.types().count("response.create") < number:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_broken_off_reports_what_it_has(wav: Path, tmp_path: Path, how: signal.Signals) -> None:
    out = tmp_path / "out.json"
    with fake_server_in_thread() as server:
        process = call(wav, server, out, "--callers", 2, "--duration", 12)
        wait_for_answers(server, process, 5)
        process.send_signal(how)
        stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "turns asked" in stdout
    result = json.loads(out.read_text())
    assert result["interrupted"] is True
    assert result["turns"]["answered"] >= 4
    assert result["turns"]["unanswered"] == 0, "who was not waited for is not unanswered"


def test_a_search_that_is_broken_off_reports_its_loads(wav: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with fake_server_in_thread() as server:
        aim = ("--search", "--objective", "unanswered <= 0 %", "--duration", 1)
        process = call(wav, server, out, *aim)
        while server.connections < 8:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    result = json.loads(out.read_text())
    assert result["levels"][-1]["met"] is None


def test_a_server_that_dies_is_counted_(wav: Path, tmp_path: Path) -> None:
    """The whole server goes while callers are talking: no hang, and the report of what was before."""
    out = tmp_path / "out.json"
    with fake_server_in_thread() as server:
        process = call(wav, server, out, "--callers", 3, "--duration", 4)
        wait_for_answers(server, process, 3)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 4
    result = json.loads(out.read_text())
    assert result["errors"].get("server_unreachable", 0) > 0
    assert result["turns"]["answered"] >= 1
    assert "server_unreachable" in stdout
