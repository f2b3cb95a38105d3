"""The table of VRs against the table that it was made from."""

from __future__ import annotations

from pydicom.datadict import DicomDictionary

from gateway.privacy.dictionary import LATER_ATTRIBUTES, VR_OF


def test_the_table_of_vrs_is_pydicoms_with_the_later_attributes() -> None:
    """Every attribute that pydicom knows has the same VR here, and nothing else is here but what PS3.15 added."""
    known = {int(tag): str(entry[0]) for tag, entry in DicomDictionary.items() if entry[0] != "NONE"}
    assert dict(VR_OF) == LATER_ATTRIBUTES | known
