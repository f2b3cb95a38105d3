"""The Practitioner who is a physician of the console: written when an app is first told who has signed in.

`fhirUser` is an address, and what it names must be there (SMART App Launch 2.2, 3.2.3). Whoever has signed a report
has one already, under the same id and with the same words.
"""

from __future__ import annotations

from gateway.domain.access import Caller, Client, Person
from gateway.domain.review import reviewer
from gateway.flow.record.asked import Asked
from gateway.flow.record.write import Overtaken
from gateway.formats.fhir.practitioner import practitioner
from gateway.servers.web.services import WebServices


def is_oneself(client: Client, kind: str, own_id: str) -> bool:
    """Whether it is what the app was told of who has signed in: by the scope `fhirUser` it reads that, and no other."""
    person = client.person if isinstance(client, Caller) and "fhirUser" in client.scopes else None
    return person is not None and (kind, own_id) == ("Practitioner", person.id)


def keep_practitioner(services: WebServices, person: Person) -> None:
    """Where there is none yet; another process may be first with it."""
    with services.database.read() as unit:
        if unit.resources.find("Practitioner", person.id) is not None:
            return
        resource = practitioner(reviewer(person), services.fhir_base)
        plan = services.record.plan(unit, [Asked("PUT", "Practitioner", person.id, resource=resource)], ours=True)
    try:
        services.commits.submit(lambda unit: services.record.write(unit, plan, f"person:{person.name}"))
    except Overtaken:
        return
