"""Carries out the rules on one data set: each action is a method that adds its edits.

PS3.15 E.1.1 step by step. Methods return by how many bytes they changed the length, so that enclosing items and
sequences of defined length can be corrected.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.privacy.charset import DEFAULT, decode, is_defined
from gateway.privacy.content_items import (
    CONTENT_ONLY,
    CONTENT_SEQUENCE,
    RELATIONSHIP,
    TERMS,
    VALUES,
    Concept,
    concept_of,
    has_references,
    is_past_90,
    treatments,
    unlisted,
)
from gateway.privacy.dataset import DataSet, Element, Encoding, Item, encode
from gateway.privacy.dictionary import CHOICES, writable_vr
from gateway.privacy.dummies import content_item, dummy
from gateway.privacy.edits import Edit
from gateway.privacy.identifiers import charset_of, normal_text
from gateway.privacy.memory import LONGEST, MOST_ELEMENTS, Outcome, memory_of
from gateway.privacy.pseudonyms import IdentityKey, Pseudonymiser
from gateway.privacy.rules import Action, Option, Rules
from gateway.privacy.safe_private import signed
from gateway.privacy.vocabulary import is_technical

_PATIENT_ID: Final = 0x00100020
_NUMBER: Final = re.compile(rb"[0-9+\-.eE\\ ]*\0?")
_CLOCK: Final = rb"\d\d(?::?\d\d(?::?\d\d(?:\.\d{1,6})?)?)? *"
_TIME: Final = re.compile(rb"(?:%b(?:\\%b)*)?\0?" % (_CLOCK, _CLOCK))  # six digits at most: never a date
_MOMENT: Final = re.compile(rb"[0-9.:+\-\\ ]*\0?")
_UID: Final = re.compile(rb"[0-9.\\ ]*\0?")
_AGE: Final = re.compile(r"(\d{3})([DWMY])")
_OLDEST: Final = 90
_TO_THE_HOUR: Final = 10
_SIZES: Final = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8}
_LONGEST_TEXT: Final = 1 << 16
_LONGEST_DESCRIPTION: Final = 1 << 10


class Place(NamedTuple):
    """Where an element stands: how it is encoded, in which character sets, and whether inside a sequence."""

    encoding: Encoding
    charset: tuple[str, ...]
    nested: bool


class Rewriter:
    """One object's rewriting; `edits`, `counts` and `values` (changed root values) are its results."""

    def __init__(
        self,
        data_set: DataSet,
        rules: Rules,
        pseudonymiser: Pseudonymiser,
        key: IdentityKey,
        identifiers: re.Pattern[str],
        *,
        sop_class: str,
    ) -> None:
        self.edits: list[Edit] = []
        self.counts: dict[str, int] = {}
        self.values: dict[int, bytes] = {}
        self._data_set = data_set
        self._source = data_set.source
        self._rules = rules
        self._pseudonymiser = pseudonymiser
        self._key = key
        self._identifiers = identifiers
        self._sop_class = sop_class
        options = rules.profile.options
        self._content = treatments(options) if Option.CLEAN_STRUCTURED_CONTENT in options else None
        self._keeps_private = Option.RETAIN_SAFE_PRIVATE in options
        self._holds_places: bool | None = None
        self._memory = memory_of(rules, pseudonymiser, identifiers, key=key, sop_class=sop_class)

    def rewrite(self, stamped: frozenset[int] = frozenset()) -> None:
        """Walk the whole data set; the root's attributes in `stamped` are left to the caller."""
        elements = self._data_set.elements
        charset = charset_of(self._data_set, elements, DEFAULT)
        if stamped:
            elements = [element for element in elements if element.tag not in stamped]
        self._level(elements, Place(self._data_set.encoding, charset, nested=False))

    def _level(self, elements: list[Element], place: Place) -> int:
        if self._keeps_private and any(element.tag >> 16 & 1 for element in elements):
            elements = self._without_safe_private(elements, place)
        seen, source, counts, edits = self._memory.at(place), self._source, self.counts, self.edits
        delta = 0
        for element in elements:
            tag, _, start, _, end, sequence = element
            raw = source[start:end].tobytes() if sequence is None and end - start <= LONGEST else None
            known = None if raw is None else seen.get(raw)
            action: str
            if known is None:
                made = len(edits)
                action = chosen = self._action(element)
                delta += _METHODS[chosen](self, element, place)
                if raw is not None and len(seen) < MOST_ELEMENTS:
                    new = edits[-1].new if len(edits) > made else None
                    seen[raw] = Outcome(action, new, self.values.get(tag))
            else:
                action, new, value = known
                if new is not None:
                    edits.append(Edit(start, end, new))
                    delta += len(new) - (end - start)
                if value is not None and not place.nested:
                    self.values[tag] = value
            counts[action] = counts.get(action, 0) + 1
        return delta

    def _action(self, element: Element) -> Action:
        action = self._rules.actions.get(element.tag, Action.REMOVE)
        if action is not Action.REMOVE and element.vr not in CHOICES[element.tag]:
            return self._rules.mismatched(element.tag, element.vr)
        return action

    # What is done, by action; the names are those of `Action`.

    def remove(self, element: Element, place: Place) -> int:
        self.edits.append(Edit(element.start, element.end, b""))
        if not place.nested:
            self.values[element.tag] = b""
        return element.start - element.end

    def empty(self, element: Element, place: Place) -> int:
        return 0 if element.value == element.end else self._put(element, place, b"")

    def dummy(self, element: Element, place: Place) -> int:
        return self._replace(element, place, dummy(element.tag, _vr(element), place.encoding))

    def uid(self, element: Element, place: Place) -> int:
        values = self._ascii(element).split("\\")
        return self._put(element, place, "\\".join(map(self._pseudonymiser.uid, values)).encode("latin-1"))

    def shift(self, element: Element, place: Place) -> int:
        change = self._pseudonymiser.shift_date if element.vr == "DA" else self._pseudonymiser.shift_datetime
        value = self._ascii(element)
        moved = change(value) if value else ""
        if moved and element.vr == "DT" and self._rules.profile.allow_list:
            moved = "\\".join(one[:_TO_THE_HOUR] for one in moved.split("\\"))
        return self._fall_back(element, place) if moved is None else self._put(element, place, moved.encode())

    def time(self, element: Element, place: Place) -> int:
        form = _TIME if element.vr == "TM" else _MOMENT
        return self._kept_if(form.fullmatch(self._value(element)) is not None, element, place)

    def hour(self, element: Element, place: Place) -> int:
        value = bytes(self._value(element))
        if _TIME.fullmatch(value) is None:
            return self._fall_back(element, place)
        hours = [one.strip(b" \0")[:2] for one in value.split(b"\\")]
        return self._put(element, place, b"\\".join(one + b"0000" if one else b"" for one in hours))

    def number(self, element: Element, place: Place) -> int:
        return self._kept_if(_NUMBER.fullmatch(self._value(element)) is not None, element, place)

    def plain_uid(self, element: Element, place: Place) -> int:
        return self._kept_if(_UID.fullmatch(self._value(element)) is not None, element, place)

    def term(self, element: Element, place: Place) -> int:
        return self._kept_if(self._ascii(element) in TERMS, element, place)

    def scan(self, element: Element, place: Place) -> int:
        # a longer text than can be searched within bounds is not kept
        short = element.end - element.value <= _LONGEST_TEXT
        return self._kept_if(short and self._is_clear(self._text(element, place)), element, place)

    def clean(self, element: Element, place: Place) -> int:
        text = self._text(element, place) if element.end - element.value <= _LONGEST_DESCRIPTION else "?"
        return self._kept_if(is_technical(text) and self._is_clear(text), element, place)

    def age(self, element: Element, place: Place) -> int:
        text = self._ascii(element)
        found = _AGE.fullmatch(text)
        if found is None:
            return self._kept_if(not text, element, place)
        if found[2] == "Y" and int(found[1]) > _OLDEST:
            return self._put(element, place, b"%03dY" % _OLDEST)
        return 0

    def charset(self, element: Element, place: Place) -> int:
        return 0 if is_defined(bytes(self._value(element))) else self.remove(element, place)

    def patient_id(self, element: Element, place: Place) -> int:
        """The pseudonym in the root; inside sequences only where it is the same patient's identifier."""
        if place.nested:
            own = IdentityKey("", self._text(element, place)).patient_id == self._key.patient_id
            if element.tag != _PATIENT_ID or not own:
                return self.empty(element, place)
        return self._put(element, place, self._pseudonymiser.patient_id().encode())

    def accession(self, element: Element, place: Place) -> int:
        return self._put(element, place, self._pseudonymiser.accession(self._text(element, place)).encode())

    def by_type(self, element: Element, place: Place) -> int:
        action = self._rules.chosen(element.tag, self._sop_class, nested=place.nested)
        return _METHODS[action](self, element, place)

    def descend(self, element: Element, place: Place) -> int:
        sequence = element.sequence
        if sequence is None:
            return self.remove(element, place)
        delta, made, gone = 0, len(self.edits), 0
        for item in sequence.items:
            charset = charset_of(self._data_set, item.elements, place.charset)
            inner = Place(sequence.encoding, charset, nested=True)
            change = self._item(item, inner, content_only=element.tag in CONTENT_ONLY)
            if change is None:
                gone += 1
                change = self._take_out(item, inner)
            else:
                self._correct(item.length_at, item.end - item.value, change, sequence.encoding)
            delta += change
        if gone and gone == len(sequence.items) and element.tag == CONTENT_SEQUENCE and not self._places_count():
            del self.edits[made:]
            return self.remove(element, place)
        self._correct(sequence.length_at, element.end - element.value, delta, place.encoding)
        return delta

    # Content items of structured reports (content_items.py).

    def _item(self, item: Item, place: Place, *, content_only: bool) -> int | None:
        """By how much an item's length changes; None where the item may not stay."""
        concept = None if self._content is None else concept_of(self._data_set, item)
        if concept is not None:
            return self._content_item(item, concept, place)
        if content_only and self._content is not None:
            return None
        return self._level(item.elements, place)

    def _content_item(self, item: Item, concept: Concept, place: Place) -> int | None:
        options = self._rules.profile.options
        treatment = (self._content or {}).get(concept) or unlisted(concept.value_type, options)
        value = next((one for one in item.elements if one.tag == VALUES.get(concept.value_type)), None)
        action = treatment.action
        if value is not None and not self._fits(action, value, place):
            action = treatment.otherwise
        if action is Action.REMOVE or is_past_90(self._data_set, item, concept):
            return None
        delta = self._level([one for one in item.elements if one is not value], place)
        if value is not None:
            delta += _METHODS[action](self, value, place)
            self.counts[action] = self.counts.get(action, 0) + 1
        return delta

    def _fits(self, action: Action, value: Element, place: Place) -> bool:
        """Whether a text may stay under SCAN or CLEAN; other actions see to it by themselves."""
        if action not in {Action.SCAN, Action.CLEAN}:
            return True
        short = value.end - value.value <= (_LONGEST_TEXT if action is Action.SCAN else _LONGEST_DESCRIPTION)
        text = self._text(value, place) if short else ""
        return short and self._is_clear(text) and (action is Action.SCAN or is_technical(text))

    def _take_out(self, item: Item, place: Place) -> int:
        """A text that says nothing keeps the place of an item where others are referred to by their position."""
        new = b""
        if self._places_count():
            kind = next((element for element in item.elements if element.tag == RELATIONSHIP), None)
            new = content_item(b"CONTAINS" if kind is None else bytes(self._value(kind)), place.encoding)
        self.edits.append(Edit(item.start, item.end, new))
        self.counts[Action.REMOVE] = self.counts.get(Action.REMOVE, 0) + 1
        return len(new) - (item.end - item.start)

    def _places_count(self) -> bool:
        if self._holds_places is None:
            self._holds_places = has_references(self._data_set)
        return self._holds_places

    # Private attributes (safe_private.py).

    def _without_safe_private(self, elements: list[Element], place: Place) -> list[Element]:
        """The elements but those private ones that stay as they are, and their creators."""
        kept: set[int] = set()
        for element, creator, vr in signed(self._data_set, elements):
            if self._is_plain(element, vr, place):
                kept |= {element.tag, creator.tag}
        self.counts[Action.KEEP] = self.counts.get(Action.KEEP, 0) + len(kept)
        return [element for element in elements if element.tag not in kept]

    def _is_plain(self, element: Element, vr: str, place: Place) -> bool:
        """A private value that is what its VR says: whole numbers of its size, digits, or text without identity."""
        value = self._value(element)
        if vr in _SIZES:
            return len(value) % _SIZES[vr] == 0
        if vr in {"DS", "IS"}:
            return _NUMBER.fullmatch(value) is not None
        return len(value) <= _LONGEST_DESCRIPTION and self._is_clear(self._text(element, place))

    # What the actions share.

    def _correct(self, at: int, length: int, change: int, encoding: Encoding) -> None:
        if change and at >= 0:
            self.edits.append(Edit(at, at + 4, encoding.long.pack(length + change)))

    def _value(self, element: Element) -> memoryview:
        return self._source[element.value : element.end]

    def _ascii(self, element: Element) -> str:
        return str(self._value(element), "latin-1").strip(" \0")

    def _text(self, element: Element, place: Place) -> str:
        return decode(bytes(self._value(element)), place.charset)

    def _is_clear(self, text: str) -> bool:
        return self._identifiers.search(normal_text(text)) is None

    def _kept_if(self, fit: bool, element: Element, place: Place) -> int:
        return 0 if fit else self._fall_back(element, place)

    def _fall_back(self, element: Element, place: Place) -> int:
        """What the basic profile does with a listed attribute; an unlisted one is emptied."""
        action = self._rules.fallback.get(element.tag, Action.EMPTY)
        return _METHODS[action](self, element, place)

    def _put(self, element: Element, place: Place, value: bytes) -> int:
        if not place.nested:
            self.values[element.tag] = value
        return self._replace(element, place, encode(element.tag, _vr(element), value, place.encoding))

    def _replace(self, element: Element, place: Place, new: bytes) -> int:
        if not place.nested:
            self.values.setdefault(element.tag, b"")
        self.edits.append(Edit(element.start, element.end, new))
        return len(new) - (element.end - element.start)


