"""The identifiers of one object's patient, harvested before removal, and the search for them in what is kept.

PS3.15 E.1.1 asks to look into free text as well: a technologist's note repeats the name that the header lost.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from gateway.privacy.charset import decode, encodings_for
from gateway.privacy.dataset import DataSet, Element
from gateway.privacy.identifying_words import day_words, name_words, number_words, searchable

CHARSET_TAG = 0x00080005
_IDENTIFIERS = frozenset(
    {0x00080050, 0x00100020, 0x00101000, 0x00100021, 0x00080080, 0x00081010, 0x00102154, 0x00101040, 0x00102299}
    | {0x00102297, 0x00380010, 0x00120040, 0x00120042, 0x00401001, 0x00402016, 0x00402017, 0x00181000, 0x00200010}
    | {0x00100050, 0x00101090, 0x00080081, 0x00080094, 0x00080092}
)
"""Attributes whose whole value is an identifier."""
_BIRTH_DATE = 0x00100030
Found = tuple[int, bytes, tuple[str, ...]]
"""Kind, raw value, codecs of one identifier."""
_SOUGHT = _IDENTIFIERS | {_BIRTH_DATE}
_MOST_VALUES = 512
_MOST_WORDS = 1024
_LONGEST_VALUE = 4096
_MOST_LENGTH = 128
_EVERYTHING = re.compile("")
NOTHING = re.compile(r"(?!)")


def harvest(data_set: DataSet, encodings: tuple[str, ...], retained: frozenset[int]) -> re.Pattern[str]:
    """A pattern that finds, in text of normal form, any identifier this data set carries.

    `retained` are the attributes that the profile keeps: what they say is no secret.
    """
    found: set[Found] = set()
    sought = _SOUGHT - retained
    for elements, charset in _levels(data_set, encodings):
        for element in elements:
            if element.tag not in sought and element.vr != "PN":
                continue
            if element.sequence is None and element.value != element.end:
                value = data_set.source[element.value : element.end][:_LONGEST_VALUE]
                found.add((_kind(element), bytes(value), charset))
                if len(found) > _MOST_VALUES:
                    return _EVERYTHING  # more names than can be looked for: no free text is kept at all
    return _pattern(frozenset(found))


def normal_text(text: str) -> str:
    """The form that is searched: compatibility characters folded, upper case."""
    return text.upper() if text.isascii() else unicodedata.normalize("NFKC", text).upper()


def _levels(data_set: DataSet, encodings: tuple[str, ...]) -> Iterator[tuple[list[Element], tuple[str, ...]]]:
    """The elements of the root and of every item, with the codecs in force where they stand."""
    stack = [(data_set.elements, encodings)]
    while stack:
        elements, charset = stack.pop()
        yield elements, charset
        for element in elements:
            if element.sequence is not None:
                stack.extend(
                    (item.elements, charset_of(data_set, item.elements, charset)) for item in element.sequence.items
                )


_NAME, _NUMBER, _DAY = range(3)


def _kind(element: Element) -> int:
    if element.tag == _BIRTH_DATE:
        return _DAY
    return _NAME if element.vr == "PN" else _NUMBER


@lru_cache(maxsize=512)
def _pattern(found: frozenset[Found]) -> re.Pattern[str]:
    """Compiled once per patient and visit: the slices of a series share every value."""
    words: set[str] = set()
    for kind, value, encodings in found:
        text = normal_text(decode(value, encodings))
        words |= {_NAME: name_words, _NUMBER: number_words, _DAY: day_words}[kind](text)
    if len(words) > _MOST_WORDS:
        return _EVERYTHING
    bounded = {word[:_MOST_LENGTH] for word in words}
    if not bounded:
        return NOTHING
    ordered = sorted(bounded, key=lambda word: (-len(word), word))
    return re.compile("|".join(searchable(word) for word in ordered))


def charset_of(data_set: DataSet, elements: list[Element], inherited: tuple[str, ...]) -> tuple[str, ...]:
    """The codecs in force for these elements: their own Specific Character Set, else the enclosing one."""
    for element in elements:
        if element.tag >= CHARSET_TAG:
            if element.tag == CHARSET_TAG:
                return encodings_for(bytes(data_set.source[element.value : element.end][:1024]))
            break
    return inherited
