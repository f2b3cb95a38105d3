"""The process that finds work nobody holds, and the destinations that it delivers to."""

from __future__ import annotations

import logging
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.domain.errors import GatewayError
from gateway.readiness import mark_ready
from gateway.wiring import STOP_SECONDS
from gateway.wiring.fhir_store import file_reports, forget_events, forget_messages, send_notifications, settle_records
from gateway.wiring.governance import stop_by_rule
from gateway.wiring.intake import check
from gateway.wiring.jobs import clear_jobs, run_jobs
from gateway.wiring.keys import audit_key
from gateway.wiring.reports import read_reports
from gateway.wiring.storage import anchor_file, blobs, database

if TYPE_CHECKING:
    import threading

    from gateway.config import DestinationSettings, Settings
    from gateway.flow.anchor import AnchorTrail
    from gateway.ports import Database, Outlet

log = logging.getLogger(__name__)
_ORPHANS_PAUSE = 86_400.0
_FORGET_PAUSE = 3600.0
_ERASE_PAUSE = 30.0  # seconds between two looks for erasures that were cut short
_REQUESTS = 4  # that one attempt at a delivery may spend its whole time on; after a crash it is tried again then
_SWEEP_NICENESS = 5  # who waits for an answer comes before what is done about it afterwards
_CHECK_BATCH = 64
_REST = 1.0  # seconds for which looks for work are spared while nothing is committed


def sweep(settings: Settings, stop: threading.Event) -> None:
    """Check, settle, publish, deliver, anchor: everything that nobody else would notice."""
    from gateway.flow.deliver import DeliverReports, Destination
    from gateway.flow.erase import FinishErasures
    from gateway.flow.publish import PublishTasks
    from gateway.flow.settle import SettleStudies
    from gateway.flow.sweep import Chore, Sweeper
    from gateway.flow.sweep_orphans import SweepOrphans
    from gateway.outlets.celery_queue import CeleryDoorbell
    from gateway.storage.scrub import scrub

    os.nice(_SWEEP_NICENESS)
    opened = database(settings)
    pause = settings.sweep.interval_seconds
    publish = PublishTasks(
        opened, CeleryDoorbell(settings.broker_url), timedelta(seconds=settings.sweep.republish_seconds)
    )
    anchor = _anchoring(settings, opened)
    chores = [
        Chore("check", check(settings, opened), pause, full=_CHECK_BATCH, rest=_REST),
        Chore("settle", SettleStudies(opened), pause, rest=_REST),
        Chore("settle-records", settle_records(settings, opened), pause, rest=_REST),
        Chore("publish", publish, pause, rest=_REST),
        Chore("anchor", anchor, settings.sweep.anchor_seconds),
        Chore("orphans", SweepOrphans(opened, blobs(settings)), _ORPHANS_PAUSE, full=sys.maxsize),
        Chore("erase", FinishErasures(opened, blobs(settings), lambda: scrub(opened)), _ERASE_PAUSE),
    ]
    reports = read_reports(settings, opened)
    chores.append(Chore("file", file_reports(settings, opened), pause, rest=_REST))
    chores.append(Chore("notify", send_notifications(settings, opened), pause, full=sys.maxsize, rest=_REST))
    chores.append(Chore("bulk", run_jobs(settings, opened, "export", "import"), pause, rest=_REST))
    chores.append(Chore("later", run_jobs(settings, opened, "request"), pause, rest=_REST))
    chores.append(Chore("bulk-clear", clear_jobs(settings, opened), _ERASE_PAUSE))
    chores.append(Chore("forget-events", forget_events(settings, opened), _FORGET_PAUSE))
    chores.append(Chore("forget-messages", forget_messages(opened), _FORGET_PAUSE))
    chores.append(Chore("stop-rules", stop_by_rule(settings, opened), _FORGET_PAUSE, full=sys.maxsize))
    for told in settings.destinations:
        destination = Destination(
            name=told.name,
            outlet=outlet(told, settings),
            first_pause=timedelta(seconds=told.retry_seconds),
            lease=timedelta(seconds=told.timeout_seconds * _REQUESTS + 10),
        )
        chores.append(Chore(f"deliver-{told.name}", DeliverReports(opened, reports, destination), pause, rest=_REST))
    sweeper = Sweeper(chores, stop, opened.version)
    sweeper.start()
    mark_ready(settings.home, "sweep")
    stop.wait()
    sweeper.join(STOP_SECONDS)
    try:
        anchor()  # what was audited since the last anchor cannot be cut off while the gateway is down
    except GatewayError as error:
        log.warning("last anchor not written error=%s", error.category.value)


def _anchoring(settings: Settings, opened: Database) -> AnchorTrail:
    from gateway.flow.anchor import AnchorTrail

    file = anchor_file(settings)
    return AnchorTrail(opened, lambda seq, code: file.append(seq, code, datetime.now(UTC), audit_key(settings)))


def outlet(destination: DestinationSettings, settings: Settings) -> Outlet:
    if destination.kind == "folder":
        from gateway.outlets.folder import FolderOutlet

        return FolderOutlet(Path(destination.url).expanduser(), settings.fhir_base_url, settings.gateway.organization)
    from gateway.outlets.fhir import FhirOutlet

    return FhirOutlet(destination, settings.fhir_base_url, settings.gateway.organization)
