"""Splitting raw text into the words that labels attach to.

A word is a run of letters, digits and their marks; every other visible character is a word of its
own. In scripts that write no spaces between words (Han, kana, Thai, Lao, Khmer, Burmese, Tibetan)
and in Hangul, where particles join their noun, every character with its marks is a word, so that
a span can begin and end anywhere; a Hangul syllable written as its letters (NFD) is one as well.
Emoji sequences stay whole. A run longer than MAX_WORD characters is cut into pieces of that length:
it is no word of a language, and what a model needs for a word grows with its length. Nothing is
normalised.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Literal

from groot.types import Example, Span

CharacterClass = Literal["letter", "single", "extend", "joiner", "flag", "other", "space"]

MAX_WORD = 100
_ASCII_WORD = re.compile(rf"[A-Za-z0-9]{{1,{MAX_WORD}}}|[^A-Za-z0-9\s\x00-\x1f\x7f]")

# first and last code point of the scripts whose characters are words of their own
_SINGLE = (
    (0x1100, 0x115F),  # Hangul letters that begin a syllable
    (0xA960, 0xA97C),  # Hangul letters that begin a syllable
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x109F),  # Tibetan, Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # Han iteration marks
    (0x3040, 0x30FF),  # kana
    (0x31F0, 0x31FF),  # small kana
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),  # Han
    (0xA9E0, 0xA9FF),  # Burmese
    (0xAA60, 0xAA7F),  # Burmese
    (0xAC00, 0xD7A3),  # Hangul syllables
    (0xF900, 0xFAFF),  # Han
    (0xFF66, 0xFF9F),  # halfwidth kana
    (0x20000, 0x3FFFF),  # Han
)


@lru_cache(maxsize=65536)
def _class_of(character: str) -> CharacterClass:
    code = ord(character)
    category = unicodedata.category(character)
    if code == 0x200D:
        return "joiner"
    if 0x1F3FB <= code <= 0x1F3FF or category[0] == "M":  # skin tones, combining marks
        return "extend"
    # vowels and final consonants of Hangul written as letters
    if 0x1160 <= code <= 0x11FF or 0xD7B0 <= code <= 0xD7FB:
        return "extend"
    if 0x1F1E6 <= code <= 0x1F1FF:  # regional indicators: two make a flag
        return "flag"
    if category[0] in "LN":
        return "single" if any(low <= code <= high for low, high in _SINGLE) else "letter"
    # soft hyphen, zero-width non-joiner, word joiner, and the letters of subdivision flags
    if code in (0xAD, 0x200C, 0x2060) or 0xE0020 <= code <= 0xE007F:
        return "extend"
    if character.isspace() or category[0] == "Z" or category in ("Cc", "Cf"):
        return "space"
    return "other"


def split_words(text: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The words of a text and the offset of each, in code points.

    `text[start:start + len(word)] == word` holds for every word; what lies between two words is
    white space or invisible.

    >>> split_words("Don't wait, O'Neil!")
    (('Don', "'", 't', 'wait', ',', 'O', "'", 'Neil', '!'), (0, 3, 4, 6, 10, 12, 13, 14, 18))
    """
    if text.isascii():
        matches = list(_ASCII_WORD.finditer(text))
        return tuple(m[0] for m in matches), tuple(m.start() for m in matches)
    edges: list[tuple[int, int]] = []
    before: CharacterClass = "space"  # of the character that the open word ends with
    n_flags = 0
    for i, character in enumerate(text):
        its_class = _class_of(character)
        is_open = before != "space"
        if its_class == "space":
            before = "space"
            continue
        continues = is_open and (
            its_class in ("extend", "joiner")
            or before == "joiner"
            or (its_class == "letter" and before == "letter")
            or (its_class == "flag" and before == "flag" and n_flags % 2 == 1)
        )
        if continues and i - edges[-1][0] >= MAX_WORD:
            continues = False
        n_flags = n_flags + 1 if its_class == "flag" and continues else int(its_class == "flag")
        if continues:
            edges[-1] = (edges[-1][0], i + 1)
            if its_class == "extend":
                its_class = before if before != "joiner" else "other"
            # a joiner glues pictures; between letters it must not glue what is not a letter
            elif its_class == "joiner" and before == "letter":
                its_class = "letter"
        else:
            edges.append((i, i + 1))
        before = its_class
    return tuple(text[a:b] for a, b in edges), tuple(a for a, _ in edges)


def word_range(example: Example, span: Span) -> tuple[int, int] | None:
    """Indices of the first and behind the last word of a span; None if it cuts through a word.

    >>> word_range(Example("a bc", ("a", "bc"), (0, 2)), Span(2, 4, "x"))
    (1, 2)
    """
    starts, words = example.word_starts, example.words
    if span.start not in starts:
        return None
    first = starts.index(span.start)
    for index in range(first, len(words)):
        end = starts[index] + len(words[index])
        if end >= span.end:
            return (first, index + 1) if end == span.end else None
    return None
