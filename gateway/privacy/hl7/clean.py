"""One HL7 v2 message without identity: read, harvested, rewritten by data type, looked through once more.

The patient's pseudonyms, accession numbers, UIDs and date shift are those of DICOM and FHIR, so that the three join.
"""

from __future__ import annotations

from datetime import date

from gateway.domain.clearance import Deidentification
from gateway.domain.errors import Invalid
from gateway.privacy.documents import INFERENCE, CleanedDocument, DocumentProfile, Issuers, PseudonymiserFor, pack
from gateway.privacy.free_text.known import KnownIdentity
from gateway.privacy.hl7.identity import known_identity, patient_key
from gateway.privacy.hl7.message import parse, write
from gateway.privacy.hl7.rewriter import Rewriter, check
from gateway.privacy.hl7.rules import rules_for
from gateway.privacy.pseudonyms import IdentityKey

_METHODS = ("hl7v2-by-data-type", "free-text-harvest-patterns-cues", "residual-check")


def deidentify(
    data: bytes,
    pseudonymiser_for: PseudonymiserFor,
    profile: DocumentProfile = INFERENCE,
    *,
    issuers: Issuers | None = None,
    patient: IdentityKey | None = None,
    known: KnownIdentity | None = None,
    today: date | None = None,
) -> CleanedDocument:
    """The message in `data` (one, without or with its MLLP frame) without identity.

    `patient` is whose message it is where it has no PID. `known` is what the caller knows of the patient besides.
    Raises Invalid where it cannot be read, names no patient or several, or something of the identity would be left.
    """
    message = parse(data)
    rules = rules_for(message.version)
    issuers = issuers or Issuers()
    key = patient_key(message, issuers) or patient
    if key is None or not key.patient_id:
        raise Invalid("the message names no patient")
    harvested = known_identity(message, rules).joined(known or KnownIdentity())
    rewriter = Rewriter(
        message,
        rules,
        profile,
        pseudonymiser=pseudonymiser_for(key),
        pseudonymiser_for=pseudonymiser_for,
        issuers=issuers,
        known=harvested,
        today=today or date.today(),  # noqa: DTZ011 - only the year counts, to tell great ages
    )
    cleaned = rewriter.rewrite()
    check(cleaned, harvested)
    record = Deidentification(profile.name, rules.edition, _METHODS, dict(rewriter.counts))
    return CleanedDocument(write(cleaned), key, pack(data), record)
