"""What the server serves: one loaded model, ready to answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streaming.turn import Stages


def no_fault() -> str | None:
    """The fault of a model whose stages cannot die apart from this process: none."""
    return None


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A warm model. `name` is what clients ask for; `created`: Unix time of the bundle; `languages`: what it answers in.

    `max_question_s`: longest question it takes; `voices`: names accepted as `voice`, the first is the default. `backend`:
    what runs the language model. `fault`: asked by `/readyz`, says which stage is dead while it is, else None.
    """

    name: str
    created: int
    languages: tuple[str, ...]
    voices: tuple[str, ...]
    max_question_s: float
    stages: Stages
    backend: str = ""
    fault: Callable[[], str | None] = no_fault
