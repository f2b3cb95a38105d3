"""link orders: the watcher that leads a report to an order which is written after it.

The report gets a version with the same words, status and signatures: what a physician has signed is in no order
(formats/fhir/signed_content.py, decision 19), and the version that is filed next refers to the order (R4
DiagnosticReport.basedOn). It runs inside the transaction that writes the order, with the study locked as in compose,
so that of report and order whichever comes second knows of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from gateway.domain.errors import Missing
from gateway.domain.ids import StudyId
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
            known = _known(change)
            for number in _numbers(change.resource):
                if number not in known:
                    self._of_number(unit, change.stored.owner, number)

    def _of_number(self, unit: UnitOfWork, owner: str, number: str) -> None:
        mine = unit.studies.ids_by_accession(self.vault.search_index("accession", number), owner)[:_MOST_STUDIES]
        if mine and the_order(unit, owner, number) is not None:
            for study in mine:
                self._link(unit, study)

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
