"""The distributed preset: the same code on PostgreSQL, Redis and S3, with workers that hold no identity."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from fhirpy import SyncFHIRClient
from harness.distributed_gateway import WORKERS, DistributedGateway
from harness.gateway_process import wait_for
from harness.redis_server import PASSWORD, RedisServer
from harness.reports import reported
from harness.send import rejection, send_folder, store, store_until_accepted
from harness.studies import PLANTED, Planted, planted_study, traces
from harness.traces import found_in
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from sqlalchemy import Engine, create_engine, make_url, select, text
from sqlalchemy.exc import ProgrammingError

from gateway.storage import tables
from gateway.storage.audit_tables import audit
from gateway.storage.schema import metadata

pytestmark = [pytest.mark.peer("postgresql"), pytest.mark.peer("redis")]
MODEL = "breast-ultrasound-detail-cnn"
WORKER_PASSWORD = "p4ss-of-the-workers"
OUT_OF_RESOURCES = 0xA700
EARLY = Planted("Earlybird^Ottokar", "MRN-EB-9911", "ACCEARLY9911", "ISO_IR 100")  # sent before a model was active


@dataclass
class Site:
    """A running gateway with its peers; `drafts` is what `model list` said before anything was activated."""

    gateway: DistributedGateway
    cluster: Any
    database: Engine
    redis: RedisServer
    bucket: Any
    drafts: list[dict[str, str]]

    def events(self, event: str) -> list[Any]:
        with self.database.connect() as connection:
            return list(connection.execute(select(audit).where(audit.c.event == event)))


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """A bucket on an S3 server in this process, and its address."""
    boto3 = pytest.importorskip("boto3")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://127.0.0.1:{1}".format(*server.get_host_and_port())
    account = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    made = boto3.resource("s3", endpoint_url=endpoint, **account).Bucket("sealed")
    made.create()
    yield made
    server.stop()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    running = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
def worker_role(postgres_cluster: Any) -> Iterator[str]:
    role = f"dxgate_worker_{os.getpid()}"
    postgres_cluster.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{WORKER_PASSWORD}'")
    yield role
    postgres_cluster.execute(f"DROP ROLE {role}")


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_cluster: Any,
    worker_role: str,
    broker: RedisServer,
    bucket: Any,
) -> Iterator[Site]:
    """Set up as the README tells operators, with one study of each planted identity sent."""
    folder = tmp_path_factory.mktemp("site")
    url = postgres_cluster.create(migrated=False)
    # what the server acknowledges has to outlive its crash, as with the settings that it comes with
    postgres_cluster.execute(f"ALTER DATABASE {make_url(url).database} SET synchronous_commit = on")
    settings = _settings(tmp_path_factory.mktemp("delivered"), url, broker, bucket)
    worker_url = make_url(url).set(username=worker_role, password=WORKER_PASSWORD)
    gateway = DistributedGateway(folder / "home", settings, worker_url=worker_url.render_as_string(hide_password=False))
    database = create_engine(make_url(url).set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    try:
        gateway.command("init")
        gateway.command("migrate", "--worker-role", worker_role)
        gateway.command("client", "add", "dicom", "TESTPACS", "--from", "127.0.0.0/8")
        gateway.start()
        early = tmp_path_factory.mktemp("early")
        planted_study(early, EARLY, 1, declare_count=True)
        send_folder(gateway.dicom_port, early)
        drafts = json.loads(gateway.command("model", "list", "--json"))
        (draft,) = [one for one in drafts if one["name"] == MODEL]
        gateway.command("model", "activate", MODEL, draft["version"])
        sent = tmp_path_factory.mktemp("sent")
        for number, planted in enumerate(PLANTED):
            planted_study(sent / str(number), planted, 2)
            send_folder(gateway.dicom_port, sent / str(number))
        yield Site(gateway, postgres_cluster, database, broker, bucket, drafts)
    finally:
        gateway.stop()
        database.dispose()
        postgres_cluster.drop(url)


def _settings(delivered: Path, url: str, broker: RedisServer, bucket: Any) -> dict[str, str]:
    destinations = [{"name": "archive", "kind": "folder", "url": str(delivered)}]
    return {
        "DXGATE_PRESET": "distributed",
        "DXGATE_DATABASE_URL": url,
        "DXGATE_BROKER_URL": broker.url,
        "DXGATE_BLOBS_URL": f"s3://{bucket.name}/hospital",
        "DXGATE_BLOBS_S3_ENDPOINT": bucket.meta.client.meta.endpoint_url,
        "DXGATE_BLOBS_S3_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "DXGATE_DICOM_HOST": "127.0.0.1",
        "DXGATE_WEB_HOST": "127.0.0.1",
        "DXGATE_DESTINATIONS": json.dumps(destinations),
        "DXGATE_WORKER_LEASE_SECONDS": "5",
        "DXGATE_SWEEP_REPUBLISH_SECONDS": "3",
    }


@pytest.fixture(scope="module")
def fhir(site: Site) -> SyncFHIRClient:
    return SyncFHIRClient(site.gateway.fhir_url, authorization=f"Bearer {site.gateway.token()}")


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.charset + planted.accession)
def test_a_report_is_found_by_what_the_pacs_sent(fhir: SyncFHIRClient, planted: Planted) -> None:
    """fhirpy finds one preliminary report by accession number, and the same one among those of the patient."""
    (report,) = reported(fhir, identifier=planted.accession)
    assert report["status"] == "preliminary"
    of_patient = reported(fhir, **{"patient.identifier": planted.patient_id})
    assert report["id"] in {each["id"] for each in of_patient}


def test_no_model_is_active_before_an_operator_says_so(site: Site) -> None:
    """A signed model is a draft until `dxgate model activate`, which the audit trail puts down to a person."""
    assert {model["name"] for model in site.drafts} >= {MODEL}
    assert {model["state"] for model in site.drafts} == {"draft"}
    activated = site.events("model:activate")
    assert [row.actor.partition(":")[0] for row in activated] == ["cli"]
    listed = json.loads(site.gateway.command("model", "list", "--json"))
    assert [model["name"] for model in listed if model["state"] == "active"] == [MODEL]


def test_a_study_that_came_before_any_model_was_active_is_reported(fhir: SyncFHIRClient) -> None:
    """A study sent before the first activation waits for it and is analysed without anybody asking."""
    (report,) = reported(fhir, identifier=EARLY.accession)
    assert report["status"] == "preliminary"


def test_two_processes_share_the_dicom_port(site: Site) -> None:
    """Connections to the one port are answered by both processes."""
    wanted = {site.gateway.roles[name].pid for name in ("dicom-1", "dicom-2")}
    associations = [_associate(site) for _ in range(24)]
    try:
        assert all(association.is_established for association in associations)
        holding = {pid for pid in wanted if _connections(pid, site.gateway.dicom_port)}
    finally:
        for association in associations:
            association.release()
    assert holding == wanted


@pytest.mark.parametrize(("calling", "called"), [("STRANGER", "DXGATE"), ("TESTPACS", "OTHERSCP")])
def test_an_association_that_is_not_ours_is_rejected_and_audited(site: Site, calling: str, called: str) -> None:
    """An unknown calling AE title and a called AE title that is not ours get A-ASSOCIATE-RJ and an audit row."""
    assert rejection(_entity(calling), site.gateway.dicom_port, called)
    assert [row for row in site.events("association:reject") if f"dicom:{calling}@127.0.0.1" == row.actor]


def test_workers_hold_no_key_to_identity(site: Site, fhir: SyncFHIRClient) -> None:
    """Each worker's key folder holds objects.json alone, and the findings are the workers'."""
    for planted in PLANTED:
        reported(fhir, identifier=planted.accession)
    for name in WORKERS:
        keys = site.gateway.worker_home(name) / "keys"
        assert [path.name for path in keys.iterdir()] == ["objects.json"]
    done = {row.actor for row in site.events("task:finish")}
    pids = {str(site.gateway.roles[name].pid) for name in WORKERS}
    assert done
    assert {actor.rpartition(":")[2] for actor in done} <= pids


def test_the_workers_role_cannot_read_the_vault(site: Site) -> None:
    """PostgreSQL refuses the workers' role every table of the vault, and the role holds no grant on any."""
    vault = [name for name in metadata.tables if name.startswith("vault_")]
    assert "vault_patient" in vault
    engine = create_engine(make_url(site.gateway.worker_url).set(drivername="postgresql+psycopg"))
    try:
        with engine.connect() as connection:
            connected = connection.execute(
                text("SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = current_database()")
            )
            assert make_url(site.gateway.worker_url).username in set(connected.scalars())
        for name in vault:
            with engine.connect() as connection, pytest.raises(ProgrammingError, match="permission denied"):
                connection.execute(select(metadata.tables[name]))
    finally:
        engine.dispose()
    role = make_url(site.gateway.worker_url).username
    with site.database.connect() as connection:
        granted = connection.execute(
            text("SELECT table_name FROM information_schema.role_table_grants WHERE grantee = :role"), {"role": role}
        )
        assert not set(granted.scalars()) & set(vault)


