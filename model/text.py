"""Text for the language model that can never turn into a control token. Needs `tokenizers` only, no torch.

A chat template rendered as one string would let a user write `<sosp>` or `<12>` or `<|eot_id|>`; therefore a prompt is built
from ids: the markers and units by id, everything else through `PlainText`, a copy of the bundle's tokenizer that does not know
its added tokens.
"""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer


class PlainText:
    """Encodes any text as text; `ids` looks a control token up by name."""

    def __init__(self, tokenizer_json: str) -> None:
        description = json.loads(tokenizer_json)
        self._added: dict[str, int] = {t["content"]: t["id"] for t in description["added_tokens"]}
        self._plain = Tokenizer.from_str(json.dumps(description | {"added_tokens": [], "post_processor": None}))

    @classmethod
    def load(cls, directory: Path) -> PlainText:
        """From the `tokenizer.json` of a Hugging Face directory."""
        return cls((directory / "tokenizer.json").read_text(encoding="utf-8"))

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; none of them is an added token, whatever the text says."""
        ids: list[int] = self._plain.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: list[int]) -> str:
        """Text of `ids`; bytes that are no complete character become U+FFFD."""
        text: str = self._plain.decode(ids)
        return text

    def token(self, name: str) -> int:
        """Id of the control token `name`; KeyError if the tokenizer has none."""
        return self._added[name]

    def names(self) -> set[str]:
        """All control tokens and units."""
        return set(self._added)
