"""Who an object is about: read before removal, sealed by the vault, opened only to deliver and to show.

No identity type has a text form, so that none reaches a log by accident (law 4 of the architecture).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

from gateway.domain.errors import Fault, Invalid
from gateway.privacy.charset import decode
from gateway.privacy.dataset import DataSet, Element
from gateway.privacy.pseudonyms import IdentityKey

STUDY_ISSUER = "dxgate:study"
"""Issuer of last resort: an object without a patient identifier belongs to its study's nameless patient."""
_LONGEST = 1024


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


_TAGS = {
    "patient_id": 0x00100020,
    "issuer": 0x00100021,
    "patient_name": 0x00100010,
    "birth_date": 0x00100030,
    "sex": 0x00100040,
    "study_instance_uid": 0x0020000D,
    "series_instance_uid": 0x0020000E,
    "sop_instance_uid": 0x00080018,
    "accession_number": 0x00080050,
    "study_date": 0x00080020,
    "study_time": 0x00080030,
    "study_id": 0x00200010,
    "referring_physician": 0x00080090,
    "study_description": 0x00081030,
    "institution_name": 0x00080080,
    "requested_procedure": 0x00321060,
}
_ACCESSION_ISSUER_SEQUENCE = 0x00080051
_ENTITY_IDS = (0x00400031, 0x00400032)  # Local Namespace Entity ID, Universal Entity ID


def read_identity(data_set: DataSet, top: dict[int, Element], encodings: tuple[str, ...]) -> OriginalIdentity:
    """The identity in the root of a data set; absent attributes are empty strings."""
    found = {
        name: decode(bytes(data_set.source[top[tag].value : top[tag].end][:_LONGEST]), encodings)
        for name, tag in _TAGS.items()
        if tag in top and top[tag].sequence is None
    }
    return OriginalIdentity(accession_issuer=_accession_issuer(data_set, top, encodings), **found)


def _accession_issuer(data_set: DataSet, top: dict[int, Element], encodings: tuple[str, ...]) -> str:
    element = top.get(_ACCESSION_ISSUER_SEQUENCE)
    if element is None or element.sequence is None:
        return ""
    for item in element.sequence.items:
        for inner in item.elements:
            if inner.tag in _ENTITY_IDS and inner.sequence is None:
                return decode(bytes(data_set.source[inner.value : inner.end][:_LONGEST]), encodings)
    return ""


def identity_key(identity: OriginalIdentity) -> IdentityKey:
    """Whose secret to use; raises Invalid where neither patient nor study is named."""
    if not identity.study_instance_uid:
        raise Invalid("the data set has no Study Instance UID (0020,000D)")
    if IdentityKey("", identity.patient_id).patient_id:
        return IdentityKey(identity.issuer, identity.patient_id)
    return IdentityKey(STUDY_ISSUER, identity.study_instance_uid)
