"""Who an object is about: read before removal, sealed by the vault, opened only to deliver and to show.

No identity type has a text form, so that none reaches a log by accident (law 4 of the architecture).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

from gateway.domain.errors import Fault, Invalid
from gateway.privacy.pseudonyms import IdentityKey

STUDY_ISSUER = "dxgate:study"
"""Issuer of last resort: an object without a patient identifier belongs to its study's nameless patient."""


@dataclass(frozen=True, repr=False)
class OriginalIdentity:
    """What the original header said about patient, study and instance. Has no text form."""

    patient_id: str = ""
    issuer: str = ""
    patient_name: str = ""
    birth_date: str = ""
    sex: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    accession_number: str = ""
    accession_issuer: str = ""
    study_date: str = ""
    study_time: str = ""
    study_id: str = ""
    referring_physician: str = ""
    study_description: str = ""
    institution_name: str = ""
    requested_procedure: str = ""

    def __repr__(self) -> str:
        return "OriginalIdentity(…)"

    def to_bytes(self) -> bytes:
        """A form to seal; never to store or log as it is."""
        return json.dumps({key: value for key, value in asdict(self).items() if value}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> OriginalIdentity:
        """What `to_bytes` gave; unknown fields of a later version are an error of ours."""
        found = json.loads(data)
        if not set(found) <= {field.name for field in fields(cls)}:
            raise Fault("a sealed identity has fields that this version does not know")
        return cls(**found)


def identity_key(identity: OriginalIdentity) -> IdentityKey:
    """Whose secret to use; raises Invalid where neither patient nor study is named."""
    if not identity.study_instance_uid:
        raise Invalid("the data set has no Study Instance UID (0020,000D)")
    if IdentityKey("", identity.patient_id).patient_id:
        return IdentityKey(identity.issuer, identity.patient_id)
    return IdentityKey(STUDY_ISSUER, identity.study_instance_uid)
