"""Erasing a patient, as rows (port `Erasures`): identity, secret and object key go in one transaction.

What stays tells that something was here and nothing of whom: pseudonymous rows whose pseudonyms nobody can compute
again. GDPR article 17; the order of locks (patient, then studies) is the one of a receiving transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, select, update

from gateway.domain.errors import Erased, Missing
from gateway.domain.finding import Finding
from gateway.domain.ids import BlobKey
from gateway.domain.sealed_files import PIXEL_FILES, heat_map, pixel_file
from gateway.domain.study import Study
from gateway.storage import tables
from gateway.storage.agreement_tables import agreement, final_report, final_report_link
from gateway.storage.arrivals import STUDY_COLUMNS
from gateway.storage.bulk_tables import vault_bulk_file, vault_bulk_job
from gateway.storage.fhir_tables import vault_resource, vault_resource_version
from gateway.storage.record_tables import record_input, vault_record_basis
from gateway.storage.schema import metadata
from gateway.storage.transaction import JOB_LOCK, Transaction

_INDEX_TABLES = "vault_index_"
_patient, _study, _instance = tables.patient.c, tables.study.c, tables.instance.c

NAMING_COLUMNS = (
    _instance.blob_key,
    _instance.removed_pixels_key,
    tables.pixel_task.c.preview_key,
    vault_bulk_file.c.blob_key,
    record_input.c.blob_key,
)
"""Every column that names a file of the blob store; a test holds this against the tables."""
_job = vault_bulk_job.c
_HOLDS_RECORDS = _job.state.in_(("accepted", "done", "failed")) & (
    (_job.kind == "export") | ((_job.kind == "request") & (_job.attempt > 0)) | (_job.state != "accepted")
)
"""Jobs whose files or answers may hold the patient; what has not been carried out yet is the sender's own word."""
_PAGE = 500  # keys in one query


