"""link orders: the watcher that leads a report to an order which is written after it, and away from one that moves.

The report gets a version with the same words, status and signatures: what a physician has signed is in no order
(formats/fhir/signed_content.py, decision 19), and the version that is filed next refers to the order (R4
DiagnosticReport.basedOn). It runs inside the transaction that writes the order, with the study locked as in compose,
so that of report and order whichever comes second knows of the other. Where an order gets another patient, the
reports of the one before that refer to it get a version too, and refer to it no longer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from gateway.domain.errors import Missing
from gateway.domain.ids import ReportId, StudyId
from gateway.domain.lifecycle import REPORT
from gateway.domain.report import RECORD, Report, ReportVersion, report_id
from gateway.domain.resource import Change
from gateway.flow.record.orders import the_order
from gateway.ports import UnitOfWork

_MOST_NUMBERS: Final = 20
_MOST_STUDIES: Final = 20


class AccessionIndex(Protocol):
    """The vault, as far as it is asked here."""

    def search_index(self, kind: Any, value: str) -> bytes: ...


@dataclass(frozen=True)
class LinkOrders:
    """Implements the Watcher port. `destinations` are told anew only where they would miss a recall otherwise."""

    vault: AccessionIndex
    destinations: tuple[str, ...]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self, unit: UnitOfWork, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.stored.type != "ServiceRequest" or change.stored.ours or change.resource is None:
                continue
            if change.previous_owner not in ("", change.stored.owner):
                self._moved_away(unit, change)
            known = _known(change)
            for number in _numbers(change.resource):
                if number not in known:
                    self._of_number(unit, change.stored.owner, number)

    def _moved_away(self, unit: UnitOfWork, change: Change) -> None:
        """In the record that the order was in: what refers to it, and what may refer to the one that is left."""
        owner, numbers = change.previous_owner, list(_numbers(change.previous or {}))
        for study in sorted({study for number in numbers for study in self._studies(unit, owner, number)}):
            unit.studies.lock(study)  # a version that is being filed refers to it already, or will look anew
        referring = _referring(unit, owner, change.stored.id)
        for own_id in referring:
            self._link(unit, unit.reports.get(own_id).study_id)
        for number in numbers:
            self._of_number(unit, owner, number, besides=referring)

    def _of_number(self, unit: UnitOfWork, owner: str, number: str, besides: Collection[ReportId] = ()) -> None:
        mine = self._studies(unit, owner, number)
        order = the_order(unit, owner, number) if mine else None
        if order is None:
            return
        known = {*besides, *_referring(unit, owner, order)}
        for study in mine:
            if report_id(study) not in known:
                self._link(unit, study)

    def _studies(self, unit: UnitOfWork, owner: str, number: str) -> list[StudyId]:
        return unit.studies.ids_by_accession(self.vault.search_index("accession", number), owner)[:_MOST_STUDIES]

    def _link(self, unit: UnitOfWork, study_id: StudyId) -> None:
        unit.studies.lock(study_id)
        try:
            report = unit.reports.get(report_id(study_id))
        except Missing:
            return
        version = unit.reports.version(report.id, report.version)
        if (report.status, "link") not in REPORT.moves or version.content is None:
            return  # what is composed later finds the order by itself
        told = self._told(unit, report, version)
        written = unit.reports.write(report, "link", version.revision, version.content, self.now())
        unit.deliveries.plan(written, told, written.updated_at)

    def _told(self, unit: UnitOfWork, report: Report, version: ReportVersion) -> list[str]:
        """Our own store, and who has not heard of the version before."""
        waiting = [
            each.destination
            for each in unit.deliveries.of_report(report.id)
            if each.version == report.version and each.state in ("pending", "sending")
        ]
        models = [each.made_by.model_id for each in version.content.findings] if version.content else []
        recalled = self.destinations if unit.recalls.of_models(models) else ()
        return list(dict.fromkeys((RECORD, *waiting, *recalled)))


def _referring(unit: UnitOfWork, owner: str, order: str) -> list[ReportId]:
    """Our reports in this record that are filed with a reference to the order."""
    criteria = [("based-on", f"ServiceRequest/{order}")]
    keys = unit.resource_index.matching("DiagnosticReport", criteria, _MOST_STUDIES, owner=owner)
    return [ReportId(one.id) for one in unit.resources.of_keys(keys) if one.ours]


def _known(change: Change) -> set[str]:
    """Numbers under which the order was in this patient's record before; in another one it has linked nothing here."""
    if change.previous is None or change.previous_owner != change.stored.owner:
        return set()
    return set(_numbers(change.previous))


def _numbers(order: Mapping[str, Any]) -> Iterator[str]:
    """Of all identifiers: which of them is the accession number, systems seldom say."""
    for one in order.get("identifier", [])[:_MOST_NUMBERS]:
        if isinstance(one, dict) and isinstance(one.get("value"), str):
            yield one["value"]