def _vr(element: Element) -> str:
    """The VR to write: the element's own where the standard allows it."""
    vr = element.vr
    return vr if vr in CHOICES[element.tag] and " " not in vr else writable_vr(element.tag)


_METHODS: Final[dict[Action, Callable[[Rewriter, Element, Place], int]]] = {
    Action.REMOVE: Rewriter.remove,
    Action.STAMP: Rewriter.remove,
    Action.EMPTY: Rewriter.empty,
    Action.DUMMY: Rewriter.dummy,
    Action.UID: Rewriter.uid,
    Action.SHIFT: Rewriter.shift,
    Action.TIME: Rewriter.time,
    Action.HOUR: Rewriter.hour,
    Action.NUMBER: Rewriter.number,
    Action.PLAIN_UID: Rewriter.plain_uid,
    Action.TERM: Rewriter.term,
    Action.SCAN: Rewriter.scan,
    Action.CLEAN: Rewriter.clean,
    Action.AGE: Rewriter.age,
    Action.CHARSET: Rewriter.charset,
    Action.PATIENT_ID: Rewriter.patient_id,
    Action.ACCESSION: Rewriter.accession,
    Action.BY_TYPE: Rewriter.by_type,
    Action.DESCEND: Rewriter.descend,
    Action.KEEP: lambda rewriter, element, place: 0,
}
