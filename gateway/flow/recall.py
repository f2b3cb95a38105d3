"""recall: which reports a model version had a part in, who has them, and what follows from its recall.

Unsigned reports are cancelled with the reason: nobody vouches for them. A signed one stays as the physician signed it
and goes out once more with a Flag and a Communication; whether it was wrong is for a physician, who retracts or
amends it (FHIR R4 10.3.3; decision 17). The model is retired and no worker can announce it as active again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from gateway.domain.errors import Conflict, Invalid, Missing
from gateway.domain.ids import ModelId, ReportId, StudyId
from gateway.domain.model import ServedModel
from gateway.domain.recall import Recall
from gateway.domain.report import RECORD, Delivery, Report, ReportVersion
from gateway.domain.review import SIGNED
from gateway.domain.study import Study
from gateway.ports import Database, UnitOfWork

PAGE: Final = 100
LONGEST_REASON: Final = 500


@dataclass(frozen=True)
class Recipient:
    """A destination outside that has, or may have, a version with the model's result in it."""

    destination: str
    version: int
    state: str
    acknowledgement: str


@dataclass(frozen=True)
class Affected:
    """A report that the model had a part in; `says_it_now` where its newest version still does.

    `patient` is the pseudonym; leading it back is `dxgate identity open`, with a purpose and on record.
    """

    report: Report
    patient: str
    says_it_now: bool
    is_signed: bool
    signed_by: str
    recipients: tuple[Recipient, ...]


@dataclass(frozen=True)
class Consequences:
    """What marking and running again have done, as counts; `conflicts` are reports that moved meanwhile."""

    cancelled: int = 0
    flagged: int = 0
    planned_again: int = 0
    conflicts: int = 0


@dataclass(frozen=True)
class RecallModel:
    """Works report by report, each in a transaction of its own, so that a run that was cut short is run again."""

    database: Database
    destinations: tuple[str, ...] = ()
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def model(self, name: str, version: str) -> list[ServedModel]:
        """Every package of this name and version; Missing where no worker has announced one."""
        with self.database.read() as unit:
            found = [each for each in unit.models.all() if (each.name, each.version) == (name, version)]
        if not found:
            raise Missing("no worker has announced such a model; `dxgate model list` names those that are known")
        return found

    def affected(self, model_id: ModelId) -> Iterator[Affected]:
        """Reports in which some version holds a finding of the model."""
        after: ReportId | None = None
        while True:
            with self.database.read() as unit:
                reports = unit.recalls.reports_by(model_id, PAGE, after)
                found = [each for report in reports if (each := _affected(unit, report, model_id)) is not None]
            yield from found
            if len(reports) < PAGE:
                return
            after = reports[-1].id

    def mark(self, model_id: ModelId, reason: str, actor: str) -> Consequences:
        """Retires the model for good, cancels what is unsigned, flags what is signed; safe to run again."""
        recall = self._recall(model_id, reason, actor)
        done = Consequences()
        for each in list(self.affected(model_id)):
            if each.says_it_now:
                done = self._mark(each, recall, actor, done)
        return replace(done, planned_again=self._plan_again(self._under_way(model_id), actor))

    def rerun(self, model_id: ModelId, actor: str) -> Consequences:
        """Studies whose report still rests on the model are analysed again by what is active now.

        Conflict while the model itself is active. A signed report is not changed by what comes of it.
        """
        with self.database.read() as unit:
            if unit.models.get(model_id).state == "active":
                raise Conflict("the model is still active, and would answer again; recall it with --mark first")
        studies = [each.report.study_id for each in self.affected(model_id) if each.says_it_now]
        return Consequences(planned_again=self._plan_again(studies, actor))

    def _recall(self, model_id: ModelId, reason: str, actor: str) -> Recall:
        said = " ".join(reason.split())
        if not said or len(said) > LONGEST_REASON or not said.isprintable():
            raise Invalid(f"a recall needs a reason of 1 to {LONGEST_REASON} characters that names no patient")
        with self.database.begin(actor) as unit:
            model = unit.models.get(model_id)
            recall = unit.recalls.add(Recall(model.id, model.name, model.version, said, self.now(), actor))
            unit.models.retire(model.id)
            unit.governance.withdraw_approval(model.id)
            unit.commit()
        return recall

    def _mark(self, each: Affected, recall: Recall, actor: str, done: Consequences) -> Consequences:
        with self.database.begin(actor) as unit:
            unit.studies.lock(each.report.study_id)
            report = unit.reports.get(each.report.id)
            version = unit.reports.version(report.id, report.version)
            if report.version != each.report.version or version.content is None:
                return replace(done, conflicts=done.conflicts + 1)
            if report.status == "preliminary":
                self._cancel(unit, report, version, recall)
                done = replace(done, cancelled=done.cancelled + 1)
            elif report.status in SIGNED and report.status != "entered-in-error" and version.created_at < recall.at:
                written = unit.reports.write(report, "flag", version.revision, version.content, self.now())
                unit.deliveries.plan(written, (RECORD, *self.destinations), written.updated_at)
                done = replace(done, flagged=done.flagged + 1)
            unit.commit()
        return done

    def _cancel(self, unit: UnitOfWork, report: Report, version: ReportVersion, recall: Recall) -> None:
        assert version.content is not None  # noqa: S101 - the caller has looked
        said = f"{recall.model_name} {recall.model_version} was recalled: {recall.reason}"
        content = replace(version.content, conclusion=said)
        written = unit.reports.write(report, "cancel", version.revision, content, self.now())
        unit.deliveries.plan(written, (RECORD, *self.destinations), written.updated_at)

    def _under_way(self, model_id: ModelId) -> list[StudyId]:
        """Studies that still wait for the model, which will not answer any more."""
        with self.database.read() as unit:
            return unit.recalls.under_way(model_id, 100_000)

    def _plan_again(self, studies: list[StudyId], actor: str) -> int:
        count = 0
        for study_id in studies:
            with self.database.begin(actor) as unit:
                count += unit.studies.reopen(_locked(unit, study_id))
                unit.commit()
        return count


def _locked(unit: UnitOfWork, study_id: StudyId) -> Study:
    return unit.studies.lock(study_id)


def _affected(unit: UnitOfWork, report: Report, model_id: ModelId) -> Affected | None:
    holding = {version.version for version in unit.reports.versions(report.id) if _holds(version, model_id)}
    if not holding:
        return None
    reviews = unit.reviews.of_report(report.id)
    return Affected(
        report=report,
        patient=unit.studies.get(report.study_id).patient,
        says_it_now=report.version in holding,
        is_signed=report.status in SIGNED,
        signed_by=reviews[-1].reviewer.name if reviews and report.status in SIGNED else "",
        recipients=tuple(_recipients(unit.deliveries.of_report(report.id), holding)),
    )


def _holds(version: ReportVersion, model_id: ModelId) -> bool:
    findings = version.content.findings if version.content else ()
    return any(finding.made_by.model_id == model_id for finding in findings)


def _recipients(deliveries: list[Delivery], holding: set[int]) -> Iterator[Recipient]:
    for each in deliveries:
        if each.destination != RECORD and each.version in holding and each.state in ("acknowledged", "sending", "dead"):
            yield Recipient(each.destination, each.version, each.state, each.acknowledgement or "")
