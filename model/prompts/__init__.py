"""Questions and history as token ids: the seam, and one module for each kind of `profile.json`. Each exports its `KIND`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from model.profile import Profile
from streaming.stages import PromptWriter

PromptFormat = Callable[[Profile, Path], PromptWriter]
"""Prompts of a profile, written with the tokenizer in a language model's directory. Raises BundleError."""
