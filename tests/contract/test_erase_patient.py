"""Erasing a patient on both databases, with real keys, real objects and the receive step itself."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from harness.keyed_gateway import KeyedGateway, ct_object
from harness.rows import AT, model
from harness.studies import PLANTED, traces
from sqlalchemy import make_url, select, update

from gateway import wiring
from gateway.domain.errors import Erased, Forbidden, GatewayError, Invalid, Missing, Unavailable
from gateway.domain.ids import BlobKey
from gateway.domain.report import ReportContent, report_id
from gateway.domain.sealed_files import PIXEL_FILES, heat_map, pixel_file
from gateway.flow.erase import ErasePatient, FinishErasures
from gateway.flow.record.asked import Asked
from gateway.flow.record.store import Record
from gateway.flow.rotate_keys import RotateKeys
from gateway.privacy import keyring
from gateway.privacy.keyring import IDENTITY_FILE, OBJECTS_FILE, Purpose
from gateway.privacy.pseudonyms import IdentityKey
from gateway.privacy.removed_pixels import RemovedPixels, bound_to, seal_removed
from gateway.privacy.vault import Vault
from gateway.storage import tables
from gateway.storage.audit_verify import verify_database
from gateway.storage.database import SqlDatabase
from gateway.storage.object_seal import REMEMBERED_SECONDS, PatientObjectSeal
from gateway.storage.schema import metadata
from gateway.storage.scrub import scrub

LEASE = timedelta(minutes=5)
WHO, ELSE = "MRN-SHRED-0001", "MRN-STAYS-0002"


@pytest.fixture
def gateway(database_url: str, tmp_path: Path) -> Iterator[KeyedGateway]:
    opened = KeyedGateway(tmp_path / "home", database_url)
    yield opened
    opened.close()


def erase(gateway: KeyedGateway, patient_id: str = WHO) -> str:
    """By what the hospital knows; the pseudonym that was erased."""
    with gateway.database.read() as unit:
        (pseudonym,) = wiring.vault(gateway.settings, gateway.database).patients(unit, None, patient_id)
    ErasePatient(gateway.database, gateway.blobs, lambda: scrub(gateway.database))(pseudonym, "asked", "officer")
    return pseudonym


def rows_of(gateway: KeyedGateway, pseudonym: str) -> list[object]:
    """Whatever of the patient's identity is left in the vault's tables."""
    study, instance = tables.study.c, tables.instance.c
    with gateway.database.begin("test") as unit:
        studies = select(study.id).where(study.patient == pseudonym)
        instances = select(instance.id).where(instance.study_id.in_(studies))
        found: list[object] = []
        for statement in (
            select(tables.vault_patient).where(tables.vault_patient.c.pseudonym == pseudonym),
            select(tables.vault_study).where(tables.vault_study.c.study_id.in_(studies)),
            select(tables.vault_instance).where(tables.vault_instance.c.instance_id.in_(instances)),
            select(study.id).where(study.patient == pseudonym, study.study_uid_index.is_not(None)),
            select(study.id).where(study.patient == pseudonym, study.accession_index.is_not(None)),
        ):
            found += unit._transaction.all(statement)
    return found


def test_nothing_of_the_patient_opens_or_links_any_more(gateway: KeyedGateway) -> None:
    """Vault rows, indexes and files are gone, others stay whole, the chain verifies, the same patient is a new one."""
    receive = gateway.receiver()
    for patient in (WHO, WHO, ELSE):
        receive(ct_object(patient))
    before = [(patient, one, gateway.blobs.get(one.blob_key)) for patient, one in gateway.instances()]
    pseudonym = erase(gateway)
    assert rows_of(gateway, pseudonym) == []
    assert len(list(gateway.blobs.keys())) == 1
    seal = gateway.fresh_seal()
    for patient, instance, blob in before:
        if patient != pseudonym:
            assert seal.open(patient, instance.blob_key, blob)
            continue
        with pytest.raises(Erased):  # even the file from yesterday's backup
            seal.open(patient, instance.blob_key, blob)
    with gateway.database.begin("test") as unit:
        study = unit.studies.get(unit.studies.ids_by_patient(pseudonym)[0])
        assert study.state == "purged"
        with pytest.raises(Erased):
            wiring.vault(gateway.settings, gateway.database).study_identity(unit, study, "delivery", "test")
        (entry,) = unit.audit.newest(limit=1, event="patient:erase")
    assert entry.entry.details == {"reason": "asked", "studies": 2, "objects": 2}
    assert verify_database(gateway.database, wiring.audit_keys(gateway.settings)).sound
    assert gateway.receiver()(ct_object(WHO)) == "new"
    with gateway.database.read() as unit:
        assert wiring.vault(gateway.settings, gateway.database).patients(unit, None, WHO) != [pseudonym]


@pytest.mark.parametrize("same_study", [True, False])
def test_a_receiver_that_remembers_the_patient_loses_nothing(same_study: bool, gateway: KeyedGateway) -> None:
    """The object that comes next is stored under a new pseudonym, with success, and the erased secret stays dead."""
    receive = gateway.receiver()
    study = "1.2.826.0.1.77.9"
    receive(ct_object(WHO, study))
    pseudonym = erase(gateway)
    for _ in range(2):
        assert receive(ct_object(WHO, study if same_study else "")) == "new"
    assert rows_of(gateway, pseudonym) == []
    living = [patient for patient, one in gateway.instances() if patient != pseudonym]
    assert len(living) == 2
    assert len(set(living)) == 1
    seal = gateway.fresh_seal()
    for patient, instance in gateway.instances():
        if patient != pseudonym:
            assert seal.open(patient, instance.blob_key, gateway.blobs.get(instance.blob_key))
    assert len(list(gateway.blobs.keys())) == 2


def test_what_was_under_way_ends(gateway: KeyedGateway) -> None:
    """Tasks and searches are withdrawn, deliveries buried, the report cancelled, undecided objects rejected."""
    receive = gateway.receiver()
    receive(ct_object(WHO, "1.2.826.0.1.77.9"))
    receive(ct_object(WHO, "1.2.826.0.1.77.9"))
    (_, first), (_, second) = gateway.instances()
    with gateway.database.begin("test") as unit:
        study = unit.studies.get(first.study_id)
        unit.models.announce(model())
        unit.tasks.plan(study, [model()], AT)
        unit.clearances.decide(first, "mask")
        unit.pixel_tasks.plan(first, "routine", AT)
        report = unit.reports.register(study, AT)
        report = unit.reports.write(report, "compose", 1, ReportContent((), (), "Benign."), AT)
        unit.deliveries.plan(report, ["ehr"], AT)
        unit.commit()
    erase(gateway)
    with gateway.database.read() as unit:
        assert [task.state for task in unit.tasks.of_study(study.id, 1)] == ["withdrawn"]
        assert unit.pixel_tasks.get(first.id).state == "withdrawn"
        assert [unit.clearances.get(one.id).clearance for one in (first, second)] == ["rejected", "rejected"]
        assert unit.clearances.unchecked(10) == []
        assert unit.reports.get(report_id(study.id)).status == "cancelled"
        assert [one.state for one in unit.deliveries.of_report(report.id)] == ["dead"]
        assert unit.reports.find(limit=10) == []


def test_an_erasure_cut_short_is_finished_by_the_sweeper(
    gateway: KeyedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk fails after the commit the keys are gone already; the chore deletes the files, once."""
    gateway.receiver()(ct_object(WHO))

    def refuse(_key: BlobKey) -> None:
        raise Unavailable("the blob folder answered EIO")

    with monkeypatch.context() as patch:
        patch.setattr(gateway.blobs, "delete", refuse)
        with pytest.raises(Unavailable):
            erase(gateway)
    assert len(list(gateway.blobs.keys())) == 1
    chore = FinishErasures(gateway.database, gateway.blobs, lambda: scrub(gateway.database))
    assert [chore(), chore()] == [1, 0]
    assert list(gateway.blobs.keys()) == []


