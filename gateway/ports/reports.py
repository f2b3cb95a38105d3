"""Reports and what becomes of them: review, recall, delivery."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from gateway.domain.agreement import Agreement, AgreementCount, FinalReport
from gateway.domain.finding import Finding
from gateway.domain.ids import DeliveryId, ModelId, ReportId, StudyId
from gateway.domain.recall import Recall
from gateway.domain.report import Delivery, Report, ReportContent, ReportVersion
from gateway.domain.review import Review
from gateway.domain.study import Study


class Reports(Protocol):
    """Reports and their versions."""

    def register(self, study: Study, at: datetime) -> Report:
        """The report of a study whose analysis begins; an existing one is returned unchanged."""
        ...

    def write(self, report: Report, event: str, revision: int, content: ReportContent, at: datetime) -> Report:
        """Next version under the state table; Conflict where the report has moved on since it was read."""
        ...

    def get(self, report_id: ReportId) -> Report: ...

    def version(self, report_id: ReportId, version: int) -> ReportVersion: ...

    def versions(self, report_id: ReportId) -> list[ReportVersion]: ...

    def find(
        self,
        *,
        studies: Sequence[StudyId] | None = None,
        statuses: Sequence[str] | None = None,
        updated_from: datetime | None = None,
        updated_before: datetime | None = None,
        limit: int,
        after: tuple[datetime, ReportId] | None = None,
    ) -> list[Report]:
        """Newest first; `after` is the last row of the page before."""
        ...

    def waiting(self, limit: int) -> list[tuple[Report, Study]]:
        """Preliminary reports with their studies: those of STAT studies first, then the longest waiting."""
        ...

    def count_waiting(self, limit: int) -> int:
        """How many wait for a signature; counting ends at `limit`."""
        ...


class Reviews(Protocol):
    """What physicians decided about report versions."""

    def add(self, made: Review) -> None: ...

    def of_report(self, report_id: ReportId) -> list[Review]:
        """Oldest first."""
        ...

    def since(self, since: datetime, limit: int, before: datetime | None = None) -> list[Review]:
        """Made from `since` on and before `before`, newest first."""
        ...

    def counts_by_key(self) -> Mapping[str, int]:
        """How many decisions each signing key has signed."""
        ...


class Recalls(Protocol):
    """Recalled model versions, and what rests on a model."""

    def add(self, made: Recall) -> Recall:
        """The recall of this model; the first one stays as it is."""
        ...

    def of_models(self, models: Sequence[ModelId]) -> list[Recall]:
        """Oldest first."""
        ...

    def reports_by(self, model_id: ModelId, limit: int, after: ReportId | None = None) -> list[Report]:
        """Reports of studies that the model has answered about, in the order of their ids."""
        ...

    def under_way(self, model_id: ModelId, limit: int) -> list[StudyId]:
        """Studies of whose present revision the model still has to say something."""
        ...


class Agreements(Protocol):
    """Final reports that other systems have sent, and how models' answers compare with them."""

    def keep(self, report: FinalReport) -> None:
        """In the place of an earlier version."""
        ...

    def forget(self, key: int) -> None: ...

    def find(self, key: int) -> FinalReport | None: ...

    def heard_of(self, patients: Collection[str]) -> frozenset[str]:
        """Those of these patients about whom there is a report."""
        ...

    def linked(self, patient: str, links: Collection[bytes], limit: int) -> list[FinalReport]:
        """Of the patient, which name one of these indexes, those that were made last first."""
        ...

    def findings(self, study_id: StudyId) -> list[Finding]:
        """The newest of every model, those in the shadow too."""
        ...

    def of_study(self, study_id: StudyId) -> list[Agreement]: ...

    def put(self, made: Agreement) -> None:
        """In the place of what the study and model had; audited."""
        ...

    def withdraw(self, made: Agreement) -> None: ...

    def counts(
        self, since: datetime, before: datetime | None = None, model_id: ModelId | None = None
    ) -> list[AgreementCount]:
        """Of answers given in this time."""
        ...


class Deliveries(Protocol):
    """Report versions on their way to destinations."""

    def plan(self, report: Report, destinations: Sequence[str], at: datetime) -> list[Delivery]:
        """One for each destination; what waits there of an earlier version is superseded."""
        ...

    def due(self, destination: str, now: datetime, limit: int) -> list[Delivery]: ...

    def attempt(self, delivery_id: DeliveryId, now: datetime, lease_until: datetime) -> Delivery | None: ...

    def acknowledge(self, delivery: Delivery, acknowledgement: str) -> bool: ...

    def defer(self, delivery: Delivery, until: datetime, error: str) -> bool: ...

    def bury(self, delivery: Delivery, error: str) -> bool: ...

    def supersede(self, delivery: Delivery) -> bool:
        """A newer version of the report exists; this one is not sent any more."""
        ...

    def of_report(self, report_id: ReportId) -> list[Delivery]: ...

    def replay(self, delivery_id: DeliveryId, now: datetime) -> bool:
        """The newest version of its report goes to its destination once more."""
        ...
