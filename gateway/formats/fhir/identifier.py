"""Identifiers and ids: how a patient, a study, an order, a report and a model are named to an EHR.

Both reading and searching go by these systems; changing one breaks every EHR that stored it (wire law).
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from gateway.domain.ids import derive_id
from gateway.domain.study import Study
from gateway.formats.fhir.coding import THO, concept
from gateway.formats.fhir.element import Resource, element
from gateway.formats.fhir.text import exact

REPORT = "urn:dxgate:report"
FINDING = "urn:dxgate:finding"
STUDY = "urn:dxgate:study"
PATIENT = "urn:dxgate:patient"
MODEL = "urn:dxgate:model"
MODEL_DIGEST = "urn:dxgate:model-sha256"
CARD_DIGEST = "urn:dxgate:model-card-sha256"
INPUT_DIGEST = "urn:dxgate:input-sha256"
ORGANIZATION = "urn:dxgate:organization"
PROVENANCE = "urn:dxgate:provenance"
PERSON = "urn:dxgate:person"
ENDPOINT = "urn:dxgate:endpoint"
RECALL = "urn:dxgate:recall"
STUDY_UID = "urn:dicom:uid"
_ISSUER = "urn:dxgate:issuer:"
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_UID = re.compile(r"[0-9][0-9.]{0,63}")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s|]+")
_IDENTIFIER_TYPES = f"{THO}/v2-0203"


def issuer_system(issuer: str) -> str | None:
    """The identifier system of an Issuer of Patient ID (0010,0021): OID, URI, or a name made into one."""
    name = exact(issuer)
    if not name:
        return None
    if _OID.fullmatch(name):
        return f"urn:oid:{name}"
    return name if _URI.fullmatch(name) else _ISSUER + quote(name, safe="")


def issuers_of(system: str) -> tuple[str, ...]:
    """Every issuer that `issuer_system` gives `system` for; for searching by `system|value`."""
    if system.startswith(_ISSUER):
        return (unquote(system.removeprefix(_ISSUER)), system)
    name = system.removeprefix("urn:oid:")
    return (name, system) if name != system and _OID.fullmatch(name) else (system,)


def medical_record_number(patient_id: str, issuer: str) -> Resource | None:
    value = exact(patient_id)
    if not value:
        return None
    return element(type=concept(_IDENTIFIER_TYPES, "MR"), system=issuer_system(issuer), value=value)


def accession(number: str) -> Resource | None:
    value = exact(number)
    return element(type=concept(_IDENTIFIER_TYPES, "ACSN"), value=value) if value else None


def dicom_uid(uid: str) -> str | None:
    """`uid` where it has the form of a DICOM UID (PS3.5 9.1); None for anything else."""
    return uid if _UID.fullmatch(uid) else None


def study_uid(uid: str) -> Resource | None:
    return {"system": STUDY_UID, "value": f"urn:oid:{uid}"} if dicom_uid(uid) else None


def patient_id(study: Study) -> str:
    return str(study.patient)


def device_id(model_id: str) -> str:
    return derive_id("device", model_id)


def card_id(model_id: str) -> str:
    return derive_id("card", model_id)


def organization_id(name: str) -> str:
    return derive_id("organization", name)


def provenance_id(report_id: str, version: int) -> str:
    return f"{report_id}-{version}"
