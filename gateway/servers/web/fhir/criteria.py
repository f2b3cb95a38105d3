"""Search parameters turned into conditions on reports, each by one small function (R4 3.1.1.4).

Identifying values are looked up by blind index at once, so that nothing after this file holds them. Conditions
are joined by AND, the alternatives of one parameter by OR.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from gateway.domain.errors import Fault, Missing
from gateway.domain.ids import FindingId, ReportId, StudyId
from gateway.domain.lifecycle import REPORT
from gateway.domain.report import report_id
from gateway.formats.fhir import identifier
from gateway.formats.fhir.capability import Parameter
from gateway.formats.fhir.diagnostic_report import CATEGORIES, CODE
from gateway.formats.fhir.element import Resource
from gateway.ports import UnitOfWork
from gateway.servers.web.fhir import date_range
from gateway.servers.web.fhir.date_range import ANY_TIME, DateRange
from gateway.servers.web.fhir.resources import models_of_device
from gateway.servers.web.fhir.token_value import TokenValue, alternatives, reference, token
from gateway.servers.web.services import WebServices

T = TypeVar("T")
_OBSERVED_AS = {"appended": "final"}  # how formats/fhir/observation.py writes a report's status
_REPORT_NUMBER = re.compile(r"[0-9a-f]{32}")
_UID = "urn:oid:"


@dataclass(frozen=True)
class Criteria:
    """Conditions on reports and what they carry; None means no condition."""

    reports: frozenset[ReportId] | None = None
    patients: frozenset[str] | None = None
    statuses: frozenset[str] | None = None
    models: frozenset[str] | None = None
    own_ids: frozenset[str] | None = None
    updated: DateRange = ANY_TIME
    study_days: tuple[DateRange, ...] = ()
    name_prefixes: tuple[tuple[str, ...], ...] = ()
    tokens: tuple[tuple[TokenValue, ...], ...] = ()

    def with_reports(self, found: Iterable[ReportId]) -> Criteria:
        return replace(self, reports=_both(self.reports, found))

    def with_patients(self, found: Iterable[str]) -> Criteria:
        return replace(self, patients=_both(self.patients, found))

    def with_own_ids(self, found: Iterable[str]) -> Criteria:
        return replace(self, own_ids=_both(self.own_ids, found))

    def with_statuses(self, found: Iterable[str]) -> Criteria:
        return replace(self, statuses=_both(self.statuses, found))

    def with_updated(self, span: DateRange) -> Criteria:
        starts = [each for each in (self.updated.start, span.start) if each]
        ends = [each for each in (self.updated.end, span.end) if each]
        return replace(self, updated=DateRange(max(starts, default=None), min(ends, default=None)))


@dataclass(frozen=True)
class Given:
    """One parameter as it was given: `name` in the form that the client wrote."""

    services: WebServices
    unit: UnitOfWork
    name: str
    values: Sequence[str]

    def tokens(self) -> tuple[TokenValue, ...]:
        return tuple(token(self.name, value) for value in self.values)

    def references(self, kind: str) -> list[str]:
        return [reference(self.name, value, kind, self.services.fhir_base) for value in self.values]


Condition = Callable[[Criteria, Given], Criteria]


def condition(kind: str, parameter: Parameter) -> Condition:
    """The function behind a declared parameter; a test proves that each declared one has its own."""
    found = CONDITIONS.get((kind, parameter.name)) or CONDITIONS.get(("*", parameter.name))
    if found is None:
        raise Fault(f"{kind}.{parameter.name} is declared but not served")
    return found


def given(services: WebServices, unit: UnitOfWork, name: str, value: str) -> Given:
    return Given(services, unit, name, alternatives(name, value))


def _both(known: frozenset[T] | None, found: Iterable[T]) -> frozenset[T]:
    return frozenset(found) if known is None else known & frozenset(found)


def _report_ids(criteria: Criteria, told: Given) -> Criteria:
    return criteria.with_reports(ReportId(each.value) for each in told.tokens())


def _imaging_study_ids(criteria: Criteria, told: Given) -> Criteria:
    return criteria.with_reports(report_id(StudyId(each.value)) for each in told.tokens())


def _patient_ids(criteria: Criteria, told: Given) -> Criteria:
    return criteria.with_patients(each.value for each in told.tokens())


def _observation_ids(criteria: Criteria, told: Given) -> Criteria:
    ids = [each.value for each in told.tokens()]
    reports = [number for own_id in ids for number in _report_of_finding(told.unit, own_id)]
    return criteria.with_own_ids(ids).with_reports(reports)


def _report_of_finding(unit: UnitOfWork, own_id: str) -> list[ReportId]:
    try:
        return [report_id(unit.tasks.finding(FindingId(own_id)).study_id)]
    except Missing:
        return []


def _provenance_ids(criteria: Criteria, told: Given) -> Criteria:
    ids = [each.value for each in told.tokens()]
    return criteria.with_own_ids(ids).with_reports(ReportId(own_id.rpartition("-")[0]) for own_id in ids)


def _own_ids(criteria: Criteria, told: Given) -> Criteria:
    return criteria.with_own_ids(each.value for each in told.tokens())


def _report_identifier(criteria: Criteria, told: Given) -> Criteria:
    """Our report number, or the accession number, which has no system."""
    found: set[ReportId] = set()
    for each in told.tokens():
        if each.system in (None, identifier.REPORT) and _REPORT_NUMBER.fullmatch(each.value):
            found.add(ReportId(each.value))
        if each.system in (None, ""):
            found |= _by_accession(told, each.value)
    return criteria.with_reports(found)


def _based_on(criteria: Criteria, told: Given) -> Criteria:
    orders = [each.value for each in told.tokens() if each.system in (None, "")]
    return criteria.with_reports(number for order in orders for number in _by_accession(told, order))


def _study_identifier(criteria: Criteria, told: Given) -> Criteria:
    found: set[ReportId] = set()
    for each in told.tokens():
        if each.system in (None, identifier.STUDY_UID) and each.value.startswith(_UID):
            index = told.services.vault.search_index("study-uid", each.value.removeprefix(_UID))
            found |= {report_id(study) for study in told.unit.studies.ids_by_study_uid(index)}
        if each.system in (None, ""):
            found |= _by_accession(told, each.value)
    return criteria.with_reports(found)


def _by_accession(told: Given, number: str) -> set[ReportId]:
    index = told.services.vault.search_index("accession", number)
    return {report_id(study) for study in told.unit.studies.ids_by_accession(index)}


def _patient(criteria: Criteria, told: Given) -> Criteria:
    if told.name.endswith(".identifier"):
        return _patient_identifier(criteria, told)
    return criteria.with_patients(told.references("Patient"))


def _patient_identifier(criteria: Criteria, told: Given) -> Criteria:
    found: set[str] = set()
    for each in told.tokens():
        if each.system == identifier.PATIENT:
            found.add(each.value)
        else:
            for issuer in _issuers(each):
                found |= set(told.services.vault.patients(told.unit, issuer, each.value))
    return criteria.with_patients(found)


def _issuers(wanted: TokenValue) -> Sequence[str | None]:
    """Any issuer, none, or all that the system may have been made from."""
    if wanted.system is None:
        return (None,)
    return identifier.issuers_of(wanted.system) if wanted.system else ("",)


def _report_status(criteria: Criteria, told: Given) -> Criteria:
    wanted = {each.value for each in told.tokens()}
    return criteria.with_statuses(wanted & set(REPORT.states))


def _observation_status(criteria: Criteria, told: Given) -> Criteria:
    wanted = {each.value for each in told.tokens()}
    return criteria.with_statuses(state for state in REPORT.states if _OBSERVED_AS.get(state, state) in wanted)


def _code(criteria: Criteria, told: Given) -> Criteria:
    return _constant(criteria, told, [CODE])


def _category(criteria: Criteria, told: Given) -> Criteria:
    return _constant(criteria, told, CATEGORIES)


def _constant(criteria: Criteria, told: Given, concepts: list[Resource]) -> Criteria:
    """Every report has the same concept: all match or none."""
    codings = [coding for concept in concepts for coding in concept["coding"]]
    fits = any(each.fits(coding["system"], coding["code"]) for each in told.tokens() for coding in codings)
    return criteria if fits else criteria.with_reports(())


def _study_date(criteria: Criteria, told: Given) -> Criteria:
    spans = [date_range.parse(value) for value in told.values]
    if len(spans) > 1:
        raise date_range.one_date_only(told.name)
    return replace(criteria, study_days=(*criteria.study_days, spans[0]))


def _updated(criteria: Criteria, told: Given) -> Criteria:
    if len(told.values) > 1:
        raise date_range.one_date_only(told.name)
    return criteria.with_updated(date_range.parse(told.values[0]))


def _device(criteria: Criteria, told: Given) -> Criteria:
    found = {model for own_id in told.references("Device") for model in models_of_device(told.unit, own_id)}
    return replace(criteria, models=_both(criteria.models, found))


def _target(criteria: Criteria, told: Given) -> Criteria:
    return criteria.with_reports(ReportId(own_id) for own_id in told.references("DiagnosticReport"))


def _device_name(criteria: Criteria, told: Given) -> Criteria:
    prefixes = tuple(value.casefold() for value in told.values)
    return replace(criteria, name_prefixes=(*criteria.name_prefixes, prefixes))


def _house_identifier(criteria: Criteria, told: Given) -> Criteria:
    return replace(criteria, tokens=(*criteria.tokens, told.tokens()))


CONDITIONS: dict[tuple[str, str], Condition] = {
    ("DiagnosticReport", "_id"): _report_ids,
    ("DiagnosticReport", "identifier"): _report_identifier,
    ("DiagnosticReport", "based-on"): _based_on,
    ("DiagnosticReport", "status"): _report_status,
    ("DiagnosticReport", "code"): _code,
    ("DiagnosticReport", "category"): _category,
    ("DiagnosticReport", "date"): _study_date,
    ("DiagnosticReport", "issued"): _updated,
    ("DiagnosticReport", "_lastUpdated"): _updated,
    ("Observation", "_id"): _observation_ids,
    ("Observation", "device"): _device,
    ("Observation", "status"): _observation_status,
    ("ImagingStudy", "_id"): _imaging_study_ids,
    ("ImagingStudy", "identifier"): _study_identifier,
    ("Patient", "_id"): _patient_ids,
    ("Patient", "identifier"): _patient_identifier,
    ("Provenance", "_id"): _provenance_ids,
    ("Provenance", "target"): _target,
    ("Provenance", "agent"): _device,
    ("Device", "_id"): _own_ids,
    ("Device", "device-name"): _device_name,
    ("DocumentReference", "_id"): _own_ids,
    ("DocumentReference", "identifier"): _house_identifier,
    ("Organization", "_id"): _own_ids,
    ("*", "patient"): _patient,
    ("*", "subject"): _patient,
}
