"""When the care took place that a resource tells of: its clinical date, by R4's date search parameters of its type.

For `start` and `end` of $everything: "the date range relates to care dates, not record currency dates". What began and
may still go on (a Condition without abatement) goes on. Of several parameters the first that has a value counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.domain.errors import Invalid
from gateway.formats.fhir.search.extract import extract
from gateway.formats.fhir.search.instants import span
from gateway.formats.fhir.search.parameters import parameters
from gateway.formats.fhir.search.values import EARLIEST, LATEST, Span

_CODES: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(
        ("Appointment", "CarePlan", "CareTeam", "ClinicalImpression", "DiagnosticReport", "Encounter", "EpisodeOfCare"),
        ("date",),
    ),
    **dict.fromkeys(("Flag", "Immunization", "Observation", "Procedure", "RiskAssessment"), ("date",)),
    "ChargeItem": ("occurrence",),
    "Communication": ("received", "sent"),
    "Composition": ("period", "date"),
    "DetectedIssue": ("identified",),
    "DocumentReference": ("period", "date"),
    "ImagingStudy": ("started",),
    "Media": ("created",),
    "MedicationAdministration": ("effective-time",),
    "MedicationDispense": ("whenhandedover", "whenprepared"),
    "MedicationRequest": ("authoredon",),
    "MedicationStatement": ("effective",),
    "QuestionnaireResponse": ("authored",),
    "RequestGroup": ("authored",),
    "ServiceRequest": ("occurrence", "authored"),
    "Specimen": ("collected",),
    "Task": ("period", "authored-on"),
}
"""Types that are not here have no clinical date: who somebody is, what always holds, and the record's own dates."""
_FROM_TO: Final[Mapping[str, tuple[str, str]]] = {
    "Condition": ("onset-date", "abatement-date"),
    "Goal": ("start-date", "target-date"),
}
_LONGEST_DATE: Final = len("2026-11-29")


def care_range(start: str | None, end: str | None) -> tuple[int, int] | None:
    """Both ends inclusive, to the precision that they are written with; None where neither is given.

    Invalid where one is no FHIR date or the end comes before the start.
    """
    if start is None and end is None:
        return None
    for told in (start, end):
        if told is not None and len(told) > _LONGEST_DATE:
            raise Invalid("start and end are dates: YYYY, YYYY-MM or YYYY-MM-DD")
    low = span(start)[0] if start is not None else EARLIEST
    high = span(end)[1] if end is not None else LATEST
    if low >= high:
        raise Invalid("end lies before start")
    return low, high


def is_care_within(resource: Mapping[str, Any], wanted: tuple[int, int]) -> bool:
    """Whether any of the care took place in this time; true for what has no clinical date."""
    low, high = wanted
    dates = care_dates(resource)
    return not dates or any(each.low < high and each.high > low for each in dates)


def care_dates(resource: Mapping[str, Any]) -> list[Span]:
    kind = str(resource.get("resourceType", ""))
    found = {parameter.code: values for parameter, values in extract(resource).items() if parameter.kind == "date"}
    spans = {code: [one for one in values if isinstance(one, Span)] for code, values in found.items()}
    if kind in _FROM_TO:
        begun, ended = (spans.get(code, []) for code in _FROM_TO[kind])
        if not begun and not ended:
            return []
        low = min((one.low for one in begun), default=EARLIEST)
        return [Span(low, max((one.high for one in ended), default=LATEST))]
    codes = [code for code in _CODES.get(kind, ()) if code in parameters(kind)]
    return next((spans[code] for code in codes if spans.get(code)), [])
