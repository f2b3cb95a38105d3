"""agree: what models said about a study, compared with the final reports that others have sent about it.

It works out anew what follows from the reports and findings that there are, so it may run as often as it likes and
counts nothing twice. It is called with the study locked, by whichever comes last: the report, the finding, or another
study under the same number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from gateway.domain.agreement import Agreement, Comparison, FinalReport, compared
from gateway.domain.finding import Finding
from gateway.domain.ids import StudyId
from gateway.domain.study import Study
from gateway.ports import UnitOfWork

MOST_REPORTS: Final = 20  # of one study that are looked at, the newest first
ELSEWHERE: Final = StudyId("")
"""Stands for a study that is named and not here."""
MOST_STUDIES: Final = 20  # under one accession number of a patient


@dataclass(frozen=True)
class _Heard:
    """Reports about this study alone, and studies that share a report which does not say which of them it means."""

    about: tuple[FinalReport, ...]
    shared_with: frozenset[StudyId]

    @property
    def is_any(self) -> bool:
        return bool(self.about or self.shared_with)


@dataclass(frozen=True)
class CompareReports:
    """Called inside the transaction that writes a finding, or what is in force of a final report."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def of_finding(self, unit: UnitOfWork, study: Study, finding: Finding) -> None:
        """The new finding, and what other studies share its report with it, which is no longer about them alone."""
        heard = _heard(unit, study)
        if not heard.is_any:
            return
        self._settle(unit, heard, [finding], unit.agreements.of_study(study.id), whole=False)
        self._of_others(unit, study, heard)

    def of_arrival(self, unit: UnitOfWork, study: Study) -> None:
        """A study that is complete now: a report that named another one by a number of both is no longer about that
        alone, whether or not a model answers about this one."""
        self._of_others(unit, study, _heard(unit, study))

    def _of_others(self, unit: UnitOfWork, study: Study, heard: _Heard) -> None:
        for other in sorted(heard.shared_with - {study.id, ELSEWHERE}):
            if unit.agreements.of_study(other):
                self.of_study(unit, unit.studies.get(other))

    def of_study(self, unit: UnitOfWork, study: Study) -> None:
        """Every model's newest finding; what was compared and is no more is withdrawn."""
        known = unit.agreements.of_study(study.id)
        heard = _heard(unit, study)
        if known or heard.is_any:
            self._settle(unit, heard, unit.agreements.findings(study.id), known, whole=True)

    def _settle(
        self, unit: UnitOfWork, heard: _Heard, findings: Sequence[Finding], known: Sequence[Agreement], *, whole: bool
    ) -> None:
        was = {one.model_id: one for one in known}
        made = [self._made(heard, finding) for finding in findings if heard.is_any]
        for one in made:
            if one != was.get(one.model_id):
                unit.agreements.put(one)
        kept = {one.model_id for one in made}
        for one in known if whole else ():
            if one.model_id not in kept:
                unit.agreements.withdraw(one)

    def _made(self, heard: _Heard, finding: Finding) -> Agreement:
        said = finding.decided.name if finding.decided else ""
        found = compared(finding, heard.about) if heard.about else Comparison("several-studies", said)
        return Agreement(
            study_id=finding.study_id,
            model_id=finding.made_by.model_id,
            finding_id=finding.id,
            outcome=found.outcome,
            said=found.said,
            reference=found.reference,
            positive=found.positive,
            answered_at=finding.created_at,
            compared_at=self.now(),
        )


def touched(unit: UnitOfWork, report: FinalReport) -> set[StudyId]:
    """Studies of the report's patient that it may speak of."""
    uids, numbers = report.named("study"), report.named("accession")
    named = [one for index in sorted(uids) for one in unit.studies.ids_by_study_uid(index)]
    own = {one for one in named if unit.studies.get(one).patient == report.patient}
    return own | _by_number(unit, report.patient, numbers)


def _heard(unit: UnitOfWork, study: Study) -> _Heard:
    indexes = {index for index in (study.study_uid_index, study.accession_index) if index is not None}
    about: list[FinalReport] = []
    shared: set[StudyId] = set()
    for report in unit.agreements.linked(study.patient, indexes, MOST_REPORTS):
        meant = _meant(unit, report, study)
        if meant == {study.id}:
            about.append(report)
        elif study.id in meant:
            shared |= meant
    return _Heard(tuple(about), frozenset(shared))


def _meant(unit: UnitOfWork, report: FinalReport, study: Study) -> set[StudyId]:
    """What the report may speak of, as far as it concerns this study: a UID says it, where it is told, and a number
    must not gainsay it."""
    uids, numbered = report.named("study"), _by_number(unit, report.patient, report.named("accession"))
    if not uids:
        return numbered
    if study.study_uid_index not in uids:
        return set()
    if len(uids) > 1 or (numbered and study.id not in numbered):
        return touched(unit, report) | {study.id, ELSEWHERE}
    return {study.id}


def _by_number(unit: UnitOfWork, patient: str, numbers: frozenset[bytes]) -> set[StudyId]:
    return {one for index in sorted(numbers) for one in unit.studies.ids_by_accession(index, patient)[:MOST_STUDIES]}
