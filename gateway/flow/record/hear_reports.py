"""hear reports: the watcher that notices final reports of other systems, and what of them is in force.

It runs inside the transaction that writes the report, with every study locked that the report was about before or is
now, so that of report and finding whichever comes second compares them (flow/agree.py). What is kept of a report is
which labels its codes say, and blind indexes of the studies that it names: nothing of whom it is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.domain.agreement import FinalReport, LinkKind, StudyLink
from gateway.domain.ids import StudyId
from gateway.domain.resource import Change, StoredVersion
from gateway.flow.agree import CompareReports, touched
from gateway.flow.record.concept import codes, dicts
from gateway.flow.record.final_report import MOST_RESULTS, is_in_force, is_our_own, said
from gateway.flow.record.link_orders import AccessionIndex
from gateway.flow.record.open import OpenResources
from gateway.flow.record.references import local_name
from gateway.formats.fhir.agreement_codes import QuestionCodes, answers
from gateway.formats.fhir.coding import THO
from gateway.formats.fhir.identifier import STUDY_UID
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.ports import UnitOfWork

Resource = Mapping[str, Any]
MOST_LINKS: Final = 20  # references to studies or orders that are followed
MOST_REPORTS: Final = 20  # that one Observation is a result of
_ACCESSION: Final = (f"{THO}/v2-0203", "ACSN")


@dataclass(frozen=True)
class HearReports:
    """Implements the Watcher port. `base` is our address for clients, `questions` by which codes reports answer."""

    index: AccessionIndex
    opened: OpenResources
    base: str
    questions: Sequence[QuestionCodes]
    compare: CompareReports = field(default_factory=CompareReports)

    def __call__(self, unit: UnitOfWork, changes: Sequence[Change]) -> None:
        studies: set[StudyId] = set()
        for change in changes:
            if change.stored.ours:
                continue
            if change.stored.type == "DiagnosticReport":
                studies |= self._take(unit, change.stored, change.resource, is_new=change.previous is None)
            elif change.stored.type == "Observation" and change.previous is not None:
                studies |= self._result_changed(unit, change.stored)
        for study in sorted(studies):  # in one order, so that two writers do not lock each other out
            self.compare.of_study(unit, unit.studies.lock(study))

    def _result_changed(self, unit: UnitOfWork, result: StoredVersion) -> set[StudyId]:
        """Of reports that it is a result of, where this patient has final reports at all."""
        if not unit.agreements.any_of(result.owner):
            return set()
        criteria = [("result", f"Observation/{result.id}")]
        keys = unit.resource_index.matching("DiagnosticReport", criteria, MOST_REPORTS, owner=result.owner)
        reports = [one for one in unit.resources.of_keys(keys) if not one.ours and not one.is_deleted]
        found: set[StudyId] = set()
        for one in reports:
            found |= self._take(unit, one, parse_json(self.opened.unseen(unit, one)), is_new=False)
        return found

    def _take(self, unit: UnitOfWork, stored: StoredVersion, report: Resource | None, *, is_new: bool) -> set[StudyId]:
        """Keeps what is in force of the report; the studies that it was about before or is about now."""
        was = None if is_new else unit.agreements.find(stored.key)
        now = self._read(unit, stored, report) if report is not None else None
        if was is None and now is None:
            return set()
        if now is not None:
            unit.agreements.keep(now)
        else:
            unit.agreements.forget(stored.key)
        return {study for one in (was, now) if one is not None for study in touched(unit, one)}

    def _read(self, unit: UnitOfWork, stored: StoredVersion, report: Resource) -> FinalReport | None:
        """None where it is not in force, is ours that came back, or names no study."""
        if not is_in_force(report) or is_our_own(report, self.base):
            return None
        reader = _Reader(unit, self.opened, self.base, stored.owner, report)
        links = tuple(dict.fromkeys(self._links(reader)))
        results, all_ours = reader.results()
        if not links or all_ours:
            return None
        heard = said(report, results)
        told = answers(self.questions, heard.codes, heard.denied)
        return FinalReport(stored.key, stored.version, stored.owner, stored.at, links, told)

    def _links(self, reader: _Reader) -> Iterator[StudyLink]:
        for uid in reader.study_uids():
            yield self._link("study", "study-uid", uid)
        for number in reader.numbers():
            yield self._link("accession", "accession", number)

    def _link(self, kind: LinkKind, indexed: str, value: str) -> StudyLink:
        return StudyLink(kind, self.index.search_index(indexed, value))


@dataclass(frozen=True)
class _Reader:
    """What one report refers to, within the record of its own patient."""

    unit: UnitOfWork
    opened: OpenResources
    base: str
    owner: str
    report: Resource

    def results(self) -> tuple[list[Resource], bool]:
        """Result Observations of others, and whether there are none because all of them are ours."""
        told = dicts(self.report.get("result"))[:MOST_RESULTS]
        found = [self._named(one) for one in told]
        others = [resource for stored, resource in found if resource is not None and not (stored and stored.ours)]
        ours = [stored for stored, _ in found if stored is not None and stored.ours]
        return others, bool(ours) and len(ours) == len(told)

    def study_uids(self) -> Iterator[str]:
        """One for each study that is named; one that cannot be told which stands as itself."""
        for one in dicts(self.report.get("imagingStudy"))[:MOST_LINKS]:
            _, study = self._named(one)
            uids = [*_uids([one.get("identifier")]), *_uids((study or {}).get("identifier"))]
            yield from uids or [f"unknown {one.get('reference', '')}"]

    def numbers(self) -> Iterator[str]:
        """Accession numbers: of the report where it says that they are, of the orders that it is based on."""
        yield from _accessions(dicts(self.report.get("identifier")), sure=True)
        for one in dicts(self.report.get("basedOn"))[:MOST_LINKS]:
            _, order = self._named(one)
            yield from _accessions(dicts([one.get("identifier")]), sure=False)
            yield from _accessions(dicts((order or {}).get("identifier")), sure=False)

    def _named(self, reference: Resource) -> tuple[StoredVersion | None, Resource | None]:
        """What it leads to, where that lies in this patient's record or in the report itself."""
        told = str(reference.get("reference", ""))
        if told.startswith("#"):
            inside = dicts(self.report.get("contained"))
            return None, next((one for one in inside if f"#{one.get('id')}" == told), None)
        name = local_name(told, self.base)
        stored = self.unit.resources.find(*name) if name is not None else None
        if stored is None or stored.is_deleted or stored.owner != self.owner:
            return None, None
        return stored, parse_json(self.opened.unseen(self.unit, stored))


def _uids(identifiers: Any) -> list[str]:
    values = [str(one.get("value", "")) for one in dicts(identifiers) if one.get("system") == STUDY_UID]
    return [value.removeprefix("urn:oid:") for value in values if value][:MOST_LINKS]


def _accessions(identifiers: Sequence[Resource], *, sure: bool) -> list[str]:
    """Those that are said to be accession numbers; of an order, which seldom says it, else all."""
    named = [one for one in identifiers[:MOST_LINKS] if isinstance(one.get("value"), str) and one["value"]]
    typed = [one for one in named if _ACCESSION in codes(one.get("type"))]
    return [one["value"] for one in (typed if typed or sure else named)]
