"""One call without a network: what it plays of the session's events, what it tells the session, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from fractions import Fraction
from typing import Any, Literal

import av
import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from server.webrtc.call import Call
from server.webrtc.tracks import PLAYOUT_HZ
from streaming.audio import AudioFrame, WireFormat
from streaming.playout import PlayoutQueue
from streaming.realtime import events as out
from streaming.realtime.config import SessionConfig
from streaming.realtime.effects import HangUp, Input, Output, Unreadable
from streaming.realtime.ga import Ga
from streaming.realtime.limits import Observer, SessionLimits, SessionModel
from streaming.realtime.machine import RealtimeMachine
from streaming.realtime.messages import ClientMessage, ItemTruncate
from streaming.realtime.server_shapes import ResponseShape
from streaming.realtime.session import Session
from streaming.stages import Pcm, Stages
from tests.fakes import UNITS, FakeDecoder, FakeEncoder, fake_stages

PCM, PCMU = WireFormat("audio/pcm", 24_000), WireFormat("audio/pcmu", 8_000)


class Notes:
    """A machine that keeps what the call tells it, until it was told `last` client events."""

    id = "sess_1"
    waiting = listening = False
    audio_in = PCM

    def __init__(self, last: int) -> None:
        self.last = last
        self.told: list[Input] = []

    def receive(self, input_: Input) -> list[Output]:
        if isinstance(input_, ClientMessage | Unreadable):
            self.told.append(input_)
        return [HangUp()] if len(self.told) == self.last else []


def session(machine: Any, stages: Stages | None = None) -> Session:
    return Session(machine, stages or fake_stages(), SessionLimits(), Observer())


@pytest.fixture
def playout(monkeypatch: pytest.MonkeyPatch) -> PlayoutQueue:
    playout = PlayoutQueue(PLAYOUT_HZ)
    monkeypatch.setattr("server.webrtc.call.PlayoutQueue", lambda rate_hz: playout)
    return playout


@pytest.fixture
async def call(playout: PlayoutQueue) -> AsyncGenerator[Call]:
    call = Call([], Ga())
    yield call
    await call.close()


def created(name: str, wire: WireFormat, conversation_id: str | None = "conv") -> out.ServerEvent:
    return out.ResponseCreated(ResponseShape(name, conversation_id, True, "inf", wire, "default", None))


def delta(name: str, wire: WireFormat, pitch_hz: int, seconds: float = 1.0) -> out.ServerEvent:
    at = np.arange(round(wire.rate_hz * seconds)) / wire.rate_hz
    audio = AudioFrame((0.5 * np.sin(2 * np.pi * pitch_hz * at)).astype(np.float32), wire.rate_hz)
    return out.OutputAudioDelta(name, 0, f"item_of_{name}", 0, audio)


def done(name: str) -> list[out.ServerEvent]:
    response = ResponseShape(name, None, True, "inf", PCM, "default", None)
    return [out.OutputAudioDone(name, 0, f"item_of_{name}", 0), out.ResponseDone(response)]


async def test_each_answer_is_played_from_its_own_rate_also_two_at_once(call: Call, playout: PlayoutQueue) -> None:
    events = [created("a", PCM), created("b", PCMU, None), delta("a", PCM, 1000), delta("b", PCMU, 400)]
    for event in [*events, delta("a", PCM, 1000), *done("a"), *done("b")]:
        await call.send(event)
    assert playout.waiting_s == pytest.approx(3.0, abs=0.05)
    for pitch_hz in (1000, 1000, 400):
        played, _ = playout.take(PLAYOUT_HZ)
        middle = played[PLAYOUT_HZ // 4 : 3 * PLAYOUT_HZ // 4]
        spectrum = np.abs(np.fft.rfft(middle * np.hanning(middle.size)))
        assert 2 * int(spectrum.argmax()) == pytest.approx(pitch_hz, abs=4)
        assert np.abs(middle).max() == pytest.approx(0.5, abs=0.05)


async def test_an_answer_is_played_to_its_last_sample(call: Call, playout: PlayoutQueue) -> None:
    """What the resampler holds back at 22.05 kHz is part of it."""
    for event in (created("a", PCM), delta("a", WireFormat(rate_hz=22_050), 400, 0.5), *done("a")):
        await call.send(event)
    assert playout.waiting_s * PLAYOUT_HZ == 12_000


async def test_only_answers_of_the_conversation_are_cut_there(call: Call, playout: PlayoutQueue) -> None:
    for event in (created("a", PCM), created("b", PCM, None), delta("a", PCM, 300), delta("b", PCM, 300), *done("b")):
        await call.send(event)
    playout.take(PLAYOUT_HZ // 2)
    machine = Notes(last=2)
    call._put('{"type": "output_audio_buffer.clear"}')
    asyncio.get_running_loop().call_later(0.05, call._put, '{"type": "input_audio_buffer.clear"}')
    await call.run(session(machine))
    cut, _ = machine.told
    assert isinstance(cut, ItemTruncate)
    assert (cut.item_id, cut.audio_end_ms) == ("item_of_a", 500)
    assert playout.waiting_s == 0


async def test_nonsense_about_clearing_is_left_to_the_session(call: Call) -> None:
    machine = Notes(last=2)
    call._put(b'{"type": "output_audio_buffer.clear"}')
    call._put('{"type": "output_audio_buffer.clear", "event_id": ' + "[" * 1_000)
    await call.run(session(machine))
    assert all(isinstance(told, Unreadable) and told.error.code == "invalid_json" for told in machine.told)


async def test_a_call_that_never_connected_ends_when_it_is_hung_up(call: Call) -> None:
    running = asyncio.create_task(call.run(session(Notes(last=1))))
    await asyncio.sleep(0)
    call.hang_up()
    async with asyncio.timeout(5):
        await running


class Microphone(MediaStreamTrack):
    """Says `pcm`, 48 kHz, as fast as it is listened to."""

    kind = "audio"

    def __init__(self, pcm: Pcm) -> None:
        super().__init__()
        self._frames = [pcm[start : start + 960] for start in range(0, pcm.size, 960)]
        self._sent = 0
        self.silent = asyncio.Event()

    async def recv(self) -> av.AudioFrame:
        await asyncio.sleep(0)
        if self._sent == len(self._frames):
            self.silent.set()
            raise MediaStreamError
        samples = np.rint(self._frames[self._sent] * 32767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self._sent * 960, Fraction(1, 48_000)
        self._sent += 1
        return frame


class Tape(FakeEncoder):
    """Keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.tape: list[Pcm] = []

    async def encode(self, audio: AsyncIterator[Pcm]) -> AsyncGenerator[list[int]]:
        async for pcm in audio:
            self.tape.append(pcm)
        yield [1]