def test_masked_pixels_previews_and_old_versions_go_too(gateway: KeyedGateway) -> None:
    """Every blob that any row of the patient names is deleted, of versions that are not current as well."""
    receive = gateway.receiver()
    receive(ct_object(WHO))
    ((_, instance),) = gateway.instances()
    extra = [BlobKey(f"{number:032x}") for number in range(3)]
    for key in extra:
        gateway.blobs.put(key, [b"sealed"])
    with gateway.database.begin("test") as unit:
        unit.clearances.decide(instance, "mask")
        unit.pixel_tasks.plan(instance, "routine", AT)
        unit._transaction.execute(update(tables.pixel_task).values(preview_key=extra[0]))
        unit._transaction.execute(update(tables.instance).values(removed_pixels_key=extra[1], is_current=False))
        unit.commit()
    erase(gateway)
    assert list(gateway.blobs.keys()) == [extra[2]]


def test_files_of_attempts_that_were_cut_off_go_too(gateway: KeyedGateway) -> None:
    """No row names what a worker stored before it was killed: deposit, masked object, preview and heat map all go."""
    gateway.receiver()(ct_object(WHO))
    ((_, instance),) = gateway.instances()
    with gateway.database.begin("test") as unit:
        study = unit.studies.get(instance.study_id)
        unit.clearances.decide(instance, "mask")
        unit.pixel_tasks.plan(instance, "routine", AT)
        unit.models.announce(model())
        (task,) = unit.tasks.plan(study, [model()], AT)
        for attempt in (1, 2):
            now, until = AT + attempt * LEASE, AT + (attempt + 1) * LEASE
            assert unit.pixel_tasks.claim(instance.id, "worker", now, until)
            assert unit.tasks.claim(task.id, "worker", now, until)
        unit.commit()
    left = [pixel_file(kind, instance.id, attempt) for kind in PIXEL_FILES for attempt in (1, 2)]
    left += [heat_map(task.id, attempt, instance.sop_instance_uid) for attempt in (1, 2)]
    for key in left:
        gateway.blobs.put(key, [b"sealed"])
    erase(gateway)
    assert list(gateway.blobs.keys()) == []


