"""The identifiers that the caller knows of this patient and the people around, and the search for them in text.

The surest part of cleaning a text: what the structured fields say is looked for in every spelling, whatever
stands beside it. PS3.15 E.1.1; the same words are searched as in DICOM headers (`identifying_words`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Final

from gateway.privacy.free_text.findings import Category, Find
from gateway.privacy.free_text.folding import Folded, bare_text
from gateway.privacy.identifying_words import day_words, is_telling, name_words, number_words, searchable

_MOST_VALUES: Final = 512
_LONGEST: Final = 256
_LEAST_LOOSE: Final = 5  # characters of a number that may be written with other signs between them
_UMLAUTS: Final = str.maketrans({"Ä": "AE", "Ö": "OE", "Ü": "UE", "Å": "AA", "Ø": "OE", "Æ": "AE"})
_SIGNS: Final = r"[\s\-./_]?"
_BETWEEN_NAMES: Final = r"[\s,.^]{1,3}"
_WORD: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True, repr=False)
class KnownIdentity:
    """Names, numbers, contacts, addresses and birth dates (YYYYMMDD) as they were written. Has no text form.

    Names may carry `^`, commas or blanks between their parts.
    """

    names: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    contacts: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    days: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return "KnownIdentity(…)"

    def joined(self, other: KnownIdentity) -> KnownIdentity:
        """What either of the two knows."""
        return KnownIdentity(*(getattr(self, one.name) | getattr(other, one.name) for one in fields(self)))

    @property
    def too_many(self) -> bool:
        """More than can be looked for: then no free text is kept at all."""
        return sum(len(getattr(self, one.name)) for one in fields(self)) > _MOST_VALUES

    def find(self, folded: Folded) -> Iterator[Find]:
        """Every place in a `bare` text that says something of this."""
        for category, pattern in _patterns(self):
            for found in pattern.finditer(folded.text):
                yield Find(*folded.span(*found.span()), category)


@lru_cache(maxsize=256)
def _patterns(known: KnownIdentity) -> tuple[tuple[Category, re.Pattern[str]], ...]:
    """Compiled once per patient: the texts of one document or visit share them."""
    sources = (
        (Category.NAME, _name_sources(known.names)),
        (Category.IDENTIFIER, {_loose(word) for value in known.numbers for word in _number_forms(value)}),
        (Category.PHONE, {_loose(word) for value in known.contacts for word in number_words(_bounded(value))}),
        (Category.ADDRESS, {searchable(word) for value in known.addresses for word in _address_words(value)}),
        (Category.DATE, {searchable(word) for value in known.days for word in day_words(value)}),
    )
    return tuple(
        (category, re.compile("|".join(sorted(found, key=lambda one: (-len(one), one)))))
        for category, found in sources
        if found
    )


def known_words(known: KnownIdentity) -> frozenset[str]:
    """Name parts in `bare` form, for a check that works with words instead of patterns."""
    return frozenset(word for name in known.names for spelled in _spellings(name) for word in name_words(spelled))


def _bounded(value: str) -> str:
    return bare_text(value[:_LONGEST]).strip()


def _spellings(name: str) -> set[str]:
    """A name without its accents, and with the German way of writing them out."""
    plain = _bounded(name)
    return {plain, _bounded(name.upper().translate(_UMLAUTS))}


def _name_sources(names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        for spelled in _spellings(name):
            found |= {searchable(word) for word in name_words(spelled)}
            parts = [part for part in re.split(r"[\s^,.=\\]+", spelled) if part][:6]
            if len(parts) > 1:  # also where each part alone says too little: Li Na
                found |= {_in_a_row(parts), _in_a_row(parts[::-1]), _in_a_row([parts[0], parts[-1]])}
                found.add(_in_a_row([parts[-1], parts[0]]))
    return found


def _in_a_row(parts: list[str]) -> str:
    return rf"(?<![^\W_]){_BETWEEN_NAMES.join(map(re.escape, parts))}(?![^\W_])"


def _number_forms(value: str) -> set[str]:
    words = number_words(_bounded(value))
    return words | {word.lstrip("0") for word in words if len(word.lstrip("0")) >= _LEAST_LOOSE}


def _loose(word: str) -> str:
    """A number whatever signs stand between its characters; a short one only as it is."""
    characters = [char for char in word if char.isalnum()]
    if len(characters) < _LEAST_LOOSE:
        return searchable(word)
    return rf"(?<![^\W_]){_SIGNS.join(map(re.escape, characters))}(?![^\W_])"


def _address_words(value: str) -> set[str]:
    """The whole line and, of what is long enough to tell, its words: a street, a village."""
    line = _bounded(value)
    words = {word for word in _WORD.findall(line) if len(word) >= 4 and not word.isdigit()}
    return {one for one in (line, *words) if is_telling(one)}
