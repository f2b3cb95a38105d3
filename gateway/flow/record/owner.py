"""Whose record a resource belongs to, and so under whose key it is sealed (decision 9).

A Patient goes by the same identifier by which images and messages of that person are known. Another resource goes by
its subject, else by the only patient that anything it refers to belongs to; what belongs to nobody is the house's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.flow.record.asked import Resource
from gateway.flow.record.references import Name, local_name, references
from gateway.formats.fhir.identifier import PATIENT
from gateway.formats.fhir.wire.issue import refused
from gateway.ports import UnitOfWork
from gateway.privacy.documents import Issuers
from gateway.privacy.fhir.identity import identifier_key
from gateway.privacy.pseudonyms import IdentityKey
from gateway.privacy.vault import PatientRecord, Vault

UNNUMBERED: Final = "dxgate:fhir-patient"
"""Issuer of last resort: a Patient without identifier is known by its logical id alone."""
_SUBJECTS: Final = ("subject", "patient", "individual", "for", "beneficiary", "focus", "target")


@dataclass(frozen=True)
class FindOwner:
    """`base` is the address by which clients reach us."""

    vault: Vault
    base: str
    issuers: Issuers = field(default_factory=Issuers)

    def of_patient(self, unit: UnitOfWork, patient: Resource, before: str | None) -> PatientRecord:
        """The record of a Patient resource; `before` is whose it was until now."""
        own = [one for one in _dicts(patient.get("identifier")) if one.get("system") == PATIENT]
        for named in own:
            if unit.identities.patient(str(named.get("value"))) is not None:
                return self.vault.record(unit, str(named["value"]))
        key = identifier_key(patient.get("identifier"), self.issuers)
        if key is not None:
            return self.vault.patient(key, unit)
        if before is not None:
            return self.vault.record(unit, before)
        return self.vault.patient(IdentityKey(UNNUMBERED, str(patient["id"])), unit)

    def of_subject(
        self, unit: UnitOfWork, resource: Resource, owners: Mapping[Name, PatientRecord]
    ) -> PatientRecord | None:
        """The record of whom the resource names as its subject; `owners` of the Patients that references lead to.

        InvalidResource where it names several, as an Account may: it would lie in the record of one of them.
        """
        for element in _SUBJECTS:
            told = [self._of_reference(unit, resource, one, owners) for one in _dicts(resource.get(element))]
            found = {one.pseudonym: one for one in told if one is not None}
            if len(found) > 1:
                place = f"{resource['resourceType']}.{element}"
                raise refused("business-rule", "the resource names several patients as its subject", place)
            if found:
                return found.popitem()[1]
        return None

    def of_links(self, resource: Resource, owners: Mapping[Name, PatientRecord]) -> PatientRecord | None:
        """The record of all that the resource refers to, the house's left out; InvalidResource where it is several."""
        house = self.vault.house().pseudonym
        names = [name for each in references(resource) if (name := local_name(each, self.base)) is not None]
        found = {owners[name].pseudonym: owners[name] for name in names if name in owners}
        found.pop(house, None)
        if len(found) > 1 and resource["resourceType"] != "Group":
            raise refused("business-rule", "the resource has no subject and refers to records of several patients")
        return found.popitem()[1] if len(found) == 1 else None

    def _of_reference(
        self, unit: UnitOfWork, resource: Resource, told: Resource, owners: Mapping[Name, PatientRecord]
    ) -> PatientRecord | None:
        literal = told.get("reference")
        if isinstance(literal, str):
            if literal.startswith("#"):
                inside = [one for one in _dicts(resource.get("contained")) if f"#{one.get('id')}" == literal]
                return next((self._contained(unit, one) for one in inside if one["resourceType"] == "Patient"), None)
            name = local_name(literal, self.base)
            if name is not None and name[0] == "Patient":
                return owners.get(name)
        kind = told.get("type", "Patient")
        key = identifier_key([told.get("identifier")], self.issuers) if kind == "Patient" else None
        return self.vault.patient(key, unit) if key is not None else None

    def _contained(self, unit: UnitOfWork, patient: Resource) -> PatientRecord | None:
        key = identifier_key(patient.get("identifier"), self.issuers)
        return self.vault.patient(key, unit) if key is not None else None


def _dicts(value: Any) -> Sequence[Resource]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]
