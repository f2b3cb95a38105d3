"""Judges content items of structured reports and annotations by their concept: Table E.3.4-1 read a second time.

An item is judged as a whole, because what its text may say depends on the concept that names it. A text whose
concept the table does not list may stay where it is claimed to be cleaned and nothing in it looks like identity.
PS3.15 E.3.4, PS3.3 C.17.3.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from gateway.privacy.checker.read import Found
from gateway.privacy.checker.table import METHOD_OF
from gateway.privacy.checker.values import is_neutral, is_uid, looks_identifying, stripped

CLEAN_STRUCTURED_CONTENT: Final = METHOD_OF["clean_structured_content"]
_FILE: Final = Path(__file__).parent.parent / "data" / "ps315_2026d.json"
_CONCEPT, _VALUE_TYPE, _TEXT = 0x0040A043, 0x0040A040, 0x0040A160
_CODE_VALUES: Final = (0x00080100, 0x00080119, 0x00080120)
_SCHEME: Final = 0x00080102
_VALUES: Final = frozenset({_TEXT, 0x0040A120, 0x0040A121, 0x0040A122, 0x0040A123, 0x0040A168, 0x0040A300, 0x0040A30A})
"""Text, moments, name, code and number: what an item of action D holds as a dummy. References are judged as UIDs."""
_SUBJECT_AGE: Final = ("121033", "DCM")
_OLDEST: Final = 90
_NUMBER: Final = 0x0040A30A
_UID: Final = 0x0040A124

Concept = tuple[str, str, str]
"""Code value, coding scheme, value type."""


def content_problem(item: tuple[Found, ...], methods: frozenset[str]) -> str | None:
    """The rule that an item breaks; None where it breaks none, is no content item, or no such cleaning is claimed."""
    by_tag = {one.tag: one for one in item}
    if CLEAN_STRUCTURED_CONTENT not in methods or not by_tag.keys() & {_CONCEPT, _TEXT}:
        return None
    concept = _concept(by_tag)
    action = _actions(methods).get(concept)
    if action == "X":
        return "content-not-removed"
    if action == "D":
        values = [one for one in item if one.tag in _VALUES]
        return None if all(map(is_neutral, values)) else "content-not-replaced"
    if concept[:2] == _SUBJECT_AGE and any(_is_past(value, _OLDEST) for value in _numbers(item)):
        return "age"
    text = by_tag.get(_TEXT)
    if text is None or is_neutral(text) or action == "K":
        return None
    return "content-text" if looks_identifying(text.text()) else None


def is_kept_uid(found: Found, item: tuple[Found, ...], methods: frozenset[str]) -> bool:
    """Whether an element is the UID of a content item whose concept an option retains (the table's K for UIDREF)."""
    if found.tag != _UID or found.vr != "UI" or CLEAN_STRUCTURED_CONTENT not in methods:
        return False
    return _actions(methods).get(_concept({one.tag: one for one in item})) == "K" and is_uid(stripped(found))


def _numbers(item: tuple[Found, ...]) -> Iterator[str]:
    """The numeric values of an item and of what it measures."""
    for one in item:
        if one.tag == _NUMBER:
            yield one.text()
        for inner in one.items or ():
            yield from _numbers(inner)


def _is_past(text: str, most: int) -> bool:
    try:
        return float(text) > most
    except ValueError:
        return True


def _concept(by_tag: Mapping[int, Found]) -> Concept:
    named = by_tag.get(_CONCEPT)
    coded = {one.tag: one.text() for one in named.items[0]} if named is not None and named.items else {}
    value = next((coded[tag] for tag in _CODE_VALUES if coded.get(tag)), "")
    kind = by_tag[_VALUE_TYPE].text() if _VALUE_TYPE in by_tag else ""
    return value, coded.get(_SCHEME, ""), kind


@cache
def _actions(methods: frozenset[str]) -> Mapping[Concept, str]:
    """X: no such item; D: dummies alone; K: as it is; C: as an attribute that is cleaned."""
    rows = json.loads(_FILE.read_bytes())["content_items"]
    return MappingProxyType({(row["code"], row["scheme"], row["value_type"]): _action(row, methods) for row in rows})


def _action(row: Mapping[str, object], methods: frozenset[str]) -> str:
    options = row["options"]
    assert isinstance(options, dict)  # noqa: S101 - the file's hash is pinned by a test
    codes = {code for key, code in options.items() if METHOD_OF[key] in methods}
    if "C" in codes:
        return "C"
    if "K" in codes:
        return "K"
    return "X" if row["basic"] == "X" else "D"
