"""Which words of an identity are looked for in text: the parts of names, numbers and a birth date's spellings.

Shared by the search in DICOM headers and by that in free text, so that both find the same things.
"""

from __future__ import annotations

import re


def name_words(text: str) -> set[str]:
    """The parts of a person name, and of a name in ideographs also family and given name together."""
    words = set()
    for group in re.split(r"[=\\]", text):
        parts = [part for part in re.split(r"[\s^,.]+", group) if part]
        words |= {word for part in parts for word in (part, *part.split("-")) if is_telling(word)}
        if len(parts) > 1 and not group.isascii():
            words.add(parts[0] + parts[1])
    return words


def number_words(text: str) -> set[str]:
    """The values of an identifier, each as a whole."""
    return {part.strip() for part in text.split("\\") if is_telling(part.strip())}


def is_telling(word: str) -> bool:
    """Long enough that finding it says something; one ideograph alone does not, two do."""
    return len(word) >= (3 if word.isascii() else 2)


def day_words(text: str) -> set[str]:
    """A DICOM date in the orders and with the signs in which people write it."""
    digits = text.replace(".", "")
    if len(digits) != 8 or not digits.isdigit():
        return set()
    year, month, day = digits[:4], digits[4:6], digits[6:]
    orders = ((year, month, day), (day, month, year), (month, day, year))
    return {sign.join(order) for sign in ("", "-", "/", ".", " ") for order in orders}


def searchable(word: str) -> str:
    """A word between non-word characters; scripts without spaces are found anywhere."""
    escaped = re.escape(word)
    return rf"(?<![A-Z0-9]){escaped}(?![A-Z0-9])" if word.isascii() else escaped
