"""What identifies a patient and a study, opened from the vault only to deliver and to show.

The classes have no text form, so that no log line, traceback or audit detail can carry them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Purpose = Literal["delivery", "read", "search", "console", "check", "release", "sign"]


class Unprintable:
    """Keeps identity out of every text: repr and str show the class name alone."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    __str__ = __repr__


@dataclass(frozen=True, repr=False)
class StudyIdentity(Unprintable):
    """The identity that an EHR and a PACS know a study by; values as the sender wrote them."""

    patient_id: str
    issuer_of_patient_id: str
    patient_name: str
    birth_date: str
    sex: str
    study_instance_uid: str
    accession_number: str
    study_date: str
    study_time: str
    study_id: str
    study_description: str
    referring_physician: str
    institution: str
