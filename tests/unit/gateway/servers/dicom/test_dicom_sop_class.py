"""Storage classes told from other services, against the UID dictionary of pydicom (PS3.6 Table A-1)."""

from __future__ import annotations

from pydicom._uid_dict import UID_dictionary

from gateway.servers.dicom.sop_class import is_storage

_NAMED_STORAGE_BUT_NOT = {
    "1.2.840.10008.1.3.10",  # media storage directory
    "1.2.840.10008.1.20.1",  # storage commitment push
    "1.2.840.10008.1.20.2",  # storage commitment pull
}
_RETIRED_WITHOUT_A_NAME = {"1.2.840.10008.5.1.4.1.1.12.77", "1.2.840.10008.5.1.4.1.1.40"}


def _named_storage(uid: str) -> bool:
    name, kind = UID_dictionary[uid][:2]
    return kind == "SOP Class" and "Storage" in name and uid not in _NAMED_STORAGE_BUT_NOT


def test_the_dictionary_agrees():
    """Every SOP class of the standard named as storage is storage, and no other UID is."""
    wrong = [
        uid
        for uid in UID_dictionary
        if uid not in _RETIRED_WITHOUT_A_NAME and is_storage(uid) is not _named_storage(uid)
    ]
    assert wrong == []


def test_private_and_unknown_classes_are_storage():
    """A class that nobody has heard of is stored, also one that only looks like a service's UID."""
    assert is_storage("1.3.12.2.1107.5.9.1")
    assert is_storage("1.2.840.10008.5.1.4.1.1.9999")
    assert is_storage("1.2.840.10008.5.1.4.999.1")
    assert is_storage("1.2.840.100081.1.1")
