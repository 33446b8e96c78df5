"""`cslm talk` as a user meets it."""

from __future__ import annotations

import io
import re
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from clients.realtime import SessionOptions
from clients.recordings import Recording
from clients.talk import Screen, Talk, ask_all, talk
from tests.clients.fake_server import Script, fake_server, fake_server_in_thread


def run(*arguments: object) -> Any:
    app = typer.Typer()
    app.command()(talk)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_question_is_answered_printed_and_written(wav: Path, tmp_path: Path) -> None:
    with fake_server_in_thread() as server:
        done = run(wav, "-o", tmp_path / "answer.wav", "--url", server.url, "--reply-language", "en")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["question", "you", "answer", "timings", "written"]
    assert "what is two plus three" in lines[1]
    assert re.fullmatch(r"answer   Two plus three \[audio after \d+\.\d\d s\] is five\.", lines[2])
    assert all(word in lines[3] for word in ("first audio after", "complete after", "1.00 s of audio"))
    samples, rate_hz = soundfile.read(tmp_path / "answer.wav", dtype="int16")
    assert (rate_hz, len(samples)) == (24_000, 24_000)
    assert samples.tobytes() == b"\1\2" * 24_000
    session = server.received[0]["session"]
    assert (session["reply_language"], session["audio"]["input"]["turn_detection"]) == ("en", None)


def test_several_questions_are_turns_of_one_conversation(wav: Path, tmp_path: Path) -> None:
    with fake_server_in_thread() as server:
        done = run(wav, wav, "--text", "And twice that?", "-o", tmp_path / "answer.flac", "--url", server.url)
    assert done.exit_code == 0, done.output
    assert server.connections == 1
    assert done.stdout.count("timings") == 3
    assert "question And twice that?" in done.stdout
    assert sorted(path.name for path in tmp_path.glob("*.flac")) == [f"answer-{n}.flac" for n in (1, 2, 3)]


def test_in_real_time_the_server_ends_the_turn(wav: Path) -> None:
    with fake_server_in_thread() as server:
        done = run(wav, "--realtime", "--url", server.url)
    assert done.exit_code == 0, done.output
    assert server.types() == ["session.update"]
    assert server.received[0]["session"]["audio"]["input"]["turn_detection"] == {"type": "server_vad"}


def test_no_server_says_how_to_start_it(wav: Path) -> None:
    done = run(wav, "--url", "ws://127.0.0.1:9")
    assert done.exit_code == 3
    assert "make serve" in done.stderr
    assert "Traceback" not in done.output


def test_a_wrong_key_is_named(wav: Path) -> None:
    with fake_server_in_thread(Script(refuse_connection=HTTPStatus.UNAUTHORIZED)) as server:
        done = run(wav, "--url", server.url)
    assert done.exit_code == 3
    assert "invalid_api_key: the server refused (HTTP 401): a wrong key" in done.stderr
    assert "--api-key" in done.stderr
    assert "make serve" not in done.stderr


@pytest.mark.parametrize("name", ["missing.wav", "text.wav"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.wav").write_text("hello")
    done = run(tmp_path / name)
    assert done.exit_code == 2
    assert name in done.stderr


def test_bad_arguments_are_told_before_anything_is_asked(wav: Path, tmp_path: Path) -> None:
    assert "name a recording" in run().stderr
    assert run(wav, "-o", tmp_path / "no" / "answer.wav").exit_code == 2
    assert run(wav, "-o", tmp_path / "answer.doc").exit_code == 2
    assert run(wav, "--reply-language", "fr").exit_code == 2


@pytest.mark.parametrize("script", [Script(refuse_commit=True), Script(endings=("refused",))])
def test_an_error_event_is_printed_with_its_code(wav: Path, script: Script) -> None:
    with fake_server_in_thread(script) as server:
        done = run(wav, "--url", server.url)
    assert done.exit_code == 4
    code = "input_audio_buffer_commit_empty" if script.refuse_commit else "engine_unavailable"
    assert f"error    {code}: refused: {code}" in done.stdout


def test_an_error_is_printed_once(wav: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", np.zeros(16_000 * 5), 16_000)
    with fake_server_in_thread(Script(longest_s=2)) as server:
        done = run(tmp_path / "long.wav", wav, "--url", server.url)
    assert done.exit_code == 4
    assert done.output.count("audio_too_long: ") == 1
    assert done.stdout.count("is five.") == 1
    with fake_server_in_thread(Script(refuse_update=True)) as server:
        refused = run(wav, "--url", server.url)
    assert (refused.exit_code, refused.output.count("invalid_value: ")) == (4, 1)


def test_a_failed_answer_is_told(wav: Path) -> None:
    with fake_server_in_thread(Script(endings=("failed",))) as server:
        done = run(wav, "--url", server.url)
    assert done.exit_code == 4
    assert "the answer failed (engine_unavailable): a stage is being restarted\n" in done.stdout


def test_a_lost_connection_is_told(wav: Path) -> None:
    with fake_server_in_thread(Script(endings=("dropped",))) as server:
        done = run(wav, "--url", server.url)
    assert done.exit_code == 4
    assert "disconnected:" in done.stderr
    assert "Two plus three" in done.stdout


def test_a_server_that_never_answers_is_given_up(wav: Path) -> None:
    with fake_server_in_thread(Script(endings=("silent",))) as server:
        done = run(wav, "--url", server.url, "--timeout", 0.2)
    assert done.exit_code == 4
    assert "turn_timeout: no complete answer within 0.2 s" in done.stderr


async def test_an_answer_without_audio_is_no_file(recording: Recording, tmp_path: Path) -> None:
    out = io.StringIO()
    async with fake_server(Script(delta_s=0)) as server:
        plan = Talk(server.url, (recording,), SessionOptions(None), tmp_path / "a.wav")
        turns = await ask_all(plan, Screen(out))
    assert turns[0].answered
    assert "the answer has no audio" in out.getvalue()
    assert not (tmp_path / "a.wav").exists()


def test_the_screen_keeps_the_speakers_apart() -> None:
    out = io.StringIO()
    screen = Screen(out)
    for who, text in [("you", "how "), ("you", "are you"), ("answer", "Fine"), ("answer", ".")]:
        screen.say(who, text)
    screen.line("timings", "soon")
    assert out.getvalue() == "you      how are you\nanswer   Fine.\ntimings  soon\n"
