"""Text as people write it: how names are compared, which characters they can have, and how words are found.

Unicode has several ways to write the same: é as one character or as two, a no-break space that nobody sees.
So names and searches are compared in normal form C (Unicode Standard Annex 15).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = [
    "MAX_WORDS",
    "compared",
    "has_forms",
    "is_found_inside",
    "matches_inside",
    "searched_words",
    "shown",
    "wrong_in_name",
]

MAX_WORDS: Final = 500
"""The most words that can be searched for at once. SQLite takes an expression of up to 1000."""

# Characters that change the direction of all text after them, so that a line shows something else than it
# says, and marks that no text needs. Joiners, the marks of emoji flags, and those for a single letter's
# direction are text.
_OVERRIDES: Final = frozenset(
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\ufff9\ufffa\ufffb"
)
_DEPRECATED: Final = range(0x206A, 0x2070)
_REFUSED: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
# How an emoji is shown, and not which one it is.
_SHOWN: Final = re.compile("[\ufe0e\ufe0f]")
# Punctuation to Unicode, and yet what is meant: emoji (U+203C, U+2049), per mille, section, dagger, bullet.
_SIGNS: Final = frozenset(
    "\u203c\u2047\u2048\u2049\u2030\u2031\u00a7\u00b6\u2020\u2021\u2022\u2023\u2043\u2032\u2033\u2034\u203b\u2042"
)


def compared(text: str) -> str:
    """`text` in the form in which it is compared: normal form C, each kind of space a space."""
    if text.isascii():
        return text
    normal = unicodedata.normalize("NFC", text)
    return "".join(" " if unicodedata.category(c) == "Zs" else c for c in normal)


def has_forms(text: str) -> bool:
    """Whether there are other texts that are compared as the same."""
    return not text.isascii() and (compared(text) != text or unicodedata.normalize("NFD", text) != text)


def wrong_in_name(text: str) -> str | None:
    """The first character that a name cannot have: it ends the line, or changes how the line reads."""
    for character in text:
        if (
            character in _OVERRIDES
            or ord(character) in _DEPRECATED
            or unicodedata.category(character) in _REFUSED
        ):
            return character
    return None


def shown(text: str) -> str:
    """`text` for a terminal: characters that would change how the line reads are shown as escapes."""
    if text.isprintable():
        return text
    return "".join(ascii(c)[1:-1] if wrong_in_name(c) is not None else c for c in text)


def searched_words(text: str) -> list[str]:
    """The words of `text` that can be searched for, each once. Punctuation alone is not a word."""
    parts = compared(text).replace('"', " ").replace("\0", " ").split()
    return [word for word in dict.fromkeys(parts) if _is_searched(word)]


def _is_searched(word: str) -> bool:
    if is_found_inside(word):
        return _folded(word) != ""
    # The letters and numbers of SQLite's tokenizer.
    return any(unicodedata.category(c)[0] in "LN" for c in word)


def is_found_inside(word: str) -> bool:
    """Whether a word is looked for anywhere in a title, and not where a word of it begins.

    That is so in scripts that put no spaces between words (Chinese, Japanese, Thai and their neighbours), in
    those whose vowel signs SQLite's tokenizer takes for ends of words, and for emoji and other symbols, of
    which it knows nothing.
    """
    return any(
        0x0900 <= ord(c) <= 0x11FF
        or 0x1780 <= ord(c) <= 0x17FF
        or ord(c) >= 0x2190
        or c in _SIGNS
        or unicodedata.category(c) in ("So", "Sc", "Sm", "Cn", "Co")
        for c in word
    )


def matches_inside(title: str, word: str) -> bool:
    """Whether `word` is anywhere in `title`, without regard to case and form."""
    return _folded(word) in _folded(title)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", _SHOWN.sub("", compared(text)).casefold())
