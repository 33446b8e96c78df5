"""Names that clients have built in: models and voices of OpenAI's API, and languages as people and operating systems write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator, Field

OPENAI_MODELS = (
    "whisper-*",
    "tts-*",
    "gpt-4o-transcribe*",
    "gpt-4o-mini-transcribe*",
    "gpt-4o-mini-tts*",
    "gpt-realtime*",
    "gpt-4o-realtime*",
    "gpt-4o-mini-realtime*",
    "gpt-audio*",
    "gpt-4o-audio*",
    "gpt-4o-mini-audio*",
)
"""OpenAI's models that hear or speak, as patterns: their names go on with dates and sizes."""
OPENAI_VOICES = tuple("alloy ash ballad cedar coral echo fable marin nova onyx sage shimmer verse".split())
"""Voices of OpenAI, which stock clients ask for unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Aliases:
    """What stands for the model served, and for its first voice: patterns as of a shell, in lower case."""

    models: tuple[str, ...]
    voices: tuple[str, ...]

    def means_the_model(self, name: str) -> bool:
        """`name` is another name of the model served."""
        return any(fnmatchcase(name.lower(), pattern) for pattern in self.models)

    def means_the_voice(self, name: str) -> bool:
        """`name` is another name of the model's first voice."""
        return any(fnmatchcase(name.lower(), pattern) for pattern in self.voices)


OPENAI_NAMES = Aliases(OPENAI_MODELS, OPENAI_VOICES)

_TAG = re.compile(r"([a-z]{2,8})([-_][a-z0-9]{1,8})*", re.IGNORECASE)
_CODES = {
    "english": "en",
    "eng": "en",
    "chinese": "zh",
    "mandarin": "zh",
    "cmn": "zh",
    "zho": "zh",
    "chi": "zh",
}


def language_code(name: str) -> str:
    """The two letters of a language that is given with its country (BCP 47: `en-US`, `zh_CN`), in any case, or by its name.

    Nothing is `auto`. What is no name of a language is left as it is.
    """
    name = name.strip()
    tag = _TAG.fullmatch(name)
    if tag is None:
        return name or "auto"
    primary = tag[1].lower()
    return _CODES.get(primary, primary)


Language = Annotated[str, Field(max_length=512), AfterValidator(language_code)]
"""A language in a request, as its code."""
