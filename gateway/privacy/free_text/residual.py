"""The last look: is any known identifier still in what a cleaned text keeps? Other means than the search before it.

Works on words and bare strings instead of patterns, so that a mistake in the one is not repeated in the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gateway.privacy.free_text.folding import bare_text
from gateway.privacy.free_text.known import KnownIdentity, known_words
from gateway.privacy.identifying_words import day_words

_WORDS: Final = re.compile(r"[^\W_]+")
_LEAST_NUMBER: Final = 5


def is_left(known: KnownIdentity, kept: Sequence[str]) -> bool:
    """True where any stretch of kept text says a name, a number or a birth date that is known."""
    stretches = [bare_text(stretch) for stretch in kept if stretch.strip()]
    return any(_says(known, stretch) for stretch in stretches)


def _says(known: KnownIdentity, stretch: str) -> bool:
    words = set(_WORDS.findall(stretch))
    for name in known_words(known):
        if name in words or (not name.isascii() and len(name) > 1 and name in stretch):
            return True
    numbers = {_plain(number) for number in (*known.numbers, *known.contacts)}
    days = {day for known_day in known.days for day in day_words(known_day)}
    return bool(words & {number for number in numbers if len(number) >= _LEAST_NUMBER}) or any(
        day in stretch for day in days if not day.isdigit()
    )


def _plain(number: str) -> str:
    return "".join(_WORDS.findall(bare_text(number)))
