"""Patient: identity as the sender of the study wrote it, restored from the vault (FHIR R4 8.1)."""

from __future__ import annotations

from gateway.formats.fhir import identifier
from gateway.formats.fhir.dicom_date import fhir_date
from gateway.formats.fhir.element import Resource, element, meta
from gateway.formats.fhir.human_name import human_names
from gateway.ports import ReportDocument

_GENDERS = {"M": "male", "F": "female", "O": "other"}  # PS3.3 C.7.1.1, Patient's Sex


def patient(document: ReportDocument, base_url: str) -> Resource:
    """The patient; our own identifier stands in only where the study came without one."""
    identity = document.identity
    record_number = identifier.medical_record_number(identity.patient_id, identity.issuer_of_patient_id)
    own = {"use": "secondary", "system": identifier.PATIENT, "value": identifier.patient_id(document.study)}
    return element(
        resourceType="Patient",
        id=identifier.patient_id(document.study),
        meta=meta(base_url),
        identifier=[record_number or own],
        name=human_names(identity.patient_name),
        gender=_GENDERS.get(identity.sex.strip().upper(), "unknown"),
        birthDate=fhir_date(identity.birth_date),
    )


def fits_us_core(document: ReportDocument) -> bool:
    """Whether US Core Patient holds: a name, and an identifier with a system."""
    identity = document.identity
    named = bool(human_names(identity.patient_name))
    return named and bool(identifier.issuer_system(identity.issuer_of_patient_id) or not identity.patient_id.strip())