def error_db(got: Pcm, wanted: Pcm) -> float:
    """How far below the signal its error is, in dB; the ends, where filters ring, left out."""
    assert got.size == wanted.size
    middle = slice(got.size // 10, -got.size // 10)
    noise = float(np.mean((got[middle] - wanted[middle]).astype(np.float64) ** 2))
    return 10 * np.log10(max(noise, 1e-20) / float(np.mean(wanted[middle].astype(np.float64) ** 2)))


def tones(rate_hz: int, seconds: float = 1.0) -> Pcm:
    """Two pitches, one of them above all that a telephone carries."""
    at = np.arange(round(rate_hz * seconds)) / rate_hz
    return (0.3 * np.sin(2 * np.pi * 500 * at) + 0.3 * np.sin(2 * np.pi * 6000 * at)).astype(np.float32)


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/pcmu", "audio/pcma"])
async def test_formats_of_the_settings_leave_the_sound_of_a_call_alone(
    call: Call, playout: PlayoutQueue, kind: Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
) -> None:
    """They are those of text; a call has none. Through G.711 the error would be 10 dB below the signal, not 80."""
    audio = {"input": {"format": {"type": kind}, "turn_detection": None}, "output": {"format": {"type": kind}}}
    config = SessionConfig.model_validate({"type": "realtime", "audio": audio})
    encoder, decoder = Tape(), FakeDecoder()
    stages = fake_stages(encoder=encoder, decoder=decoder)
    machine = RealtimeMachine(SessionModel("fake", ("default",), stages), SessionLimits(), config)
    microphone = Microphone(tones(48_000))
    call._microphone.set_result(microphone)
    running = asyncio.create_task(call.run(session(machine, stages)))
    async with asyncio.timeout(10):
        await microphone.silent.wait()
        call._put('{"type": "input_audio_buffer.commit"}')
        call._put('{"type": "response.create"}')
        while playout.waiting_s < len(UNITS) * decoder.per_unit / PLAYOUT_HZ:
            await asyncio.sleep(0.01)
    call.hang_up()
    await running
    assert error_db(np.concatenate(encoder.tape), tones(16_000)) < -80
    assert error_db(playout.take(len(UNITS) * decoder.per_unit)[0], decoder.speak(UNITS)) < -80
