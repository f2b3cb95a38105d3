"""Strings as a search compares them: without case, accents and double blanks (R4 3.1.1.4.8)."""

from __future__ import annotations

import unicodedata

SHORTEST_PREFIX = 3
LONGER_PREFIX = 5
_CJK = 0x2E80  # from here on one character says as much as three letters
_SOUNDS = {
    letter: digit
    for letters, digit in (("BFPV", "1"), ("CGJKQSXZ", "2"), ("DT", "3"), ("L", "4"), ("MN", "5"), ("R", "6"))
    for letter in letters
}


def folded(text: str) -> str:
    """No case, no combining characters, single blanks."""
    if text.isascii():
        return " ".join(text.lower().split())
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(each for each in decomposed if not unicodedata.combining(each)).split())


def prefix_lengths(text: str) -> tuple[int, int]:
    """How many leading characters of a folded text are indexed: few, and more."""
    if text and ord(text[0]) >= _CJK:
        return 1, 2
    return SHORTEST_PREFIX, LONGER_PREFIX


def sounds(text: str) -> frozenset[str]:
    """American Soundex of each word; a word in another script sounds like itself."""
    return frozenset(_soundex(word) for word in folded(text).split())


def _soundex(word: str) -> str:
    letters = [letter for letter in word.upper() if letter.isascii() and letter.isalpha()]
    if not letters:
        return word
    code, last = letters[0], _SOUNDS.get(letters[0], "")
    for letter in letters[1:]:
        sound = _SOUNDS.get(letter, "")
        if sound and sound != last:
            code += sound
        if letter not in "HW":
            last = sound
    return code[:4].ljust(4, "0")
