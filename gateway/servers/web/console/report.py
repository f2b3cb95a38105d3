"""A report's page: what the models say with their pictures, who it is about, what a physician decides, its history.

The buttons are the moves that the state table has for the report's status, and no others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.domain.ids import ReportId
from gateway.domain.report import Report, ReportVersion
from gateway.domain.review import NEEDS_REASON, Outcome, Review, offered
from gateway.domain.study import Study
from gateway.flow.review import LONGEST_CONCLUSION, LONGEST_REASON
from gateway.ports import UnitOfWork
from gateway.servers.web.console.launch import launchable
from gateway.servers.web.console.page import View, Visit
from gateway.servers.web.console.rights import may, require
from gateway.servers.web.console.shown_identity import shown_identity
from gateway.servers.web.console.study import SHOWN_IMAGES

WORDS: Final[Mapping[Outcome, str]] = {
    "accept": "Sign",
    "amend": "Amend",
    "correct": "Correct an error",
    "append": "Add to it",
    "reject": "Reject",
    "retract": "Retract",
}
"""What the button of an outcome says."""
DID: Final[Mapping[Outcome, str]] = {
    "accept": "signed it",
    "amend": "amended it",
    "correct": "corrected it",
    "append": "added to it",
    "reject": "rejected it",
    "retract": "retracted it",
}
"""What the history says of it."""


@dataclass(frozen=True)
class Filled:
    """A form as it was sent, to be shown again with what is wrong in it."""

    conclusion: str | None = None
    addendum: str = ""
    reason: str = ""
    take_newer: bool = False


@dataclass(frozen=True)
class FoundReport:
    """A report with its study, its versions and the decisions about them."""

    report: Report
    study: Study
    versions: tuple[ReportVersion, ...]
    reviews: Mapping[int, Review]
    has_tasks: bool
    """Whether models were asked in the study's present revision: a record is looked at without anything new in it."""

    @property
    def version(self) -> ReportVersion:
        return self.versions[-1]

    @property
    def conclusion(self) -> str:
        return self.version.content.conclusion if self.version.content else ""

    @property
    def has_newer(self) -> bool:
        """Whether the study was analysed again since what the report says."""
        return self.has_tasks and self.study.revision > self.version.revision and self.study.state == "reported"


def find_report(unit: UnitOfWork, number: str) -> FoundReport:
    report = unit.reports.get(ReportId(number))
    reviews = {review.version: review for review in unit.reviews.of_report(report.id)}
    study = unit.studies.get(report.study_id)
    has_tasks = bool(unit.tasks.of_study(study.id, study.revision))
    return FoundReport(report, study, tuple(unit.reports.versions(report.id)), reviews, has_tasks)


def form_name(found: FoundReport) -> str:
    """What the form's token is bound to: it fits no other report, and not this one once it has a newer version."""
    return f"report {found.report.id} {found.report.version}"


def report(visit: Visit) -> View:
    require(visit.person, "list reports")
    return report_view(visit, find_report(visit.unit, visit.path["report"]), Filled(), "")


def report_view(visit: Visit, found: FoundReport, given: Filled, problem: str) -> View:
    content = found.version.content
    decides = may(visit.person, "decide about reports") and visit.services.review is not None
    choices = offered(found.report.status) if decides and content is not None else ()
    data = {
        "found": found,
        "report": found.report,
        "study": found.study,
        "identity": shown_identity(visit, found.study),
        "findings": content.findings if content else (),
        "not_analysed": content.not_analysed if content else (),
        "shown_images": SHOWN_IMAGES,
        "offered": choices,
        "words": WORDS,
        "did": DID,
        "needs_reason": NEEDS_REASON,
        "given": given,
        "text": found.conclusion if given.conclusion is None else given.conclusion,
        "problem": problem,
        "token": visit.form_token(form_name(found)),
        "history": [(version, found.reviews.get(version.version)) for version in reversed(found.versions)],
        "deliveries": visit.unit.deliveries.of_report(found.report.id),
        "recalls": _recalls(visit.unit, found.version),
        "apps": launchable(visit.unit) if may(visit.person, "see identity") else [],
        "longest_conclusion": LONGEST_CONCLUSION,
        "longest_reason": LONGEST_REASON,
    }
    return View("report.html", found.report.id, data)


def _recalls(unit: UnitOfWork, version: ReportVersion) -> list[str]:
    findings = version.content.findings if version.content else ()
    models = list(dict.fromkeys(finding.made_by.model_id for finding in findings))
    known = unit.recalls.of_models(models) if models else []
    return [f"{recall.model_name} {recall.model_version} was recalled: {recall.reason}" for recall in known]
