"""What the server serves: one loaded model, ready to answer."""

from __future__ import annotations

from dataclasses import dataclass

from streaming.turn import Stages


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A warm model. `name` is what clients ask for; `created`: Unix time of the bundle; `languages`: what it answers in.

    `max_question_s`: longest question it takes; `voices`: names accepted as `voice`, the first is the default.
    """

    name: str
    created: int
    languages: tuple[str, ...]
    voices: tuple[str, ...]
    max_question_s: float
    stages: Stages
