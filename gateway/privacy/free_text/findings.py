"""What is found in a text: a place and a category; of overlapping finds the surest counts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class Category(StrEnum):
    """What a stretch of text says about somebody; the value is the mark that takes its place."""

    NAME = "NAME"
    IDENTIFIER = "ID"
    DATE = "DATE"
    AGE = "AGE"
    PHONE = "PHONE"
    EMAIL = "EMAIL"
    URL = "URL"
    NETWORK = "IP"
    ADDRESS = "ADDRESS"
    INSTITUTION = "INSTITUTION"
    PLATE = "PLATE"


class Find(NamedTuple):
    """[start, end) of the text as written; `kept` is what may be said instead (a shifted date, a capped age)."""

    start: int
    end: int
    category: Category
    kept: str = ""


def merged(finds: Iterable[Find], text: str) -> list[Find]:
    """In order and apart. Where finds overlap the first given keeps its whole; of the others the rest is cut too."""
    taken: list[Find] = []
    for find in finds:
        _paint(taken, find, text)
    return _joined(taken)


def _paint(taken: list[Find], find: Find, text: str) -> None:
    """Puts into `taken`, in order, those parts of `find` that nothing covers yet."""
    first = bisect_left(taken, find.start, key=lambda one: one.end)
    last = bisect_left(taken, find.end, key=lambda one: one.start)
    covered = taken[first:last]
    parts, at = [], find.start
    for one in covered:
        parts += [Find(at, one.start, find.category), one]
        at = max(at, one.end)
    parts.append(find if not covered else Find(at, find.end, find.category))
    taken[first:last] = [
        one for one in parts if one.end > one.start and any(map(str.isalnum, text[one.start : one.end]))
    ]


def _joined(finds: list[Find]) -> list[Find]:
    """Neighbours of one category become one, unless something was kept of either."""
    joined: list[Find] = []
    for find in finds:
        last = joined[-1] if joined else None
        if last and last.end == find.start and last.category == find.category and not (last.kept or find.kept):
            joined[-1] = Find(last.start, find.end, find.category)
        else:
            joined.append(find)
    return joined
