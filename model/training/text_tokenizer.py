"""The tokenizer of cslm-mini: byte-level BPE as in Llama 3, with whole words for its domains and single Chinese characters.

Merges come in two parts that cannot touch each other: (1) by construction, the bytes of each known Chinese character or mark; (2)
trained, English words by their frequency in the domains. Any text is encodable (bytes). Control tokens and units are added tokens,
one id each.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

CHAT_TOKENS = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
MARKERS = ("[question]", "[answer]", "<sosp>", "<eosp>")
PIECES = r"'(?:s|t|re|ve|m|ll|d)\b| ?-?[A-Za-z]+|\n\n|\s|\d|[^\sA-Za-z\d]"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{{ m['content'] }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


def build_tokenizer(texts: Iterable[str], *, n_units: int, english_pieces: int = 2300, min_count: int = 2) -> Tokenizer:
    """A tokenizer for `texts`; ids: bytes, characters, English pieces, chat tokens, markers, units."""
    words: Counter[str] = Counter()
    chars: Counter[str] = Counter()
    splitter = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    for text in texts:
        chars.update(c for c in text if ord(c) > 127)
        words.update(piece for piece, _ in splitter.pre_tokenize_str(text) if piece.isascii())
    trained = _train_english(words, english_pieces)
    known = [c for c, count in sorted(chars.items()) if count >= min_count]
    tokenizer = _with_characters(trained, known)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [splitter, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in CHAT_TOKENS])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in (*MARKERS, *unit_tokens(n_units))])
    return tokenizer


def unit_tokens(n_units: int) -> list[str]:
    """`<0>` … `<n_units - 1>`."""
    return [f"<{i}>" for i in range(n_units)]


def save_tokenizer(tokenizer: Tokenizer, directory: Path) -> None:
    """`tokenizer.json` and `tokenizer_config.json`, as transformers and vLLM read them."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|eot_id|>",
        "pad_token": "<|end_of_text|>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 2048,
        "chat_template": CHAT_TEMPLATE,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")


def _train_english(words: Counter[str], pieces: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=256 + pieces, initial_alphabet=alphabet, show_progress=False)
    # repeated and damped: rare words must count too, or only the domains' own words would become whole
    corpus = (w for word, n in sorted(words.items()) for w in [word] * min(1 + n // 4, 50))
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def _with_characters(trained: Tokenizer, characters: list[str]) -> Tokenizer:
    """Adds merges that make each of `characters` one token: first two bytes, then the third."""
    model = json.loads(trained.to_str())["model"]
    vocab: dict[str, int] = model["vocab"]
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for character in characters:
        symbols = byte_level.pre_tokenize_str(character)[0][0]
        for end in range(2, len(symbols) + 1):
            if symbols[:end] not in vocab:
                vocab[symbols[:end]] = len(vocab)
                merges.append((symbols[: end - 1], symbols[end - 1]))
    return Tokenizer(models.BPE(vocab=vocab, merges=merges))
