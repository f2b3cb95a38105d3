"""The order that a report answers: the one ServiceRequest in the patient's record that bears the accession number."""

from __future__ import annotations

from typing import Final

from gateway.formats.fhir.identifier import accession
from gateway.formats.fhir.search.wording import escaped
from gateway.ports import UnitOfWork

_ORDERS: Final = 20  # patients who share an accession number; of two orders of one patient none is chosen


def the_order(unit: UnitOfWork, owner: str, accession_number: str) -> str | None:
    """Its id; None where there is none, or more than one. `owner` is the patient's pseudonym."""
    wanted = accession(accession_number)
    if wanted is None:
        return None
    criteria = [("identifier", escaped(wanted["value"]))]
    keys = unit.resource_index.matching("ServiceRequest", criteria, limit=_ORDERS)
    found = [one for one in unit.resources.of_keys(keys) if one.owner == owner and not one.is_deleted]
    return found[0].id if len(found) == 1 else None
