"""The vault: one secret per patient, identity back only with its row and for a purpose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.errors import Forbidden, Invalid, Missing
from gateway.privacy.engine import deidentify, restore
from gateway.privacy.identity import OriginalIdentity
from gateway.privacy.keyring import IDENTITY_FILE, OBJECTS_FILE, KeyRing, Purpose, create, load
from gateway.privacy.pseudonyms import IdentityKey
from gateway.privacy.rules import INFERENCE, compile_rules
from gateway.privacy.sealing import open_sealed, seal
from gateway.privacy.vault import (
    InstanceIdentityRow,
    PatientRow,
    StudyIdentityRow,
    Vault,
    patient_object_key,
    rewrapped,
)

KEY = IdentityKey("HOSPITAL", "MRN-4711-X")
WHO = OriginalIdentity(patient_id="MRN-4711-X", patient_name="Doe^Jané", study_instance_uid="1.2.3")


class MemoryStore:
    """VaultStore in dictionaries."""

    def __init__(self) -> None:
        self.patients: dict[bytes, PatientRow] = {}
        self.studies: dict[str, StudyIdentityRow] = {}
        self.instances: dict[str, InstanceIdentityRow] = {}
        self.lookups = 0

    def find_patient(self, index: bytes) -> PatientRow | None:
        self.lookups += 1
        return self.patients.get(index)

    def find_pseudonym(self, pseudonym: str) -> PatientRow | None:
        return next((row for row in self.patients.values() if row.pseudonym == pseudonym), None)

    def add_patient(self, row: PatientRow) -> PatientRow:
        return self.patients.setdefault(row.index, row)

    def put_study_identity(self, row: StudyIdentityRow) -> None:
        self.studies[row.study_uid] = row

    def study_identity(self, study_uid: str) -> StudyIdentityRow | None:
        return self.studies.get(study_uid)

    def put_instance_identity(self, row: InstanceIdentityRow) -> None:
        self.instances[row.sop_instance_uid] = row

    def instance_identity(self, sop_instance_uid: str) -> InstanceIdentityRow | None:
        return self.instances.get(sop_instance_uid)


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    create(tmp_path / "keys")
    return load(tmp_path / "keys", OBJECTS_FILE).joined(load(tmp_path / "keys", IDENTITY_FILE))


def test_a_patient_is_one_record_for_every_process(ring: KeyRing) -> None:
    """Two vaults over one store give one pseudonym, and the second sight needs no look-up."""
    store = MemoryStore()
    vault = Vault(ring, store)
    one, again, elsewhere = vault.patient(KEY), vault.patient(KEY), Vault(ring, store).patient(KEY)
    assert one is again
    assert store.lookups == 2
    assert one.pseudonym == elsewhere.pseudonym == one.pseudonymiser.patient_id()
    assert one.pseudonymiser.uid("1.2") == elsewhere.pseudonymiser.uid("1.2")
    assert one.object_key == elsewhere.object_key
    assert vault.patient(IdentityKey("OTHER", "MRN-4711-X")).pseudonym != one.pseudonym


def test_a_lost_race_takes_the_winners_secret(ring: KeyRing) -> None:
    """When another process adds the patient first, its row is used."""
    store = MemoryStore()
    first = Vault(ring, store).patient(KEY)
    store.find_patient = lambda index: None  # type: ignore[method-assign]
    assert Vault(ring, store).patient(KEY).pseudonym == first.pseudonym


def test_memory_holds_a_bounded_number_of_patients(ring: KeyRing) -> None:
    """The least recently used patient leaves; coming back it is the same."""
    store = MemoryStore()
    vault = Vault(ring, store, cached=2)
    seen = [vault.patient(IdentityKey("H", str(n))).pseudonym for n in range(5)]
    assert store.lookups == 5
    assert vault.patient(IdentityKey("H", "0")).pseudonym == seen[0]
    assert store.lookups == 6


def test_identity_opens_again_for_a_purpose_only(ring: KeyRing) -> None:
    """A sealed study identity comes back whole; without a purpose it stays shut."""
    store = MemoryStore()
    vault = Vault(ring, store)
    row = vault.seal_study("2.25.1", vault.patient(KEY), WHO)
    store.put_study_identity(row)
    assert vault.open_study("2.25.1", "deliver report") == WHO
    assert b"MRN" not in row.sealed
    assert b"Doe" not in row.sealed
    with pytest.raises(Forbidden, match="purpose"):
        vault.open_study("2.25.1", " ")
    with pytest.raises(Missing):
        vault.open_study("2.25.9", "deliver report")


def test_rows_cannot_change_places(ring: KeyRing) -> None:
    """A sealed identity moved to another study or patient does not open."""
    store = MemoryStore()
    vault = Vault(ring, store)
    row = vault.seal_study("2.25.1", vault.patient(KEY), WHO)
    other = vault.patient(IdentityKey("HOSPITAL", "ELSE"))
    for moved in (replace(row, study_uid="2.25.2"), replace(row, pseudonym=other.pseudonym)):
        store.put_study_identity(moved)
        with pytest.raises(Invalid):
            vault.open_study(moved.study_uid, "test")


def test_an_instance_is_rebuilt_from_the_vault(ring: KeyRing, make: Any) -> None:
    """Through engine, vault, sealed object and back: the received bytes."""
    store = MemoryStore()
    vault = Vault(ring, store)
    data = make({0x00100010: ("PN", b"Doe^Jane"), 0x7FE00010: ("OW", bytes(2000))})
    done = deidentify(
        data, "1.2.840.10008.1.2.1", compile_rules(INFERENCE), lambda key: vault.patient(key).pseudonymiser
    )
    patient, uid = vault.patient(done.key), done.header.sop_instance_uid
    blob = b"".join(seal(done.parts, patient.object_key, b"t|" + uid.encode()))
    store.put_instance_identity(vault.seal_instance(uid, patient, done.removed))
    file = open_sealed(blob, patient.object_key.unwrap, b"t|" + uid.encode())
    assert restore(file, vault.open_instance(uid, "deliver")) == data


def test_a_worker_opens_objects_and_not_identity(ring: KeyRing, tmp_path: Path) -> None:
    """With objects.json alone an object opens, and the patient's secret does not."""
    store = MemoryStore()
    patient = Vault(ring, store).patient(KEY)
    blob = b"".join(seal([b"pixels"], patient.object_key, b"t|1"))
    row = next(iter(store.patients.values()))
    workers = load(tmp_path / "keys", OBJECTS_FILE)
    assert open_sealed(blob, patient_object_key(row, workers).unwrap, b"t|1") == b"pixels"
    with pytest.raises(Missing):
        Vault(workers, store)
    with pytest.raises(Missing):
        workers.key(Purpose.IDENTITY)


