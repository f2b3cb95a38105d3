"""Carries out the rules on one message: each verb is a method that gives back what may stand in the place.

Separators stay as the message has them; what is dropped leaves its place empty, so that every other field keeps its
number. A value in which the last look still finds somebody is emptied, whatever its type said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Final

from gateway.domain.errors import Invalid
from gateway.privacy.coded import CLOCK, COMPARATOR, NUMBER, is_bare_code, is_code, is_shared_code, is_shared_system
from gateway.privacy.documents import DocumentProfile, Issuers, Moments, PseudonymiserFor
from gateway.privacy.free_text.clean import FreeText
from gateway.privacy.free_text.known import KnownIdentity
from gateway.privacy.free_text.residual import is_left
from gateway.privacy.hl7.identity import identifier_key
from gateway.privacy.hl7.message import Message, Segment, escape, unescape
from gateway.privacy.hl7.rules import Hl7Rules
from gateway.privacy.pseudonyms import Pseudonymiser
from gateway.privacy.vocabulary import is_technical

OUR_NAME: Final = "DXGATE"
_NULL: Final = '""'
_MOMENT: Final = re.compile(r"(\d{4}(?:\d\d){0,2})((?:\d\d){0,3}(?:\.\d{1,6})?)(?:[+-]\d{4})?", re.ASCII)
_UID: Final = re.compile(r"[0-2](?:\.\d{1,39}){3,20}", re.ASCII)
_LONGEST_LEAF: Final = 1 << 16
_SYSTEM_OF: Final = {0: 2, 1: 2, 8: 2, 3: 5, 4: 5, 9: 11, 10: 11}
"""Parts of CE, CWE and CNE, counted from 0, and where their coding system stands."""
_SYSTEM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+\-]{0,19}")
_OURS: Final = frozenset({("PID", 3), ("PID", 5), ("MRG", 1), ("MSH", 3)})
_MARK: Final = re.compile(r"\[[A-Z]+[^\]]*\]")
_CODED: Final = frozenset({"CE", "CWE", "CNE"})


class Rewriter:
    """One message's rewriting; `counts` says how often each verb was carried out."""

    def __init__(
        self,
        message: Message,
        rules: Hl7Rules,
        profile: DocumentProfile,
        *,
        pseudonymiser: Pseudonymiser,
        pseudonymiser_for: PseudonymiserFor,
        issuers: Issuers,
        known: KnownIdentity,
        today: date,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._message = message
        self._rules = rules
        self._profile = profile
        self._pseudonymiser = pseudonymiser
        self._pseudonymiser_for = pseudonymiser_for
        self._issuers = issuers
        self._known = known
        self._today = today
        self._moments = Moments(pseudonymiser, profile)
        shift = None if profile.dates == "remove" else self._moments.moved
        self._free_text = FreeText(known, shift, pseudonymiser.uid)
        self._value_type = ""
        self._verbs: dict[str, Callable[[str], str]] = {
            "keep": self._keep,
            "code": self._code,
            "local code": self._local_code,
            "shared code": self._shared_code,
            "number": self._number,
            "comparator": self._comparator,
            "date": self._date,
            "time": self._time,
            "text": self._text,
            "descriptor": self._descriptor,
            "entity": self._entity,
            "hl7-id": self._identifier,
            "patient-id": self._patient_id,
            "prior-id": self._prior_id,
            "name": self._name,
            "birth": self._birth,
            "system": self._system,
            "drop": self._drop,
        }

    def rewrite(self) -> Message:
        """The message without identity."""
        kept = []
        for segment in self._message.segments:
            if segment.name not in self._rules.segments:
                self.counts["segment dropped"] += 1
                continue
            kept.append(self._segment(segment))
        return Message(self._message.delimiters, self._message.codec, kept)

    def _segment(self, segment: Segment) -> Segment:
        self._value_type = segment.get(2).strip() if segment.name == "OBX" else ""
        made = []
        for number, written in enumerate(segment.fields, 1):
            if segment.name == "MSH" and number <= 6:
                made.append((written, written, OUR_NAME, "", "", "")[number - 1])
            else:
                made.append(self._field(segment.name, number, written) if written else "")
        while made and not made[-1]:
            made.pop()
        return Segment(segment.name, made)

    def _field(self, segment: str, number: int, written: str) -> str:
        rule = self._rules.of_field(segment, number)
        if rule == "value":
            rule = self._rules.values.get(self._value_type, "drop")
        repetition = self._message.delimiters.repetition
        if rule == "keep":
            return self._keep(written)
        return repetition.join(self._apply(rule, one, 0) for one in written.split(repetition)).rstrip(repetition)

    def _apply(self, rule: str, written: str, level: int) -> str:
        """A verb, or a type by its own rule or its components'. HL7's null stays null."""
        if not written or written == _NULL:
            return written
        if rule in self._verbs:
            return self._verb(rule, written)
        typed = self._rules.of_type(rule)
        if isinstance(typed, str):
            return self._verb(typed, written) if typed in self._verbs else self._drop(written)
        return self._parts(rule, typed, written, level)

    def _parts(self, name: str, rules: list[str], written: str, level: int) -> str:
        delimiters = self._message.delimiters
        sign = (delimiters.component, delimiters.subcomponent, "")[min(level, 2)]
        parts = written.split(sign) if sign else [written]
        made = []
        for place, part in enumerate(parts):
            rule = rules[place] if place < len(rules) else "drop"
            made.append(self._apply(self._coded(rule, parts, place) if name in _CODED else rule, part, level + 1))
        return sign.join(made).rstrip(sign) if sign else made[0]

    def _coded(self, rule: str, parts: list[str], place: int) -> str:
        """The rule for a part of a code: long numbers only in shared systems, text only where a system is named.

        A person that somebody put into a coded field has a given name where the system should stand.
        """
        at = _SYSTEM_OF.get(place, len(parts))
        system = self._read(parts[at]) if at < len(parts) else ""
        if rule == "code" and _SYSTEM.fullmatch(system):
            return "shared code" if is_shared_system(system) else "local code"
        if rule == "text" and _SYSTEM.fullmatch(system) is None:
            return "descriptor"
        return rule

    def _verb(self, verb: str, written: str) -> str:
        """Carries a verb out and looks once more at what it gives."""
        if len(written) > _LONGEST_LEAF:
            return self._drop(written)
        made = self._verbs[verb](written)
        if made and verb not in ("text", "patient-id", "prior-id", "name") and is_left(self._known, [self._read(made)]):
            self.counts["residual"] += 1
            return ""
        self.counts[verb if made or not written else "drop"] += 1
        return made

    def _read(self, written: str) -> str:
        return unescape(written, self._message.delimiters).strip()

    def _written(self, value: str) -> str:
        return escape(value, self._message.delimiters)

    # What is done, by verb.

    def _drop(self, _written: str) -> str:
        return ""

    def _keep(self, written: str) -> str:
        return written if all(is_bare_code(one) for one in written.split(self._message.delimiters.repetition)) else ""

    def _code(self, written: str) -> str:
        return written if is_bare_code(self._read(written)) and not self._is_split(written) else ""

    def _local_code(self, written: str) -> str:
        return written if is_code(self._read(written)) and not self._is_split(written) else ""

    def _shared_code(self, written: str) -> str:
        return written if is_shared_code(self._read(written)) and not self._is_split(written) else ""

    def _is_split(self, written: str) -> bool:
        """Has parts where its type has none: nobody knows what they are."""
        return self._message.delimiters.component in written or self._message.delimiters.subcomponent in written

    def _system(self, written: str) -> str:
        value = self._read(written)
        return written if is_shared_system(value) else "L"

    def _number(self, written: str) -> str:
        return written if NUMBER.fullmatch(written.strip()) else ""

    def _comparator(self, written: str) -> str:
        return written if COMPARATOR.fullmatch(written.strip()) else ""

    def _date(self, written: str) -> str:
        found = _MOMENT.fullmatch(written.strip())
        moved = self._moments.moved(found[1]) if found else None
        if found is None or not moved:
            return ""
        return moved + (found[2] if self._profile.times and len(moved) == 8 else "")

    def _time(self, written: str) -> str:
        return written if self._profile.times and CLOCK.fullmatch(written.strip()) else ""

    def _text(self, written: str) -> str:
        if self._profile.texts == "drop":
            return ""
        cleaned = self._free_text.clean(self._read(written))
        self.counts.update({f"text {category}": count for category, count in cleaned.counts.items()})
        self.counts["text dropped"] += cleaned.dropped is not None
        return self._written(cleaned.text)

    def _descriptor(self, written: str) -> str:
        return written if is_technical(self._read(written)) else ""

    def _entity(self, written: str) -> str:
        value = self._read(written.split(self._message.delimiters.component, 1)[0])
        return self._pseudonymiser.uid(value) if _UID.fullmatch(value) else self._pseudonymiser.accession(value)

    def _identifier(self, written: str) -> str:
        return self._pseudonymiser.hl7_id(self._read(written))

    def _patient_id(self, written: str) -> str:
        """The pseudonym under our own authority; identifiers of other kinds stay apart from it."""
        parts = written.split(self._message.delimiters.component)
        kind = self._read(parts[4]) if len(parts) > 4 else ""
        if kind in ("MR", "PI", "PT", ""):
            return self._cx(self._pseudonymiser.patient_id(), kind or "MR")
        return self._cx(self._identifier(parts[0]), kind) if is_bare_code(kind) and parts[0] else ""

    def _prior_id(self, written: str) -> str:
        """The pseudonym that the merged patient has, so that what came under it is found."""
        prior = identifier_key(self._message, written, self._issuers)
        return self._cx(self._pseudonymiser_for(prior).patient_id(), "MR") if prior.patient_id else ""

    def _cx(self, number: str, kind: str) -> str:
        sign = self._message.delimiters.component
        return sign.join((number, "", "", OUR_NAME, kind))

    def _name(self, _written: str) -> str:
        return self._pseudonymiser.patient_id()

    def _birth(self, written: str) -> str:
        found = _MOMENT.fullmatch(written.strip())
        return (self._moments.birth_year(found[1], self._today) or "") if found else ""


def check(message: Message, known: KnownIdentity) -> None:
    """The last look over the whole message; Invalid where a known number or name is still in a field."""
    signs = message.delimiters
    between = re.compile("[" + re.escape(signs.component + signs.repetition + signs.subcomponent) + "]")
    for segment in message.segments:
        for number, written in enumerate(segment.fields, 1):
            if (segment.name == "MSH" and number < 3) or (segment.name, number) in _OURS:
                continue
            leaves = [unescape(leaf, signs) for leaf in between.split(written)]
            if is_left(known, [_MARK.sub("\n", leaf) for leaf in leaves]):
                raise Invalid(f"identity is left in {segment.name}-{number}")
