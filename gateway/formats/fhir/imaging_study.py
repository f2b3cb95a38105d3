"""ImagingStudy: the study under its original UIDs, so that EHR and PACS know which images were read (R4 ImagingStudy).

An instance whose original UID is not known is counted but not listed: a pseudonymous UID means nothing outside.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.study import Instance
from gateway.formats.fhir import identifier
from gateway.formats.fhir.coding import DICOM, coding
from gateway.formats.fhir.dicom_date import fhir_date
from gateway.formats.fhir.element import Resource, element, meta, reference
from gateway.formats.fhir.image_endpoint import image_endpoint_reference
from gateway.formats.fhir.text import line
from gateway.ports import ReportDocument

LISTED_INSTANCES = 5000  # all are counted; a study with more would make a resource that EHRs refuse for its size


def imaging_study(document: ReportDocument, base_url: str) -> Resource:
    identity, study = document.identity, document.study
    own = {"system": identifier.STUDY, "value": str(study.id)}  # only for a study whose UID nobody could use
    names = (identifier.study_uid(identity.study_instance_uid) or own, identifier.accession(identity.accession_number))
    series = _by_series(document.instances)
    listed = frozenset(instance.sop_instance_uid for instance in document.instances[:LISTED_INSTANCES])
    return element(
        resourceType="ImagingStudy",
        id=str(study.id),
        meta=meta(base_url),
        identifier=[name for name in names if name],
        status="available",
        modality=[coding(DICOM, code) for code in sorted(filter(None, map(_code, study.modalities)))],
        subject=reference("Patient", identifier.patient_id(study)),
        started=fhir_date(identity.study_date),
        endpoint=[image_endpoint_reference(document.dicomweb_url)] if document.dicomweb_url else None,
        numberOfSeries=len(series),
        numberOfInstances=len(document.instances),
        description=line(identity.study_description),
        series=[one for one in (_series(members, document, listed) for members in series) if one],
    )


def study_reference(document: ReportDocument) -> Resource:
    return reference("ImagingStudy", document.study.id)


def _by_series(instances: Sequence[Instance]) -> list[list[Instance]]:
    found: dict[str, list[Instance]] = {}
    for instance in instances:
        found.setdefault(instance.series_uid, []).append(instance)
    return list(found.values())


def _series(members: Sequence[Instance], document: ReportDocument, listed: frozenset[str]) -> Resource | None:
    uid = identifier.dicom_uid(document.original_uids.get(members[0].series_uid, ""))
    if uid is None:
        return None
    modality = _code(members[0].modality)
    body_part = line(str(members[0].header.get("BodyPartExamined") or ""))
    return element(
        uid=uid,
        number=_number(members[0].header.get("SeriesNumber")),
        modality=coding(DICOM, modality or "OT"),
        numberOfInstances=len(members),
        bodySite={"display": body_part} if body_part else None,
        instance=[
            one for one in (_instance(each, document) for each in members if each.sop_instance_uid in listed) if one
        ],
    )


def _instance(member: Instance, document: ReportDocument) -> Resource | None:
    uid = identifier.dicom_uid(document.original_uids.get(member.sop_instance_uid, ""))
    sop_class = identifier.dicom_uid(member.sop_class_uid)
    if uid is None or sop_class is None:
        return None
    number = _number(member.header.get("InstanceNumber"))
    return element(uid=uid, sopClass=coding("urn:ietf:rfc:3986", f"urn:oid:{sop_class}"), number=number)


def _code(modality: str) -> str:
    return "".join(line(modality, 16).split())


def _number(value: object) -> int | None:
    """An Instance or Series Number as unsignedInt; None where it is absent, negative or not a number."""
    text = str(value).strip() if value is not None else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