def test_rotation_touches_the_row_only(ring: KeyRing) -> None:
    """After rotating both keys and rewrapping the row, objects and identity open with the same patient keys."""
    store = MemoryStore()
    vault = Vault(ring, store)
    patient = vault.patient(KEY)
    blob = b"".join(seal([b"pixels"], patient.object_key, b"t|1"))
    store.put_study_identity(vault.seal_study("2.25.1", patient, WHO))
    newer = ring.with_new_key(Purpose.OBJECTS).with_new_key(Purpose.IDENTITY)
    for index, row in list(store.patients.items()):
        store.patients[index] = rewrapped(row, newer)
        assert rewrapped(store.patients[index], newer) == store.patients[index]
    only_new = KeyRing({kid: newer.keys[kid] for kid in newer.current.values()}, newer.current)
    after = Vault(only_new, store)
    assert open_sealed(blob, after.patient(KEY).object_key.unwrap, b"t|1") == b"pixels"
    assert after.open_study("2.25.1", "test") == WHO


def test_destroying_the_row_shreds_and_unlinks(ring: KeyRing) -> None:
    """Without its row a patient's identity and objects stay shut, and a new sight gives another pseudonym."""
    store = MemoryStore()
    vault = Vault(ring, store)
    patient = vault.patient(KEY)
    store.put_study_identity(vault.seal_study("2.25.1", patient, WHO))
    blob = b"".join(seal([b"pixels"], patient.object_key, b"t|1"))
    store.patients.clear()
    vault.forget(patient.pseudonym)
    with pytest.raises(Missing, match="erased"):
        vault.open_study("2.25.1", "test")
    anew = vault.patient(KEY)
    assert anew.pseudonym != patient.pseudonym
    with pytest.raises(Invalid):
        open_sealed(blob, anew.object_key.unwrap, b"t|1")


def test_identity_has_no_text_form() -> None:
    """Neither repr nor str of an identity shows anything, and it survives its byte form."""
    assert repr(WHO) == str(WHO) == f"{WHO}" == "OriginalIdentity(…)"
    assert OriginalIdentity.from_bytes(WHO.to_bytes()) == WHO