def test_no_planted_identity_is_found_outside_the_vault(site: Site, fhir: SyncFHIRClient) -> None:
    """PostgreSQL's data folder, Redis, S3 and every log hold no planted name or number, and no password."""
    for planted in PLANTED:
        reported(fhir, identifier=planted.accession)
    haystack = _everything_kept(site)
    places = {place.split(":")[0] for place in haystack}
    assert {"gateway", "redis", "s3"} <= places
    assert "postgresql" in places or site.cluster.control is None
    assert any(MODEL.encode() in content for place, content in haystack.items() if place.startswith("postgresql"))
    sought = {trace for planted in (*PLANTED, EARLY) for trace in traces(planted)}
    for place, content in haystack.items():
        assert not found_in(content, sought), f"planted identity in {place}"
    for secret in (PASSWORD, WORKER_PASSWORD):
        for place, content in haystack.items():
            if place.startswith("gateway"):
                assert secret.encode() not in content, f"a password in {place}"


def test_the_audit_chain_of_many_hosts_verifies(site: Site, fhir: SyncFHIRClient) -> None:
    """Rows chained by two receivers, two workers, sweeper and command line make one chain that verifies."""
    reported(fhir, identifier=PLANTED[0].accession)
    told = json.loads(site.gateway.command("audit", "verify", "--json"))
    assert told["rows"] > 10 * len(PLANTED)


