"""file_report: a report version into the store of FHIR resources, as one transaction under fixed ids (decision 9).

The built-in destination `record` of the delivery outbox, with retry and order like the others. The version of the
stored DiagnosticReport is the report's own, so what was overtaken before it was filed is filed first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.domain.errors import Busy
from gateway.domain.report import Delivery, Report
from gateway.flow.read_reports import ReadReports
from gateway.flow.record.asked import Asked, Resource
from gateway.flow.record.orders import the_order
from gateway.flow.record.store import Record
from gateway.flow.record.unchanged import unchanged
from gateway.formats.fhir.identifier import patient_id
from gateway.formats.fhir.render import render
from gateway.ports import Database, ReportDocument, UnitOfWork

ACTOR = "deliver:record"
_TRIES = 5


@dataclass(frozen=True)
class FileReport:
    """Implements Outlet: what is sent is stored here."""

    database: Database
    reports: ReadReports
    record: Record
    base_url: str
    organization: str

    def send(self, delivery: Delivery, document: ReportDocument) -> str:
        """Files the version, and before it those that are not filed yet; what it is stored as."""
        for version in range(self._filed(delivery) + 1, delivery.version):
            self._file(self._opened(document.report, version))
        return self._file(document) if self._filed(delivery) < delivery.version else "filed already"

    def _filed(self, delivery: Delivery) -> int:
        with self.database.read() as unit:
            stored = unit.resources.find("DiagnosticReport", delivery.report_id)
        return 0 if stored is None else stored.version

    def _opened(self, report: Report, version: int) -> ReportDocument:
        with self.database.begin(ACTOR) as unit:
            document = self.reports.open(unit, report, purpose="delivery", actor=ACTOR, version=version)
            unit.commit()
        return document

    def _file(self, document: ReportDocument) -> str:
        """Busy, and tried again later, where other writers were first too often."""
        for _ in range(_TRIES):
            with self.database.read() as unit:
                order = _order(unit, document)
                asked = self._asked(unit, document, order)
                plan = unchanged(self.record.plan(unit, asked, ours=True), besides="DiagnosticReport")
            with self.database.begin(ACTOR) as unit:
                unit.studies.lock(document.study.id)
                if _order(unit, document) != order:
                    continue  # an order came or moved away; link_orders takes the same lock
                written = self.record.write(unit, plan, ACTOR)
                if written is not None:
                    unit.commit()
                    return f"DiagnosticReport/{document.report.id}/_history/{document.version.version}"
        raise Busy("other writers were first")

    def _asked(self, unit: UnitOfWork, document: ReportDocument, order: str | None) -> list[Asked]:
        """An update of every resource under its own id.

        The EHR's Patient stands in for the one made from images, and the report refers to the EHR's order.
        """
        rendered = render(document, self.base_url, self.organization)
        own = patient_id(document.study)
        known = self._patient_of_the_ehr(unit, own)
        resources = [each for each in rendered.resources if known is None or each["resourceType"] != "Patient"]
        links = {f"Patient/{own}": f"Patient/{known}"} if known is not None else {}
        return [
            Asked("PUT", each["resourceType"], each["id"], resource=_plain(_ordered(_led(each, links), order)))
            for each in resources
        ]

    def _patient_of_the_ehr(self, unit: UnitOfWork, own: str) -> str | None:
        """The id of the oldest Patient that somebody else has written into this patient's record."""
        found = unit.resources.of_owner(own, limit=20, kind="Patient")
        return next((one.id for one in found if not one.is_deleted and not one.ours), None)


def _order(unit: UnitOfWork, document: ReportDocument) -> str | None:
    return the_order(unit, patient_id(document.study), document.identity.accession_number)


def _ordered(resource: Resource, order: str | None) -> Resource:
    """With the literal reference beside the accession number, so that it is found by `based-on`."""
    if order is None or "basedOn" not in resource:
        return resource
    reference = f"ServiceRequest/{order}"
    return {**resource, "basedOn": [{"reference": reference, **each} for each in resource["basedOn"]]}


def _led(value: Any, links: Mapping[str, str]) -> Any:
    """A copy with references led to other resources."""
    if isinstance(value, dict):
        return {
            name: links.get(inner, inner) if name == "reference" and isinstance(inner, str) else _led(inner, links)
            for name, inner in value.items()
        }
    return [_led(each, links) for each in value] if isinstance(value, list) else value


def _plain(resource: Resource) -> Resource:
    """Version and time are the store's."""
    meta = {name: one for name, one in resource["meta"].items() if name not in ("versionId", "lastUpdated")}
    return {**resource, "meta": meta}
