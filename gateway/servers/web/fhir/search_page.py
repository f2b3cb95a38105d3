"""One page of a search: reports walked newest first, each asked which of its resources match.

What can be decided without identity is decided first; only what matches is opened. A page ends when it is full or
when enough reports were looked at: a rare date then gives a short page with a link, never an endless request.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from gateway.domain.ids import ReportId
from gateway.domain.report import Report, ReportVersion
from gateway.flow.read_reports import OpenedReport, ReportQuery
from gateway.formats.fhir import identifier
from gateway.formats.fhir.dicom_date import fhir_date
from gateway.ports import UnitOfWork
from gateway.servers.web.fhir import resources
from gateway.servers.web.fhir.criteria import Criteria
from gateway.servers.web.fhir.page_link import Position
from gateway.servers.web.services import WebServices

MAX_WALKED = 500  # reports looked at for one page
_BATCH = 50


@dataclass(frozen=True)
class Hit:
    """A resource that matches, and the report that carries it."""

    id: str
    report: Report


@dataclass(frozen=True)
class Page:
    """`following` is where the next page begins; None at the end."""

    hits: tuple[Hit, ...]
    following: Position | None


@dataclass
class Walk:
    """A walk over the reports that may carry `kind`; `documents` gathers what was opened on the way."""

    services: WebServices
    unit: UnitOfWork
    kind: str
    criteria: Criteria
    actor: str
    documents: dict[ReportId, OpenedReport] = field(default_factory=dict)

    def page(self, position: Position, count: int, most: int = MAX_WALKED) -> Page:
        hits: list[Hit] = []
        done, shown = position.after, position.shown
        for walked, report in enumerate(self._candidates(done), start=1):
            found = self._matching(report)[shown:]
            room = count - len(hits)
            if len(found) > room:
                hits += [Hit(own_id, report) for own_id in found[:room]]
                return Page(tuple(hits), Position(done, shown + room))
            hits += [Hit(own_id, report) for own_id in found]
            done, shown = (report.updated_at, report.id), 0
            if walked == most:
                return Page(tuple(hits), Position(done))
        return Page(tuple(hits), None)

    def opened(self, report: Report) -> OpenedReport:
        """The report with identity, opened once for a page."""
        if report.id not in self.documents:
            place = resources.Place(report, report.version)
            self.documents[report.id] = resources.opened(
                self.services, self.unit, place, purpose="search", actor=self.actor
            )
        return self.documents[report.id]

    def _candidates(self, after: tuple[datetime, ReportId] | None) -> Iterator[Report]:
        if self.criteria.reports is not None:
            yield from self._named(after)
            return
        cursor = after
        while True:
            batch = self.services.reports.find(self.unit, self._query(cursor))
            yield from batch
            if len(batch) < _BATCH:
                return
            cursor = (batch[-1].updated_at, batch[-1].id)

    def _named(self, after: tuple[datetime, ReportId] | None) -> list[Report]:
        """Reports named by id come in no order and all at once."""
        found = self.services.reports.find(self.unit, self._query(None))
        found.sort(key=lambda report: (report.updated_at, report.id), reverse=True)
        return [report for report in found if after is None or (report.updated_at, report.id) < after]

    def _query(self, after: tuple[datetime, ReportId] | None) -> ReportQuery:
        criteria = self.criteria
        return ReportQuery(
            patients=None if criteria.patients is None else tuple(sorted(criteria.patients)),
            reports=None if criteria.reports is None else tuple(sorted(criteria.reports)),
            statuses=None if criteria.statuses is None else tuple(sorted(criteria.statuses)),
            updated_from=criteria.updated.start,
            updated_before=criteria.updated.end,
            limit=_BATCH,
            after=after,
        )

    def _matching(self, report: Report) -> list[str]:
        """Ids of the resources of this report that match, in a fixed order."""
        match self.kind:
            case "DiagnosticReport":
                return [report.id] if self._is_of_the_day(report) else []
            case "ImagingStudy":
                return [report.study_id]
            case "Patient":
                pseudonym = self.unit.studies.get(report.study_id).patient
                newest = resources.newest_of_patient(self.unit, pseudonym)
                return [pseudonym] if newest.id == report.id else []  # each patient once, on any page
            case "Observation":
                version = self.unit.reports.version(report.id, report.version)
                found = version.content.findings if version.content else ()
                return self._own([each.id for each in found if self._made_by_wanted(each.made_by.model_id)])
            case _:
                versions = reversed(self.unit.reports.versions(report.id))
                ids = [identifier.provenance_id(report.id, each.version) for each in versions if self._had_a_part(each)]
                return self._own(ids)

    def _own(self, ids: list[str]) -> list[str]:
        wanted = self.criteria.own_ids
        return ids if wanted is None else [own_id for own_id in ids if own_id in wanted]

    def _made_by_wanted(self, model_id: str) -> bool:
        return self.criteria.models is None or model_id in self.criteria.models

    def _had_a_part(self, version: ReportVersion) -> bool:
        findings = version.content.findings if version.content else ()
        return self.criteria.models is None or any(each.made_by.model_id in self.criteria.models for each in findings)

    def _is_of_the_day(self, report: Report) -> bool:
        """The original study date lies in the vault, so this condition opens every report that it judges."""
        if not self.criteria.study_days:
            return True
        day = fhir_date(self.opened(report).identity.study_date)
        return all(span.meets(day) for span in self.criteria.study_days)
