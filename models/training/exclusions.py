"""What packs must not find in a record, as codes: diabetes, coronary disease, a recent measure of blood sugar.

Codes of ICD-9 and ICD-10 stand for those under them. SNOMED CT codes stand for themselves, so those that records use
most are listed; a diagnosis under another code, a procedure or a drug alone is not seen (the facts say so).
"""

from __future__ import annotations

from typing import Any, Final

_LOINC: Final = "http://loinc.org"
_SNOMED: Final = "http://snomed.info/sct"
_ICD_10: Final = (
    "http://hl7.org/fhir/sid/icd-10",
    "http://hl7.org/fhir/sid/icd-10-cm",
    "http://fhir.de/CodeSystem/bfarm/icd-10-gm",
)
_ICD_9: Final = "http://hl7.org/fhir/sid/icd-9-cm"


def _codes(system: str, *values: str) -> list[dict[str, str]]:
    return [{"system": system, "value": value} for value in values]


def _icd(ten: tuple[str, ...], nine: tuple[str, ...]) -> list[dict[str, str]]:
    return [code for system in _ICD_10 for code in _codes(system, *ten)] + _codes(_ICD_9, *nine)


DIABETES: Final[dict[str, Any]] = {
    "title": "diabetes, as a diagnosis",
    "codes": [
        *_codes(_SNOMED, "73211009", "44054006", "46635009", "8801005", "313435000", "313436004", "422034002"),
        *_codes(_SNOMED, "4855003", "127013003", "230572002", "368581000119106"),
        *_icd(("E10", "E11", "E12", "E13", "E14"), ("250",)),
    ],
}
BLOOD_SUGAR: Final[dict[str, Any]] = {
    "title": "HbA1c, fasting glucose or a glucose tolerance test of the last 365 days",
    "days": 365,
    "codes": _codes(
        _LOINC, "4548-4", "4549-2", "17856-6", "59261-8", "62388-4", "71875-9", "1558-6", "14771-0", "1518-0", "14995-5"
    ),
}
CORONARY: Final[dict[str, Any]] = {
    "title": "coronary heart disease, angina or infarction, as a diagnosis",
    "codes": [
        *_codes(_SNOMED, "53741008", "443502000", "414545008", "413838009", "194828000", "233819005", "4557003"),
        *_codes(_SNOMED, "394659003", "22298006", "57054005", "401303003", "401314000", "1755008", "399211009"),
        *_icd(
            ("I20", "I21", "I22", "I23", "I24", "I25", "Z95.1", "Z95.5"),
            ("410", "411", "412", "413", "414", "V45.81", "V45.82"),
        ),
    ],
}
