"""Inside the vocoder's process: the states of all streams, and a batch of cuts at a time."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple

from model.vocoders import State, StreamingVocoder
from model.weights import loading
from model.workers.link import Link, Ready
from streaming.errors import EngineUnavailable, SpeechServerError
from streaming.stages import Pcm


class Cut(NamedTuple):
    """What to speak next of a stream; `voice` counts with its first cut."""

    stream: int
    voice: str | None
    units: list[int]
    final: bool


@dataclass(frozen=True, slots=True)
class Forget:
    """A stream that ended before its final cut."""

    stream: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a stream cannot go on. `trace`: for the log, where the vocoder failed and the peer did nothing wrong."""

    error: SpeechServerError
    trace: str = ""


class Streams(Generic[State]):
    """The vocoder and the states of all streams."""

    def __init__(self, vocoder: StreamingVocoder[State]) -> None:
        self.vocoder = vocoder
        self._states: dict[int, State] = {}

    def decode(self, cuts: Sequence[Cut]) -> list[Pcm | Failure]:
        """A piece for each cut, at most one of each stream. A stream that fails costs the others of its batch nothing."""
        before = {cut.stream: copy.deepcopy(self._states.get(cut.stream)) for cut in cuts} if len(cuts) > 1 else {}
        try:
            return list[Pcm | Failure](self._push(cuts))
        except Exception as error:
            for stream, state in before.items():
                self._restore(stream, state)
            if len(cuts) > 1:
                return [piece for cut in cuts for piece in self.decode([cut])]
            self.forget(cuts[0].stream)
            if isinstance(error, SpeechServerError):
                return [Failure(error)]
            lost = EngineUnavailable("the vocoder failed; the turn is lost, try again")
            return [Failure(lost, traceback.format_exc())]

    def forget(self, stream: int) -> None:
        """Drop its state, if there is one."""
        self._states.pop(stream, None)

    def _push(self, cuts: Sequence[Cut]) -> list[Pcm]:
        for cut in cuts:
            if cut.stream not in self._states:
                self._states[cut.stream] = self.vocoder.open(cut.voice)
        pieces = self.vocoder.push_all([(self._states[cut.stream], cut.units, cut.final) for cut in cuts])
        for cut in cuts:
            if cut.final:
                self.forget(cut.stream)
        return pieces

    def _restore(self, stream: int, state: State | None) -> None:
        if state is None:
            self.forget(stream)
        else:
            self._states[stream] = state


def speak(
    link: Link, load: Callable[[Path, str], StreamingVocoder[Any]], directory: Path, device: str, threads: int
) -> None:
    """The vocoder's process: batches of cuts in, in the same order their audio out. Raises BundleError."""
    import torch

    torch.set_num_threads(threads)
    with loading(directory):
        vocoder = load(directory, device)
        vocoder.decode([0, 1, 2])  # so that the first turn does not wait for what is done only once
    streams = Streams(vocoder)
    link.send(Ready({"batch": vocoder.batch}))
    while True:
        message = link.receive()
        if isinstance(message, Forget):
            streams.forget(message.stream)
        else:
            link.send(streams.decode(message))
