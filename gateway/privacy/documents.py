"""What the de-identification of messages and resources shares: profiles, whose patient, the result, the way back.

FHIR and HL7 v2 differ in form only: both keep what a table allows, under the pseudonyms of the one patient they
are about, and give back the original to be sealed. GDPR art. 4(5), HIPAA 45 CFR 164.514(b).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

from gateway.domain.clearance import Deidentification
from gateway.domain.errors import Invalid
from gateway.privacy.pseudonyms import IdentityKey, Pseudonymiser

PseudonymiserFor = Callable[[IdentityKey], Pseudonymiser]
_MOST: Final = 64 << 20
_OLDEST: Final = 89


@dataclass(frozen=True)
class DocumentProfile:
    """How much of a document is kept.

    `dates`: moved by the patient's shift, cut to the year of that, or removed. `times`: whether the time of day
    stays. `texts`: free text cleaned, or none at all.
    """

    name: str
    dates: Literal["shift", "year", "remove"]
    times: bool
    texts: Literal["clean", "drop"]


INFERENCE = DocumentProfile("inference", dates="shift", times=True, texts="clean")
EXPORT = DocumentProfile("export", dates="shift", times=False, texts="drop")
PROFILES: Final = {profile.name: profile for profile in (INFERENCE, EXPORT)}


@dataclass(frozen=True)
class Issuers:
    """Names that different systems give to one issuer of patient identifiers, to the name that DICOM uses.

    A FHIR identifier system or an HL7 assigning authority that is not listed is an issuer of its own.
    """

    names: Mapping[str, str] = field(default_factory=dict)

    def key(self, issuer: str, patient_id: str) -> IdentityKey:
        return IdentityKey(self.names.get(issuer, issuer), patient_id)


@dataclass(frozen=True)
class CleanedDocument:
    """A document without identity. `removed` is for the vault to seal: it gives the original back."""

    body: bytes = field(repr=False)
    key: IdentityKey
    removed: bytes = field(repr=False)
    record: Deidentification


def pack(original: bytes) -> bytes:
    """The original in the form to seal."""
    return zlib.compress(original, 6)


def restore(removed: bytes) -> bytes:
    """The original document, bit for bit, from what `pack` gave."""
    stream = zlib.decompressobj()
    try:
        original = stream.decompress(removed, _MOST)
    except zlib.error as cause:
        raise Invalid("what was removed is not readable") from cause
    if not stream.eof:
        raise Invalid("what was removed is cut off or too large")
    return original


class Moments:
    """Dates of one patient under one profile, as DICOM dates (YYYY, YYYYMM or YYYYMMDD)."""

    def __init__(self, pseudonymiser: Pseudonymiser, profile: DocumentProfile) -> None:
        self._shift = pseudonymiser.shift_date
        self._profile = profile

    def moved(self, value: str) -> str | None:
        """What may stand for a date; None where nothing may, or it is no date."""
        moved = None if self._profile.dates == "remove" else self._shift(value)
        return moved[:4] if moved and self._profile.dates == "year" else moved

    def birth_year(self, value: str, today: date) -> str | None:
        """The year of birth on the moved time line; none at all for people of ninety and more."""
        moved = self.moved(value)
        if moved is None or today.year - int(value[:4]) > _OLDEST:
            return None
        return moved[:4]
