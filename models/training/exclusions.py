"""What packs must not find in a record, as codes: diabetes, coronary disease, a recent measure of blood sugar.

Codes of ICD-9 and ICD-10 stand for those under them. SNOMED CT codes stand for themselves, so those that records use
most are listed; a diagnosis under another code, a procedure or a drug alone is not seen (the facts say so). Each code
stands with its meaning; where that was looked up is told in deploy/models/codes.md, and its check digit is tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

_LOINC: Final = "http://loinc.org"
_SNOMED: Final = "http://snomed.info/sct"
_ICD_10: Final = (
    "http://hl7.org/fhir/sid/icd-10",
    "http://hl7.org/fhir/sid/icd-10-cm",
    "http://fhir.de/CodeSystem/bfarm/icd-10-gm",
)
_ICD_9: Final = "http://hl7.org/fhir/sid/icd-9-cm"
DIABETES_MEANT: Final[Mapping[str, str]] = {
    "73211009": "Diabetes mellitus",
    "44054006": "Diabetes mellitus type 2",
    "46635009": "Diabetes mellitus type 1",
    "8801005": "Secondary diabetes mellitus",
    "313435000": "Type 1 diabetes mellitus without complication",
    "313436004": "Type 2 diabetes mellitus without complication",
    "422034002": "Retinopathy due to type 2 diabetes mellitus",
    "4855003": "Retinopathy due to diabetes mellitus",
    "127013003": "Disorder of kidney due to diabetes mellitus",
    "230572002": "Neuropathy due to diabetes mellitus",
    "368581000119106": "Neuropathy due to type 2 diabetes mellitus",
}
BLOOD_SUGAR_MEANT: Final[Mapping[str, str]] = {
    "4548-4": "Hemoglobin A1c/Hemoglobin.total in Blood",
    "4549-2": "Hemoglobin A1c/Hemoglobin.total in Blood by Electrophoresis",
    "17856-6": "Hemoglobin A1c/Hemoglobin.total in Blood by HPLC",
    "59261-8": "Hemoglobin A1c/Hemoglobin.total in Blood by IFCC protocol",
    "62388-4": "Hemoglobin A1c/Hemoglobin.total in Blood by JDS/JSCC protocol",
    "71875-9": "Hemoglobin A1c/Hemoglobin.total [Pure mass fraction] in Blood",
    "1558-6": "Fasting glucose [Mass/volume] in Serum or Plasma",
    "14771-0": "Fasting glucose [Moles/volume] in Serum or Plasma",
    "1518-0": "Glucose [Mass/volume] in Serum or Plasma --2 hours post 75 g glucose PO",
    "14995-5": "Glucose [Moles/volume] in Serum or Plasma --2 hours post 75 g glucose PO",
}
CORONARY_MEANT: Final[Mapping[str, str]] = {
    "53741008": "Coronary arteriosclerosis",
    "443502000": "Atherosclerosis of coronary artery",
    "414545008": "Ischemic heart disease",
    "413838009": "Chronic ischemic heart disease",
    "194828000": "Angina pectoris",
    "233819005": "Stable angina",
    "4557003": "Preinfarction syndrome (unstable angina)",
    "394659003": "Acute coronary syndrome",
    "22298006": "Myocardial infarction",
    "57054005": "Acute myocardial infarction",
    "401303003": "Acute ST segment elevation myocardial infarction",
    "401314000": "Acute non-ST segment elevation myocardial infarction",
    "1755008": "Old myocardial infarction",
    "399211009": "History of myocardial infarction",
}


def _codes(system: str, values: Iterable[str]) -> list[dict[str, str]]:
    return [{"system": system, "value": value} for value in values]


def _icd(ten: tuple[str, ...], nine: tuple[str, ...]) -> list[dict[str, str]]:
    return [code for system in _ICD_10 for code in _codes(system, ten)] + _codes(_ICD_9, nine)


DIABETES: Final[dict[str, Any]] = {
    "title": "diabetes, as a diagnosis",
    "codes": [*_codes(_SNOMED, DIABETES_MEANT), *_icd(("E10", "E11", "E12", "E13", "E14"), ("250",))],
}
BLOOD_SUGAR: Final[dict[str, Any]] = {
    "title": "HbA1c, fasting glucose or a glucose tolerance test of the last 365 days",
    "days": 365,
    "codes": _codes(_LOINC, BLOOD_SUGAR_MEANT),
}
CORONARY: Final[dict[str, Any]] = {
    "title": "coronary heart disease, angina or infarction, as a diagnosis",
    "codes": [
        *_codes(_SNOMED, CORONARY_MEANT),
        *_icd(
            ("I20", "I21", "I22", "I23", "I24", "I25", "Z95.1", "Z95.5"),
            ("410", "411", "412", "413", "414", "V45.81", "V45.82"),
        ),
    ],
}
