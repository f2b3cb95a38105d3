"""Bulk exports, imports, and requests that are answered later."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, get_args

from gateway.domain.bulk import BulkKind
from gateway.wiring.fhir_store import record
from gateway.wiring.storage import blobs, vault

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.config import Settings
    from gateway.domain.bulk import BulkJob
    from gateway.domain.errors import GatewayError
    from gateway.flow.bulk.files import BulkFiles
    from gateway.flow.bulk.run_jobs import ClearJobs, Requests, RunJobs
    from gateway.ports import Database
    from gateway.storage.database import SqlDatabase


def bulk_files(settings: Settings, opened: Database) -> BulkFiles:
    from gateway.flow.bulk.files import BulkFiles

    return BulkFiles(vault(settings, opened), blobs(settings))


def run_jobs(settings: Settings, opened: SqlDatabase, *kinds: BulkKind) -> RunJobs:
    """Bulk exports, imports, and requests that are answered later; of all kinds where none is named."""
    from gateway.flow.bulk.export import RunExport
    from gateway.flow.bulk.import_lines import RunImport
    from gateway.flow.bulk.run_jobs import RunJobs
    from gateway.outlets.bulk_source import HttpBulkSource

    files, bulk = bulk_files(settings, opened), settings.bulk
    of_vault = files.vault
    store, source = record(settings, of_vault), HttpBulkSource(bulk.import_hosts, bulk.max_input_bytes)
    return RunJobs(
        opened,
        RunExport(opened, store, files, settings.fhir_base_url),
        RunImport(opened, store, files, source),
        _run_request(settings, opened, files),
        timedelta(hours=bulk.keep_hours),
        kinds or get_args(BulkKind),
    )


def _run_request(settings: Settings, opened: SqlDatabase, files: BulkFiles) -> Requests:
    """What a web process would do; its libraries are imported when the first request waits."""
    from gateway.storage.group_commit import GroupCommitter

    @cache
    def ready() -> Requests:
        from gateway.servers.web.fhir.run_request import RunRequest
        from gateway.wiring.web import web_services

        return RunRequest(web_services(settings, opened, GroupCommitter(opened, actor="web")), files)

    class WhenAsked:
        def __call__(self, job: BulkJob, now: datetime) -> int:
            return ready()(job, now)

        def cut_short(self, job: BulkJob, error: GatewayError) -> bool:
            return ready().cut_short(job, error)

    return WhenAsked()


def clear_jobs(settings: Settings, opened: Database) -> ClearJobs:
    from gateway.flow.bulk.run_jobs import ClearJobs

    return ClearJobs(opened, bulk_files(settings, opened))
