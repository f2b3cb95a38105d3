"""The order that a report answers: the one ServiceRequest in the patient's record that bears the accession number."""

from __future__ import annotations

from gateway.formats.fhir.identifier import accession
from gateway.formats.fhir.search.wording import escaped
from gateway.ports import UnitOfWork


def the_order(unit: UnitOfWork, owner: str, accession_number: str) -> str | None:
    """Its id; None where there is none, or more than one. `owner` is the patient's pseudonym.

    However many orders of others share the number, they are not looked at.
    """
    wanted = accession(accession_number)
    if wanted is None:
        return None
    criteria = [("identifier", escaped(wanted["value"]))]
    keys = unit.resource_index.matching("ServiceRequest", criteria, limit=2, owner=owner)
    found = unit.resources.of_keys(keys)
    return found[0].id if len(found) == 1 else None
