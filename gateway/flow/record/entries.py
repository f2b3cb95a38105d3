"""What a patient's FHIR resources say, as entries: under which codes, what value, when, from which resource.

Only what counts is read: results that are final, conditions that are confirmed and present, medicines that are
taken. What an AI has said is no fact about a patient and is left out, ours included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway.flow.record.concept import codes, words
from gateway.flow.record.genome_files import OBSERVED, counts, holds_vcf

Resource = Mapping[str, Any]
PRESENT = frozenset({"active", "recurrence", "relapse"})
TAKEN = frozenset({"active", "intended"})
DOUBTFUL = frozenset({"refuted", "entered-in-error", "differential", "provisional", "unconfirmed"})
FILES = frozenset({"DocumentReference", "Media"})  # read only where they hold a VCF and count
READ = FILES | {
    "Patient", "Observation", "Condition", "MedicationStatement", "MedicationRequest", "FamilyMemberHistory",
    "MolecularSequence",
}  # fmt: skip
FAMILY = "family:"  # before the system of a code that a relative has
_AI = "AIAST"
MOST_PARTS = 64  # conditions of one relative
MOST_COMPONENTS = 512  # of one observation: a panel of genes is one


@dataclass(frozen=True)
class Entry:
    """One thing that the record says. `value` is a number, a truth, or the words by which a concept may be known."""

    codes: frozenset[tuple[str, str]]
    value: float | bool | tuple[str, ...] = field(repr=False)
    unit: str
    at: datetime | None
    source: str  # Type/id
    resource: Resource = field(repr=False)


def entries(resources: Sequence[Resource]) -> Iterator[Entry]:
    """Every entry of every resource that counts; one that is not of the shape that FHIR gives it says nothing."""
    for resource in resources:
        if is_read(resource):
            try:
                found = list(_READERS[resource["resourceType"]](resource))
            except (AttributeError, KeyError, TypeError, ValueError):
                continue
            yield from found


def is_read(resource: Resource) -> bool:
    """Whether models read this resource at all."""
    labels = (resource.get("meta") or {}).get("security") or ()
    from_ai = any(isinstance(label, Mapping) and label.get("code") == _AI for label in labels)
    kind = resource.get("resourceType")
    return kind in READ and not from_ai and (kind not in FILES or (counts(resource) and holds_vcf(resource)))


def patient_of(resources: Sequence[Resource]) -> Resource:
    """The Patient resource of a record; empty where there is none."""
    return next((one for one in resources if one.get("resourceType") == "Patient"), {})


def time_of(text: Any) -> datetime | None:
    """A FHIR date, dateTime or instant; a year or a month counts from its first day."""
    if not isinstance(text, str) or not text:
        return None
    whole = {4: f"{text}-01-01", 7: f"{text}-01"}.get(len(text), text)
    try:
        found = datetime.fromisoformat(whole.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _observation(resource: Resource) -> Iterator[Entry]:
    if resource.get("status") not in OBSERVED:
        return
    at = observed_at(resource)
    for part in (resource, *(resource.get("component") or ())[:MOST_COMPONENTS]):
        value, unit = _value(part)
        if value is not None:
            yield Entry(codes(part.get("code")), value, unit, at, _source(resource), resource)


def observed_at(resource: Resource) -> datetime | None:
    """When an Observation was made."""
    period = resource.get("effectivePeriod") or {}
    return time_of(
        resource.get("effectiveDateTime")
        or resource.get("effectiveInstant")
        or period.get("start")
        or resource.get("issued")
    )


def _value(part: Resource) -> tuple[float | bool | tuple[str, ...] | None, str]:
    quantity = part.get("valueQuantity")
    if isinstance(quantity, Mapping) and "value" in quantity and not quantity.get("comparator"):
        return float(quantity["value"]), str(quantity.get("code") or quantity.get("unit") or "")
    if isinstance(part.get("valueInteger"), int):
        return float(part["valueInteger"]), "1"
    if isinstance(part.get("valueBoolean"), bool):
        return part["valueBoolean"], ""
    if isinstance(part.get("valueString"), str):
        return (" ".join(part["valueString"].lower().split()),), ""
    said = words(part.get("valueCodeableConcept"))
    return (said, "") if said else (None, "")


def _condition(resource: Resource) -> Iterator[Entry]:
    """A condition that is present and not refuted; one that is absent from the record is unknown, never a no."""
    clinical, verified = codes(resource.get("clinicalStatus")), codes(resource.get("verificationStatus"))
    if not {code for _, code in clinical} & PRESENT:
        return
    if {code for _, code in verified} & DOUBTFUL:
        return
    at = time_of(resource.get("onsetDateTime") or resource.get("recordedDate"))
    yield Entry(codes(resource.get("code")), True, "", at, _source(resource), resource)


def _medication(resource: Resource) -> Iterator[Entry]:
    if resource.get("status") in TAKEN:
        concept = resource.get("medicationCodeableConcept")
        at = time_of(resource.get("effectiveDateTime") or resource.get("authoredOn"))
        yield Entry(codes(concept), True, "", at, _source(resource), resource)


def _family(resource: Resource) -> Iterator[Entry]:
    if resource.get("status") in ("completed", "partial"):
        for condition in (resource.get("condition") or ())[:MOST_PARTS]:
            yield Entry(codes(condition.get("code"), FAMILY), True, "", None, _source(resource), resource)


def _nothing(resource: Resource) -> Iterator[Entry]:
    yield from ()


def _source(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


_READERS = {
    "Observation": _observation,
    "Condition": _condition,
    "MedicationStatement": _medication,
    "MedicationRequest": _medication,
    "FamilyMemberHistory": _family,
    "Patient": _nothing,
    "DocumentReference": _nothing,
    "Media": _nothing,
    "MolecularSequence": _nothing,
}
