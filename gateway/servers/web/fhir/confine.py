"""confine: what a token for one patient may do and see (SMART App Launch 2.2, 3.1: scopes of the context `patient`).

It reads and searches the record of that patient, which is what is sealed under the patient's key, and reads what that
refers to of a few types that belong to nobody. Everything else is refused, not narrowed: a list that is silently
shorter than asked for must not pass for a whole one.
"""

from __future__ import annotations

from typing import Final

from gateway.domain.access import Caller, Client
from gateway.domain.criterion import Chained, InRecord, Reverse
from gateway.domain.errors import Forbidden, Missing
from gateway.domain.resource import StoredVersion
from gateway.flow.record.open import lies_in
from gateway.formats.fhir.search.query import SearchQuery
from gateway.servers.web.services import WebServices

_READING: Final = frozenset({"read", "vread", "history-instance", "search-type", "everything"})
_OF_NOBODY: Final = frozenset(
    {"Device", "Endpoint", "HealthcareService", "Location", "Medication", "Organization", "Practitioner"}
    | {"PractitionerRole", "Substance"}
)
"""Types that a record refers to and that tell of no other patient."""
_OUTSIDE: Final = (_OF_NOBODY - {"Device"}) | frozenset(
    {"CapabilityStatement", "Group", "Questionnaire", "Schedule", "Slot", "Subscription"}
)
"""Types that tell of nobody or of many: a search in one record would find none of them, or few. A Device may be the
patient's own."""


def record_of(client: Client) -> str | None:
    """The pseudonym of the one patient, None for a client that is not confined."""
    return client.confined_to if isinstance(client, Caller) else None


def allow_reading(client: Client, name: str) -> None:
    """Forbidden where a confined client asks for more than reading that one record."""
    if record_of(client) is not None and name not in _READING:
        raise Forbidden(f"a token with patient/ scopes reads one patient's record: {name} needs a user/ scope")


def is_visible(services: WebServices, client: Client, stored: StoredVersion) -> bool:
    """Whether the resource lies in the one record, and this version of it too: what was moved there was another's."""
    own = record_of(client)
    if own is None:
        return True
    records = {stored.owner, lies_in(stored)}
    if records == {own}:
        return True
    return stored.type in _OF_NOBODY and records == {services.record.opened.vault.house().pseudonym}


def see(services: WebServices, client: Client, stored: StoredVersion) -> None:
    """Missing, in the words for what is not there, where it lies in another record."""
    if not is_visible(services, client, stored):
        raise Missing("no such resource")


def own_of(client: Client, query: SearchQuery) -> tuple[InRecord, ...]:
    """What a search is narrowed by: nothing, or that it is in the one record.

    Forbidden for a chain, whose answer would tell of what lies elsewhere, and for types that lie elsewhere.
    """
    own = record_of(client)
    if own is None:
        return ()
    if query.kind in _OUTSIDE:
        raise Forbidden(f"a token with patient/ scopes searches one record, and {query.kind} is no part of it")
    if any(isinstance(each, Chained | Reverse) for each in query.criteria):
        raise Forbidden("a token with patient/ scopes searches without chains and _has")
    return (InRecord(own),)
