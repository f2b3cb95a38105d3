"""erase: a patient's identity, secret and keys destroyed, so that nothing of that patient opens or links again.

GDPR article 17 by destroying keys. One transaction is the erasure; the sealed files, which nobody can open from
then on, are deleted after it and by the sweeper where a crash came between. What was delivered before, a person has
to ask back from its receivers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.domain.errors import Busy, Forbidden, Missing
from gateway.domain.lifecycle import REPORT
from gateway.domain.report import ReportContent, report_id
from gateway.domain.study import Study
from gateway.ports import BlobStore, Database, UnitOfWork

ERASED = "The patient was erased."
_TRIES = 3  # PostgreSQL may pick the erasure as the victim of a deadlock with a receiving transaction
_OPEN_DELIVERIES = ("pending", "sending")


@dataclass(frozen=True)
class Erasure:
    """What an erasure has touched."""

    studies: int
    headers: int
    files: int


@dataclass(frozen=True)
class ErasePatient:
    """`scrub` asks the database to let go of old copies of deleted rows; `house` names what is no patient."""

    database: Database
    blobs: BlobStore
    scrub: Callable[[], bool]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    house: Callable[[], str | None] = lambda: None

    def __call__(self, pseudonym: str, reason: str, actor: str) -> Erasure:
        """Missing for an unknown patient and for one erased already, Forbidden for the house."""
        if pseudonym == self.house():
            raise Forbidden("this is no patient: it keeps the resources that belong to nobody")
        for attempt in range(_TRIES):
            try:
                studies, headers = self._destroy(pseudonym, reason, actor)
                break
            except Busy:
                if attempt == _TRIES - 1:
                    raise
        return Erasure(studies, headers, delete_files(self.database, self.blobs, self.scrub, pseudonym, self.now()))

    def _destroy(self, pseudonym: str, reason: str, actor: str) -> tuple[int, int]:
        with self.database.begin(actor) as unit:
            studies = unit.erasures.begin(pseudonym)
            for study in studies:
                self._end(unit, study)
            headers = unit.erasures.destroy(pseudonym, self.now())
            unit.audit.record("patient:erase", pseudonym, actor, reason=reason, studies=len(studies), objects=headers)
            unit.commit()
        return len(studies), headers

    def _end(self, unit: UnitOfWork, study: Study) -> None:
        """Nothing of the study is analysed, looked at or sent any more."""
        if study.state != "purged":
            unit.studies.move(study.id, study.state, "purge")
        unit.tasks.withdraw_open(study.id, study.revision + 1)
        unit.pixel_tasks.withdraw_open(study.id)
        unit.clearances.reject_undecided(study.id, ERASED)
        for delivery in unit.deliveries.of_report(report_id(study.id)):
            if delivery.state in _OPEN_DELIVERIES:
                unit.deliveries.bury(delivery, ERASED)
        self._cancel_report(unit, study)

    def _cancel_report(self, unit: UnitOfWork, study: Study) -> None:
        """A signed report stays as it is, without identity; no wire shows it, because nobody is left to show it of."""
        try:
            report = unit.reports.get(report_id(study.id))
        except Missing:
            return
        if (report.status, "cancel") in REPORT.moves:
            unit.reports.write(report, "cancel", study.revision, ReportContent((), (), ERASED), self.now())


@dataclass(frozen=True)
class FinishErasures:
    """A chore of the sweeper: deletes the files of erased patients whose erasure was cut short."""

    database: Database
    blobs: BlobStore
    scrub: Callable[[], bool]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self, limit: int = 10) -> int:
        """Returns how many patients it finished."""
        with self.database.read() as unit:
            left = unit.erasures.unfinished(limit)
        for pseudonym in left:
            delete_files(self.database, self.blobs, self.scrub, pseudonym, self.now())
        return len(left)


def delete_files(database: Database, blobs: BlobStore, scrub: Callable[[], bool], pseudonym: str, at: datetime) -> int:
    """Deletes what is left of the patient's sealed files and says so in the patient's row; how many names they had."""
    with database.read() as unit:
        keys = unit.erasures.blob_keys(pseudonym)
    for key in keys:
        blobs.delete(key)
    scrub()
    with database.begin("erase") as unit:
        unit.erasures.finish(pseudonym, at)
        unit.commit()
    return len(keys)
