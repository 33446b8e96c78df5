"""Log lines: JSON where nobody watches, with the ids of the request that they are about."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import websockets
from structlog.contextvars import bound_contextvars

from server.logs import Sparing, configure_logs
from tests.fakes import TEXT, FakeLM
from tests.server.front import listening, recording, serving
from tests.server.models import fake_model


class Terminal(io.StringIO):
    """A stream that people watch."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def configured() -> Iterator[None]:
    """Puts the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    for handler in handlers:
        root.removeHandler(handler)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.usefixtures("configured")
def test_one_line_is_one_json_object_with_what_the_task_has_bound() -> None:
    stream = io.StringIO()
    configure_logs("info", stream)
    log = logging.getLogger("cslm.test")
    with bound_contextvars(request_id="req_1"):
        log.debug("not shown")
        log.info("turn %s", "completed", extra={"input_units": 3, "_of_a_library": 1})
        try:
            raise ValueError("two\nlines, 中文")
        except ValueError:
            log.exception("failed")
    turn, failure = lines(stream)
    assert turn.pop("timestamp") <= failure["timestamp"]
    assert turn == {
        "event": "turn completed",
        "level": "info",
        "logger": "cslm.test",
        "request_id": "req_1",
        "input_units": 3,
    }
    assert failure["level"] == "error"
    assert "ValueError: two\nlines, 中文" in failure["exception"]


@pytest.mark.usefixtures("configured")
def test_a_terminal_gets_lines_for_people() -> None:
    stream = Terminal()
    configure_logs("warning", stream)
    logging.getLogger("cslm.test").info("not shown")
    logging.getLogger("cslm.test").warning("the model is slow")
    assert "the model is slow" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.usefixtures("configured")
async def test_a_turn_is_logged_with_the_ids_that_its_answer_carries() -> None:
    async with serving() as front:
        stream = io.StringIO()
        configure_logs("info", stream)
        answers = [await front.client.post("/v1/speech", content=recording()) for _ in range(2)]
        turns = [line for line in lines(stream) if line["logger"] == "cslm.turn"]
        for answer, turn in zip(answers, turns, strict=True):
            assert turn["event"] == "turn completed"
            assert turn["request_id"] == answer.headers["x-request-id"]
            assert turn["turn_id"] == answer.headers["x-turn-id"]
            assert turn["transport"] == "rest"
            assert turn["output_units"] > 0 and turn["first_audio_ms"] >= 0
        assert len({answer.headers["x-request-id"] for answer in answers}) == 2


@pytest.mark.usefixtures("configured")
async def test_a_failure_that_nothing_foresaw_is_found_by_the_id_of_its_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with listening(fake_model(lm=FakeLM(fail_after=0))) as front:
        caplog.set_level(logging.ERROR, "uvicorn.error")
        stream = io.StringIO()
        configure_logs("info", stream)
        answer = await front.client.post("/v1/speech", content=recording())
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
        failed = [line for line in lines(stream) if "exploded" in line.get("exception", "")]
        assert [line["request_id"] for line in failed] == [answer.headers["x-request-id"]]


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("level", ["info", "debug"])
async def test_a_realtime_turn_is_one_line_with_its_ids_and_none_of_its_words(level: str) -> None:
    stream = io.StringIO()
    configure_logs(level, stream)
    async with listening() as front:
        async with websockets.connect(f"{front.url.replace('http', 'ws')}/v1/realtime", proxy=None) as socket:
            session = json.loads(await socket.recv())["session"]
            content = [{"type": "input_text", "text": "Is it a secret?"}]
            item = {"type": "message", "role": "user", "content": content}
            await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
            await socket.send(json.dumps({"type": "response.create"}))
            while (event := json.loads(await socket.recv()))["type"] != "response.done":
                pass
        (turn,) = (line for line in lines(stream) if line["event"] == "turn completed")
        assert (turn["session_id"], turn["turn_id"]) == (session["id"], event["response"]["id"])
        assert turn["request_id"].startswith("req_")
        assert turn["output_units"] > 0 and turn["audio_s"] > 0 and turn["first_audio_ms"] >= 0
        assert "secret" not in stream.getvalue() and "is five" in TEXT and "is five" not in stream.getvalue()


async def test_a_handshake_has_an_id_too() -> None:
    async with listening() as front:
        url = front.url.replace("http", "ws")
        async with websockets.connect(f"{url}/v1/realtime", proxy=None) as socket:
            assert socket.response is not None
            assert socket.response.headers["x-request-id"].startswith("req_")
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"{url}/v1/realtime?model=nobody", proxy=None)
        assert refused.value.response.headers["x-request-id"].startswith("req_")


@pytest.mark.usefixtures("configured")
async def test_a_refused_handshake_is_no_error_of_the_server() -> None:
    stream = io.StringIO()
    configure_logs("info", stream)
    async with listening() as front:
        url = front.url.replace("http", "ws")
        for address in ("/v1/realtime?model=nobody", "/nowhere"):
            with pytest.raises(websockets.InvalidStatus):
                await websockets.connect(url + address, proxy=None)
    assert not [line for line in lines(stream) if line["level"] == "error"]


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(
    "line",
    [
        "> Authorization: Bearer sk-secret",
        "headers: {'authorization': 'Bearer sk-secret', 'host': 'here'}",
        "> Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.sk-secret, other",
        "(b'authorization', b'Basic sk-secret')",
        f"< sec-websocket-protocol: realtime, cslm.secret-{'x' * 36}.12",
        "the key ek_eyJ-secret.x9 has expired",
        "KeyError: 'sk-cslm-secret'",
    ],
)
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_no_line_has_a_key(line: str, stream: type[io.StringIO]) -> None:
    out = stream()
    configure_logs("debug", out)
    logging.getLogger("websockets.server").debug(line)
    assert "[left out]" in out.getvalue()
    assert "secret" not in out.getvalue()


@pytest.mark.usefixtures("configured")
def test_a_peer_moves_no_cursor_of_a_terminal() -> None:
    out = Terminal()
    configure_logs("info", out)
    logging.getLogger("cslm.http").info("GET /%s failed", "\x1b]0;owned\x07\x9b2J")
    assert "\\x1b]0;owned\\x07\\x9b2J" in out.getvalue()


@pytest.mark.usefixtures("configured")
def test_addresses_of_peers_are_for_debugging() -> None:
    out = io.StringIO()
    configure_logs("info", out)
    logging.getLogger("aioice.ice").info("Check 203.0.113.7")
    assert not out.getvalue()
    configure_logs("debug", out)
    logging.getLogger("aioice.ice").info("Check 203.0.113.7")
    assert out.getvalue()


def test_warnings_that_a_peer_causes_are_written_sparingly() -> None:
    now_s = 0.0
    sparing = Sparing(lambda: now_s)

    def passed(name: str, text: str, level: int = logging.WARNING) -> bool:
        record = logging.LogRecord(name, level, "", 0, text, None, None)
        written = sparing.filter(record)
        told.append(record.getMessage())
        return written

    told: list[str] = []
    assert sum(passed("uvicorn.error", "nonsense") for _ in range(1000)) == 20
    assert passed("uvicorn.error", "something else")
    assert all(passed("cslm.turn", "ours") for _ in range(100))
    assert sum(passed("cslm.keys", "a key was refused", logging.INFO) for _ in range(1000)) == 20
    assert all(passed("cslm.realtime", "session opened", logging.INFO) for _ in range(100))
    now_s = 11.0
    assert passed("uvicorn.error", "nonsense")
    assert told[-1] == "nonsense (980 more like this before)"
