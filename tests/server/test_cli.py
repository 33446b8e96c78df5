"""The `cslm` command: what it says, how it ends, and that it starts quickly."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from typer.testing import CliRunner

from server.cli import app
from server.serve import _attend, listening_socket, serve
from server.settings import Settings
from streaming.errors import BundleError
from tests.server.front import eventually, make_settings
from tests.server.models import fake_model, opener

runner = CliRunner()


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from server.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "print('HEAVY', sorted({'torch', 'fastapi', 'uvicorn', 'numpy', 'pydantic', 'av'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in out.stdout
    for command in ("serve", "check", "pull", "keys", "talk", "load", "train"):
        assert command in out.stdout


@pytest.mark.parametrize(
    ("command", "default"), [("serve", "8080"), ("check", "to serve"), ("pull", "cslm serve"), ("load", "0.2")]
)
def test_help_shows_defaults(command: str, default: str) -> None:
    shown = runner.invoke(app, [command, "--help"], env={"COLUMNS": "200"}).stdout
    assert default in shown.partition("[default:")[2]


@pytest.mark.parametrize("option", ["--url", "--server"])
@pytest.mark.parametrize("command", ["talk", "load", "top", "replay"])
def test_every_client_takes_the_address_by_either_name(command: str, option: str, tmp_path: Path) -> None:
    (file := tmp_path / "nothing").touch()
    arguments = [command, option, "http://127.0.0.1:1", *([] if command == "top" else [str(file)])]
    assert "No such option" not in runner.invoke(app, arguments).stderr


def test_bad_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    result = runner.invoke(app, ["serve", "--backend", "abacus"])
    assert result.exit_code == 2
    assert "cslm: --backend: " in result.stderr
    assert "abacus" not in result.stdout
    assert runner.invoke(app, ["serve", "--backend", "vllm_http"]).exit_code == 2
    monkeypatch.setenv("CSLM_RECORD_DAYS", "soon")
    assert "cslm: CSLM_RECORD_DAYS: " in runner.invoke(app, ["serve"]).stderr


def test_the_key_may_be_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "api_key"
    path.write_text("a-key\n", encoding="utf-8")
    monkeypatch.setenv("CSLM_API_KEY_FILE", str(path))
    key = Settings().api_key
    assert key is not None and key.get_secret_value() == "a-key"
    monkeypatch.setenv("CSLM_API_KEY", "another")
    assert "cannot both be given" in runner.invoke(app, ["serve"]).stderr


@pytest.mark.parametrize(
    "address",
    ["head", ":6379", "head:", "head:0", "head:99999", "head:abc", "local", "ray://head:10001", "http://head:8265",
     "head :6379", "me@head:6379", "head:6379/x", "::1:6379"],
)  # fmt: skip
def test_what_is_no_address_of_a_cluster_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSLM_RAY_ADDRESS", address)
    result = runner.invoke(app, ["serve"])
    assert result.exit_code == 2
    assert "ray_address" in result.stderr and "HOST:PORT" in result.stderr


@pytest.mark.parametrize("address", ["auto", "head:6379", "10.0.0.5:6379", "[::1]:6379"])
def test_an_address_of_a_cluster_may_have_spaces_around_it(address: str) -> None:
    """As a line of `.env` may."""
    assert Settings(ray_address=f" {address} ").ray_address == address


def test_a_key_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """Some editors write it, and no client would send it."""
    path = tmp_path / "api_key"
    path.write_bytes(b"\xef\xbb\xbfa-key\r\n")
    key = Settings(api_key_file=path).api_key
    assert key is not None and key.get_secret_value() == "a-key"


@pytest.mark.parametrize(
    "content", [None, b"", b" \n", b"one\ntwo\n", b"one two", b"\xff\xfe", b"one\0two", b"one\x1btwo", b"1" * 4_097]
)
def test_a_key_file_without_a_key_opens_no_server(
    content: bytes | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "api_key"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("CSLM_API_KEY_FILE", str(path))
    result = runner.invoke(app, ["serve"])
    assert result.exit_code == 2
    assert "api_key_file" in result.stderr and str(path) in result.stderr
    assert "one two" not in result.stderr


@dataclass
class Finding:
    ok: bool
    what: str
    detail: str
    code: str = ""


@pytest.mark.parametrize("ok", [True, False])
def test_check_shows_every_finding(ok: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text("{}")
    seen: list[Path] = []

    def check(directory: Path) -> object:
        seen.append(directory)
        return types.SimpleNamespace(
            findings=[
                Finding(True, "profile", "is there"),
                Finding(ok, "lm", "vocabulary fits", "" if ok else "bundle_invalid"),
            ]
        )

    monkeypatch.setattr("model.check.check", check)
    result = runner.invoke(app, ["check", str(tmp_path)])
    assert seen == [tmp_path]
    assert result.exit_code == (0 if ok else 1)
    assert "profile: is there" in result.stdout
    assert ("BAD" in result.stdout) is not ok
    assert ("(bundle_invalid)" in result.stdout) is not ok


def test_pull_says_where_it_put_it_or_why_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[object, ...]] = []

    def pull(name: str, target: Path, options: object, say: object) -> None:
        asked.append((name, target, options))
        if name != "cslm-8b":
            raise BundleError("is not pulled", code="bundle_missing" if name == "other" else "hub_unreachable")

    monkeypatch.setattr("model.pull.pull", pull)
    monkeypatch.setenv("CSLM_BUNDLES", str(tmp_path))
    result = runner.invoke(app, ["pull", "cslm-8b", "--from", "/files", "--offline"])
    assert result.exit_code == 0, result.stderr
    assert asked[0][:2] == ("cslm-8b", tmp_path / "cslm-8b")
    assert str(tmp_path / "cslm-8b") in result.stdout
    result = runner.invoke(app, ["pull", "other"])
    assert result.exit_code == 2
    assert "(bundle_missing)" in result.stderr
    result = runner.invoke(app, ["pull", "cslm-small"])
    assert result.exit_code == 69  # `make serve` goes on with cslm-mini


def test_pull_without_a_name_fetches_what_would_be_served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []
    monkeypatch.setattr("model.pull.pull", lambda name, target, options, say: asked.append(name))
    monkeypatch.setenv("CSLM_BUNDLES", str(tmp_path))
    for bundle, pulled, exit_code in (("cslm-mini", [], 0), ("cslm-8b", ["cslm-8b"], 0), ("cslm-9b", [], 2)):
        asked.clear()
        monkeypatch.setenv("CSLM_BUNDLE", bundle)
        result = runner.invoke(app, ["pull"])
        assert (asked, result.exit_code) == (pulled, exit_code), result.output


def test_check_without_a_name_looks_at_what_would_be_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSLM_BUNDLE", "/of/the/settings")
    assert "/of/the/settings" in runner.invoke(app, ["check"]).stderr


def test_check_of_a_bundle_that_is_not_there() -> None:
    result = runner.invoke(app, ["check", "/nowhere"])
    assert result.exit_code == 2
    assert "/nowhere" in result.stderr


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A stand-in for the command that lives in clients.load."""
    calls: list[object] = []
    module = types.ModuleType("clients.load")

    def load(recording: str, rate: float = 1.0) -> None:
        calls.append((recording, rate))

    module.load = load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "clients.load", module)
    return calls


