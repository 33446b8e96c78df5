"""The network breaks again and again in the middle of answers of the real server: nothing of them is lost."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from clients.conversation import Conversation
from clients.realtime import SessionOptions
from clients.reconnect import Backoff, stay_connected
from clients.recordings import read_recording
from clients.turns import TurnRecord
from tests.cut_network import Network
from tests.live_server import ROOT, free_port, running_server

pytestmark = pytest.mark.e2e

QUESTIONS = ("ask_sum_en.wav", "ask_france_en.wav")


def metric(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, name
    return float(found.group(1))


async def test_answers_are_heard_whole_over_a_network_that_breaks(tmp_path: Path) -> None:
    port, turns = free_port(), list[TurnRecord]()

    async def script(conversation: Conversation) -> None:
        await conversation.configure(SessionOptions(turn_detection=None, reply_language="en"))
        for name in QUESTIONS:
            turns.append(await conversation.ask_at_once(read_recording(ROOT / "tests" / "data" / name)))

    with running_server(tmp_path / "log", port):
        network = Network(port, [20_000, 90_000, 30_000, 40_000, 50_000, 60_000])
        async with network.opened() as url, stay_connected(url, backoff=Backoff(first_s=0.1)) as session:
            await Conversation(session).hold(script)
        async with httpx.AsyncClient() as client:
            said = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    assert all(turn.answered and turn.transcript and turn.text for turn in turns)
    assert sum(turn.audio_s for turn in turns) == pytest.approx(metric(said, "cslm_audio_seconds_total"), abs=0.002)
    assert metric(said, 'cslm_parkings_total{outcome="resumed"}') >= 3
    assert metric(said, 'cslm_turns_total{outcome="completed",transport="realtime"}') == len(QUESTIONS)
