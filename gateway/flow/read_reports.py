"""Finds reports by what a hospital knows of them and opens one with identity restored.

Searching goes by blind index, so that neither query nor table holds identity in clear; each opening is audited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gateway.domain.errors import Missing
from gateway.domain.identity import Purpose, StudyIdentity
from gateway.domain.ids import BlobKey, ReportId, StudyId
from gateway.domain.model import ServedModel
from gateway.domain.report import Report, ReportVersion
from gateway.domain.study import Instance, Study
from gateway.ports import BlobStore, IdentityVault, ObjectSeal, UnitOfWork


@dataclass(frozen=True)
class OpenedReport:
    """A report version with identity restored; implements the ReportDocument port."""

    report: Report
    version: ReportVersion
    study: Study
    instances: Sequence[Instance]
    identity: StudyIdentity
    models: Mapping[str, ServedModel]
    original_uids: Mapping[str, str]
    pictures: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    basis: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportQuery:
    """All conditions are joined by AND; None means no condition. An empty tuple matches nothing."""

    patient_identifiers: tuple[tuple[str | None, str], ...] | None = None  # (issuer or None, identifier), any of them
    patients: tuple[str, ...] | None = None  # pseudonyms, any of them
    accessions: tuple[str, ...] | None = None
    study_uids: tuple[str, ...] | None = None
    reports: tuple[ReportId, ...] | None = None
    statuses: tuple[str, ...] | None = None
    updated_from: datetime | None = None
    updated_before: datetime | None = None
    limit: int = 20
    after: tuple[datetime, ReportId] | None = None


@dataclass(frozen=True)
class ReadReports:
    """Reads through the vault on behalf of an actor."""

    vault: IdentityVault
    blobs: BlobStore
    seal: ObjectSeal

    def find(self, unit: UnitOfWork, query: ReportQuery) -> list[Report]:
        """Newest first, at most `query.limit`; pass the last row as `after` for the next page."""
        if query.reports is not None:
            return [report for report in self._named(unit, query.reports) if self._fits(unit, report, query)]
        return unit.reports.find(
            studies=self._studies(unit, query),
            statuses=query.statuses,
            updated_from=query.updated_from,
            updated_before=query.updated_before,
            limit=query.limit,
            after=query.after,
        )

    def open(
        self,
        unit: UnitOfWork,
        report: Report,
        *,
        purpose: Purpose,
        actor: str,
        version: int | None = None,
        pictures: bool = True,
    ) -> OpenedReport:
        """The report as it stood at `version` (default: now). Writes the audit row of the opening into `unit`."""
        study = unit.studies.get(report.study_id)
        found = unit.reports.version(report.id, version or report.version)
        return OpenedReport(
            report=report,
            version=found,
            study=study,
            instances=unit.studies.instances(study.id),
            identity=self.vault.study_identity(unit, study, purpose, actor),
            models={model.id: model for model in unit.models.all()},
            original_uids=self.vault.original_uids(unit, study, purpose, actor),
            pictures=self._pictures(study, found) if pictures else {},
            basis=unit.records.basis(study.id, found.revision) if study.kind == "record" else {},
        )

    def _pictures(self, study: Study, version: ReportVersion) -> dict[str, bytes]:
        if version.content is None:
            return {}
        keys = [image.heat_map for finding in version.content.findings for image in finding.images if image.heat_map]
        return {key: self.seal.open(study.patient, key, self.blobs.get(BlobKey(key))) for key in keys}

    def _named(self, unit: UnitOfWork, names: Sequence[ReportId]) -> list[Report]:
        reports = []
        for name in names:
            try:
                report = unit.reports.get(name)
            except Missing:
                continue
            if unit.studies.get(report.study_id).state != "purged":
                reports.append(report)
        return reports

    def _fits(self, unit: UnitOfWork, report: Report, query: ReportQuery) -> bool:
        studies = self._studies(unit, query)
        return (
            (studies is None or report.study_id in studies)
            and (query.statuses is None or report.status in query.statuses)
            and (query.updated_from is None or report.updated_at >= query.updated_from)
            and (query.updated_before is None or report.updated_at < query.updated_before)
        )

    def _studies(self, unit: UnitOfWork, query: ReportQuery) -> list[StudyId] | None:
        """Studies that satisfy every identifying condition; None where there is none."""
        sets: list[set[StudyId]] = []
        if query.patient_identifiers is not None:
            known = [
                name for issuer, value in query.patient_identifiers for name in self.vault.patients(unit, issuer, value)
            ]
            sets.append({study for name in known for study in unit.studies.ids_by_patient(name)})
        if query.patients is not None:
            sets.append({study for name in query.patients for study in unit.studies.ids_by_patient(name)})
        if query.accessions is not None:
            indexes = [self.vault.search_index("accession", value) for value in query.accessions]
            sets.append({study for index in indexes for study in unit.studies.ids_by_accession(index)})
        if query.study_uids is not None:
            indexes = [self.vault.search_index("study-uid", value) for value in query.study_uids]
            sets.append({study for index in indexes for study in unit.studies.ids_by_study_uid(index)})
        return sorted(set.intersection(*sets)) if sets else None
