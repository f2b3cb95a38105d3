"""Who a message is about, and every name, number, contact and address in it: read by data type before removal.

HL7 v2 2A (XPN, XCN, CX, XTN, XAD). What the typed fields say is then looked for in the text fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.domain.errors import Invalid
from gateway.privacy.documents import Issuers
from gateway.privacy.free_text.known import KnownIdentity
from gateway.privacy.hl7.message import Message, Segment, unescape
from gateway.privacy.hl7.rules import Hl7Rules
from gateway.privacy.pseudonyms import IdentityKey

_NAMES: Final = frozenset({"XPN", "PN", "PPN", "XCN", "CN", "CNN", "CNS", "CM_PRACTITIONER"})
_NUMBERED: Final = frozenset({"PPN", "XCN", "CN", "CNN", "CNS"})
_NUMBERS: Final = frozenset(
    {"CX", "CK", "CM_PAT_ID", "CM_PAT_ID_0192", "CK_ACCOUNT_NO", "EI", "CM_PLACER", "CM_FILLER", "DLN"}
)
_CONTACTS: Final = frozenset({"XTN", "TN"})
_ADDRESSES: Final = frozenset({"XAD", "AD", "SAD", "XON"})
_DEEPEST: Final = 3
_PATIENT_NUMBERS: Final = frozenset({"MR", "PI", "PT", ""})
_ALSO_NUMBERS: Final = frozenset({"PID-19", "OBR-18", "OBR-19", "OBR-20"})
Leaves = list[str]


def patient_key(message: Message, issuers: Issuers) -> IdentityKey | None:
    """The patient of the message, by PID-3; None where it names none, Invalid where it names several."""
    keys = {
        key for segment in message.segments if segment.name == "PID" and (key := _of_pid(message, segment, issuers))
    }
    if len(keys) > 1:
        raise Invalid("the message is about more than one patient")
    return keys.pop() if keys else None


def _of_pid(message: Message, segment: Segment, issuers: Issuers) -> IdentityKey | None:
    for number in (3, 2):
        written = [one for one in segment.get(number).split(message.delimiters.repetition) if one.strip('^" ')]
        own = [one for one in written if _part(message, one, 5) in _PATIENT_NUMBERS]
        for one in own or written:
            return identifier_key(message, one, issuers)
    return None


def identifier_key(message: Message, written: str, issuers: Issuers) -> IdentityKey:
    """Whose identifier a CX is: its number under its assigning authority, namespace before universal id."""
    authority = written.split(message.delimiters.component)[3:4]
    parts = authority[0].split(message.delimiters.subcomponent) if authority else []
    issuer = next((unescape(part, message.delimiters).strip() for part in parts[:2] if part.strip()), "")
    return issuers.key(issuer, _part(message, written, 1))


def _part(message: Message, written: str, number: int) -> str:
    parts = written.split(message.delimiters.component)
    return unescape(parts[number - 1], message.delimiters).strip() if number <= len(parts) else ""


def known_identity(message: Message, rules: Hl7Rules) -> KnownIdentity:
    """What any typed field of the message says of anybody."""
    return _Harvest(message, rules).whole()


class _Harvest:
    """Collects by type, down to sub-components."""

    def __init__(self, message: Message, rules: Hl7Rules) -> None:
        self._message = message
        self._rules = rules
        self._found: dict[str, set[str]] = {
            "names": set(),
            "numbers": set(),
            "contacts": set(),
            "addresses": set(),
            "days": set(),
        }

    def whole(self) -> KnownIdentity:
        """Every segment with types, dropped ones included."""
        for segment in self._message.segments:
            row = self._rules.field_types.get(segment.name, [])
            for number, written in enumerate(segment.fields, 1):
                if not written or (segment.name == "MSH" and number < 3) or number > len(row):
                    continue
                place = f"{segment.name}-{number}"
                for one in written.split(self._message.delimiters.repetition)[:64]:
                    self._typed(row[number - 1], one, 0)
                    if place in _ALSO_NUMBERS:
                        self._found["numbers"].update(leaf for leaf in self._leaves(one)[:1] if len(leaf) > 3)
                if place == "PID-7":
                    self._found["days"].add(written[:8])
        return KnownIdentity(**{kind: frozenset(values) for kind, values in self._found.items()})

    def _typed(self, name: str, written: str, level: int) -> None:
        leaves = self._leaves(written)
        if name in _NAMES:
            numbered = name in _NUMBERED
            parts = [leaf for leaf in leaves[1 if numbered else 0 :][:4] if leaf]
            self._found["names"].update({" ".join(parts), *parts} - {""})
            self._found["numbers"].update(leaf for leaf in leaves[:1] if numbered and len(leaf) > 2)
        elif name in _NUMBERS:
            self._found["numbers"].update(leaf for leaf in leaves[:1] if len(leaf) > 3)
        elif name in _CONTACTS:
            self._found["contacts"].update(
                leaf for leaf in (written, *leaves) if sum(map(str.isdigit, leaf)) > 5 or "@" in leaf
            )
        elif name in _ADDRESSES:
            places = leaves[:1] if name == "XON" else leaves[:3]
            self._found["addresses"].update(leaf for leaf in places if len(leaf) > 4 and any(map(str.isalpha, leaf)))
        elif level < _DEEPEST:
            self._components(name, written, level)

    def _components(self, name: str, written: str, level: int) -> None:
        rule = self._rules.component_types.get(name)
        sign = (self._message.delimiters.component, self._message.delimiters.subcomponent, "")[level]
        if rule and sign:
            for inner, part in zip(rule, written.split(sign), strict=False):
                self._typed(inner, part, level + 1)

    def _leaves(self, written: str) -> Leaves:
        return [unescape(part, self._message.delimiters).strip() for part in self._split(written)]

    def _split(self, written: str) -> Iterator[str]:
        for part in written.split(self._message.delimiters.component)[:24]:
            yield from part.split(self._message.delimiters.subcomponent)[:8]
