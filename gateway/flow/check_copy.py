"""Holds a copy that is about to leave against the names that it must bear and those that it must not.

The independent checker asks what PS3.15 asks, with this gateway's own pseudonyms in the place of an identity; UIDs,
which it does not search for, are searched for here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import BytesIO
from typing import Final

from gateway.domain.errors import Conflict
from gateway.domain.identity import StudyIdentity
from gateway.domain.study import Instance, Study
from gateway.privacy.checker.check import check
from gateway.privacy.checker.residue import Residue
from gateway.privacy.checker.verdict import Claim
from gateway.privacy.pseudonyms import Pseudonymiser

_UID: Final = re.compile(rb"2\.25\.\d{1,39}")


class CheckCopy:
    """The copies of one study under one recipient's pseudonyms."""

    def __init__(self, study: Study, instances: Sequence[Instance], pseudonymiser: Pseudonymiser) -> None:
        self._study = study
        self._pseudonymiser = pseudonymiser
        self._residue = Residue(_own_names(study))
        uids = {study.study_uid, *(uid for one in instances for uid in (one.series_uid, one.sop_instance_uid))}
        self._our_uids = frozenset(uid.encode() for uid in uids)

    def __call__(self, instance: Instance, file: bytes, methods: frozenset[str]) -> Claim:
        """The names that the copy bears; Conflict where it is not as it must be."""
        claim = self._claim(instance, methods)
        verdict = check(BytesIO(file), len(file), claim, self._residue)
        if not verdict.passed:
            raise Conflict(f"nothing was exported: of one object {verdict.reason}")
        if self._study.patient.encode() in file or not self._our_uids.isdisjoint(_UID.findall(file)):
            raise Conflict("nothing was exported: one object bears a pseudonym of this gateway")
        return claim

    def _claim(self, instance: Instance, methods: frozenset[str]) -> Claim:
        uid = self._pseudonymiser.uid
        return Claim(
            methods=methods,
            patient=self._pseudonymiser.patient_id(),
            study_uid=uid(self._study.study_uid),
            series_uid=uid(instance.series_uid),
            sop_instance_uid=uid(instance.sop_instance_uid),
            sop_class_uid=instance.sop_class_uid,
            transfer_syntax_uid=instance.transfer_syntax_uid,
        )


def _own_names(study: Study) -> StudyIdentity:
    """What an identity is to the first check: here the pseudonyms and the shifted date."""
    return StudyIdentity(
        patient_id=study.patient,
        issuer_of_patient_id="",
        patient_name="",
        birth_date="",
        sex="",
        study_instance_uid=study.study_uid,
        accession_number="",
        study_date=study.study_date or "",
        study_time="",
        study_id=study.id,
        study_description="",
        referring_physician="",
        institution="",
    )
