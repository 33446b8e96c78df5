"""Pronunciations that differ from the dictionary's: habits of speakers, as substitutions in the teacher's phoneme string.

English: reduced or full function words, dropped sounds, merged vowels, foreign accents. Mandarin: flat for retroflex initials, n and l
confused, final ng as n, full for neutral tones. Each speaker has a few habits and follows them most of the time.
"""

from __future__ import annotations

import re
from random import Random

from model.training.domains import Lang

FOLLOWED = 0.7
"""Probability that a speaker follows a habit at a place where it applies."""
HABIT_SHARE = 0.2
"""Probability that a speaker has a given habit."""

_VOWEL = "AIOWYæɑɔəɛɜiɪʊʌuᵻ"
_END = "(?=[ ,.!?;:]|$)"
_HABITS: dict[Lang, tuple[tuple[str, str], ...]] = {
    "en": (
        ("T", "t"), ("T", "d"),
        (r"(?<= )h(?=[ˈˌ]?[ɪəæɜi][mzvɹ]?" + _END + ")", ""),  # him, his, her, have
        ("(?<=[nslkpfvz])[td]" + _END, ""),  # and, just
        (r"\bænd" + _END, "ən"), (r"\bðə" + _END, "ði"), (r"\btə" + _END, "tu"), ("(?<= )ə(?= )", "A"), (r"\b[əʌ]v" + _END, "ə"),
        ("ŋ" + _END, "n"), (f"ɹ(?![ˈˌ{_VOWEL}])", ""), ("z" + _END, "s"), ("d" + _END, "t"), ("[lɹ](?=[bdfkmnpstvz])", ""),
        ("[ɪᵻ](?=[^ ]*[ˈˌ])", ""), ("ə(?=[lnɹm])", ""), ("[ɪᵻ]", "ə"), ("ə", "ɪ"), ("ɪ", "i"), ("i", "ɪ"), ("ə", "ʌ"),
        ("ɔ", "ɑ"), ("ɑ", "ɔ"), ("æ", "ɛ"), ("ɛ", "æ"), ("ʌ", "ɑ"), ("ʊ", "u"), ("O", "ɔ"), ("A", "ɛ"), ("ɜɹ?", "ɛɹ"),
        ("θ", "s"), ("θ", "t"), ("ð", "d"), ("ð", "z"), ("v", "w"), ("w", "v"), ("ʤ", "ʒ"), ("ʒ", "ʤ"), ("ŋ", "ŋɡ"), ("j(?=u)", ""),
    ),
    "zh": (
        ("\uab67", "ʦ"), ("ʂ", "s"), ("ʦ", "\uab67"), ("s", "ʂ"), ("n(?=[aeiouyjwɤəɥʊɨ])", "l"), ("l", "n"), ("ɻ", "l"),
        ("(?<=i)([→↗↓↘]?)ŋ", r"\1n"), ("(?<=ə)([→↗↓↘]?)ŋ", r"\1n"), ("(?<=[iəa])([→↗↓↘]?)n(?!j?[aeiouyɤəɥʊɨ])", r"\1ŋ"),
        ("x(?=w)", "f"), ("↓(?=[^ ]*[→↗↘])", ""), ("ɤ(?![→↗↓↘])", "ɤ↘"), ("a(?![→↗↓↘uin])", "a↓"), ("ɨ(?![→↗↓↘])", "ɨ↓"),
        ("↗", "↓"), ("↓", "↗"), ("→", ""), ("wei", "wi"), ("ɥ", "j"), ("y", "ju"),
    ),
}  # fmt: skip


def said_by(rng: Random, phonemes: str, language: Lang) -> str:
    """The teacher's `phonemes` as a speaker with randomly drawn habits says them."""
    for pattern, replacement in _HABITS[language]:
        if rng.random() < HABIT_SHARE:
            phonemes = re.sub(
                pattern,
                lambda found, to=replacement: found.expand(to) if rng.random() < FOLLOWED else found[0],
                phonemes,
            )
    return phonemes
