"""Reads who an object is about from its header, before anything is removed.

Apart from the identity itself, so that the roles that only open the vault need not load the data-set codec.
"""

from __future__ import annotations

from gateway.privacy.charset import decode
from gateway.privacy.dataset import DataSet, Element
from gateway.privacy.identity import OriginalIdentity

_LONGEST = 1024
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
