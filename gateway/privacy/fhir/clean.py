"""One FHIR R4 resource or bundle without identity, in JSON: read, harvested, rewritten by the allow-list, checked.

The pseudonyms are those of DICOM and HL7 v2. Numbers keep their form, elements their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from gateway.domain.clearance import Deidentification
from gateway.domain.errors import Invalid
from gateway.privacy.documents import INFERENCE, CleanedDocument, DocumentProfile, Issuers, PseudonymiserFor, pack
from gateway.privacy.fhir.identity import known_identity, patient_key
from gateway.privacy.fhir.json_text import parse, write
from gateway.privacy.fhir.rewriter import Rewriter, check
from gateway.privacy.fhir.rules import fhir_rules
from gateway.privacy.free_text.known import KnownIdentity
from gateway.privacy.pseudonyms import IdentityKey

_METHODS = ("fhir-allow-list", "free-text-harvest-patterns-cues", "residual-check")


def deidentify(
    data: bytes,
    pseudonymiser_for: PseudonymiserFor,
    profile: DocumentProfile = INFERENCE,
    *,
    issuers: Issuers | None = None,
    patient: IdentityKey | None = None,
    patients: Mapping[str, IdentityKey] | None = None,
    known: KnownIdentity | None = None,
    today: date | None = None,
) -> CleanedDocument:
    """The resource in `data` without identity.

    `patients` are those met elsewhere, by `Patient/<id>`; `patient` is whose resource it is where it names nobody.
    Raises Invalid where it is not readable, names no patient or several, or something of the identity would be left,
    and Unsupported where no rule is written for its type.
    """
    document = parse(data)
    if not isinstance(document, dict):
        raise Invalid("a FHIR resource is a JSON object")
    issuers = issuers or Issuers()
    key = patient_key(document, issuers, patients or {}) or patient
    if key is None or not key.patient_id:
        raise Invalid("the resource names no patient")
    harvested = known_identity(document).joined(known or KnownIdentity())
    rules = fhir_rules()
    rewriter = Rewriter(
        rules,
        profile,
        pseudonymiser=pseudonymiser_for(key),
        key=key,
        issuers=issuers,
        known=harvested,
        today=today or date.today(),  # noqa: DTZ011 - only the year counts, to tell great ages
    )
    cleaned = rewriter.resource(document)
    check(cleaned, harvested)
    record = Deidentification(profile.name, rules.edition, _METHODS, dict(rewriter.counts))
    return CleanedDocument(write(cleaned), key, pack(data), record)