def test_removed_pixels_from_a_backup_stay_shut(gateway: KeyedGateway) -> None:
    """A deposit lies under the patient's object key too: after the erasure the vault's private half is not enough."""
    gateway.receiver()(ct_object(WHO))
    ((patient, instance),) = gateway.instances()
    key = pixel_file("removed-pixels", instance.id, 1)
    public = wiring.object_keys(gateway.settings).key(Purpose.DEPOSIT_PUBLIC).key
    lost = seal_removed(RemovedPixels(b"NAME^PLANTED", None), public, instance.id, instance.digest)
    blob = b"".join(gateway.fresh_seal().seal(patient, key, lost))
    vault, bound = wiring.vault(gateway.settings, gateway.database), bound_to(instance.id, instance.digest)
    assert b"NAME^PLANTED" in vault.open_deposit(gateway.fresh_seal().open(patient, key, blob), bound)
    with pytest.raises(Invalid):  # not a deposit as it lies there
        vault.open_deposit(blob, bound)
    erase(gateway)
    with pytest.raises(Erased):
        gateway.fresh_seal().open(patient, key, blob)


def test_an_unknown_patient_and_a_second_erasure_are_refused(gateway: KeyedGateway) -> None:
    """There is nothing to erase, and it is said."""
    gateway.receiver()(ct_object(WHO))
    pseudonym = erase(gateway)
    again = ErasePatient(gateway.database, gateway.blobs, lambda: True)
    with pytest.raises(Missing, match="erased already"):
        again(pseudonym, "asked", "officer")
    with pytest.raises(Missing, match="no such patient"):
        again("NOBODY", "asked", "officer")


def test_a_process_forgets_an_erased_key_in_a_minute(gateway: KeyedGateway) -> None:
    """A worker that has opened the patient's objects before cannot go on for long."""
    gateway.receiver()(ct_object(WHO))
    ((pseudonym, instance),) = gateway.instances()
    blob, now = gateway.blobs.get(instance.blob_key), [0.0]
    ring = wiring.object_keys(gateway.settings)
    seal = PatientObjectSeal(ring, gateway.database, clock=lambda: now[0])
    assert seal.open(pseudonym, instance.blob_key, blob)
    erase(gateway)
    now[0] = REMEMBERED_SECONDS
    with pytest.raises(Erased):
        seal.open(pseudonym, instance.blob_key, blob)


