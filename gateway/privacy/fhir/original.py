"""Who a FHIR Patient is, in the form in which the vault keeps identity: as a DICOM header would say it.

A record has no DICOM header; its Patient resource says the same things. PN of PS3.5 6.2, dates of 8 digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.privacy.fhir.identity import issuer_of, type_codes
from gateway.privacy.identity import OriginalIdentity

_SEXES = {"male": "M", "female": "F", "other": "O"}
_NUMBERS = ("MR", "PI", "PT")  # HL7 table 0203: what numbers a patient


def original_identity(patient: Mapping[str, Any]) -> OriginalIdentity:
    """What the resource says; empty where it says nothing."""
    number = _number(patient.get("identifier"))
    return OriginalIdentity(
        patient_id=str(number.get("value") or ""),
        issuer=issuer_of(number.get("system")),
        patient_name=_name(patient.get("name")),
        birth_date=str(patient.get("birthDate") or "").replace("-", "")[:8],
        sex=_SEXES.get(str(patient.get("gender")), ""),
    )


def _number(identifiers: Any) -> dict[str, Any]:
    usable = [one for one in identifiers or () if isinstance(one, dict) and one.get("value")]
    return next((one for one in usable if type_codes(one) & {*_NUMBERS}), usable[0] if usable else {})


def _name(names: Any) -> str:
    """Family^Given^Middle^Prefix^Suffix of the official name, else of the first."""
    usable = [one for one in names or () if isinstance(one, dict)]
    chosen = next((one for one in usable if one.get("use") == "official"), usable[0] if usable else {})
    given = [str(each) for each in chosen.get("given") or ()]
    parts = [str(chosen.get("family") or ""), given[0] if given else "", " ".join(given[1:])]
    parts += [" ".join(map(str, chosen.get(key) or ())) for key in ("prefix", "suffix")]
    said = "^".join(part.replace("^", " ") for part in parts).rstrip("^")
    return said or str(chosen.get("text") or "").replace("^", " ")
