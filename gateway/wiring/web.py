"""The FHIR endpoint and the console: their services, and the process that serves them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.privacy.keyring import Purpose
from gateway.readiness import mark_ready
from gateway.wiring.fhir_store import record
from gateway.wiring.keys import all_keys, audit_keys
from gateway.wiring.reports import read_reports, reidentify, review
from gateway.wiring.sign_in import key_set_fetch, sign_in_elsewhere
from gateway.wiring.storage import anchor_file, database, vault

if TYPE_CHECKING:
    import threading

    from gateway.config import Settings
    from gateway.servers.web.services import ChainCheck, WebServices
    from gateway.storage.database import SqlDatabase
    from gateway.storage.group_commit import GroupCommitter


def serve_web(settings: Settings, stop: threading.Event) -> None:
    """The FHIR endpoint and the console."""
    from gateway.servers.web.lasting import load_for_good
    from gateway.servers.web.serve import run
    from gateway.storage.group_commit import GroupCommitter

    sys.setswitchinterval(0.0005)  # as for DICOM: the commit must not wait 5 ms for a thread that computes
    opened = database(settings)
    commits = GroupCommitter(opened, actor="web")
    services = web_services(settings, opened, commits)
    load_for_good()
    run(services, stop, ready=lambda: mark_ready(settings.home, "web"))
    commits.stop()


def web_services(settings: Settings, opened: SqlDatabase, commits: GroupCommitter) -> WebServices:
    """For the process that serves, and for requests that are answered later."""
    from gateway.outlets.bulk_source import check_source
    from gateway.servers.web.services import WebServices

    reports = read_reports(settings, opened)
    of_web = vault(settings, opened)
    return WebServices(
        settings=settings,
        database=opened,
        vault=of_web,
        reports=reports,
        reidentify=reidentify(settings, opened),
        record=record(settings, of_web),
        commits=commits,
        page_key=all_keys(settings).key(Purpose.TOKENS).key,
        fetch_keys=key_set_fetch(settings),
        elsewhere=sign_in_elsewhere(settings, opened),
        check_audit=lambda: _check_chain(settings, opened),
        check_source=lambda url: check_source(url, settings.bulk.import_hosts),
        review=review(settings, opened, reports),
    )


def _check_chain(settings: Settings, opened: SqlDatabase) -> ChainCheck:
    from gateway.servers.web.services import ChainCheck
    from gateway.storage.audit_verify import verify_database

    verdict = verify_database(opened, audit_keys(settings), anchor_file(settings))
    broken_at = verdict.problems[0].seq if verdict.problems else None
    return ChainCheck(verdict.rows, broken_at, datetime.now(UTC))
