"""What happens to a content item of a structured report: PS3.15 Table E.3.4-1 compiled, and what it leaves open.

An item is known by concept, coding scheme and value type. Codes, numbers, coordinates and references without
identity stay, so that a report's findings reach a model; its sentences do not (E.3.4, Clean Structured Content).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Final, NamedTuple

from gateway.privacy.dataset import DataSet, Element, Item
from gateway.privacy.rules import Action, Option, published_table

VALUES: Final = MappingProxyType(
    {
        "TEXT": 0x0040A160,
        "PNAME": 0x0040A123,
        "DATE": 0x0040A121,
        "TIME": 0x0040A122,
        "DATETIME": 0x0040A120,
        "UIDREF": 0x0040A124,
    }
)
"""Value type -> the attribute that holds the value, where that is not a tree of its own (PS3.3 C.17.3.2)."""
_REFERENCE: Final = "by-reference"
_TREES: Final = frozenset(
    {"CONTAINER", "CODE", "NUM", "SCOORD", "SCOORD3D", "TCOORD", "COMPOSITE", "IMAGE", "WAVEFORM", "TABLE", _REFERENCE}
)
TERMS: Final = (
    (_TREES - {_REFERENCE})
    | VALUES.keys()
    | {"CONTAINS", "HAS OBS CONTEXT", "HAS ACQ CONTEXT", "HAS CONCEPT MOD", "HAS PROPERTIES", "INFERRED FROM"}
    | {"SELECTED FROM", "SEPARATE", "CONTINUOUS", ""}
)
"""Value types, relationship types and continuities (PS3.3 C.17.3.2)."""
_MOVED: Final = MappingProxyType({"DATE": Action.SHIFT, "TIME": Action.TIME, "DATETIME": Action.SHIFT})
VALUE_TYPE: Final = 0x0040A040
RELATIONSHIP: Final = 0x0040A010
CONTENT_SEQUENCE: Final = 0x0040A730
CONTENT_ONLY: Final = frozenset({CONTENT_SEQUENCE, 0x00400555})
"""Sequences whose items are content items and nothing else: Content Sequence, Acquisition Context Sequence."""
_CONCEPT_NAME: Final = 0x0040A043
_CODE_VALUES: Final = frozenset({0x00080100, 0x00080119, 0x00080120})
_SCHEME: Final = 0x00080102
_BY_REFERENCE: Final = 0x0040DB73
_NUMERIC_VALUE: Final = 0x0040A30A
_SUBJECT_AGE: Final = ("121033", "DCM")
_OLDEST: Final = 90
_LONGEST: Final = 64


class Concept(NamedTuple):
    """What a content item says of itself: the code and scheme of its concept name, and its value type."""

    code: str
    scheme: str
    value_type: str


class Treatment(NamedTuple):
    """The action on the item's value (REMOVE: on the whole item), and the one where the value does not fit it."""

    action: Action
    otherwise: Action


@cache
def treatments(options: frozenset[Option]) -> Mapping[Concept, Treatment]:
    """Table E.3.4-1 under the options."""
    rows = published_table()["content_items"]
    assert isinstance(rows, list)  # noqa: S101 - the file's hash is pinned by a test
    return MappingProxyType(
        {
            Concept(row["code"], row["scheme"], row["value_type"]): _treatment(
                row["value_type"], row["basic"], {Option(name): code for name, code in row["options"].items()}, options
            )
            for row in rows
        }
    )


@cache
def unlisted(value_type: str, options: frozenset[Option]) -> Treatment:
    """What becomes of a concept that the table does not name: no sentence and no person's name stays."""
    if value_type in _TREES:
        return Treatment(Action.DESCEND, Action.DESCEND)
    if value_type not in VALUES:
        return Treatment(Action.REMOVE, Action.REMOVE)
    dummy = _basic(value_type, "D")
    kept: dict[str, Action] = {}
    if Option.CLEAN_DESCRIPTORS in options:
        kept["TEXT"] = Action.CLEAN
    if Option.RETAIN_MODIFIED_DATES in options:
        kept |= _MOVED
    elif Option.RETAIN_FULL_DATES in options:
        kept |= dict.fromkeys(_MOVED, Action.TIME)
    return Treatment(kept.get(value_type, dummy), dummy)


def _treatment(value_type: str, basic: str, columns: Mapping[Option, str], options: frozenset[Option]) -> Treatment:
    """Modified dates, then K, then clean descriptors, as for attributes; X/D is D, which every template bears."""
    otherwise = _basic(value_type, basic)
    chosen = {option: code for option, code in columns.items() if option in options}
    if Option.RETAIN_MODIFIED_DATES in chosen:
        return Treatment(_MOVED.get(value_type, otherwise), otherwise)
    if "K" in chosen.values():
        kept = {"TEXT": Action.SCAN, "PNAME": Action.SCAN, "UIDREF": Action.PLAIN_UID}
        return Treatment((kept | dict.fromkeys(_MOVED, Action.TIME)).get(value_type, Action.DESCEND), otherwise)
    if "C" in chosen.values():
        return Treatment(Action.CLEAN, otherwise)
    return Treatment(otherwise, otherwise)


def _basic(value_type: str, code: str) -> Action:
    """The column of the basic profile: a D keeps references, whose UIDs are replaced, and dummies the rest."""
    if code == "X":
        return Action.REMOVE
    if value_type == "UIDREF":
        return Action.UID
    return Action.DUMMY if value_type in VALUES else Action.DESCEND


def concept_of(data_set: DataSet, item: Item) -> Concept | None:
    """The concept of an item that is a content item, None for any other item."""
    value_type = code = scheme = ""
    for element in item.elements:
        if element.tag == VALUE_TYPE:
            value_type = _text(data_set, element)
        elif element.tag == _BY_REFERENCE:
            value_type = value_type or _REFERENCE
        elif element.tag == _CONCEPT_NAME and element.sequence is not None and element.sequence.items:
            for inner in element.sequence.items[0].elements:
                if inner.tag in _CODE_VALUES:
                    code = _text(data_set, inner)
                elif inner.tag == _SCHEME:
                    scheme = _text(data_set, inner)
    return Concept(code, scheme, value_type) if value_type else None


def has_references(data_set: DataSet) -> bool:
    """True where an item refers to another by its position, which a removal would move (PS3.3 C.17.3.2.5)."""
    return any(element.tag == _BY_REFERENCE for element in _below(data_set.elements))


def is_past_90(data_set: DataSet, item: Item, concept: Concept) -> bool:
    """True where the item is a subject's age beyond the oldest that is told (the cap of Patient's Age)."""
    if (concept.code, concept.scheme) != _SUBJECT_AGE:
        return False
    for element in _below(item.elements):
        if element.tag == _NUMERIC_VALUE and not _is_at_most(_text(data_set, element), _OLDEST):
            return True
    return False


def _is_at_most(text: str, most: int) -> bool:
    try:
        return float(text) <= most
    except ValueError:
        return False


def _below(elements: list[Element]) -> Iterator[Element]:
    stack = [elements]
    while stack:
        for element in stack.pop():
            yield element
            if element.sequence is not None:
                stack.extend(item.elements for item in element.sequence.items)


def _text(data_set: DataSet, element: Element) -> str:
    return str(data_set.value(element)[:_LONGEST], "latin-1").strip(" \0")
