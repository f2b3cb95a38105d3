"""Practitioner: the physician who reviewed a report, as he or she was called when it happened (FHIR R4 8.4)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.domain.review import ENDS, SIGNED, Review, Reviewer, in_force
from gateway.formats.fhir import identifier
from gateway.formats.fhir.element import Resource, element, meta, reference
from gateway.formats.fhir.text import exact, line
from gateway.ports import ReportDocument


def practitioner(who: Reviewer, base_url: str) -> Resource:
    qualification = line(who.qualification)
    return element(
        resourceType="Practitioner",
        id=who.id,
        meta=meta(base_url),
        identifier=[each for each in (_given(who), {"system": identifier.PERSON, "value": str(who.id)}) if each],
        active=True,
        name=[{"text": line(who.name) or "Physician"}],
        qualification=[{"code": {"text": qualification}}] if qualification else None,
    )


def practitioner_reference(who: Reviewer) -> Resource:
    return reference("Practitioner", who.id, display=line(who.name))


def reviews_in_force(document: ReportDocument) -> tuple[Review, ...]:
    """The decisions that speak for this version, oldest first."""
    return in_force(document.reviews, document.version.status, document.version.version)


def reviewers(document: ReportDocument) -> list[Reviewer]:
    """Everybody who decided about this version, each once."""
    return list({review.reviewer.id: review.reviewer for review in reviews_in_force(document)}.values())


def interpreters(document: ReportDocument) -> list[Reviewer]:
    """Those who vouch for what this version says; nobody for what is not signed."""
    if document.version.status not in SIGNED:
        return []
    said = [review for review in reviews_in_force(document) if review.outcome not in ENDS]
    return list({review.reviewer.id: review.reviewer for review in said}.values())


def practitioners(document: ReportDocument, base_url: str) -> Iterator[Resource]:
    for who in reviewers(document):
        yield practitioner(who, base_url)


def _given(who: Reviewer) -> Resource | None:
    """The person's own identifier, `system|value`."""
    system, _, value = exact(who.identifier).partition("|")
    return {"system": system, "value": value} if system and value else None
