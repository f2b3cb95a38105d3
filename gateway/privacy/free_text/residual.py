"""The last look: is any known identifier still in what a cleaned text keeps? Other means than the search before it.

Works on words and bare strings instead of patterns, so that a mistake in the one is not repeated in the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.privacy.free_text.folding import bare_text
from gateway.privacy.free_text.known import KnownIdentity, known_words
from gateway.privacy.identifying_words import day_words

_WORDS: Final = re.compile(r"[^\W_]+")
_LEAST_NUMBER: Final = 5


class _Sought(NamedTuple):
    """`words` stand alone; `anywhere` also within other characters: scripts without blanks, dates with signs."""

    words: frozenset[str]
    anywhere: tuple[str, ...]


def is_left(known: KnownIdentity, kept: Sequence[str]) -> bool:
    """True where any stretch of kept text says a name, a number or a birth date that is known."""
    sought = _sought(known)
    for stretch in kept:
        folded = bare_text(stretch) if stretch.strip() else ""
        if folded and not sought.words.isdisjoint(_WORDS.findall(folded)):
            return True
        if any(word in folded for word in sought.anywhere):
            return True
    return False


@lru_cache(maxsize=256)
def _sought(known: KnownIdentity) -> _Sought:
    """Once per patient: every value of a document is looked through."""
    names = known_words(known)
    numbers = {_plain(number) for number in (*known.numbers, *known.contacts)}
    days = {day for known_day in known.days for day in day_words(known_day) if not day.isdigit()}
    anywhere = {name for name in names if not name.isascii() and len(name) > 1} | days
    return _Sought(names | {number for number in numbers if len(number) >= _LEAST_NUMBER}, tuple(sorted(anywhere)))


def _plain(number: str) -> str:
    return "".join(_WORDS.findall(bare_text(number)))