def test_erasing_while_objects_arrive(gateway: KeyedGateway) -> None:
    """Of every acknowledged object either all is erased or all is there; no sender is refused."""
    stop, failures, sent = threading.Event(), [], [0, 0, 0]

    def send(place: int) -> None:
        receive = gateway.receiver()
        while not stop.is_set():
            try:
                receive(ct_object(WHO, f"1.2.826.0.1.77.{sent[place] // 4}"))
                sent[place] += 1
            except Exception as error:
                failures.append(error)
                return

    senders = [threading.Thread(target=send, args=(place,)) for place in range(3)]
    for sender in senders:
        sender.start()
    erased = []
    while len(erased) < 3 and not failures:
        threading.Event().wait(0.3)  # three in one moment would make the sender wait, with Busy
        try:
            erased.append(erase(gateway))
        except ValueError:
            continue  # nothing has come since
    stop.set()
    for sender in senders:
        sender.join(30)
    assert failures == []
    assert all(rows_of(gateway, pseudonym) == [] for pseudonym in erased)
    seal, left = gateway.fresh_seal(), 0
    for patient, instance in gateway.instances():
        if patient not in erased:
            assert seal.open(patient, instance.blob_key, gateway.blobs.get(instance.blob_key))
            left += 1
    assert len(gateway.instances()) == sum(sent)
    assert len(list(gateway.blobs.keys())) == left


def test_no_byte_of_the_patient_stays_in_the_file(sqlite_url: str, tmp_path: Path) -> None:
    """Neither identity nor the wrapped keys are in SQLite's file, its log or a blob after the erasure."""
    gateway = KeyedGateway(tmp_path / "home", sqlite_url)
    who = PLANTED[0]
    receive = gateway.receiver()
    for number in range(30):
        receive(ct_object(f"MRN-OTHER-{number}"))
        receive(ct_object(who.patient_id, name=who.name))
    with gateway.database.read() as unit:
        (pseudonym,) = wiring.vault(gateway.settings, gateway.database).patients(unit, None, who.patient_id)
        row = unit.identities.patient(pseudonym)
        header = unit.identities.original_headers(unit.studies.ids_by_patient(pseudonym)[0])[0][1]
    assert row is not None
    secrets = {row.sealed_secret[-40:], row.wrapped_object_key[-40:], row.index, row.id_index, header[-40:]}
    path = Path(str(make_url(sqlite_url).database))
    everything = [path, path.with_name(path.name + "-wal")]
    assert any(secret in b"".join(file.read_bytes() for file in everything) for secret in secrets)
    RotateKeys(gateway.database, gateway.settings.key_folder, gateway.providers, pause=lambda _: None).rotate(
        Purpose.IDENTITY, "officer"
    )
    erase(gateway, who.patient_id)
    left = b"".join(file.read_bytes() for file in everything if file.exists())
    left += b"".join(file.read_bytes() for file in (tmp_path / "home" / "blobs").rglob("*") if file.is_file())
    assert [secret for secret in secrets if secret in left] == []
    assert [trace for trace in traces(who) if trace in left] == []
    gateway.close()