def test_without_the_broker_studies_are_accepted_and_reported_later(
    site: Site, fhir: SyncFHIRClient, tmp_path: Path
) -> None:
    """C-STORE succeeds while Redis is down, and the study is reported after Redis has come back."""
    planted = Planted("Outage^Broker", "MRN-OB-1", "ACCBROKER1", "ISO_IR 100")
    planted_study(tmp_path, planted, 2, declare_count=True)
    site.redis.kill()
    try:
        statuses = store(site.gateway.dicom_port, sorted(tmp_path.glob("*.dcm")))
        assert statuses == [0, 0]
        wait_for(lambda: _open_tasks(site) >= 1, 60, "a task that nobody could be told of")
        wait_for(lambda: "publish" in site.gateway.log_of("sweep").read_text(), 60, "the sweeper to notice")
    finally:
        site.redis.start()
    (report,) = reported(fhir, identifier=planted.accession)
    assert report["status"] == "preliminary"


def test_without_the_database_nothing_is_acknowledged_and_nothing_is_lost(
    site: Site, fhir: SyncFHIRClient, tmp_path: Path
) -> None:
    """PostgreSQL crashes amid an association: the rest gets A700, is sent again, and one report holds all."""
    control = site.cluster.control
    if control is None:
        pytest.skip("the PostgreSQL server of DXGATE_TEST_POSTGRES_URL is not ours to stop")
    planted = Planted("Outage^Database", "MRN-OD-1", "ACCDATABASE1", "ISO_IR 100")
    planted_study(tmp_path, planted, 8, declare_count=True)
    files = sorted(tmp_path.glob("*.dcm"))
    before = _instances(site)
    try:
        crash = lambda sent: control("stop", "-m", "immediate") if sent == 3 else None  # noqa: E731
        assert store(site.gateway.dicom_port, files, before_each=crash) == [0] * 3 + [OUT_OF_RESOURCES] * 5
        assert rejection(_entity("TESTPACS"), site.gateway.dicom_port, "DXGATE")
        assert httpx.get(f"{site.gateway.base_url}/readyz", timeout=10).status_code == 503
    finally:
        control("start")
    assert _instances(site) == before + 3
    store_until_accepted(site.gateway.dicom_port, tmp_path, [])
    assert _instances(site) == before + 8
    assert all(process.poll() is None for process in site.gateway.roles.values())
    (report,) = reported(fhir, identifier=planted.accession)
    study = fhir.reference(*str(report["imagingStudy"][0]["reference"]).split("/")).to_resource()  # type: ignore[index]
    assert study["numberOfInstances"] == 8
    assert report["status"] == "preliminary"


def _entity(title: str) -> AE:
    entity = AE(ae_title=title)
    entity.add_requested_context(Verification)
    return entity


def _associate(site: Site) -> Association:
    return _entity("TESTPACS").associate("127.0.0.1", site.gateway.dicom_port, ae_title="DXGATE")


def _connections(pid: int, port: int) -> int:
    found = psutil.Process(pid).net_connections("tcp")
    return sum(one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED for one in found)


def _open_tasks(site: Site) -> int:
    """Work that waits for a worker: the searches of pixels come first."""
    waiting = (select(table.c.id).where(table.c.state == "todo") for table in (tables.pixel_task, tables.task))
    with site.database.connect() as connection:
        return sum(len(connection.execute(found).all()) for found in waiting)


def _instances(site: Site) -> int:
    with site.database.connect() as connection:
        return len(connection.execute(select(tables.instance.c.id)).all())


def _everything_kept(site: Site) -> dict[str, bytes]:
    found = {f"gateway:{path.name}": path.read_bytes() for path in site.gateway.files()}
    found |= {f"redis:{path.name}": path.read_bytes() for path in site.redis.folder.rglob("*") if path.is_file()}
    found["redis:memory"] = site.redis.memory()
    found |= {f"s3:{one.key}": one.get()["Body"].read() for one in site.bucket.objects.all()}
    with site.database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CHECKPOINT"))  # what lies in shared buffers is to be seen in the files too
        data = Path(str(connection.execute(text("SHOW data_directory")).scalar_one()))
    for path in data.rglob("*") if site.cluster.control else ():
        with suppress(FileNotFoundError):  # the running server replaces files of its own
            if path.is_file():
                found[f"postgresql:{path.name}:{path.parent.name}"] = path.read_bytes()
    return found
