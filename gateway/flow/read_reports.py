"""Opens a report with identity restored, to be delivered or filed; each opening is audited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.domain.identity import Purpose, StudyIdentity
from gateway.domain.ids import BlobKey
from gateway.domain.model import ServedModel
from gateway.domain.recall import Recall
from gateway.domain.report import Report, ReportVersion
from gateway.domain.review import Review
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
    reviews: Sequence[Review] = ()
    recalls: Sequence[Recall] = ()
    dicomweb_url: str = ""
    basis: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class ReadReports:
    """Reads through the vault on behalf of an actor."""

    vault: IdentityVault
    blobs: BlobStore
    seal: ObjectSeal
    dicomweb_url: str = ""

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
            reviews=tuple(each for each in unit.reviews.of_report(report.id) if each.version <= found.version),
            recalls=_recalls(unit, found),
            dicomweb_url=self.dicomweb_url,
            basis=unit.records.basis(study.id, found.revision) if study.kind == "record" else {},
        )

    def _pictures(self, study: Study, version: ReportVersion) -> dict[str, bytes]:
        if version.content is None:
            return {}
        keys = [image.heat_map for finding in version.content.findings for image in finding.images if image.heat_map]
        return {key: self.seal.open(study.patient, key, self.blobs.get(BlobKey(key))) for key in keys}


def _recalls(unit: UnitOfWork, version: ReportVersion) -> tuple[Recall, ...]:
    """Recalls of the version's models that had been made when the version was."""
    findings = version.content.findings if version.content else ()
    models = list(dict.fromkeys(finding.made_by.model_id for finding in findings))
    known = unit.recalls.of_models(models) if models else []
    return tuple(recall for recall in known if recall.at <= version.created_at)
