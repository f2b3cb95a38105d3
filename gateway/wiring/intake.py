"""The DICOM port: receiving, checking, and the process that listens."""

from __future__ import annotations

import logging
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.readiness import mark_ready
from gateway.wiring import STOP_SECONDS
from gateway.wiring.storage import blobs, database, object_seal, vault

if TYPE_CHECKING:
    import threading

    from gateway.config import Settings
    from gateway.flow.check import CheckInstances
    from gateway.flow.receive import ReceiveInstance
    from gateway.ports import Database, GroupCommit
    from gateway.servers.dicom.settings import ListenerSettings

log = logging.getLogger(__name__)


def receive(settings: Settings, opened: Database, commits: GroupCommit) -> ReceiveInstance:
    from gateway.flow.clean import CleanInstance
    from gateway.flow.receive import ReceiveInstance
    from gateway.privacy.rules import INFERENCE, compile_rules

    return ReceiveInstance(
        clean=CleanInstance(vault(settings, opened), compile_rules(INFERENCE)),
        seal=object_seal(settings, opened),
        blobs=blobs(settings),
        commits=commits,
        quiet={
            "routine": timedelta(seconds=settings.study.quiet_seconds),
            "stat": timedelta(seconds=settings.study.quiet_seconds_stat),
        },
    )


def check(settings: Settings, opened: Database) -> CheckInstances:
    from gateway.flow.check import CheckInstances
    from gateway.storage.sealed_file import SealedFiles

    files = SealedFiles(blobs(settings), object_seal(settings, opened))
    return CheckInstances(opened, vault(settings, opened), files)


def serve_dicom(settings: Settings, stop: threading.Event) -> None:
    """The DICOM port; several processes may share it."""
    from gateway.servers.dicom.journal import AssociationJournal
    from gateway.servers.dicom.listener import DicomListener
    from gateway.servers.dicom.peers import PeerPolicy
    from gateway.servers.dicom.store import StoreInstances
    from gateway.storage.group_commit import GroupCommitter

    sys.setswitchinterval(0.0005)  # a thread back from the disk must not wait 5 ms for one that computes
    opened = database(settings)
    commits = GroupCommitter(opened, actor="receive")
    listener = DicomListener(
        _listener_settings(settings),
        store=StoreInstances(receive(settings, opened, commits), commits),
        policy=PeerPolicy(
            opened,
            commits,
            our_title=settings.dicom.ae_title,
            check_called=settings.dicom.check_called_ae,
            known_only=settings.dicom.peers == "known",
        ),
        observer=AssociationJournal(commits),
    )
    listener.start()
    mark_ready(settings.home, "dicom")
    log.info("dicom listening host=%s port=%d", settings.dicom.host, listener.port)
    stop.wait()
    listener.stop(STOP_SECONDS)
    commits.stop()


def _listener_settings(settings: Settings) -> ListenerSettings:
    from gateway.servers.dicom.settings import Limits, ListenerSettings, Timeouts
    from gateway.servers.tls_context import tls_context

    dicom = settings.dicom
    tls = None
    if dicom.tls_certificate:
        client_ca = Path(dicom.tls_client_ca) if dicom.tls_client_ca else None
        tls = tls_context(Path(dicom.tls_certificate), Path(dicom.tls_key), client_ca, client_ca is not None)
    return ListenerSettings(
        host=dicom.host,
        port=dicom.port,
        max_pdu=dicom.max_pdu_bytes,
        limits=Limits(
            connections=dicom.max_associations,
            connections_per_peer=dicom.max_associations_per_peer,
            object_bytes=dicom.max_object_bytes,
            in_flight_bytes=dicom.max_bytes_in_flight,
        ),
        timeouts=Timeouts(idle=dicom.idle_seconds),
        tls=tls,
    )
