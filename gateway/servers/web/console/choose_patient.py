"""The patient picker of the consent page: by number, and by name and birth date it is seen who was found.

A person chooses for the app whose record it is about (SMART App Launch 2.2, 3.2.1, `launch/patient`). What is shown to
choose from was opened for that person, and stands in the trail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gateway.domain.access import Person
from gateway.domain.errors import Invalid, Missing
from gateway.flow.authorize_app import ChosenPatient
from gateway.formats.fhir.search.wording import escaped
from gateway.formats.fhir.text import line
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.servers.web.console.rights import require
from gateway.servers.web.services import WebServices

_LONGEST: Final = 64
_MOST: Final = 10


@dataclass(frozen=True)
class FoundPatient:
    """One line of the list; `id` is that of the Patient resource."""

    id: str
    name: str
    born: str


def find_patients(services: WebServices, person: Person, number: str) -> list[FoundPatient]:
    """Patients who bear this number, whoever issued it; none for an empty one. Forbidden as in the console."""
    require(person, "see identity")
    wanted = number.strip()
    if not wanted or len(wanted) > _LONGEST or not wanted.isprintable():
        return []
    with services.reading() as unit:
        keys = unit.resource_index.matching("Patient", [("identifier", escaped(wanted))], _MOST)
        stored = [one for one in unit.resources.of_keys(keys) if not one.is_deleted]
        bodies = services.record.opened(unit, stored, "search", f"person:{person.name}")
    return [_found(one.id, parse_json(body)) for one, body in zip(stored, bodies, strict=True)]


def shown_patient(services: WebServices, person: Person, own_id: str) -> FoundPatient:
    """The one whom the app was launched about; Missing where the Patient has gone meanwhile, Forbidden as above."""
    require(person, "see identity")
    with services.reading() as unit:
        stored = unit.resources.find("Patient", own_id)
        if stored is None or stored.is_deleted:
            raise Missing("the patient is not here any more")
        (body,) = services.record.opened(unit, [stored], "read", f"person:{person.name}")
    return _found(own_id, parse_json(body))


def chosen_patient(services: WebServices, own_id: str) -> ChosenPatient:
    """Invalid where there is no such Patient."""
    with services.database.read() as unit:
        stored = unit.resources.find("Patient", own_id[:_LONGEST]) if own_id else None
    if stored is None or stored.is_deleted:
        raise Invalid("choose the patient whom the app is to see")
    return ChosenPatient(stored.id, stored.owner)


def _found(own_id: str, patient: dict[str, Any]) -> FoundPatient:
    names = [one for one in patient.get("name", []) if isinstance(one, dict)]
    name = names[0] if names else {}
    written = str(name.get("text") or " ".join([*map(str, name.get("given", [])), str(name.get("family", ""))]))
    return FoundPatient(own_id, line(written, 128) or "without a name", str(patient.get("birthDate", "")))
