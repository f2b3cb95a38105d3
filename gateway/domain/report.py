"""A diagnostic report: one for a study, in versions, preliminary until a physician signs.

The content is de-identified; identity is joined from the vault at the moment of reading or delivering.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.domain.finding import Finding
from gateway.domain.ids import DeliveryId, ReportId, StudyId, derive_id


@dataclass(frozen=True)
class NotAnalysed:
    """A model that gave no answer: refused because the input is outside its scope, or failed."""

    model_id: str
    model_title: str
    outcome: str
    reason: str


@dataclass(frozen=True)
class ReportContent:
    """What one version says: the findings, what was not analysed and why, and the conclusion in words."""

    findings: tuple[Finding, ...]
    not_analysed: tuple[NotAnalysed, ...]
    conclusion: str


@dataclass(frozen=True)
class Report:
    """The current head of a report."""

    id: ReportId
    study_id: StudyId
    status: str
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class ReportVersion:
    """One version of a report as it stood at `created_at`; never changed afterwards."""

    report_id: ReportId
    version: int
    status: str
    revision: int
    created_at: datetime
    content: ReportContent | None


@dataclass(frozen=True)
class Delivery:
    """One report version on its way to one destination.

    A patient's deliveries to one destination go in the order in which they were planned.
    """

    id: DeliveryId
    report_id: ReportId
    version: int
    destination: str
    state: str
    attempt: int
    due_at: datetime
    lease_until: datetime | None = None
    last_error: str | None = None
    acknowledgement: str | None = None
    patient: str = ""
    planned_at: datetime | None = None


RECORD = "record"
"""The destination that every gateway has: its own store of FHIR resources (decision 9)."""


def report_id(study_id: StudyId) -> ReportId:
    return ReportId(derive_id("report", study_id))


def delivery_id(report: ReportId, version: int, destination: str) -> DeliveryId:
    return DeliveryId(derive_id("delivery", report, str(version), destination))
