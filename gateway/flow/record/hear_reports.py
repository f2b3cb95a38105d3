"""hear reports: the watcher that notices final reports of other systems, and what of them is in force.

It runs inside the transaction that writes the report, with every study locked that the report was about before or is
now, so that of report and finding whichever comes second compares them (flow/agree.py). What is kept of a report is
which labels its codes say, and blind indexes of the studies that it names: nothing of whom it is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from gateway.flow.record.references import Name, local_name
from gateway.formats.fhir.agreement_codes import QuestionCodes, answers
from gateway.formats.fhir.coding import THO
from gateway.formats.fhir.identifier import STUDY_UID
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.ports import UnitOfWork

Resource = Mapping[str, Any]
MOST_LINKS: Final = 20  # references to studies or orders that are followed
MOST_NAMED: Final = 40  # studies and numbers of one report; one that names more says of none what it means
MOST_REPORTS: Final = 200  # that results of one write belong to, the newest first
_AT_ONCE: Final = 100  # results that are asked for together
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
        sent = [one for one in changes if one.stored.type == "DiagnosticReport" and not one.stored.ours]
        studies: set[StudyId] = set()
        for change in sent:
            studies |= self._take(unit, change.stored, change.resource, is_new=change.previous is None)
        known = {change.stored.key for change in sent}
        for stored in self._of_results(unit, _changed_results(changes)):
            if stored.key not in known:  # as the store has it now
                studies |= self._take(unit, stored, parse_json(self.opened.unseen(unit, stored)), is_new=False)
        for study in sorted(studies):  # in one order, so that two writers do not lock each other out
            self.compare.of_study(unit, unit.studies.lock(study))

    def _of_results(self, unit: UnitOfWork, results: Mapping[str, set[str]]) -> list[StoredVersion]:
        """Reports of others that these belong to, each once; nothing is asked for a record that has no report."""
        keys: set[int] = set()
        for owner in sorted(unit.agreements.heard_of(results)) if results else ():
            for part in _parts(sorted(results[owner])):
                named = ",".join(f"Observation/{one}" for one in part)
                criteria = [("result", named)]
                keys |= set(unit.resource_index.matching("DiagnosticReport", criteria, MOST_REPORTS, owner=owner))
        found = unit.resources.of_keys(sorted(keys, reverse=True)[:MOST_REPORTS])
        return [one for one in found if not one.ours and not one.is_deleted]

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
        if not 0 < len(links) <= MOST_NAMED:
            return None
        results, all_ours = reader.results()
        if all_ours:
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


def _changed_results(changes: Sequence[Change]) -> dict[str, set[str]]:
    """Ids of Observations that were here before, if only deleted, by the record that they are in, and by the one that
    they have left."""
    found: dict[str, set[str]] = {}
    for change in changes:
        if change.stored.type == "Observation" and change.stored.version > 1 and not change.stored.ours:
            for owner in {change.stored.owner, change.previous_owner} - {""}:
                found.setdefault(owner, set()).add(change.stored.id)
    return found


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + _AT_ONCE] for start in range(0, len(names), _AT_ONCE))


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
        found = self._named(told)
        made = self._devices_of_ours([resource for _, resource in found if resource is not None])
        is_ours = [bool(stored and stored.ours) or _device(resource, self.base) in made for stored, resource in found]
        others = [one for (_, one), ours in zip(found, is_ours, strict=True) if one is not None and not ours]
        return others, bool(told) and all(is_ours)

    def _devices_of_ours(self, results: Sequence[Resource]) -> set[Name]:
        """Devices that we have written, which stand in a copy of our result whatever else is left of it."""
        named = {name for one in results if (name := _device(one, self.base)) is not None}
        stored = self.unit.resources.named(sorted(named)) if named else {}
        return {name for name, one in stored.items() if one.ours}

    def study_uids(self) -> Iterator[str]:
        """One for each study that is named; one that cannot be told which stands as itself."""
        told = dicts(self.report.get("imagingStudy"))[:MOST_LINKS]
        for one, (_, study) in zip(told, self._named(told), strict=True):
            uids = [*_uids([one.get("identifier")]), *_uids((study or {}).get("identifier"))]
            yield from uids or [f"unknown {one.get('reference', '')}"]

    def numbers(self) -> Iterator[str]:
        """Accession numbers: of the report where it says that they are, of the orders that it is based on."""
        yield from _accessions(dicts(self.report.get("identifier")), sure=True)
        told = dicts(self.report.get("basedOn"))[:MOST_LINKS]
        for one, (_, order) in zip(told, self._named(told), strict=True):
            yield from _accessions(dicts([one.get("identifier")]), sure=False)
            yield from _accessions(dicts((order or {}).get("identifier")), sure=False)

    def _named(self, told: Sequence[Resource]) -> list[tuple[StoredVersion | None, Resource | None]]:
        """What each leads to, where that lies in this patient's record or in the report itself; asked for together."""
        names = [local_name(str(one.get("reference", "")), self.base) for one in told]
        wanted = list(dict.fromkeys(name for name in names if name is not None))
        stored = self.unit.resources.named(wanted) if wanted else {}
        inside = dicts(self.report.get("contained"))
        return [
            self._opened(stored.get(name)) if name is not None else (None, _contained(inside, one))
            for one, name in zip(told, names, strict=True)
        ]

    def _opened(self, stored: StoredVersion | None) -> tuple[StoredVersion | None, Resource | None]:
        if stored is None or stored.is_deleted or stored.owner != self.owner:
            return None, None
        return stored, parse_json(self.opened.unseen(self.unit, stored))


def _device(result: Resource | None, base: str) -> Name | None:
    told = (result or {}).get("device")
    return local_name(str(told.get("reference", "")), base) if isinstance(told, Mapping) else None


def _contained(inside: Iterable[Resource], told: Resource) -> Resource | None:
    named = str(told.get("reference", ""))
    return next((one for one in inside if f"#{one.get('id')}" == named), None)


def _uids(identifiers: Any) -> list[str]:
    values = [str(one.get("value", "")) for one in dicts(identifiers) if one.get("system") == STUDY_UID]
    return [value.removeprefix("urn:oid:") for value in values if value][:MOST_LINKS]


def _accessions(identifiers: Sequence[Resource], *, sure: bool) -> list[str]:
    """Those that are said to be accession numbers; of an order, which seldom says it, else all."""
    named = [one for one in identifiers[:MOST_LINKS] if isinstance(one.get("value"), str) and one["value"]]
    typed = [one for one in named if _ACCESSION in codes(one.get("type"))]
    return [one["value"] for one in (typed if typed or sure else named)]
