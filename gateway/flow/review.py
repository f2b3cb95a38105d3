"""review: a physician's decision about a report: signs it, changes it after that, rejects or retracts it.

One transaction: the next version, the decision with its signature, the deliveries. The version that was read is named
by the caller, so nobody decides about something else than what he saw; what the state table does not have is refused
(FHIR R4 10.3.3; IHE IDR for the signature).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from gateway.domain.access import Person
from gateway.domain.errors import Conflict, Forbidden, Invalid
from gateway.domain.identity import StudyIdentity
from gateway.domain.ids import ReportId
from gateway.domain.report import RECORD, Report, ReportContent, ReportVersion
from gateway.domain.review import (
    ENDS,
    EVENTS,
    MAY_SIGN,
    NEEDS_REASON,
    SAYS_CONCLUSION,
    Outcome,
    Review,
    Verdict,
    offered,
    reviewer,
)
from gateway.flow.read_reports import ReadReports
from gateway.formats.fhir.render import render
from gateway.formats.fhir.signed_content import content_digest, signed_content
from gateway.ports import ContentSigner, Database, UnitOfWork

LONGEST_CONCLUSION: Final = 16_384
LONGEST_REASON: Final = 500
_ADDENDUM: Final = "Addendum: "


@dataclass(frozen=True)
class Decision:
    """What a physician says about `version`: `conclusion` None leaves the text as it is.

    `take_newer` puts the findings of the study's present revision into an amended or corrected report.
    """

    outcome: Outcome
    version: int
    conclusion: str | None = None
    reason: str = ""
    take_newer: bool = False


@dataclass(frozen=True)
class ReviewReport:
    """`base_url` and `organization_name` are what reports are rendered with; `destinations` get the new version."""

    database: Database
    reports: ReadReports
    signer: ContentSigner
    base_url: str
    organization_name: str
    destinations: tuple[str, ...] = ()
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self, report_id: ReportId, person: Person, decision: Decision) -> Report:
        """The report with its new version.

        Forbidden for anybody but a physician; Conflict where the report has moved on or its state has no such move;
        Invalid for a text that is missing, too long or names the patient.
        """
        require_physician(person)
        said = _checked(decision)
        with self.database.begin(f"person:{person.name}") as unit:
            unit.studies.lock(unit.reports.get(report_id).study_id)
            report = unit.reports.get(report_id)
            _check_state(report, said)
            was = unit.reports.version(report.id, report.version)
            content = _content(unit, report, was, said)
            written = unit.reports.write(report, EVENTS[said.outcome], _revision(unit, was, said), content, self.now())
            unit.reviews.add(self._signed(unit, written, was, person, said))
            unit.deliveries.plan(written, (RECORD, *self.destinations), written.updated_at)
            unit.commit()
        return written

    def _signed(self, unit: UnitOfWork, written: Report, was: ReportVersion, person: Person, said: Decision) -> Review:
        document = self.reports.open(unit, written, purpose="sign", actor=f"person:{person.name}", pictures=False)
        _check_words(said, document.identity)
        findings = document.version.content.findings if document.version.content else ()
        review = Review(
            report_id=written.id,
            version=written.version,
            base_version=was.version,
            base_at=was.created_at,
            outcome=said.outcome,
            verdict=_verdict(said, was),
            reviewer=reviewer(person),
            reason=said.reason,
            at=written.updated_at,
            models=tuple(dict.fromkeys(finding.made_by.model_id for finding in findings)),
            signature="",
            key_id="",
        )
        shown = render(replace(document, reviews=(*document.reviews, review)), self.base_url, self.organization_name)
        signature, kid = self.signer.sign(_claims(review, content_digest(signed_content(shown)), self.base_url))
        return replace(review, signature=signature, key_id=kid)


def require_physician(person: Person) -> None:
    if not person.active or person.role not in MAY_SIGN:
        raise Forbidden("only a physician decides about a report")


def _claims(review: Review, digest: str, issuer: str) -> dict[str, str | int]:
    """What the signature says, in the claims of RFC 7519 where it has one."""
    who = review.reviewer
    return {
        "iss": issuer,
        "sub": f"Practitioner/{who.id}",
        "name": who.name,
        "identifier": who.identifier,
        "iat": int(review.at.timestamp()),
        "outcome": review.outcome,
        "report": review.report_id,
        "version": review.version,
        "base_version": review.base_version,
        "content_sha256": digest,
    }


def _checked(decision: Decision) -> Decision:
    """The decision with its texts trimmed. Invalid where one is missing, too long or not text."""
    outcome = decision.outcome
    reason = " ".join(decision.reason.split())
    if outcome not in EVENTS:
        raise Invalid(f"the outcome is one of {', '.join(EVENTS)}")
    if outcome in NEEDS_REASON and not reason:
        raise Invalid(f"to {outcome} a report needs a reason")
    if len(reason) > LONGEST_REASON or not reason.isprintable():
        raise Invalid(f"a reason has at most {LONGEST_REASON} printable characters")
    if decision.take_newer and outcome not in ("amend", "correct"):
        raise Invalid("only an amended or corrected report takes over newer findings")
    return replace(decision, reason=reason, conclusion=_conclusion(decision))


def _conclusion(decision: Decision) -> str | None:
    if decision.conclusion is None:
        if decision.outcome in SAYS_CONCLUSION:
            raise Invalid(f"to {decision.outcome} a report needs a conclusion")
        return None
    if decision.outcome in ENDS:
        raise Invalid(f"to {decision.outcome} a report takes no conclusion")
    text = decision.conclusion.replace("\r\n", "\n").strip()
    if not text or len(text) > LONGEST_CONCLUSION:
        raise Invalid(f"a conclusion has 1 to {LONGEST_CONCLUSION} characters")
    if not all(each.isprintable() or each in "\n\t" for each in text):
        raise Invalid("a conclusion holds control characters")
    return text


def _check_state(report: Report, said: Decision) -> None:
    if report.version != said.version:
        raise Conflict(f"the report has moved on: its version is {report.version}, not {said.version}")
    if said.outcome not in offered(report.status):
        raise Conflict(f"a report that is {report.status} takes no {said.outcome}")


def _content(unit: UnitOfWork, report: Report, was: ReportVersion, said: Decision) -> ReportContent:
    if was.content is None:
        raise Conflict("the report says nothing yet")
    content = was.content
    if said.take_newer:
        study = unit.studies.get(report.study_id)
        findings = tuple(unit.tasks.findings(study.id, study.revision))
        if study.revision <= was.revision or not findings:
            raise Conflict("there are no newer findings")
        content = replace(content, findings=findings)
    if said.conclusion is None:
        return content
    if said.outcome == "append":
        return replace(content, conclusion=f"{content.conclusion}\n\n{_ADDENDUM}{said.conclusion}")
    return replace(content, conclusion=said.conclusion)


def _revision(unit: UnitOfWork, was: ReportVersion, said: Decision) -> int:
    return unit.studies.get(unit.reports.get(was.report_id).study_id).revision if said.take_newer else was.revision


def _verdict(said: Decision, was: ReportVersion) -> Verdict:
    if said.outcome in ENDS:
        return "rejected"
    before = was.content.conclusion if was.content else ""
    return "as-is" if said.conclusion in (None, before.strip()) else "changed"


def _check_words(said: Decision, identity: StudyIdentity) -> None:
    """What is stored beside the pseudonym must not name the patient.

    A family name alone is no sign of it (`Long`, `Left`); both names together, or a number of the patient's, are.
    """
    words = re.findall(r"\w+", f"{said.conclusion or ''} {said.reason}".casefold())
    known = set(words)
    numbers = [identity.patient_id, identity.accession_number]
    named = any(len(number) > 3 and _is_in(number, words) for number in numbers)
    for writing in identity.patient_name.split("="):
        parts = [part.strip().casefold() for part in writing.split("^")[:2] if part.strip()]
        named = named or (len(parts) == 2 and all(set(part.split()) <= known for part in parts))
    if named:
        raise Invalid("the text names the patient: it is kept apart from identity, so leave names and numbers out")


def _is_in(number: str, words: list[str]) -> bool:
    wanted = re.findall(r"\w+", number.casefold())
    return bool(wanted) and any(words[place : place + len(wanted)] == wanted for place in range(len(words)))