class SqlErasures:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def begin(self, pseudonym: str) -> list[Study]:
        mine = select(_patient.erased_at).where(_patient.pseudonym == pseudonym).with_for_update()
        row = self._transaction.first(mine)
        if row is None:
            raise Missing("no such patient")
        if row.erased_at is not None:
            raise Erased("this patient was erased already")
        studies = select(*STUDY_COLUMNS).where(_study.patient == pseudonym).order_by(_study.id).with_for_update()
        return [Study(*found) for found in self._transaction.all(studies)]

    def destroy(self, pseudonym: str, at: datetime) -> int:
        studies = select(_study.id).where(_study.patient == pseudonym)
        instances = select(_instance.id).where(_instance.study_id.in_(studies))
        headers, of_study, of_patient = tables.vault_instance, tables.vault_study, tables.vault_patient
        gone = self._transaction.execute(delete(headers).where(headers.c.instance_id.in_(instances))).rowcount
        self._transaction.execute(delete(of_study).where(of_study.c.study_id.in_(studies)))
        self._transaction.execute(delete(vault_record_basis).where(vault_record_basis.c.study_id.in_(studies)))
        unnamed = {"accession_index": None, "study_uid_index": None}
        self._transaction.execute(update(tables.study).where(_study.patient == pseudonym).values(unnamed))
        self._transaction.execute(delete(of_patient).where(of_patient.c.pseudonym == pseudonym))
        self._destroy_resources(pseudonym)
        self._destroy_comparisons(pseudonym)
        self._transaction.serialize(JOB_LOCK)  # a claim that is not committed yet would not be seen
        self._transaction.execute(
            update(vault_bulk_job).where(_HOLDS_RECORDS).values(state="expired", lease_until=None)
        )
        emptied = update(tables.patient).where(_patient.pseudonym == pseudonym)
        self._transaction.execute(emptied.values(wrapped_object_key=b"", erased_at=at))
        return gone

    def _destroy_resources(self, pseudonym: str) -> None:
        """The patient's FHIR record, all versions, and what a search finds it by."""
        keys = select(vault_resource.c.key).where(vault_resource.c.owner == pseudonym)
        for table in metadata.tables.values():
            if table.name.startswith(_INDEX_TABLES):
                self._transaction.execute(delete(table).where(table.c.key.in_(keys)))
        self._transaction.execute(delete(vault_resource_version).where(vault_resource_version.c.key.in_(keys)))
        self._transaction.execute(delete(vault_resource).where(vault_resource.c.owner == pseudonym))

    def _destroy_comparisons(self, pseudonym: str) -> None:
        """What final reports of others said, and what was made of it: it came from the record that goes."""
        mine = final_report.c.patient == pseudonym
        keys = select(final_report.c.key).where(mine)
        self._transaction.execute(delete(final_report_link).where(final_report_link.c.key.in_(keys)))
        self._transaction.execute(delete(final_report).where(mine))
        studies = select(_study.id).where(_study.patient == pseudonym)
        self._transaction.execute(delete(agreement).where(agreement.c.study_id.in_(studies)))

    def unfinished(self, limit: int) -> list[str]:
        left = _patient.erased_at.is_not(None) & _patient.files_deleted_at.is_(None)
        found = select(_patient.pseudonym).where(left).order_by(_patient.erased_at, _patient.pseudonym).limit(limit)
        return [str(row[0]) for row in self._transaction.all(found)]

    def blob_keys(self, pseudonym: str) -> list[BlobKey]:
        studies = select(_study.id).where(_study.patient == pseudonym)
        instance, searched = tables.instance, tables.pixel_task
        keys = self._keys(select(instance.c.blob_key).where(instance.c.study_id.in_(studies)))
        keys += self._keys(select(instance.c.removed_pixels_key).where(instance.c.study_id.in_(studies)))
        keys += self._keys(select(record_input.c.blob_key).where(record_input.c.study_id.in_(studies)))
        keys += self._keys(select(searched.c.preview_key).where(searched.c.study_id.in_(studies)))
        for row in self._transaction.all(
            select(searched.c.id, searched.c.attempt).where(searched.c.study_id.in_(studies))
        ):
            attempts = range(1, row.attempt + 1)
            keys += [pixel_file(kind, row.id, attempt) for attempt in attempts for kind in PIXEL_FILES]
        return list(dict.fromkeys([*keys, *self._heat_maps(pseudonym)]))

    def finish(self, pseudonym: str, at: datetime) -> None:
        done = update(tables.patient).where(_patient.pseudonym == pseudonym)
        self._transaction.execute(done.values(files_deleted_at=at))

    def unnamed(self, keys: Collection[BlobKey]) -> set[BlobKey]:
        left = set(keys)
        for column in NAMING_COLUMNS:
            for some in _pages(sorted(left)):
                left.difference_update(self._keys(select(column).where(column.in_(some))))
        if left:
            left.difference_update(self._named_by_attempts())
        return left

    def _named_by_attempts(self) -> Iterator[BlobKey]:
        """Names that stand in no column: pictures of findings, deposits that a later one leads to."""
        task, finding = tables.pixel_task.c, tables.finding.c
        masked = select(task.id, task.attempt).where(task.attempt > 0)
        for row in self._transaction.execute(masked):
            for attempt in range(1, row.attempt + 1):
                yield pixel_file("removed-pixels", row.id, attempt)
        for row in self._transaction.execute(select(finding.content)):
            content: Finding = row.content
            yield from (BlobKey(image.heat_map) for image in content.images if image.heat_map)

    def _heat_maps(self, pseudonym: str) -> list[BlobKey]:
        """Of findings by their content; of attempts that came to none by the names that their files would bear."""
        studies = select(_study.id).where(_study.patient == pseudonym)
        task, finding = tables.task.c, tables.finding.c
        keys: list[BlobKey] = []
        finished: set[str] = set()
        for row in self._transaction.all(select(finding.task_id, finding.content).where(finding.study_id.in_(studies))):
            content: Finding = row.content
            finished.add(row.task_id)
            keys += [BlobKey(image.heat_map) for image in content.images if image.heat_map]
        images = select(_instance.study_id, _instance.sop_instance_uid).where(_instance.study_id.in_(studies))
        uids = defaultdict(set)
        for row in self._transaction.all(images):
            uids[row.study_id].add(row.sop_instance_uid)
        for row in self._transaction.all(
            select(task.id, task.study_id, task.attempt).where(task.study_id.in_(studies))
        ):
            cut_off = range(1, row.attempt + (row.id not in finished))
            keys += [heat_map(row.id, attempt, uid) for attempt in cut_off for uid in sorted(uids[row.study_id])]
        return keys

    def _keys(self, found: Select[*tuple[Any, ...]]) -> list[BlobKey]:
        return [BlobKey(row[0]) for row in self._transaction.all(found) if row[0]]


def _pages(keys: Sequence[BlobKey]) -> Iterator[Sequence[BlobKey]]:
    return (keys[at : at + _PAGE] for at in range(0, len(keys), _PAGE))
