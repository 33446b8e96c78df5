"""Text for the language model that can never become a control token. Needs only `tokenizers`, not torch.

A chat template rendered as one string would let a user write `<sosp>`, `<12>` or `<|eot_id|>`. Therefore a prompt is built from
ids: markers and units by id, everything else through `PlainText`, a copy of the bundle's tokenizer without its added tokens.
"""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from streaming.errors import BundleError


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
        [encoding] = self._plain.encode_batch_fast([text], add_special_tokens=False)  # unlike encode, without the GIL
        ids: list[int] = encoding.ids
        return ids

    def decode(self, ids: list[int]) -> str:
        """Text of `ids`; bytes that are no complete character become U+FFFD."""
        text: str = self._plain.decode(ids)
        return text

    @property
    def size(self) -> int:
        """How many ids are text: all below."""
        count: int = self._plain.get_vocab_size()
        return count

    def token(self, name: str) -> int:
        """Id of the control token `name`; KeyError if the tokenizer has none."""
        return self._added[name]

    def names(self) -> set[str]:
        """All control tokens and units."""
        return set(self._added)


TIKTOKEN, _CONFIG, _ADDED = "tokenizer.model", "tokenizer_config.json", "added_tokens.json"
_SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def convert_tiktoken(directory: Path) -> None:
    """`tokenizer.json` of GLM-4's `tokenizer.model` (tiktoken's ranks) and the added tokens in `tokenizer_config.json`.

    The checkpoint's own tokenizer is code (`tokenization_chatglm.py`), which is not run. Raises BundleError.
    """
    ranks, added = _ranks(directory / TIKTOKEN), _added_tokens(directory)
    spelled = _byte_characters()
    names = {token: "".join(spelled[byte] for byte in token) for token in ranks}
    merges = list[tuple[str, str]]()
    for token in sorted(ranks, key=ranks.__getitem__):
        halves = [(token[:at], token[at:]) for at in range(1, len(token))]
        known = [pair for pair in halves if pair[0] in ranks and pair[1] in ranks]
        merges += [(names[a], names[b]) for a, b in sorted(known, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": _SPLIT}, "behavior": "Isolated", "invert": False}
    description = {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [{"id": place, "content": name, **flags} for place, name in sorted(added.items())],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
                  "vocab": {names[token]: rank for token, rank in ranks.items()}, "merges": merges},
    }  # fmt: skip
    (directory / "tokenizer.json").write_text(json.dumps(description, ensure_ascii=False), encoding="utf-8")


def _ranks(path: Path) -> dict[bytes, int]:
    try:
        lines = (line.split() for line in path.read_bytes().splitlines() if line.strip())
        ranks = {base64.b64decode(token, validate=True): int(rank) for token, rank in lines}
    except (ValueError, binascii.Error) as error:
        raise BundleError(f"{path} is not a tiktoken file: {error}", code="wrong_text_tokenizer") from error
    if sorted(ranks.values()) != list(range(len(ranks))):
        raise BundleError(
            f"{path} is truncated: its {len(ranks)} tokens are not numbered consecutively", code="wrong_text_tokenizer"
        )
    return ranks


def _added_tokens(directory: Path) -> dict[int, str]:
    config: dict[str, Any] = _read(directory / _CONFIG)
    added = {int(place): str(token["content"]) for place, token in config.get("added_tokens_decoder", {}).items()}
    more: dict[str, int] = _read(directory / _ADDED) if (directory / _ADDED).is_file() else {}
    return added | {place: name for name, place in more.items()}


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}", code="wrong_text_tokenizer") from error


def _byte_characters() -> list[str]:
    """The visible character that stands for each byte in a byte-level vocabulary (GPT-2's table): [byte]."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    table = {byte: chr(byte) for byte in visible} | {byte: chr(256 + place) for place, byte in enumerate(hidden)}
    return [table[byte] for byte in range(256)]
