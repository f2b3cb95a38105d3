"""DICOM dates (PS3.5 6.2, DA) as FHIR dates.

A DICOM time has no zone unless the study says one, and FHIR R4 2.24.0.1 wants a zone with every time; the date
alone is what is known for certain.
"""

from __future__ import annotations

from datetime import datetime


def fhir_date(value: str) -> str | None:
    """YYYYMMDD, or YYYY.MM.DD of old ACR-NEMA objects, as YYYY-MM-DD; None where it is not a calendar day."""
    digits = value.strip().replace(".", "") if len(value.strip()) in (8, 10) else ""
    if len(digits) != 8 or not digits.isascii() or not digits.isdigit():
        return None
    try:
        return datetime.strptime(digits, "%Y%m%d").date().isoformat()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        return None
