"""settle: decides that a study is complete, with the evidence used, and plans its tasks in one transaction.

No DICOM message says that a study is complete. The expected number of instances settles it at once, otherwise
a quiet time does; an image that comes later reopens the study with the next revision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.domain.model import ServedModel
from gateway.domain.report import RECORD
from gateway.domain.study import Evidence, Instance, Study
from gateway.flow.agree import CompareReports
from gateway.ports import Database, UnitOfWork


@dataclass(frozen=True)
class SettleStudies:
    """One look for studies whose time has come; run by the sweeper."""

    database: Database
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    compare: CompareReports = field(default_factory=CompareReports)

    def __call__(self, limit: int = 50) -> int:
        """Settles at most `limit` studies and returns how many tasks it planned.

        None while no model runs, as before the first worker is ready: a settled study is not asked about again.
        """
        with self.database.read() as unit:
            due = unit.studies.due(self.now(), limit)
            if not due or not unit.models.running():
                return 0
        return sum(self.settle(study, evidence_of(study)) for study in due)

    def settle(self, study: Study, evidence: Evidence) -> int:
        """Settles one study unless an instance has arrived since it was read; returns the planned tasks."""
        with self.database.begin("settle") as unit:
            if not unit.studies.settle(study, evidence):
                return 0
            instances = [one for one in unit.studies.instances(study.id) if one.clearance == "cleared"]
            models = models_for(unit.models.running(), instances)
            plan(unit, study, models, self.now())
            self.compare.of_arrival(unit, study)
            unit.commit()
        return len(models)


def models_for(running: Sequence[ServedModel], instances: Sequence[Instance]) -> list[ServedModel]:
    """Those that apply; where none does, the active ones for such images, which refuse and say why.

    A knee film is no chest film, and whoever sent it hears so. Of a modality that no model reads nothing is said.
    """
    fitting = [model for model in running if model.applies_to.accepts_any(instances)]
    return fitting or [model for model in running if model.state == "active" and model.applies_to.given(instances)]


def plan(unit: UnitOfWork, study: Study, models: Sequence[ServedModel], at: datetime) -> None:
    """A task for each model of a study that was settled now; models in the shadow alone lead to no report."""
    if any(model.state == "active" for model in models):
        unit.studies.move(study.id, "settled", "analyse")
        report = unit.reports.register(study, at)
        unit.deliveries.plan(report, (RECORD,), at)
    unit.tasks.plan(study, models, at)


def evidence_of(study: Study) -> Evidence:
    if study.expected_count is not None and study.instance_count >= study.expected_count:
        return "expected-count"
    return "quiet-time"
