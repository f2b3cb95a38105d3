"""confine: what a token for one patient may do and see (SMART App Launch 2.2, 3.1: scopes of the context `patient`).

It reads and searches the record of that patient, which is what is sealed under the patient's key, and reads what that
refers to of a few types that belong to nobody. Everything else is refused, not narrowed: a list that is silently
shorter than asked for must not pass for a whole one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from gateway.domain.access import Caller, Client
from gateway.domain.criterion import AllOf, Chained, Criterion, InRecord, Reverse
from gateway.domain.errors import Deleted, Forbidden, Missing
from gateway.domain.resource import StoredVersion
from gateway.flow.record.open import lies_in
from gateway.formats.fhir.search.query import SearchQuery
from gateway.ports import UnitOfWork
from gateway.servers.web.services import WebServices

_READING: Final = frozenset({"read", "vread", "history-instance", "search-type", "everything"})
_OF_NOBODY: Final = frozenset(
    {"Device", "Endpoint", "HealthcareService", "Location", "Medication", "Organization", "Practitioner"}
    | {"PractitionerRole", "Substance"}
)
"""Types that a record refers to and that tell of no other patient."""
_UNSEEN: Final = frozenset({"CapabilityStatement", "Group", "Questionnaire", "Schedule", "Slot", "Subscription"})
"""Types that tell of nobody or of many, and are not read either."""
_OUTSIDE: Final = (_OF_NOBODY - {"Device"}) | _UNSEEN
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


def living(services: WebServices, unit: UnitOfWork, client: Client, kind: str, own_id: str) -> StoredVersion:
    """The resource as it stands; Missing where it is not there for who asks, Deleted where it is there no more."""
    stored = unit.resources.find(kind, own_id)
    if stored is None:
        raise Missing("no such resource")
    see(services, client, stored)
    if stored.is_deleted:
        raise Deleted("this resource is deleted")
    return stored


def confined(services: WebServices, client: Client, query: SearchQuery) -> tuple[Criterion, ...]:
    """What a search asks, and that every resource that decides its answer may be seen by who asks.

    Forbidden for types that lie elsewhere.
    """
    own = record_of(client)
    if own is None:
        return query.criteria
    if query.kind in _OUTSIDE:
        raise Forbidden(f"a token with patient/ scopes searches one record, and {query.kind} is no part of it")
    steps = _Steps(own, services.record.opened.vault.house().pseudonym)
    return (*map(steps.seen, query.criteria), InRecord((own,)))


@dataclass(frozen=True)
class _Steps:
    """Chains and `_has` of a confined search: each step looks at what could be read, and at nothing else."""

    own: str
    house: str

    def seen(self, criterion: Criterion) -> Criterion:
        if isinstance(criterion, Chained):
            inner = tuple((kind, self._at(kind, each)) for kind, each in criterion.inner if kind not in _UNSEEN)
            if not inner:
                raise Forbidden("a token with patient/ scopes follows no chain to what is no part of a record")
            return replace(criterion, inner=inner)
        if isinstance(criterion, Reverse):
            if criterion.kind in _UNSEEN:
                raise Forbidden(f"a token with patient/ scopes searches one record: {criterion.kind} is no part of it")
            return replace(criterion, inner=self._at(criterion.kind, criterion.inner))
        return criterion

    def _at(self, kind: str, criterion: Criterion) -> Criterion:
        owners = (self.own, self.house) if kind in _OF_NOBODY else (self.own,)
        return AllOf((self.seen(criterion), InRecord(owners)))
