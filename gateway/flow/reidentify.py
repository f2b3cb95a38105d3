"""reidentify: leads one pseudonym back to a patient or study, for a person who may, for a named purpose, on record.

ISO 25237 clause 7 (controlled re-identification). Role, purpose, reason and quota are checked before the vault is
asked; what is refused is audited like what is released. The audit rows are durable before the answer leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from gateway.domain.access import Person
from gateway.domain.errors import Forbidden, GatewayError, Invalid, Missing
from gateway.domain.ids import StudyId, derive_id
from gateway.domain.reidentification import LONGEST_NAME, LONGEST_REASON, MAY_REIDENTIFY, PURPOSES, Reidentified
from gateway.domain.study import Study
from gateway.flow.opening_quota import TooManyOpenings, hour_of
from gateway.ports import Database, IdentityVault, UnitOfWork

UID_ROOT = "2.25."


class ExportNames(Protocol):
    """The key tables of exports."""

    def internal(self, export_id: str, name: str) -> str:
        """The pseudonym of this gateway for a patient id or study UID of an export; Missing where there is none."""
        ...


@dataclass(frozen=True)
class Asked:
    """A pseudonym (of a patient, or a pseudonymous Study Instance UID), for what, and why in a person's words.

    `export_id` names the export that it comes from; empty for the gateway's own pseudonyms.
    """

    name: str
    purpose: str
    reason: str
    export_id: str = ""


@dataclass(frozen=True)
class Reidentify:
    """Answers one question of one person who has proved who he is."""

    database: Database
    vault: IdentityVault
    exports: ExportNames
    most_per_hour: int
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self, person: Person, asked: Asked) -> Reidentified:
        """Forbidden, TooManyOpenings (Busy), Invalid or Missing; each of them is audited as a refusal."""
        actor = f"person:{person.name}"
        with self.database.begin(actor) as unit:
            found: Reidentified | GatewayError
            try:
                self._check(unit, person, actor, asked)
                found = self._found(unit, asked, actor)
            except GatewayError as error:
                found = error
            self._audit(unit, person, actor, asked, found)
            unit.commit()
        if isinstance(found, GatewayError):
            raise found
        return found

    def _check(self, unit: UnitOfWork, person: Person, actor: str, asked: Asked) -> None:
        allowed = MAY_REIDENTIFY.get(person.role, frozenset())
        if not allowed:
            raise Forbidden(f"the role {person.role} may not lead a pseudonym back")
        if asked.purpose not in PURPOSES:
            raise Invalid(f"the purpose is one of {', '.join(PURPOSES)}")
        if asked.purpose not in allowed:
            raise Forbidden(f"the role {person.role} may not lead a pseudonym back for {asked.purpose}")
        if not 0 < len(asked.reason.strip()) <= LONGEST_REASON:
            raise Invalid(f"a reason has 1 to {LONGEST_REASON} characters")
        if not (0 < len(asked.name) <= LONGEST_NAME and len(asked.export_id) <= LONGEST_NAME):
            raise Invalid(f"a pseudonym has 1 to {LONGEST_NAME} characters")
        now = self.now()
        if not unit.quotas.take(f"reidentify:{actor}", hour_of(now), 1, self.most_per_hour):
            raise TooManyOpenings(now)

    def _found(self, unit: UnitOfWork, asked: Asked, actor: str) -> Reidentified:
        name = self.exports.internal(asked.export_id, asked.name) if asked.export_id else asked.name
        if name.startswith(UID_ROOT):
            study = unit.studies.get(StudyId(derive_id("study", name)))
            return Reidentified("study", study.patient, self.vault.study_identity(unit, study, "release", actor))
        study = _newest_of(unit, name)
        identity = self.vault.study_identity(unit, study, "release", actor)
        of_patient = replace(
            identity,
            study_instance_uid="",
            accession_number="",
            study_date="",
            study_time="",
            study_id="",
            study_description="",
            referring_physician="",
            institution="",
        )
        return Reidentified("patient", study.patient, of_patient)

    def _audit(
        self, unit: UnitOfWork, person: Person, actor: str, asked: Asked, found: Reidentified | GatewayError
    ) -> None:
        told = {"purpose": asked.purpose[:16], "reason": asked.reason.strip()[:LONGEST_REASON], "role": person.role}
        if asked.export_id:
            told["export"] = asked.export_id[:LONGEST_NAME]
        if isinstance(found, Reidentified):
            unit.audit.record("identity:release", found.patient, actor, **told, asked=asked.name)
        else:
            # what was asked is not written down: it may be a name typed into the wrong field
            unit.audit.record("identity:refuse", person.id, actor, **told, refused=found.category.value)


def _newest_of(unit: UnitOfWork, patient: str) -> Study:
    """The study that was received last, whose identity is the newest that the vault has of the patient.

    A patient's record counts where there are no images: until it is first analysed it has no identity of its own.
    """
    studies = [unit.studies.get(study_id) for study_id in unit.studies.ids_by_patient(patient)]
    if not studies:
        raise Missing("no patient or study of this gateway has this pseudonym")
    return max(studies, key=lambda study: (study.kind == "images", study.last_received_at))
