"""A voice as OpenAI's API names it: its id, or an object with the id."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Voice(BaseModel):
    """A voice by its id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str


def voice_id(voice: str | Voice | None) -> str | None:
    """The id of a voice that was given by it, or as an object that has it."""
    return voice.id if isinstance(voice, Voice) else voice
