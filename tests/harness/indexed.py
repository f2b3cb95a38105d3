"""Resources put into the store and its search index, for tests of both."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from harness.rows import AT, patient_row

from gateway.domain.resource import Change, StoredVersion
from gateway.formats.fhir.element import Resource
from gateway.ports import UnitOfWork


def store(unit: UnitOfWork, resources: Sequence[Resource], at: datetime = AT, start: int = 1) -> dict[str, Change]:
    """Writes them as new, each a second and a key after the one before; what was written, by Type/id."""
    owner = unit.identities.add_patient(patient_row()).pseudonym
    changes = {}
    for number, resource in enumerate(resources, start=start):
        kind, own_id, when = resource["resourceType"], resource["id"], at + timedelta(seconds=number)
        stored = StoredVersion(number, kind, own_id, 1, "PUT", when, owner, b"sealed")
        assert unit.resources.insert(stored)
        changes[f"{kind}/{own_id}"] = Change(stored, resource, None)
    unit.resource_index.put(list(changes.values()))
    return changes
