"""Asks a model in this process, through the same turn that the server runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from streaming.report import TurnReport
from streaming.stages import Exchange, Pcm, Stages, TurnOptions, UnitCut
from streaming.turn import AudioDelta, Question, Turn, TurnEvent

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer: its report, and its audio, float32 [T] at the decoder's rate."""

    report: TurnReport
    pcm: npt.NDArray[np.float32]


async def ask(
    stages: Stages, question: Pcm | str | list[int], options: TurnOptions, before: Sequence[tuple[str, str]] = ()
) -> Reply:
    """The answer to a recording, float32 [T] at the encoder's rate, to its units, or to a typed question."""
    pieces: list[Pcm] = []

    async def keep(event: TurnEvent) -> None:
        if isinstance(event, AudioDelta):
            pieces.append(event.pcm)

    history = tuple(Exchange(asked, told) for asked, told in before)
    async with aclosing(_units(stages, question)) as units:
        text = question if isinstance(question, str) else None
        asked = Question(units=units, history=history) if text is None else Question(text=text, history=history)
        report = await Turn(stages, asked, options, keep).run()
    return Reply(report, np.concatenate(pieces) if pieces else np.zeros(0, np.float32))


async def units_of(stages: Stages, pcm: Pcm, *, piece: int | None = None) -> list[list[int]]:
    """Units of a recording as the encoder yields them, heard at once or in pieces of so many samples."""
    size = piece or max(1, pcm.size)
    pieces = (pcm[at : at + size] for at in range(0, pcm.size, size))
    async with aclosing(stages.encoder.encode(_each(pieces))) as heard:
        return [units async for units in heard]


async def speak(stages: Stages, cuts: Iterable[Sequence[int]]) -> list[Pcm]:
    """Audio of units, handed over in cuts; the pieces as they come."""
    listed = [tuple(cut) for cut in cuts]
    wanted = (UnitCut(cut, final=number == len(listed)) for number, cut in enumerate(listed, start=1))
    async with aclosing(stages.decoder.synthesize(_each(wanted))) as audio:
        return [pcm async for pcm in audio]


async def _units(stages: Stages, question: Pcm | str | list[int]) -> AsyncGenerator[list[int]]:
    if isinstance(question, str):
        return
    if isinstance(question, list):
        yield question
        return
    async with aclosing(stages.encoder.encode(_each([question]))) as heard:
        async for units in heard:
            yield units


async def _each(values: Iterable[T]) -> AsyncIterator[T]:
    for value in values:
        yield value