def test_commands_that_live_elsewhere_get_their_arguments(elsewhere: list[object]) -> None:
    assert runner.invoke(app, ["load", "q.wav", "--rate", "2.5"]).exit_code == 0
    assert elsewhere == [("q.wav", 2.5)]
    assert "--rate" in runner.invoke(app, ["load", "--help"]).stdout
    assert runner.invoke(app, ["load", "--nonsense"]).exit_code == 2


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ModuleNotFoundError(f"No module named {name!r}", name="jieba")

    monkeypatch.setattr("importlib.import_module", missing)
    result = runner.invoke(app, ["train"])
    assert result.exit_code == 2
    assert "jieba" in result.stderr


async def test_serving_says_where_and_stops_on_a_signal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    closed: list[str] = []
    monkeypatch.setattr("server.serve.open_model", opener(fake_model(), closed=closed))
    monkeypatch.setattr("signal.raise_signal", lambda number: None)  # uvicorn raises it again at its end
    serving = asyncio.create_task(serve(make_settings(port=0)))
    said: list[str] = []

    def ready() -> bool:
        said.append(capsys.readouterr().out)
        return "ready" in said[-1]

    await eventually(ready)
    assert "fake (scripted) is ready at http://127.0.0.1:" in said[-1]
    url = said[-1].split(" at ")[1].strip()
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{url}readyz")).status_code == 200
    os.kill(os.getpid(), signal.SIGTERM)
    assert await serving == 0
    assert closed == ["fake"]


async def test_every_connection_sends_at_once_and_no_child_inherits_the_listener() -> None:
    accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    with listening_socket("127.0.0.1", 0) as listener:
        assert not listener.get_inheritable()
        server = await asyncio.start_server(lambda _, writer: accepted.put_nowait(writer), sock=listener)
        async with server:
            _, client = await asyncio.open_connection(*listener.getsockname())
            connection = await accepted.get()
            sock = connection.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            client.close()
            connection.close()


async def test_an_address_that_is_taken_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with listening_socket("127.0.0.1", 0) as other:
        other.listen()
        port = other.getsockname()[1]
        assert await serve(make_settings(port=port)) == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in capsys.readouterr().err


async def test_a_handover_that_cannot_be_is_told_before_anything_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (keys := tmp_path / "keys.json").write_text("{}")
    async with asyncio.timeout(10):
        assert await serve(make_settings(port=0, handover=tmp_path / "nowhere" / "handover")) == 1
        assert "no directory" in capsys.readouterr().err
        assert await serve(make_settings(port=0, handover=keys)) == 1
    assert "file of another kind" in capsys.readouterr().err
    assert keys.read_text() == "{}"


async def test_serving_ends_if_the_model_cannot_be_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = opener(fake_model(), error=BundleError("units.json is missing"))
    monkeypatch.setattr("server.serve.open_model", broken)
    async with asyncio.timeout(10):
        assert await serve(make_settings(port=0)) == 1
    assert "units.json is missing" in capsys.readouterr().err


def test_training_gets_its_arguments_and_gives_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    stages: list[list[str]] = []
    module = types.ModuleType("model.training.__main__")
    module.main = lambda arguments: stages.append(arguments) or 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "model.training.__main__", module)
    assert runner.invoke(app, ["train", "vocoder", "--hours", "1"]).exit_code == 3
    assert stages == [["vocoder", "--hours", "1"]]


async def test_a_model_that_cannot_be_loaded_is_told_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    async def settled() -> None:
        raise BundleError("lm/model.safetensors is cut short", code="bundle_file_truncated")

    server = SimpleNamespace(state=SimpleNamespace(serving=SimpleNamespace(settled=settled)), should_exit=False)
    assert not await _attend(cast(Any, server), make_settings(), cast(Any, None), None)
    told = capsys.readouterr().err
    assert server.should_exit
    assert told == "cslm: the model could not be loaded: lm/model.safetensors is cut short (bundle_file_truncated)\n"
