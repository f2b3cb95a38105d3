"""From settings to ready objects: the only file that names adapters.

Each role of the gateway is one blocking function here; `stop` ends it. Libraries that one role alone needs are
imported inside its function, so that every role starts fast and stays small.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from gateway.config import DestinationSettings, KeySettings, Settings
from gateway.domain.bulk import BulkKind
from gateway.domain.errors import GatewayError
from gateway.flow.anchor import AnchorTrail
from gateway.ports import BlobStore, Database, GroupCommit, Outlet
from gateway.privacy import keyring
from gateway.privacy.keyring import KeyRing, Purpose
from gateway.privacy.live_ring import LiveRing
from gateway.privacy.providers.choose import Kind, provider_for
from gateway.privacy.search_keys import search_key
from gateway.privacy.vault import Vault
from gateway.readiness import mark_ready
from gateway.storage.anchor import AnchorFile
from gateway.storage.audit_trail import AuditKey
from gateway.storage.blobs_folder import FolderBlobs
from gateway.storage.database import SqlDatabase
from gateway.storage.group_commit import GroupCommitter
from gateway.storage.object_seal import PatientObjectSeal
from gateway.storage.resource_index import IndexSettings

if TYPE_CHECKING:
    from gateway.domain.access import Role
    from gateway.domain.bulk import BulkJob
    from gateway.domain.reindex import Reindexing
    from gateway.flow.bulk.files import BulkFiles
    from gateway.flow.bulk.run_jobs import ClearJobs, Requests, RunJobs
    from gateway.flow.check import CheckInstances
    from gateway.flow.choose_studies import ChooseStudies
    from gateway.flow.deliver import DeliverReports
    from gateway.flow.erase import ErasePatient
    from gateway.flow.export_studies import ExportStudies
    from gateway.flow.grant_access import GrantAccess
    from gateway.flow.key_sets import Fetch
    from gateway.flow.prove_keys import ProveKeys
    from gateway.flow.read_reports import ReadReports
    from gateway.flow.recall import RecallModel
    from gateway.flow.receive import ReceiveInstance
    from gateway.flow.record.reindex import Reindex
    from gateway.flow.record.settle import SettleRecords
    from gateway.flow.record.store import Record
    from gateway.flow.reidentify import Reidentify
    from gateway.flow.review import ReviewReport
    from gateway.flow.rotate_keys import RotateKeys
    from gateway.flow.sign_in_elsewhere import SignInElsewhere
    from gateway.flow.subscribe.forget import ForgetEvents
    from gateway.flow.subscribe.notify import SendNotifications
    from gateway.flow.verify_reviews import VerifyReviews
    from gateway.outlets.export_folder import ExportFolder
    from gateway.servers.dicom.settings import ListenerSettings
    from gateway.servers.web.services import ChainCheck, WebServices
    from gateway.storage.export_keys import ExportKeys

log = logging.getLogger(__name__)
_rings: dict[tuple[Path, KeySettings, tuple[str, ...]], LiveRing] = {}
_opening = threading.Lock()
_ORPHANS_PAUSE = 86_400.0
_FORGET_PAUSE = 3600.0
_ERASE_PAUSE = 30.0  # seconds between two looks for erasures that were cut short
_REQUESTS = 4  # that one attempt at a delivery may spend its whole time on; after a crash it is tried again then
_SWEEP_NICENESS = 5  # who waits for an answer comes before what is done about it afterwards
_CHECK_BATCH = 64
_REST = 1.0  # seconds for which looks for work are spared while nothing is committed
STOP_SECONDS = 15.0  # for running work to end after SIGTERM


def key_ring(settings: Settings, name: str) -> KeyRing:
    """One ring as its file stands now."""
    return keyring.load(settings.key_folder, name, provider_for(settings.keys, name))


def object_keys(settings: Settings) -> LiveRing:
    """The ring that a worker holds: objects and audit chain, nothing that leads to identity."""
    return _live(settings, keyring.OBJECTS_FILE)


def all_keys(settings: Settings) -> LiveRing:
    """Both rings, for the roles that may restore identity."""
    return _live(settings, keyring.OBJECTS_FILE, keyring.IDENTITY_FILE)


def _live(settings: Settings, *names: str) -> LiveRing:
    """One for each process and set of files, so that a role opens its rings once however many parts use them."""
    wanted = (settings.key_folder, settings.keys, names)
    with _opening:
        ring = _rings.get(wanted)
        if ring is None:
            paths = [settings.key_folder / name for name in names]

            def load() -> KeyRing:
                ring = KeyRing({}, {})
                for name in names:
                    ring = ring.joined(key_ring(settings, name))
                return ring

            ring = _rings[wanted] = LiveRing(paths, load)
    ring.insist()
    return ring


def audit_key(settings: Settings) -> AuditKey:
    key = object_keys(settings).key(Purpose.AUDIT)
    return AuditKey(key.kid, key.key)


def audit_keys(settings: Settings) -> list[AuditKey]:
    """The keys of the chain, current and former."""
    ring = object_keys(settings)
    return [AuditKey(kid, key) for kid, key in ring.keys.items() if kid.startswith(f"{Purpose.AUDIT.value}-")]


def database(settings: Settings) -> SqlDatabase:
    ring = object_keys(settings)

    def current() -> AuditKey:
        key = ring.key(Purpose.AUDIT)
        return AuditKey(key.kid, key.key)

    index = IndexSettings(
        lambda label: search_key(all_keys(settings).key(Purpose.INDEX).key, label), settings.fhir_base_url
    )
    return SqlDatabase(settings.database_url, current, pool_size=settings.database.pool_size, index=index)


def blobs(settings: Settings) -> BlobStore:
    if settings.blob_url.startswith("s3://"):
        from gateway.storage.blobs_s3 import S3Blobs

        return S3Blobs(settings.blob_url, endpoint=settings.blobs.s3_endpoint, allow_http=settings.blobs.s3_allow_http)
    return FolderBlobs(Path(settings.blob_url).expanduser())


def object_seal(settings: Settings, opened: Database) -> PatientObjectSeal:
    return PatientObjectSeal(object_keys(settings), opened)


def vault(settings: Settings, opened: Database) -> Vault:
    return Vault(all_keys(settings), opened)


def database_under(settings: Settings, ring: KeyRing) -> SqlDatabase:
    """The database with the audit key of a ring that is not in place yet."""
    key = ring.key(Purpose.AUDIT)
    return SqlDatabase(settings.database_url, AuditKey(key.kid, key.key), pool_size=1)


def prove_keys(settings: Settings, ring: KeyRing) -> ProveKeys:
    from gateway.flow.prove_keys import ProveKeys
    from gateway.storage.audit_verify import last_row_opens

    opened = database_under(settings, ring)
    return ProveKeys(opened, lambda ring: last_row_opens(opened, ring.keys))


def rotate_keys(settings: Settings) -> RotateKeys:
    from gateway.flow.count_deposits import count_deposits
    from gateway.flow.rotate_keys import RotateKeys
    from gateway.storage.export_keys import ExportTables

    opened = database(settings)
    return RotateKeys(
        opened,
        settings.key_folder,
        lambda name: provider_for(settings.keys, name),
        anchors=lambda: anchor_file(settings).counts(),
        deposits=lambda: count_deposits(opened, blobs(settings), object_seal(settings, opened)),
        tables=ExportTables(_exports(settings)),
    )


def rotate_kek(settings: Settings, actor: str, moved_from: Kind | None) -> dict[str, str]:
    """The KEK id of each ring. `moved_from` is the provider that wraps them until now, where it is another."""
    from gateway.flow import rotate_keys as flow

    return flow.rotate_kek(
        SqlDatabase(settings.database_url, lambda: audit_key(settings), pool_size=1),  # asked when the rings are moved
        settings.key_folder,
        lambda name: provider_for(settings.keys, name),
        actor,
        moved_from and (lambda name: provider_for(settings.keys, name, moved_from)),
    )


def erase_patient(settings: Settings) -> ErasePatient:
    from gateway.flow.erase import ErasePatient
    from gateway.storage.scrub import scrub

    opened = database(settings)
    of_patients = vault(settings, opened)
    return ErasePatient(opened, blobs(settings), lambda: scrub(opened), house=lambda: of_patients.house().pseudonym)


def read_reports(settings: Settings, opened: Database) -> ReadReports:
    from gateway.flow.read_reports import ReadReports

    return ReadReports(
        vault(settings, opened), blobs(settings), object_seal(settings, opened), settings.gateway.dicomweb_url
    )


def review(settings: Settings, opened: Database, reports: ReadReports | None = None) -> ReviewReport:
    """For the console and the FHIR endpoint: it signs, so it needs the identity ring."""
    from gateway.flow.review import ReviewReport
    from gateway.privacy.signing import Signer

    return ReviewReport(
        database=opened,
        reports=reports or read_reports(settings, opened),
        signer=Signer(all_keys(settings)),
        base_url=settings.fhir_base_url,
        organization_name=settings.gateway.organization,
        destinations=tuple(destination.name for destination in settings.destinations),
    )


def recall(settings: Settings, opened: Database) -> RecallModel:
    from gateway.flow.recall import RecallModel

    return RecallModel(opened, tuple(destination.name for destination in settings.destinations))


def verify_reviews(settings: Settings, opened: Database) -> VerifyReviews:
    from gateway.flow.verify_reviews import VerifyReviews
    from gateway.privacy.signing import public_keys, verified

    return VerifyReviews(
        database=opened,
        reports=read_reports(settings, opened),
        claims=lambda jws: verified(jws, public_keys(all_keys(settings).keys)),
        base_url=settings.fhir_base_url,
        organization_name=settings.gateway.organization,
    )


def record(settings: Settings, of_vault: Vault) -> Record:
    """The store of FHIR resources."""
    from gateway.flow.record.keep_index import keep_index
    from gateway.flow.record.link_orders import LinkOrders
    from gateway.flow.record.open import OpenResources
    from gateway.flow.record.owner import FindOwner
    from gateway.flow.record.plan import PlanWrites
    from gateway.flow.record.store import Record
    from gateway.flow.record.watch import WatchRecords
    from gateway.flow.record.write import WriteResources
    from gateway.flow.subscribe.watch import WatchSubscriptions

    base = settings.fhir_base_url
    opened = OpenResources(of_vault)

    plan = PlanWrites(of_vault, FindOwner(of_vault, base), opened, base)
    watch = WatchRecords(timedelta(seconds=settings.study.quiet_seconds))
    link = LinkOrders(of_vault, tuple(destination.name for destination in settings.destinations))
    return Record(plan, WriteResources((keep_index, watch, link, WatchSubscriptions(opened, base))), opened)


def reindex(settings: Settings, on_batch: Callable[[Reindexing], None]) -> Reindex:
    from gateway.flow.record.open import OpenResources
    from gateway.flow.record.reindex import Reindex
    from gateway.formats.fhir.search.parameters import fingerprint

    opened = database(settings)
    form = fingerprint(settings.fhir_base_url)
    return Reindex(opened, OpenResources(vault(settings, opened)), on_batch, fingerprint=form)


def settle_records(settings: Settings, opened: Database) -> SettleRecords:
    """Gathers what models on records ask for; it runs where identity may be opened."""
    from gateway.flow.record.read_record import ReadRecord
    from gateway.flow.record.settle import SettleRecords

    read = ReadRecord(vault(settings, opened))
    seal = object_seal(settings, opened)
    return SettleRecords(opened, blobs(settings), seal, read.open_resource, read.seal_identity)


def file_reports(settings: Settings, opened: Database) -> DeliverReports:
    """The deliveries to our own store."""
    from gateway.domain.report import RECORD
    from gateway.flow.deliver import DeliverReports, Destination
    from gateway.flow.record.file_report import FileReport

    reports = read_reports(settings, opened)
    own = FileReport(
        database=opened,
        reports=reports,
        record=record(settings, vault(settings, opened)),
        base_url=settings.fhir_base_url,
        organization=settings.gateway.organization,
    )
    pause, lease = timedelta(seconds=1), timedelta(seconds=60)
    return DeliverReports(opened, reports, Destination(RECORD, own, pause, lease))


def send_notifications(settings: Settings, opened: Database) -> SendNotifications:
    """To the endpoints of subscriptions."""
    from gateway.flow.subscribe.address_rules import AddressRules
    from gateway.flow.subscribe.notify import SendNotifications
    from gateway.outlets.rest_hook import RestHook

    told = settings.subscriptions
    return SendNotifications(
        database=opened,
        record=record(settings, vault(settings, opened)),
        hook=RestHook(AddressRules.of(told.allow_http, told.private_networks)),
        base=settings.fhir_base_url,
        first_pause=timedelta(seconds=told.retry_seconds),
        timeout=told.timeout_seconds,
    )


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

    @cache
    def ready() -> Requests:
        from gateway.servers.web.fhir.run_request import RunRequest

        return RunRequest(_web_services(settings, opened, GroupCommitter(opened, actor="web")), files)

    class WhenAsked:
        def __call__(self, job: BulkJob, now: datetime) -> int:
            return ready()(job, now)

        def cut_short(self, job: BulkJob, error: GatewayError) -> bool:
            return ready().cut_short(job, error)

    return WhenAsked()


def clear_jobs(settings: Settings, opened: Database) -> ClearJobs:
    from gateway.flow.bulk.run_jobs import ClearJobs

    return ClearJobs(opened, bulk_files(settings, opened))


def forget_events(settings: Settings, opened: Database) -> ForgetEvents:
    from gateway.flow.subscribe.forget import ForgetEvents

    return ForgetEvents(opened, timedelta(days=settings.subscriptions.keep_days))


def access(settings: Settings, opened: Database) -> GrantAccess:
    from gateway.flow.grant_access import GrantAccess

    return GrantAccess(
        opened,
        token_life=timedelta(seconds=settings.web.token_seconds),
        session_life=timedelta(seconds=settings.web.session_seconds),
    )


def key_set_fetch(settings: Settings) -> Fetch:
    """Fetches the key sets that clients publish."""
    from gateway.outlets.https_document import HttpsDocuments

    return HttpsDocuments(private=settings.web.private_key_sets, ca=settings.web.key_set_ca).get


def sign_in_elsewhere(settings: Settings, opened: Database) -> SignInElsewhere | None:
    """Signing in through the identity provider of the settings, where one is named."""
    from gateway.flow.sign_in_elsewhere import Provider, SignInElsewhere
    from gateway.outlets.https_document import HttpsDocuments

    told = settings.oidc
    if not told.issuer:
        return None
    pairs = (pair.rpartition("=") for pair in told.role_map)
    provider = Provider(
        issuer=told.issuer,
        client_id=told.client_id,
        client_secret=told.client_secret,
        scopes=told.scopes,
        name_claim=told.name_claim,
        role_claim=told.role_claim,
        roles=tuple((value, cast("Role", role)) for value, _, role in pairs),
    )
    ask = HttpsDocuments(private=True, ca=told.ca).ask  # the administrator has named it, not a stranger
    return SignInElsewhere(opened, provider, ask, f"{settings.base_url}/console/elsewhere/return")


def export_keys(settings: Settings) -> ExportKeys:
    from gateway.storage.export_keys import ExportKeys

    return ExportKeys(_exports(settings), all_keys(settings))


def _exports(settings: Settings) -> Path:
    """Where the sealed key tables of exports lie."""
    return settings.home / "exports"


def choose_studies(settings: Settings, opened: Database) -> ChooseStudies:
    from gateway.flow.choose_studies import ChooseStudies

    return ChooseStudies(opened, vault(settings, opened))


def export_folder(target: Path) -> ExportFolder:
    from gateway.outlets.export_folder import ExportFolder

    return ExportFolder(target)


def export_studies(settings: Settings, opened: Database) -> ExportStudies:
    from gateway.flow.export_studies import ExportStudies

    return ExportStudies(
        opened, blobs(settings), object_seal(settings, opened), vault(settings, opened), export_keys(settings)
    )


def reidentify(settings: Settings, opened: Database) -> Reidentify:
    """For the console and the command line."""
    from gateway.flow.reidentify import Reidentify

    most = settings.privacy.reidentifications_per_hour
    return Reidentify(opened, vault(settings, opened), export_keys(settings), most)


def anchor_file(settings: Settings) -> AnchorFile:
    return AnchorFile(settings.home / "audit.anchors")


def schema_revisions(settings: Settings) -> tuple[str, str]:
    """The revision that the database is at, and the newest."""
    from gateway.storage import migrate

    return migrate.current(settings.database_url), migrate.head()


def migrate(settings: Settings) -> None:
    """Bring the database to the newest schema."""
    from gateway.storage.migrate import upgrade

    upgrade(settings.database_url)


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


def serve_dicom(settings: Settings, stop: threading.Event) -> None:
    """The DICOM port; several processes may share it."""
    from gateway.servers.dicom.journal import AssociationJournal
    from gateway.servers.dicom.listener import DicomListener
    from gateway.servers.dicom.peers import PeerPolicy
    from gateway.servers.dicom.store import StoreInstances

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


def serve_web(settings: Settings, stop: threading.Event) -> None:
    """The FHIR endpoint and the console."""
    from gateway.servers.web.lasting import load_for_good
    from gateway.servers.web.serve import run

    sys.setswitchinterval(0.0005)  # as for DICOM: the commit must not wait 5 ms for a thread that computes
    opened = database(settings)
    commits = GroupCommitter(opened, actor="web")
    services = _web_services(settings, opened, commits)
    load_for_good()
    run(services, stop, ready=lambda: mark_ready(settings.home, "web"))
    commits.stop()


def _web_services(settings: Settings, opened: SqlDatabase, commits: GroupCommitter) -> WebServices:
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


def check(settings: Settings, opened: Database) -> CheckInstances:
    from gateway.flow.check import CheckInstances
    from gateway.storage.sealed_file import SealedFiles

    files = SealedFiles(blobs(settings), object_seal(settings, opened))
    return CheckInstances(opened, vault(settings, opened), files)


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
    chores.append(Chore("file", file_reports(settings, opened), pause))
    chores.append(Chore("notify", send_notifications(settings, opened), pause, full=sys.maxsize, rest=_REST))
    chores.append(Chore("bulk", run_jobs(settings, opened, "export", "import"), pause, rest=_REST))
    chores.append(Chore("later", run_jobs(settings, opened, "request"), pause, rest=_REST))
    chores.append(Chore("bulk-clear", clear_jobs(settings, opened), _ERASE_PAUSE))
    chores.append(Chore("forget-events", forget_events(settings, opened), _FORGET_PAUSE))
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
    file = anchor_file(settings)
    return AnchorTrail(opened, lambda seq, code: file.append(seq, code, datetime.now(UTC), audit_key(settings)))


def outlet(destination: DestinationSettings, settings: Settings) -> Outlet:
    if destination.kind == "folder":
        from gateway.outlets.folder import FolderOutlet

        return FolderOutlet(Path(destination.url).expanduser(), settings.fhir_base_url, settings.gateway.organization)
    from gateway.outlets.fhir import FhirOutlet

    return FhirOutlet(destination, settings.fhir_base_url, settings.gateway.organization)
