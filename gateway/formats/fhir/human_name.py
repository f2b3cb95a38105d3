"""A DICOM person name (PS3.5 6.2.1, PN) as FHIR HumanName, one for each of its three representations.

Groups are alphabetic, ideographic, phonetic; the iso21090-EN-representation extension says which is which. It is
left out where there is a single group: a sender with a Chinese character set writes 王^小东 there too.
"""

from __future__ import annotations

from gateway.formats.fhir.element import Resource, element
from gateway.formats.fhir.text import line

REPRESENTATION = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
_CODES = ("ABC", "IDE", "SYL")  # alphabetic, ideographic, phonetic: the order of PS3.5 6.2.1.2
_PN_LIMIT = 5 * 64 * 3 + 16  # characters: five components of 64 in three groups, and their delimiters


def human_names(person_name: str) -> list[Resource]:
    """The first value of `person_name`, a HumanName for each group that says something."""
    groups = person_name[:_PN_LIMIT].split("\\", maxsplit=1)[0].split("=")[: len(_CODES)]
    found = [(code, name) for code, name in zip(_CODES, map(_name, groups), strict=False) if name]
    if len(found) == 1 and found[0][0] == "ABC":
        return [found[0][1]]
    return [{"extension": [{"url": REPRESENTATION, "valueCode": code}], **name} for code, name in found]


def display_name(person_name: str) -> str:
    """All groups in reading order, for the printed report."""
    return " / ".join(name["text"] for name in human_names(person_name))


def _name(group: str) -> Resource:
    parts = [line(part, 64) for part in group.split("^")][:5]
    family, given, middle, prefix, suffix = parts + [""] * (5 - len(parts))
    text = " ".join(part for part in (prefix, given, middle, family, suffix) if part)
    if not text:
        return {}
    if not text.isascii() and _is_east_asian(family):
        text = " ".join(part for part in (family, given, middle) if part)
    return element(
        use="official",
        text=text,
        family=family,
        given=[part for part in (given, middle) if part],
        prefix=[prefix] if prefix else None,
        suffix=[suffix] if suffix else None,
    )


def _is_east_asian(family: str) -> bool:
    """Whether the family name comes first: kana, CJK ideographs and Hangul."""
    return any("\u3040" <= each <= "\u9fff" or "\uac00" <= each <= "\ud7af" for each in family)
