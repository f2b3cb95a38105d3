"""The criteria of a search over the audit trail as what its rows are asked for.

Patients are asked for by pseudonym: of a Patient's id, of our own identifier, or of one of the hospital's by blind
index. A parameter that is repeated must be fulfilled by each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.domain.audit import AUDIT_EVENTS, AuditQuery
from gateway.domain.criterion import Chained, Criterion, ReferenceWanted, SpanWanted, TextWanted, TokenWanted, Wanted
from gateway.domain.errors import Fault, Invalid
from gateway.formats.fhir import audit_event as view
from gateway.formats.fhir import identifier
from gateway.formats.fhir.search.instants import moment
from gateway.ports import UnitOfWork
from gateway.servers.web.services import WebServices

_OUTCOMES: Final = ("0", "4", "8", "12")
_OUTCOME_SYSTEM: Final = "http://hl7.org/fhir/audit-event-outcome"
Asked = tuple[str, tuple[object, ...]]
"""A field of AuditQuery, and any of what it is to be."""


def audit_query(services: WebServices, unit: UnitOfWork, criteria: Sequence[Criterion]) -> AuditQuery:
    """Of criteria that formats/fhir/audit_search.py has let pass."""
    since: datetime | None = None
    before: datetime | None = None
    told: dict[str, tuple[object, ...]] = {}
    asking = _Asking(services, unit)
    for criterion in criteria:
        for span in _spans(criterion):
            start, end = _range(span)
            since = max((each for each in (since, start) if each), default=None)
            before = min((each for each in (before, end) if each), default=None)
            break
        else:
            field, values = asking.of(criterion)
            former = told.get(field)
            told[field] = values if former is None else tuple(each for each in former if each in values)
    return AuditQuery(since=since, before=before, **told)  # type: ignore[arg-type]


def row_number(own_id: str | None) -> int | None:
    """The number that an AuditEvent has as id; None where it cannot be one."""
    if own_id is None or not (own_id.isascii() and own_id.isdigit() and len(own_id) <= 18):
        return None
    return int(own_id)


@dataclass(frozen=True)
class _Asking:
    """What a criterion asks for, where that has to be looked up."""

    services: WebServices
    unit: UnitOfWork

    def of(self, criterion: Criterion) -> Asked:
        if isinstance(criterion, Chained):
            return "patients", tuple(each for _, inner in criterion.inner for each in self._named(_tokens(inner)))
        if not isinstance(criterion, Wanted):
            raise Fault("the audit trail is not searched by this")
        code = criterion.parameter.code
        if code == "patient":
            known = [*self._referred(_targets(criterion)), *self._named(_tokens(criterion))]
            return "patients", tuple(dict.fromkeys(known))
        if code in _PLAIN:
            field, values = _PLAIN[code]
            return field, tuple(values(criterion))
        return "events", _chosen(criterion, {each: view.codes(each)[code] for each in sorted(AUDIT_EVENTS)})

    def _referred(self, targets: Iterable[tuple[str, str]]) -> Iterable[str]:
        for kind, own_id in targets:
            if kind == "Patient":
                stored = self.unit.resources.find("Patient", own_id)
                yield from (own_id,) if stored is None else (own_id, stored.owner)

    def _named(self, tokens: Iterable[TokenWanted]) -> Iterable[str]:
        for wanted in tokens:
            if wanted.code is None:
                raise Invalid("an identifier is [system]|[value] or [value]")
            if wanted.system == identifier.PATIENT:
                yield wanted.code
                continue
            system = wanted.system
            issuers = (None,) if system is None else identifier.issuers_of(system) if system else ("",)
            for issuer in issuers:
                yield from self.services.vault.patients(self.unit, issuer, wanted.code)


def _spans(criterion: Criterion) -> list[SpanWanted]:
    return [each for each in getattr(criterion, "values", ()) if isinstance(each, SpanWanted)]


def _tokens(criterion: Criterion) -> list[TokenWanted]:
    return [each for each in getattr(criterion, "values", ()) if isinstance(each, TokenWanted)]


def _targets(criterion: Wanted) -> list[tuple[str, str]]:
    return [target for each in criterion.values if isinstance(each, ReferenceWanted) for target in each.targets]


def _numbers(criterion: Wanted) -> Iterable[int]:
    numbers = (row_number(each.code) for each in _tokens(criterion))
    return (each for each in numbers if each is not None)


def _outcomes(criterion: Wanted) -> Iterable[str]:
    return _chosen(criterion, {each: [(_OUTCOME_SYSTEM, each)] for each in _OUTCOMES})


def _agents(criterion: Wanted) -> Iterable[str]:
    for each in criterion.values:
        if isinstance(each, TextWanted):
            yield each.text
        elif isinstance(each, TokenWanted):
            if each.code is None:
                raise Invalid("agent:identifier is [system]|[name] or [name]")
            yield each.code


def _entities(criterion: Wanted) -> Iterable[tuple[str, str]]:
    """A bare id is of any type."""
    for each in criterion.values:
        if isinstance(each, ReferenceWanted):
            kinds = {kind for kind, _ in each.targets}
            yield (kinds.pop() if len(kinds) == 1 else "", each.targets[0][1])


_PLAIN: Final[dict[str, tuple[str, Callable[[Wanted], Iterable[object]]]]] = {
    "_id": ("seqs", _numbers),
    "agent": ("agents", _agents),
    "agent-name": ("agents", _agents),
    "entity": ("entities", _entities),
    "outcome": ("outcomes", _outcomes),
}
"""Parameters that need no looking up: field of AuditQuery, and what fills it."""


def _chosen(criterion: Wanted, coded: dict[str, list[tuple[str, str]]]) -> tuple[str, ...]:
    """Those of which a code fits a value, or with :not none."""
    wanted = _tokens(criterion)
    fit = [each for each, codes in coded.items() if any(_fits(one, *code) for one in wanted for code in codes)]
    return tuple(each for each in coded if (each in fit) is not (criterion.modifier == "not"))


def _fits(wanted: TokenWanted, system: str, code: str) -> bool:
    return wanted.code in (None, code) and wanted.system in (None, system)


def _range(wanted: SpanWanted) -> tuple[datetime | None, datetime | None]:
    """From when on, and before when: a row is of one instant."""
    low, high = moment(wanted.low), moment(wanted.high)
    starts = {"eq": low, "ge": low, "gt": high, "sa": high}
    ends = {"eq": high, "le": high, "lt": low, "eb": low}
    return starts.get(wanted.prefix), ends.get(wanted.prefix)
