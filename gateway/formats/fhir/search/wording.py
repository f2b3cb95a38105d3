"""The text of a search parameter's value, taken apart (R4 3.1.1.4.19: escapes)."""

from __future__ import annotations

import re

from gateway.domain.errors import Invalid

MAX_ALTERNATIVES = 50
MAX_LISTED = 250  # ids, codes and references: they are looked up together
LONGEST = 12_000
LONGEST_ONE = 2000


def split(text: str, separator: str) -> list[str]:
    """Between unescaped separators; escapes stay in."""
    parts, start, at = [], 0, 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        if text[at] == separator:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return [*parts, text[start:]]


def escaped(text: str) -> str:
    """A value as one alternative."""
    return re.sub(r"([\\,|$])", r"\\\1", text)


def unescaped(text: str) -> str:
    return re.sub(r"\\([\\,|$])", r"\1", text)


def alternatives(name: str, text: str, most: int = MAX_ALTERNATIVES) -> list[str]:
    """The values any of which may match, still escaped. Invalid where there is none or too many."""
    if len(text) > LONGEST:
        raise Invalid(f"a value of {name} has more than {LONGEST} characters")
    found = [part for part in split(text, ",") if part]
    if not found:
        raise Invalid(f"the parameter {name} has no value")
    if len(found) > most:
        raise Invalid(f"the parameter {name} has more than {most} alternatives")
    if any(len(one) > LONGEST_ONE for one in found):
        raise Invalid(f"a value of {name} has more than {LONGEST_ONE} characters")
    return found
