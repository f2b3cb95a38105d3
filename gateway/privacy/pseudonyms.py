"""Keyed pseudonyms of one patient: identifiers, UIDs and dates that only the vault can lead back.

One random secret per patient and one key per domain; HMAC-SHA256 over both. Destroying the secret unlinks all
that was derived from it. PS3.15 E.1.1 (consistent replacement), RFC 5869, RFC 9562 section 5.8 (UUIDv8),
GDPR article 4(5). The labels and formats are a wire law: stored objects depend on them.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LABELS: Final = ("pid", "acc", "uid", "date", "fhir", "hl7", "vault")
_WELL_KNOWN: Final = "1.2.840.10008."
_DATE: Final = re.compile(r"(\d{4})(?:\.?(\d\d))?(?:\.?(\d\d))?", re.ASCII)
_DATETIME: Final = re.compile(r"(\d{4})(?:(\d\d)(?:(\d\d)((?:\d\d){0,3}(?:\.\d{1,6})?))?)?(?:[+-]\d{4})?", re.ASCII)
_LEAST_DAYS: Final = 365
_MOST_DAYS: Final = 1825


@dataclass(frozen=True, repr=False)
class IdentityKey:
    """Which patient: the identifier and who issued it, in one normal form. Has no text form."""

    issuer: str
    patient_id: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "issuer", normal_form(self.issuer))
        object.__setattr__(self, "patient_id", normal_form(self.patient_id))

    def indexed(self) -> bytes:
        """What the blind index is computed over."""
        return f"{self.issuer}\x1f{self.patient_id}".encode()

    def __repr__(self) -> str:
        return "IdentityKey(…)"


def normal_form(value: str) -> str:
    """NFKC, upper case, no outer blanks: so that spellings of one identifier meet."""
    return unicodedata.normalize("NFKC", value).strip(" \0").upper()


def blind_index(key: bytes, value: bytes) -> bytes:
    """16 bytes to find a value by, without storing the value."""
    return hmac.digest(key, value, "sha256")[:16]


def crockford(value: bytes, characters: int) -> str:
    """The leading 5 x `characters` bits of `value` in Crockford's base 32."""
    number = int.from_bytes(value, "big") >> (8 * len(value) - 5 * characters)
    return "".join(_CROCKFORD[number >> 5 * place & 31] for place in reversed(range(characters)))


def recipient_domain(root: bytes, recipient: str) -> bytes:
    """The domain key of one recipient's copies, from the gateway's own (RFC 5869).

    Two recipients, or one of them and the gateway itself, have no pseudonym, UID or date shift in common.
    """
    return HKDF(SHA256(), 32, None, b"dxgate/export/v1/" + normal_form(recipient).encode()).derive(root)


class Pseudonymiser:
    """Everything that stands in for one patient in one domain. Has no text form."""

    __slots__ = ("_keys", "_prefix", "date_shift_days")

    def __init__(self, patient_secret: bytes, domain_key: bytes, prefix: str = "") -> None:
        """`patient_secret` and `domain_key` are 32 random bytes each; `prefix` precedes patient ids."""
        self._keys = {
            label: HKDF(SHA256(), 32, domain_key, b"dxgate/pseudonym/v1/" + label.encode()).derive(patient_secret)
            for label in _LABELS
        }
        self._prefix = prefix
        weeks = _MOST_DAYS // 7 - _LEAST_DAYS // 7
        drawn = int.from_bytes(self._digest("date", b"shift")[:8], "big") % weeks
        self.date_shift_days = 7 * (_LEAST_DAYS // 7 + 1 + drawn)

    def __repr__(self) -> str:
        return "Pseudonymiser(…)"

    def _digest(self, label: str, value: bytes) -> bytes:
        return hmac.digest(self._keys[label], value, "sha256")

    def vault_key(self) -> bytes:
        """32 bytes under which this patient's identity is sealed."""
        return self._keys["vault"]

    def patient_id(self) -> str:
        """The patient's pseudonym: prefix and 16 characters, 80 bits."""
        return self._prefix + crockford(self._digest("pid", b"patient"), 16)

    def accession(self, original: str) -> str:
        """A 16-character accession number (SH); an empty one stays empty."""
        value = normal_form(original)
        return crockford(self._digest("acc", value.encode()), 16) if value else ""

    def uid(self, original: str) -> str:
        """'2.25.' and a UUIDv8 in decimal; UIDs of the standard itself stay (PS3.15 E.3.9)."""
        value = original.strip(" \0")
        if not value or (value.startswith(_WELL_KNOWN) and len(value) <= 64 and _plain_uid(value)):
            return value
        number = int.from_bytes(self._digest("uid", value.encode("utf-8", "surrogateescape"))[:16], "big")
        number = number & ~(0xF << 76) | 8 << 76
        return f"2.25.{number & ~(0x3 << 62) | 0x2 << 62}"

    def fhir_id(self, original: str) -> str:
        """A 26-character logical id, 128 bits."""
        return crockford(self._digest("fhir", original.encode()), 26)

    def hl7_id(self, original: str) -> str:
        """A 16-character identifier for HL7 v2 fields that are neither patient nor accession number."""
        return crockford(self._digest("hl7", normal_form(original).encode()), 16)

    def shift_date(self, value: str) -> str | None:
        """A DA value, multi-valued or a range, moved back; None where it is not a date."""
        return _each(value, self._shift_day)

    def shift_datetime(self, value: str) -> str | None:
        """A DT value moved back, precision kept, offset from UTC dropped; None where it is not one."""
        return _each(value, self._shift_moment)

    def _shift_day(self, value: str) -> str | None:
        found = _DATE.fullmatch(value)
        return None if found is None else self._moved(*found.groups())

    def _shift_moment(self, value: str) -> str | None:
        found = _DATETIME.fullmatch(value)
        if found is None:
            return None
        year, month, day, time = found.groups()
        moved = self._moved(year, month, day)
        return moved if moved is None or day is None else moved + time

    def _moved(self, year: str, month: str | None, day: str | None) -> str | None:
        """The date shifted from the first day of what is given, written with the same precision."""
        try:
            original = date(int(year), int(month or 1), int(day or 1))
            moved = date.fromordinal(original.toordinal() - self.date_shift_days)
        except ValueError:
            return None
        return f"{moved.year:04d}{moved.month:02d}{moved.day:02d}"[: 4 + 2 * bool(month) + 2 * bool(day)]


def _plain_uid(value: str) -> bool:
    return value.isascii() and value.replace(".", "").isdigit()


def _each(value: str, shift: Callable[[str], str | None]) -> str | None:
    """Shift every value of a multi-value and both ends of every range."""
    values = []
    for one in value.split("\\"):
        ends = []
        for end in _range(one):
            moved = shift(end.strip(" \0")) if end.strip(" \0") else ""
            if moved is None:
                return None
            ends.append(moved)
        values.append("-".join(ends))
    return "\\".join(values)


def _range(value: str) -> list[str]:
    """A range's two ends; a hyphen before four digits at the end of a DT is its offset, not a range."""
    text = value.strip(" \0")
    if re.fullmatch(r"\d{6,}(?:\.\d+)?-\d{4}", text) and int(text[-4:]) <= 1400:
        return [text]
    return text.split("-", maxsplit=1) if "-" in text[1:] or text.startswith("-") else [text]
