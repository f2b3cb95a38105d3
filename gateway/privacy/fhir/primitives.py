"""The primitive types of FHIR: what may stay of a string, a number, a date, each by its verb.

None means that nothing may. FHIR R4 2.24.0.1.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Any, Final, TypeGuard

from gateway.privacy.coded import is_bare_code
from gateway.privacy.documents import DocumentProfile, Moments
from gateway.privacy.fhir.json_text import Number
from gateway.privacy.fhir.links import Links
from gateway.privacy.free_text.clean import FreeText
from gateway.privacy.free_text.known import KnownIdentity
from gateway.privacy.free_text.residual import is_left
from gateway.privacy.pseudonyms import Pseudonymiser

_PUBLIC: Final = (
    "http://hl7.org/",
    "https://hl7.org/",
    "http://loinc.org/",
    "https://loinc.org/",
    "http://terminology.hl7.org/",
)
_DATE: Final = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:\d\d))?)?)?", re.ASCII
)
_CLOCK: Final = re.compile(r"\d\d:\d\d:\d\d(?:\.\d{1,9})?", re.ASCII)
_SEQUENCE: Final = re.compile(r"[A-Za-z0-9*=\-]{1,2000}")
_SAMPLES: Final = re.compile(r"(?:(?:[+-]?\d{1,12}(?:\.\d{1,12})?|E|U|L)(?: |$)){1,200000}+")
_LINK: Final = re.compile(r"[A-Za-z0-9./_-]{1,64}")
OID: Final = re.compile(r"(?:urn:oid:)?([0-2](?:\.\d{1,40}){1,60})", re.ASCII)


class Primitives:
    """The verbs of one document; `verbs` leads from a verb's name to its method."""

    def __init__(
        self,
        profile: DocumentProfile,
        pseudonymiser: Pseudonymiser,
        known: KnownIdentity,
        today: date,
        counts: Counter[str],
    ) -> None:
        self._profile = profile
        self._pseudonymiser = pseudonymiser
        self._known = known
        self._today = today
        self._counts = counts
        self._links = Links(pseudonymiser)
        self._moments = Moments(pseudonymiser, profile)
        shift = None if profile.dates == "remove" else self._moments.moved
        self._free_text = FreeText(known, shift, pseudonymiser.uid)
        self.verbs: dict[str, Callable[[Any], Any]] = {
            "flag": self.flag,
            "number": self.number,
            "code": self.code,
            "text": self.text,
            "date": self.date,
            "instant": self.instant,
            "clock": self.clock,
            "birth": self.birth,
            "uid": self.uid,
            "url": self.url,
            "link": self.link,
            "sequence": self.sequence,
            "samples": self.samples,
            "target": self.target,
        }

    def flag(self, value: Any) -> bool | None:
        return value if isinstance(value, bool) else None

    def number(self, value: Any) -> Number | None:
        return value if isinstance(value, Number) and len(value) <= 32 and not is_left(self._known, [value]) else None

    def code(self, value: Any) -> str | None:
        """A code of the standard's own value sets: lower-case words, or short like any other bare code."""
        if not is_plain(value):
            return None
        return value if re.fullmatch(r"[a-z][a-z-]{0,31}", value) or is_bare_code(value) else None

    def text(self, value: Any) -> str | None:
        if not is_plain(value) or self._profile.texts == "drop":
            return None
        cleaned = self._free_text.clean(value)
        self._counts.update({f"text {category}": count for category, count in cleaned.counts.items()})
        self._counts["text dropped"] += cleaned.dropped is not None
        return cleaned.text

    def date(self, value: Any) -> str | None:
        found = _DATE.fullmatch(value) if is_plain(value) else None
        moved = self._moments.moved("".join(part for part in found.groups()[:3] if part)) if found else None
        if found is None or moved is None:
            return None
        day = "-".join(part for part in (moved[:4], moved[4:6], moved[6:]) if part)
        return f"{day}T{found[4]}Z" if found[4] and self._profile.times and len(moved) == 8 else day

    def instant(self, value: Any) -> str | None:
        """An instant is never less precise: without its time it is the day's beginning."""
        made = self.date(value)
        if made is None or (len(made) < 10 and self._profile.dates != "year"):
            return None
        return made if "T" in made else f"{made}-01-01T00:00:00Z" if len(made) == 4 else f"{made}T00:00:00Z"

    def clock(self, value: Any) -> str | None:
        return value if self._profile.times and is_plain(value) and _CLOCK.fullmatch(value) else None

    def birth(self, value: Any) -> str | None:
        found = _DATE.fullmatch(value) if is_plain(value) else None
        digits = "".join(part for part in found.groups()[:3] if part) if found else ""
        return self._moments.birth_year(digits, self._today) if digits else None

    def uid(self, value: Any) -> str | None:
        found = OID.fullmatch(value) if is_plain(value) else None
        return self._pseudonymiser.uid(found[1]) if found else None

    def url(self, value: Any) -> str | None:
        return value if is_plain(value) and value.startswith(_PUBLIC) and not re.search(r"[\s?#]", value) else None

    def link(self, value: Any) -> str | None:
        """Kept where it can be nobody, else replaced alike everywhere."""
        if not is_plain(value):
            return None
        plain = _LINK.fullmatch(value) and is_bare_code(value) and not is_left(self._known, [value])
        return value if plain else self._pseudonymiser.fhir_id(f"link/{value}")

    def sequence(self, value: Any) -> str | None:
        """Bases or residues of one allele; a long read tells who it is from."""
        return value if is_plain(value) and len(value) <= 50 and _SEQUENCE.fullmatch(value) else None

    def samples(self, value: Any) -> str | None:
        return value if is_plain(value) and _SAMPLES.fullmatch(value) else None

    def target(self, value: Any) -> str | None:
        return self._links.target(value) if is_plain(value) else None


def is_plain(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and not isinstance(value, Number) and value != ""