def test_an_old_backup_opens_nothing_after_rotation(sqlite_url: str, tmp_path: Path) -> None:
    """A copy of the database from before the erasure holds the wrapped keys; rotate and retire make it useless."""
    gateway = KeyedGateway(tmp_path / "home", sqlite_url)
    gateway.receiver()(ct_object(WHO))
    ((pseudonym, instance),) = gateway.instances()
    blob = gateway.blobs.get(instance.blob_key)
    scrub(gateway.database)  # all of it in the one file
    backup = tmp_path / "yesterday.sqlite"
    shutil.copy(str(make_url(sqlite_url).database), backup)
    erase(gateway)
    old = SqlDatabase(f"sqlite:///{backup}", wiring.audit_key(gateway.settings))
    assert PatientObjectSeal(both(gateway), old).open(pseudonym, instance.blob_key, blob)  # as the officer is told
    assert Vault(both(gateway), old).patient(IdentityKey("", WHO)).pseudonym == pseudonym
    keys = RotateKeys(gateway.database, gateway.settings.key_folder, gateway.providers, pause=lambda _: None)
    for purpose, name in ((Purpose.OBJECTS, OBJECTS_FILE), (Purpose.IDENTITY, IDENTITY_FILE)):
        former = wiring.key_ring(gateway.settings, name).current[purpose]
        keys.rotate(purpose, "officer")
        keys.retire(former, "officer")
    with pytest.raises(GatewayError, match="holds no key"):
        PatientObjectSeal(both(gateway), old).open(pseudonym, instance.blob_key, blob)
    with pytest.raises(GatewayError, match="holds no key"):
        Vault(both(gateway), old).patient(IdentityKey("", WHO))
    old.close()
    gateway.close()


def both(gateway: KeyedGateway) -> keyring.KeyRing:
    rings = [wiring.key_ring(gateway.settings, name) for name in (OBJECTS_FILE, IDENTITY_FILE)]
    return rings[0].joined(rings[1])


def test_the_fhir_record_goes_too(gateway: KeyedGateway) -> None:
    """Every version of what belongs to the patient is gone with its index rows; others' and the house's stay."""
    vault = wiring.vault(gateway.settings, gateway.database)
    record = wiring.record(gateway.settings, vault)
    write_record(gateway, record, WHO)
    write_record(gateway, record, ELSE)
    pseudonym = erase(gateway)
    with gateway.database.read() as unit:
        left = unit.resources.history(limit=100)
        assert {one.owner for one in left}.isdisjoint({pseudonym})
        assert sorted(one.type for one in left) == ["Observation", "Organization", "Organization", "Patient"]
        for one in left:
            assert record.opened.unseen(unit, one)
        assert unit.resource_index.matching("Patient", [("identifier", WHO)], 2) == []
        assert len(unit.resource_index.matching("Patient", [("identifier", ELSE)], 2)) == 1
    tables_left = [table for table in metadata.tables.values() if table.name.startswith("vault_index_")]
    with gateway.database.begin("test") as unit:
        keys = {row[0] for table in tables_left for row in unit._transaction.all(select(table.c.key))}
    assert keys <= {one.key for one in left}
    with pytest.raises(Erased):  # this process still remembers the patient
        write_record(gateway, record, WHO)
    vault.forget(pseudonym)
    write_record(gateway, record, WHO)  # the same person is a new one


def test_the_house_is_no_patient(gateway: KeyedGateway) -> None:
    """What keeps the resources that belong to nobody is neither found by an identifier nor erased."""
    vault = wiring.vault(gateway.settings, gateway.database)
    house = vault.house().pseudonym
    with gateway.database.read() as unit:
        assert vault.patients(unit, None, "house") == []
        assert vault.patients(unit, "dxgate", "house") == []
    with pytest.raises(Forbidden):
        wiring.erase_patient(gateway.settings)(house, "asked", "officer")


def write_record(gateway: KeyedGateway, record: Record, number: str) -> None:
    """A Patient, an Observation of that patient, and something of the house that both do not need."""
    patient = {"resourceType": "Patient", "identifier": [{"value": number}]}
    observed = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    urn = "urn:uuid:0b9c8b1e-4a3b-4c5d-8e6f-001122334401"
    asked = [
        Asked("POST", "Patient", resource=patient, full_url=urn, place="Bundle.entry[0]"),
        Asked("POST", "Observation", resource=observed | {"subject": {"reference": urn}}, place="Bundle.entry[1]"),
        Asked("POST", "Organization", resource={"resourceType": "Organization", "name": "Ward"}),
    ]
    with gateway.database.read() as unit:
        plan = record.plan(unit, asked)
    with gateway.database.begin("test") as unit:
        assert record.write(unit, plan, "test") is not None
        unit.commit()
